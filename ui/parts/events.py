"""Options of the page's events: who sees them, and how many of a kind run at a time."""

from __future__ import annotations

from ui.parts.values import Options

# Events that no script may call. Their common name leaves the names of functions to the endpoints. After every message
# of the server, the browser updates all components on which events have shown progress: without the empty list, these
# are all outputs of all events so far, and a click takes seconds.
PRIVATE: Options = {
    "api_visibility": "private",
    "api_name": "_private",
    "show_progress": "hidden",
    "show_progress_on": [],
}
# Events that are answered at once, without the queue. The page shows neither their notes nor their errors.
QUIET: Options = {"queue": False, **PRIVATE}
# Events that stream results of methods. The session's worker has the device; this many visitors may watch at a time.
DEVICE: Options = {"concurrency_id": "device", "concurrency_limit": 64}
# Edits are answered between two steps of a run; this many may wait for an answer.
EDITS: Options = {"concurrency_id": "edits", "concurrency_limit": 8}
# Crops and pasted pictures are made on the processor while others compute.
CROPS: Options = {"concurrency_id": "crops", "concurrency_limit": 4}
# Squares of uploads are found on the processor; then they wait for an answer between two steps of a run.
FRAMING: Options = {"concurrency_id": "framing", "concurrency_limit": 16}
# Watching a download costs nothing.
DOWNLOADS: Options = {"concurrency_id": "downloads", "concurrency_limit": 24}
# A conversion may take gigabytes of memory, so files are added one after the other.
ADDITIONS: Options = {"concurrency_id": "additions", "concurrency_limit": 1}
# Events that load a model, and events that only read results or cards.
MODELS: Options = {"concurrency_id": "models"}
VIEWS: Options = {"concurrency_id": "views"}
# Fields of the selected methods are sent in order, so that no answer to an older choice arrives last.
FIELDS: Options = {"concurrency_id": "fields", "concurrency_limit": 1}
