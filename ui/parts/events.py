"""Options of the page's events: who sees them, and how many of a kind run at a time."""

from __future__ import annotations

from typing import Any

# Events that no script may call. Their common name leaves the names of functions to the endpoints.
PRIVATE: dict[str, Any] = {"api_visibility": "private", "api_name": "_private", "show_progress": "hidden"}
# Events that are answered at once, without the queue.
QUIET: dict[str, Any] = {"queue": False, **PRIVATE}
# Events that stream results of methods. The session's worker has the device; this many visitors may watch at a time.
DEVICE: dict[str, Any] = {"concurrency_id": "device", "concurrency_limit": 24}
# Edits are answered between two steps of a run; this many may wait for an answer.
EDITS: dict[str, Any] = {"concurrency_id": "edits", "concurrency_limit": 8}
# Crops and pasted pictures are made on the processor while others compute.
CROPS: dict[str, Any] = {"concurrency_id": "crops", "concurrency_limit": 4}
# Squares of uploads are found on the processor; then they wait for an answer between two steps of a run.
FRAMING: dict[str, Any] = {"concurrency_id": "framing", "concurrency_limit": 16}
# Watching a download costs nothing.
DOWNLOADS: dict[str, Any] = {"concurrency_id": "downloads", "concurrency_limit": 24}
# Events that load a model, and events that only read results or cards.
MODELS: dict[str, Any] = {"concurrency_id": "models"}
VIEWS: dict[str, Any] = {"concurrency_id": "views"}
# Fields of the ticked methods are sent in order, so that no answer to an older choice arrives last.
FIELDS: dict[str, Any] = {"concurrency_id": "fields", "concurrency_limit": 1}
