"""Only the newest stream of a page may write into its results.

Gradio streams every event separately. After a reload the page follows its earlier job. If the user then presses Run,
two jobs write into the same columns. The older stream must end when the newer one starts, and not when the button is
pressed, because the new request may be refused.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import gradio as gr

from ui.parts.values import Update


class Streams:
    """The streams into one panel, for every page that is open."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._newest: dict[tuple[str, str], object] = {}  # by page and part

    def __len__(self) -> int:
        """Number of open streams."""
        with self._lock:
            return len(self._newest)

    def newest(self, request: gr.Request, updates: Iterator[Update], part: str = "") -> Iterator[Update]:
        """The updates, until the page of `request` starts a newer stream into the same part of the panel.

        part: "" for the whole panel; such a stream ends the streams into all parts.
        """
        page, own = request.session_hash or "", object()
        with self._lock:
            for place in [place for place in self._newest if place[0] == page and not part]:
                del self._newest[place]
            self._newest[page, part] = own
        try:
            for update in updates:
                if self._newest.get((page, part)) is not own:
                    # Gradio sends the last update again when a stream ends, so the last update changes nothing.
                    yield dict.fromkeys(update, gr.skip())
                    return
                yield update
        finally:
            with self._lock:
                if self._newest.get((page, part)) is own:
                    del self._newest[page, part]


def gathered(updates: Iterator[Update], every: float) -> Iterator[Update]:
    """The updates, joined to one for as long as less than `every` seconds have passed since the last."""
    waiting: Update = {}
    shown = time.monotonic()
    for update in updates:
        waiting |= update
        if time.monotonic() - shown >= every:
            yield waiting
            waiting, shown = {}, time.monotonic()
    if waiting:
        yield waiting
