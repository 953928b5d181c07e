"""What can be done with an inverted code: directions to move it along, interpolation, mixing, diffusion."""

from __future__ import annotations

from inversion.directions import Direction, conditioned
from inversion.editing.blend import interpolated, mixed
from inversion.editing.edit import edited
from inversion.editing.unsupervised import directions_of, ganspace, sefa

# In-Domain's method and settings for the task `diffuse`: from its encoder's code of the two pictures pasted together,
# and without its regulariser.
DIFFUSION = ("indomain", {"indomain.domain_weight": 0.0})

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
