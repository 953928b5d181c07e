"""The pictures that a command gets: files, folders and wildcards."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from pathlib import Path

from inversion.common.commands import UsageError
from inversion.images import BadImage

ENDINGS = frozenset(".png .jpg .jpeg .jpe .jfif .webp .gif .tif .tiff .bmp .avif .heic .heif".split())  # noqa: SIM905


def expand(paths: Sequence[Path], recursive: bool = False) -> list[Path]:
    """The files as they are given, and the pictures in the folders by name; each file once.

    Raises UsageError for a folder without pictures.
    """
    found: dict[Path, Path] = {}
    for path in paths:
        for file in _pictures(path, recursive) if path.is_dir() else _files(path):
            found.setdefault(file.absolute(), file)
    return list(found.values())


def matching(value: Path, picture: Path) -> Path:
    """The file itself, or the picture with the name of `picture` in a folder. Raises BadImage if there is none."""
    if not value.is_dir():
        return value
    for file in _pictures(value, recursive=False):
        if file.stem == picture.stem:
            return file
    raise BadImage(f"The folder {value} has no picture with the name of {picture.name}. Add one.")


def is_picture(path: Path) -> bool:
    """Whether the name is that of a picture that can be read."""
    return path.suffix.lower() in ENDINGS and not path.name.startswith(".")


def _files(path: Path) -> list[Path]:
    """The file, or those that a pattern such as *.png matches: the shell of Windows passes patterns on."""
    if path.exists() or not glob.has_magic(str(path)):
        return [path]
    return [Path(name) for name in sorted(glob.glob(str(path)))] or [path]


def _pictures(folder: Path, recursive: bool) -> list[Path]:
    """The pictures of a folder, sorted by name. Raises UsageError if there are none."""
    every = folder.rglob("*") if recursive else folder.iterdir()
    found = sorted((path for path in every if is_picture(path) and path.is_file()), key=lambda path: path.parts)
    if not found:
        inner = not recursive and any(path.is_dir() for path in folder.iterdir())
        advice = "Add --recursive for the pictures in its folders" if inner else "Choose another one"
        raise UsageError(f"The folder {folder} has no pictures. {advice}.")
    return found
