"""The list of the runs on disk: an SQLite file, of which one server at a time may have the lock."""

from __future__ import annotations

import json
import logging
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from inversion.common.echo import printable
from inversion.common.errors import UserError
from inversion.common.rows import RowView

VERSION = 1
log = logging.getLogger(__name__)
TABLES = """
CREATE TABLE IF NOT EXISTS jobs (
    key TEXT PRIMARY KEY, owner TEXT NOT NULL, share TEXT NOT NULL, made REAL NOT NULL, touched REAL NOT NULL,
    over INTEGER NOT NULL, record TEXT NOT NULL, files TEXT NOT NULL, thumbnails TEXT NOT NULL, bytes INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS by_owner ON jobs (owner, made);
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""
COLUMNS = "key, owner, share, made, touched, over, record, files, thumbnails"


class ArchiveError(UserError):
    """The folder of results cannot be used. The text says why, and what to do."""


@dataclass(frozen=True)
class Entry:
    """A job on disk.

    owner, share: hashes of who may list it, and of whose space it takes. made, touched: Unix times. over: no run is
    left. record: see `records`. files: name -> bytes. thumbnails: name -> JPEG as base64.
    """

    key: str
    owner: str
    share: str
    made: float
    touched: float
    over: bool
    record: RowView
    files: Mapping[str, int] = field(default_factory=dict)
    thumbnails: Mapping[str, str] = field(default_factory=dict)


class Size(NamedTuple):
    """What an entry takes, and of whom."""

    key: str
    owner: str
    share: str
    touched: float
    bytes: int
    over: bool


class Index:
    """The entries by key. Thread-safe. Every change is on the disk when its method returns, or nothing of it is."""

    def __init__(self, path: Path) -> None:
        """Open the file or make it. Raises ArchiveError if another server has it, or if it is broken."""
        self._lock = threading.Lock()
        try:
            self._base = sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False)
            self._base.execute("PRAGMA locking_mode = EXCLUSIVE")
            self._base.execute("PRAGMA synchronous = FULL")
            self._base.execute("BEGIN EXCLUSIVE")
            (version,) = self._base.execute("PRAGMA user_version").fetchone()
            if version > VERSION:
                raise ArchiveError(f"{path.parent}: a newer version of this hub has written it. Use another folder")
            for statement in filter(str.strip, TABLES.split(";")):
                self._base.execute(statement)
            self._base.execute(f"PRAGMA user_version = {VERSION}")
            self._base.execute("COMMIT")
        except sqlite3.OperationalError as error:
            why = "another server uses it" if "locked" in str(error) else str(error)
            raise ArchiveError(f"{path.parent}: {why}. Choose another folder for --results") from None
        except sqlite3.DatabaseError as error:
            why = printable(str(error))
            raise ArchiveError(f"{path}: it is broken ({why}). Move it away, or choose another folder") from None

    def close(self) -> None:
        """Close the file, and let another server have it."""
        with self._lock:
            self._base.close()

    def fact(self, name: str, first: str) -> str:
        """A text that is kept with the list: `first` if it is new."""
        with self._changing() as base:
            base.execute("INSERT OR IGNORE INTO facts VALUES (?, ?)", (name, first))
            (value,) = base.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
            return str(value)

    def put(self, entry: Entry) -> None:
        """Add an entry, or replace the one with its key. Raises sqlite3.Error."""
        parts = (json.dumps(one) for one in (entry.record, entry.files, entry.thumbnails))
        row = (entry.key, entry.owner, entry.share, entry.made, entry.touched, entry.over, *parts)
        with self._changing() as base:
            base.execute("INSERT OR REPLACE INTO jobs VALUES (?,?,?,?,?,?,?,?,?,?)", (*row, sum(entry.files.values())))

    def touch(self, key: str, now: float) -> None:
        """Note that an entry was used."""
        with self._changing() as base:
            base.execute("UPDATE jobs SET touched = ? WHERE key = ?", (now, key))

    def remove(self, keys: Iterable[str]) -> None:
        """Forget entries."""
        with self._changing() as base:
            base.executemany("DELETE FROM jobs WHERE key = ?", [(key,) for key in keys])

    def get(self, key: str) -> Entry | None:
        """The entry with this key, None if there is none."""
        return next(self._entries("WHERE key = ?", key), None)

    def of(self, owner: str, limit: int) -> list[Entry]:
        """Entries of an owner, newest first."""
        return list(self._entries("WHERE owner = ? ORDER BY made DESC, key LIMIT ?", owner, limit))

    def open(self) -> list[Entry]:
        """Entries that are not over."""
        return list(self._entries("WHERE NOT over"))

    def sizes(self) -> list[Size]:
        """Of all entries, least recently used first."""
        with self._lock:
            rows = self._base.execute("SELECT key, owner, share, touched, bytes, over FROM jobs ORDER BY touched, key")
            return [Size(*row) for row in rows]

    def files(self) -> set[tuple[str, str]]:
        """(key, name) of all files."""
        with self._lock:
            rows = self._base.execute("SELECT key, files FROM jobs").fetchall()
        return {(key, name) for key, files in rows for name in _names(files)}

    def _entries(self, condition: str, *values: object) -> Iterator[Entry]:
        with self._lock:
            rows = self._base.execute(f"SELECT {COLUMNS} FROM jobs {condition}", values).fetchall()  # noqa: S608 - ours
        for key, owner, share, made, touched, over, *parts in rows:
            try:
                record, files, thumbnails = map(json.loads, parts)
            except (ValueError, TypeError) as error:  # the other rows are still good
                log.warning("results: %s is damaged: %s", key, error)
                continue
            yield Entry(key, owner, share, made, touched, bool(over), record, files, thumbnails)

    @contextmanager
    def _changing(self) -> Iterator[sqlite3.Connection]:
        """One transaction, which is undone after an error."""
        with self._lock:
            self._base.execute("BEGIN IMMEDIATE")
            try:
                yield self._base
                self._base.execute("COMMIT")
            except BaseException:
                if self._base.in_transaction:
                    self._base.execute("ROLLBACK")
                raise


def _names(files: str) -> list[str]:
    """Names in the text of a row; [] if it is damaged."""
    try:
        return list(json.loads(files))
    except (ValueError, TypeError):
        return []
