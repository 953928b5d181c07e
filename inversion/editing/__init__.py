"""Editing of inverted codes: moves along directions, interpolation, style mixing, diffusion of a region."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from inversion.common.settings import SettingValue
from inversion.directions import Direction, conditioned
from inversion.editing.blend import interpolated, mixed
from inversion.editing.edit import edited
from inversion.editing.unsupervised import directions_of, ganspace, sefa


class Preset(NamedTuple):
    """The settings with which the authors of a method use it for a task."""

    task: str
    method: str
    settings: Mapping[str, SettingValue]


# In-Domain (Zhu et al. 2020, section 4.4): start from the encoder's code of the two pictures pasted together, and
# optimise without the regulariser.
DIFFUSION = Preset("diffuse", "indomain", {"indomain.domain_weight": 0.0})

__all__ = [
    "DIFFUSION",
    "Direction",
    "conditioned",
    "directions_of",
    "edited",
    "ganspace",
    "interpolated",
    "mixed",
    "sefa",
]
