"""Edits that come with the domains."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from inversion.synthetic import DOMAINS

if TYPE_CHECKING:
    from inversion.directions import DirectionCard


def preset_edits(domain: str, cards: Sequence[DirectionCard]) -> dict[str, dict[str, float]]:
    """Name -> moves of a domain's edits whose directions are among the cards, within their ranges."""
    known = DOMAINS.get(domain)
    ranges = {card["name"]: (card["low"], card["high"]) for card in cards}
    found = {}
    for label, moves in ({} if known is None else known.edits).items():
        if moves.keys() <= ranges.keys():
            found[label] = {n: min(max(s, ranges[n][0]), ranges[n][1]) for n, s in moves.items()}
    return found
