"""The registered model files and their downloads, as the page lists them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

from inversion.checkpoints import fetch
from inversion.checkpoints.downloads import Download, Downloads
from inversion.checkpoints.registry import Entry, registry
from inversion.serving.runs import LaneError

CLOSED = "{name} is not available: only the operator of this page downloads models. Choose another model."


@dataclass(frozen=True)
class FileCard:
    """A registered file as a visitor sees it.

    bytes: its size, None if it is unknown. cached: it can be loaded without a network. damage: its known defect, or "".
    download: its running or last download. wanted: whether that is running for the visitor.
    """

    entry: Entry
    bytes: int | None
    cached: bool
    damage: str
    download: Download | None
    wanted: bool

    @property
    def embedded(self) -> bool:
        """Whether the file comes with the package."""
        return self.entry.file is not None


class ModelFiles:
    """Every registered file and its download. Methods are thread-safe and use no device.

    A download is shared by all visitors who want the file, and ends when none of them does. open: visitors may start
    downloads; otherwise only the operator may.
    """

    def __init__(self, downloads: Downloads, open: bool = True) -> None:
        self._downloads, self.open = downloads, open

    def cards(self, visitor: str = "") -> list[FileCard]:
        """All files, in the order of the registry."""
        return [self._card(entry, visitor) for entry in registry().values()]

    def card(self, name: str, visitor: str = "") -> FileCard:
        """One file. Raises LaneError if the name is not registered."""
        entry = registry().get(name)
        if entry is None:
            raise LaneError(f"There is no model {name!r}.")
        return self._card(entry, visitor)

    def missing(self, name: str) -> bool:
        """Whether the file has to be downloaded before it can be used. Uses no network."""
        return self._downloads.missing(name)

    def download(self, name: str, visitor: str, operator: bool = False) -> None:
        """Download a file for the visitor, or join its running download. Raises HubError, and LaneError if closed."""
        if not (self.open or operator):
            raise LaneError(CLOSED.format(name=name))
        self._downloads.start(name, visitor)

    def cancel(self, name: str, visitor: str) -> None:
        """Leave the download. It ends if no other visitor wants the file."""
        self._downloads.leave(name, visitor)

    def follow(self, name: str, visitor: str, every: float = 0.5) -> Iterator[Download]:
        """The download, once in `every` seconds, until it is over or the visitor has cancelled it."""
        while self._downloads.wanted(name, visitor):
            view = self._downloads.view(name)
            if view is not None:
                yield view
            time.sleep(every)

    def _card(self, entry: Entry, visitor: str) -> FileCard:
        return FileCard(
            entry=entry,
            bytes=fetch.size_of(entry),
            cached=fetch.cached(entry) is not None,
            damage=fetch.damage(entry),
            download=self._downloads.view(entry.name),
            wanted=self._downloads.wanted(entry.name, visitor),
        )
