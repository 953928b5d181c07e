"""Who may write into what a page shows: only the newest of its streams.

Gradio streams every event by itself. After a reload the page follows the job of before, and whoever presses Run then
has two jobs that are shown in the same columns; to stop the older stream when the button is pressed would be too early,
for what was asked may be refused.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import gradio as gr

Update = dict[Any, Any]  # component -> new value


class Streams:
    """The streams into one panel, for every page that is open."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._newest: dict[tuple[str, str], object] = {}  # by page and part

    def newest(self, request: gr.Request, updates: Iterator[Update], part: str = "") -> Iterator[Update]:
        """The updates, until the page of `request` begins a newer stream into the same part of the panel.

        part: "" for the whole panel, which ends the streams into every part of it.
        """
        page, mine = request.session_hash or "", object()
        with self._lock:
            for place in [place for place in self._newest if place[0] == page and not part]:
                del self._newest[place]
            self._newest[page, part] = mine
        try:
            for update in updates:
                if self._newest.get((page, part)) is not mine:
                    # Gradio sends the last update once more when a stream ends: let it be one that changes nothing.
                    yield dict.fromkeys(update, gr.skip())
                    return
                yield update
        finally:
            with self._lock:
                if self._newest.get((page, part)) is mine:
                    del self._newest[page, part]
