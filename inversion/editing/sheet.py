"""Labelled sheets of edits: a row for each result, a column for each part of the strengths."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from inversion.common.settings import SettingError
from inversion.images.sheets import Tile

if TYPE_CHECKING:
    from inversion.editing.requests import Edited, EditOptions

MAX_PARTS = 7  # of a sheet
LIMIT = 2.0  # largest part; moves end at the reach of their direction anyway


def read_parts(text: str) -> list[float]:
    """The parts of the strengths in a text such as "0, 0.5, 1". Raises SettingError."""
    try:
        parts = [float(part) for part in text.split(",")]
    except ValueError:
        parts = []
    if not 0 < len(parts) <= MAX_PARTS or not all(abs(part) <= LIMIT for part in parts):
        raise SettingError(
            f"The parts must be 1 to {MAX_PARTS} numbers from -{LIMIT:g} to {LIMIT:g}, such as 0, 0.5, 1."
        )
    return parts


def edit_tiles(
    move: Callable[[EditOptions], Edited],
    options: EditOptions,
    parts: Sequence[float],
    title: str,
    labels: Mapping[str, str],
) -> Iterator[Tile]:
    """The pictures of a result, one for each part of the strengths. move: edits it. labels: of the directions."""
    for part in parts:
        made = move(options.part(part))
        yield Tile(title, in_words(options.part(part * made.factor).moves, labels, part * made.factor), made.picture)


def in_words(moves: Mapping[str, float], labels: Mapping[str, str], part: float) -> str:
    """An edit in a few words: its only direction with the strength, or the part of several strengths."""
    if not any(moves.values()):
        return "no edit"
    if len(moves) > 1:
        return f"{part:g} x the edit"
    return ", ".join(f"{labels.get(name, name)} {strength:+.2f}" for name, strength in moves.items())
