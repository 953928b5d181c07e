"""Lists of values as people write them: `28, 300`, `1-5`, `0.1..1.0 [4]`."""

from __future__ import annotations

import csv
import math
import re

from inversion.common.errors import UserError

MAX_CELLS = 64  # of a grid, and so values of an axis
LIST_HELP = "Separate values by commas: 28, 300. Ranges: 1-5; 0.1..1.0 [4] for 4 numbers at equal distances."
NUMBER = r"[-+]?\d*\.?\d+(?:e[-+]?\d+)?"
WHOLE_RANGE = re.compile(r"(\d{1,15})\s*-\s*(\d{1,15})")
SPACED_RANGE = re.compile(rf"({NUMBER})\s*\.\.\s*({NUMBER})\s*(?:\[\s*(\d{{1,15}})\s*\])?", re.IGNORECASE)


class GridError(UserError):
    """A grid that cannot be planned. The text names the axis and the wrong value, and says what to change."""


def entries(text: str) -> list[str]:
    """The entries of a list, without spaces around them. Quotes hold an entry with commas together.

    Raises GridError for quotes without their partner.
    """
    try:
        [row] = csv.reader([text.replace("\n", ", ")], skipinitialspace=True, strict=True)
    except (csv.Error, ValueError):
        raise GridError(f"the list {text!r} has a quotation mark without its partner.") from None
    return [entry.strip() for entry in row if entry.strip()]


def expanded(entry: str, *, whole: bool) -> list[str]:
    """The numbers of a range as text; an entry that is no range stays as it is. whole: round to whole numbers.

    Raises GridError for a range of too many numbers, or without their count where it is needed.
    """
    if found := WHOLE_RANGE.fullmatch(entry):
        return _counted(entry, int(found[1]), int(found[2]))
    if not (found := SPACED_RANGE.fullmatch(entry)):
        return [entry]
    low, high = float(found[1]), float(found[2])
    if not math.isfinite(high - low):
        raise GridError(f"the range {entry!r} has a number that is too large.")
    if found[3] is None:
        if not (low.is_integer() and high.is_integer()):
            raise GridError(f"the range {entry!r} needs the number of its values, as in {found[1]}..{found[2]} [4].")
        return _counted(entry, int(low), int(high))
    count = int(found[3])
    if not 2 <= count <= MAX_CELLS:
        raise GridError(f"the range {entry!r} must have 2 to {MAX_CELLS} values.")
    numbers = [low + (high - low) * i / (count - 1) for i in range(count)]
    return [str(round(number)) if whole else f"{number:.6g}" for number in numbers]


def _counted(entry: str, first: int, last: int) -> list[str]:
    """Whole numbers from the first to the last, up or down."""
    if abs(last - first) >= MAX_CELLS:
        raise GridError(f"the range {entry!r} has more than {MAX_CELLS} values.")
    step = 1 if last >= first else -1
    return [str(number) for number in range(first, last + step, step)]
