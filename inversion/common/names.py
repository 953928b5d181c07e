"""Names of the files of results: patterns with fields, characters that every system allows, and numbers for free names.

A file that exists is never replaced by accident: `reserve` creates the file whose name it returns.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import re
import string
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from inversion.common.errors import UserError
from inversion.common.rows import RowView

FIELDS: Mapping[str, str] = {
    "picture": "the name of the input without its ending",
    "task": "the task, or the kind of a translation",
    "method": "the method",
    "model": "the model",
    "seed": "the random seed",
    "settings": "6 digits that differ if a setting, an input or the crop differs",
    "n": "a number from 1 that makes the name new",
}
# Endings of the files that belong to a picture NAME.png. A name is free if none of them exists. Rows are
# added to NAME.json.
ENDINGS = (
    *(".png", "_pasted.png", "_edited.png", "_edited_strip.png", "_edited.webp", "_edited.mp4"),
    *(".npz", "-styles.npy", ".safetensors", "-nvidia.pt"),
)
HASHED = ("settings", "parameters", "model_options", "crop", "measured", "start", "moves", "layers", "keep")  # of a row
VALUE_BYTES, STEM_BYTES = 80, 160  # longest value of a field, longest name; Windows allows 260 characters with folders
# By Windows, and characters that move the cursor, change the direction of text or cannot be encoded.
FORBIDDEN = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]')
RESERVED = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³])(\.|$)", re.IGNORECASE)  # by Windows
WIDTH = re.compile(r"0?[0-9]{0,2}")  # of a number, as in {n:03}


class PatternError(UserError):
    """A pattern of names that cannot be used. The text lists the fields."""


def is_address(path: Path) -> bool:
    """Whether a path is a web address."""
    return path.parts[:1] in (("http:",), ("https:",))


def companion(path: Path, ending: str) -> Path:
    """The file that belongs to a picture and has another ending: ("a/b.png", ".npz") -> "a/b.npz"."""
    return path.with_name(path.stem + ending)


def safe_name(text: str, largest: int = STEM_BYTES) -> str:
    """The text as a name for Windows, macOS and Linux, at most `largest` bytes long; letters of all scripts stay."""
    plain = FORBIDDEN.sub("-", unicodedata.normalize("NFC", text)).strip()
    plain = plain.encode("utf-8", "replace")[:largest].decode("utf-8", "ignore").rstrip(". ")
    return f"_{plain}" if RESERVED.match(plain) else plain or "_"


@dataclass(frozen=True)
class NamePattern:
    """A path with fields in braces, as in "results/{method}/{picture}_{n:03}.png". Raises PatternError."""

    text: str

    def __post_init__(self) -> None:
        for _, field, width, conversion in self._parsed(self.text):
            if field is not None and (field not in FIELDS or conversion):
                raise PatternError(f"The pattern {self.text} has an unknown field {{{field}}}. {_choices()}")
            if width and not (field in ("n", "seed") and WIDTH.fullmatch(width)):
                raise PatternError(f"In the pattern {self.text}, only n and seed have a width, as in {{n:03}}.")

    def paths(self, values: Mapping[str, object]) -> Iterator[Path]:
        """Names for a result, without end: numbered by {n}, or else NAME, NAME-2, NAME-3, ..."""
        path = None
        for n in itertools.count(1):
            before, path = path, self._path({**values, "n": n})
            if path == before:  # there is no {n}, or a long name was cut before it
                yield from itertools.islice(numbered(path), 1, None)
            yield path

    def _path(self, values: Mapping[str, object]) -> Path:
        """The path for these values. Each of its parts that has a field becomes a safe name."""
        return Path(*(self._filled(part, values) for part in Path(self.text).parts))

    def _filled(self, part: str, values: Mapping[str, object]) -> str:
        """A part of the path with its fields replaced."""
        pieces, changed = "", False
        for literal, field, width, _ in self._parsed(part):
            pieces += literal
            if field is not None:
                changed = True
                text = safe_name(str(values[field]), VALUE_BYTES)
                pieces += format(int(text), width) if width else text
        if not changed:
            return pieces
        stem, dot, ending = pieces.rpartition(".")
        return f"{safe_name(stem)}.{ending}" if dot and ending.lower() == "png" else safe_name(pieces)

    def _parsed(self, text: str) -> list[tuple[str, str | None, str | None, str | None]]:
        try:
            return list(string.Formatter().parse(text))
        except ValueError:
            raise PatternError(
                f"In the pattern {self.text}, each brace needs its partner, as in {{picture}}. {_choices()}"
            ) from None


def settings_digits(row: RowView, inputs: Iterable[bytes] = ()) -> str:
    """The field {settings} of a row: 6 hexadecimal digits of its settings and of the masks and pictures of its task."""
    values = json.dumps([row.get(key) for key in HASHED], sort_keys=True, default=str)
    digest = hashlib.sha256(values.encode())
    for one in inputs:
        digest.update(one)
    return digest.hexdigest()[:6]


def numbered(path: Path) -> Iterator[Path]:
    """NAME, NAME-2, NAME-3, ... without end."""
    yield path
    yield from (path.with_name(f"{path.stem}-{n}{path.suffix}") for n in itertools.count(2))


def reserve(
    paths: Iterable[Path], replace: Callable[[Path], bool] = lambda _: False, endings: Iterable[str] = ENDINGS
) -> Path:
    """The first path that is free, created as an empty file, or that may be replaced. Creates folders. Raises OSError.

    A path is free if neither it nor a file that belongs to it exists. endings: of the files that belong to it.
    """
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_file() and replace(path):
            return path
        if any(os.path.lexists(companion(path, ending)) for ending in (path.suffix, *endings)):
            continue
        try:
            path.open("xb").close()
        except FileExistsError:
            continue
        return path
    raise ValueError("there are no more names")


def write_new(path: Path, write: Callable[[Path], object]) -> Path:
    """Let `write` write a file at the path, or at NAME-2, ... if it exists. Returns its path. Raises OSError."""
    found = reserve(numbered(Path(path)), endings=())
    write_whole(found, write)
    return found


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` write a file beside `path`, then move it there. Raises OSError; then an empty file is removed."""
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        write(part)
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        if path.is_file() and path.stat().st_size == 0:
            path.unlink()
        raise


def _choices() -> str:
    return "Choose from " + ", ".join(f"{{{name}}}" for name in FIELDS) + "."
