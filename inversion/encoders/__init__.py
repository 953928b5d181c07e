"""Encoders: networks from a picture, a sketch or a label map to the styles of a generator; and ArcFace.

A new architecture is one file and one line in `ENCODERS`; a new role that methods read is one line in `ROLES`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from inversion.common.lazy import LazyClasses, attributes

if TYPE_CHECKING:
    from inversion.encoders.arcface import ArcFace
    from inversion.encoders.base import Encoder
    from inversion.encoders.e4e import E4E
    from inversion.encoders.indomain import InDomain
    from inversion.encoders.narrow import Narrow, NarrowE4E
    from inversion.encoders.psp import PSP
    from inversion.encoders.single import SingleW, SingleWPlus

# Keys are the `architecture` of entries in checkpoints.yaml. Each class is imported at its first use. ReStyle uses psp
# and e4e with six input channels.
ENCODERS: LazyClasses[Encoder] = LazyClasses(
    {
        "psp": "inversion.encoders.psp:PSP",
        "e4e": "inversion.encoders.e4e:E4E",
        "single-w": "inversion.encoders.single:SingleW",
        "single-wplus": "inversion.encoders.single:SingleWPlus",
        "indomain": "inversion.encoders.indomain:InDomain",
        "narrow": "inversion.encoders.narrow:Narrow",
        "narrow-e4e": "inversion.encoders.narrow:NarrowE4E",
    }
)

# Architectures whose published files hold tensors of the same names and shapes.
SAME_TENSORS = ("psp", "e4e")

# Roles that stages of methods read in `Model.encoders`, and their labels. A stage needs "encoders.ROLE".
ROLES: dict[str, str] = {
    "encoder": "classic encoder",
    "indomain": "In-Domain encoder",
    "psp": "pSp encoder",
    "e4e": "e4e encoder",
    "restyle": "ReStyle encoder",
}

__getattr__ = attributes(
    __name__,
    {
        "arcface": "ArcFace",
        "base": "Encoder",
        "e4e": "E4E",
        "indomain": "InDomain",
        "narrow": "Narrow NarrowE4E",
        "psp": "PSP",
        "single": "SingleW SingleWPlus",
    },
)

__all__ = [
    "E4E",
    "ENCODERS",
    "PSP",
    "ROLES",
    "ArcFace",
    "Encoder",
    "InDomain",
    "Narrow",
    "NarrowE4E",
    "SingleW",
    "SingleWPlus",
]
