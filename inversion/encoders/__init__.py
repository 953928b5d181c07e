"""Encoders: networks from a picture, a sketch or a label map to the styles of a generator; and ArcFace."""

from inversion.encoders.arcface import ArcFace
from inversion.encoders.base import Encoder
from inversion.encoders.e4e import E4E
from inversion.encoders.indomain import InDomain
from inversion.encoders.narrow import Narrow, NarrowE4E
from inversion.encoders.psp import PSP
from inversion.encoders.single import SingleW, SingleWPlus

# ReStyle's encoders are psp and e4e with six input channels.
ENCODERS: dict[str, type[Encoder]] = {
    "psp": PSP,
    "e4e": E4E,
    "single-w": SingleW,
    "single-wplus": SingleWPlus,
    "indomain": InDomain,
    "narrow": Narrow,
    "narrow-e4e": NarrowE4E,
}

__all__ = ["E4E", "ENCODERS", "PSP", "ArcFace", "Encoder", "InDomain", "Narrow", "NarrowE4E", "SingleW", "SingleWPlus"]
