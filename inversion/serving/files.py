"""The registered model files and their downloads, as the page lists them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from inversion.checkpoints import fetch
from inversion.checkpoints.downloads import Downloads
from inversion.checkpoints.registry import Entry, registry
from inversion.serving.lane import LaneError


class ModelFiles:
    """Every registered file: whether it is available, and its download. Methods are thread-safe and use no device.

    A download is shared by all visitors who want the file, and ends when none of them does.
    """

    def __init__(self, downloads: Downloads) -> None:
        self._downloads = downloads

    def cards(self, visitor: str = "") -> list[dict[str, Any]]:
        """All files as plain data: the fields of `Entry`, and

        embedded: it comes with the package. cached: it can be loaded without a network. by_hand: it needs a manual
        download. damage: its known defect, or "". download: the fields of its `Download`, or None. mine: whether that
        is running for the visitor.
        """
        return [self._card(entry, visitor) for entry in registry().values()]

    def card(self, name: str, visitor: str = "") -> dict[str, Any]:
        """One of `cards`. Raises LaneError if the name is not registered."""
        entry = registry().get(name)
        if entry is None:
            raise LaneError(f"There is no model {name!r}.")
        return self._card(entry, visitor)

    def missing(self, name: str) -> bool:
        """Whether the file has to be downloaded before it can be used. Uses no network."""
        return self._downloads.missing(name)

    def download(self, name: str, visitor: str) -> None:
        """Download a file for the visitor, or join its running download. Raises HubError."""
        self._downloads.start(name, visitor)

    def cancel(self, name: str, visitor: str) -> None:
        """The visitor does not want the file any more."""
        self._downloads.leave(name, visitor)

    def follow(self, name: str, visitor: str, every: float = 0.5) -> Iterator[dict[str, Any]]:
        """The fields of the `Download` every so many seconds, until it is over or the visitor has cancelled it."""
        while self._downloads.wanted(name, visitor):
            view = self._downloads.view(name)
            if view is not None:
                yield asdict(view)
            time.sleep(every)

    def _card(self, entry: Entry, visitor: str) -> dict[str, Any]:
        download = self._downloads.view(entry.name)
        return {
            **asdict(entry),
            "bytes": fetch.size_of(entry),
            "embedded": entry.file is not None,
            "cached": fetch.cached(entry) is not None,
            "damage": fetch.damage(entry),
            "by_hand": entry.by_hand,
            "download": None if download is None else asdict(download),
            "mine": self._downloads.wanted(entry.name, visitor),
        }
