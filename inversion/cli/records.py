"""Files of rows, JSON or CSV: a second run adds its rows. A file without rows is kept, and another one written."""

from __future__ import annotations

import csv
import io
import json
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

from inversion.common.names import numbered, write_whole
from inversion.common.rows import Row

FIRST = ("picture", "task", "method", "model", "seed", "error", "image")  # columns of a table
LOCK_SECONDS = 10.0  # a lock that is older belongs to a process that was killed


class _NoRows(Exception):
    """A file holds something else than rows."""


def add_rows(path: Path, rows: Sequence[Row]) -> Path:
    """Add rows to a list in JSON, or to a table if the name ends in .csv. Returns the file that has them now.

    That is NAME-2 (or -3, ...) if NAME holds no rows or cannot be written. Raises OSError.
    """
    update = _add_csv if path.suffix.lower() == ".csv" else _add_json
    path.parent.mkdir(parents=True, exist_ok=True)
    first = Path(os.path.realpath(path))  # a link stays a link
    with locked(path):
        for one in numbered(first):
            try:
                write_whole(
                    one, partial(Path.write_bytes, data=update(_text(one), rows).encode("utf-8", "backslashreplace"))
                )
            except _NoRows:
                continue
            except PermissionError:  # on Windows, a table that is open in a spreadsheet
                if one != first:
                    raise
                continue
            return path if one == first else path.with_name(one.name)
    raise AssertionError("numbered names have no end")


def check_writable(path: Path) -> None:
    """Raise OSError that names the file if rows cannot be added to it. Its folder must exist."""
    try:
        with locked(path):
            pass
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from None


def replace_rows(path: Path, rows: Sequence[Row]) -> None:
    """Write a file that holds exactly these rows, JSON or CSV by its name; a file of this name is replaced.

    Raises OSError.
    """
    text = (_add_csv if path.suffix.lower() == ".csv" else _add_json)("", rows)
    write_whole(path, partial(Path.write_bytes, data=text.encode("utf-8", "backslashreplace")))


def dumps(value: object) -> str:
    """JSON text. Raises ValueError for NaN, which strict JSON does not have."""
    return json.dumps(value, indent=1, allow_nan=False)


def _text(path: Path) -> str:
    """The text of a file, "" if there is none. Raises _NoRows, and OSError if it cannot be read."""
    if not path.exists():
        return ""
    if not path.is_file():
        raise _NoRows
    try:
        return path.read_bytes().decode("utf-8")
    except UnicodeDecodeError:
        raise _NoRows from None


def _add_json(text: str, rows: Sequence[Row]) -> str:
    """The list of rows in `text` and these. One object counts as a list of one. Raises _NoRows."""
    text = text.removeprefix("\ufeff")
    try:
        before = json.loads(text) if text.strip() else []
        before = [before] if isinstance(before, dict) else before
        if not isinstance(before, list) or not all(isinstance(row, dict) for row in before):
            raise _NoRows
        return dumps([*before, *rows]) + "\n"
    except (ValueError, RecursionError):  # also for NaN, which strict JSON does not have
        raise _NoRows from None


def _add_csv(text: str, rows: Sequence[Row]) -> str:
    """The table in `text` and these rows, with a column for each key. Raises _NoRows."""
    mark = "\ufeff" if text.startswith("\ufeff") else ""  # spreadsheets write one
    first = text.partition("\n")[0]
    separator = max(",;\t", key=first.count)
    try:
        table = [line for line in csv.reader(io.StringIO(text.removeprefix("\ufeff"), ""), delimiter=separator) if line]
    except csv.Error:
        raise _NoRows from None
    header, *lines = table or [[]]
    if len(set(header)) < len(header) or "\0" in text or any(len(line) > len(header) for line in lines):
        raise _NoRows
    if table and "picture" not in header:
        raise _NoRows
    keys = dict.fromkeys(key for row in rows for key in row)
    columns = list(dict.fromkeys([*header, *(key for key in FIRST if key in keys), *keys]))
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=separator, lineterminator="\r\n" if "\r\n" in text else "\n")
    writer.writerows([columns, *([*line, *[""] * (len(columns) - len(line))] for line in lines)])
    writer.writerows([_cell(row.get(column)) for column in columns] for row in rows)
    return mark + out.getvalue()


def _cell(value: object) -> str | int | float:
    """A value as a cell of a table: numbers and text as they are, nothing for None, else JSON."""
    if value is None:
        return ""
    return value if isinstance(value, str | int | float) and not isinstance(value, bool) else json.dumps(value)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Let one process at a time change the file: the others wait while NAME.lock exists. Raises OSError."""
    lock = path.with_name(f"{path.name}.lock")
    begun = time.monotonic()
    while True:
        try:
            lock.open("xb").close()
            break
        except FileExistsError:
            with suppress(FileNotFoundError):
                if abs(time.time() - lock.stat().st_mtime) > LOCK_SECONDS:  # the clock may have been set back
                    lock.unlink(missing_ok=True)
        except PermissionError:  # on Windows, also for a moment after the lock was removed
            if time.monotonic() - begun > 1:
                raise
        time.sleep(0.02)
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)
