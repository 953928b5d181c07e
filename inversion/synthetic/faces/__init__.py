"""Procedural faces: 53 factors, 13 classes, persons, a frontal view, and extras from outside the domain."""

from __future__ import annotations

from inversion.synthetic.base import Domain, KnownDomain
from inversion.synthetic.faces.extras import extras_of
from inversion.synthetic.faces.factors import CLASSES, FACTORS, IDENTITY, POSE, UNCOLOURED
from inversion.synthetic.faces.renderer import render

FACES = Domain(
    resolution=128,
    table=FACTORS,
    render=render,
    detail={"eyes": 1.0, "mouth": 1.0, "glasses": 1.0, "brows": 0.6, "nose": 0.4},
    headline=("yaw", "smile", "age", "glasses", "hair_length", "beard"),
    identity=IDENTITY,
    frontal=POSE,
    extras=extras_of,
    often_omitted={"nose": "face", "ears": "face"},
    sliders=(
        "yaw",
        "pitch",
        "age",
        "smile",
        "glasses",
        "beard",
        "hair_length",
        "hair_colour",
        "skin_tone",
        "nose_width",
        "light_azimuth",
        "mouth_open",
    ),
    edits={
        "Laughing": {"smile": 2.5, "mouth_open": 2.0},
        "Older": {"age": 2.5},
        "Younger, clean-shaven": {"age": -2.0, "beard": -2.0},
        "Looking away": {"yaw": 2.5, "pitch": 1.0},
        "Light from the side": {"light_azimuth": 2.5},
    },
    unseen={
        "sketch": UNCOLOURED,
        "map": (*UNCOLOURED, "gaze_x", "gaze_y", "lip_fullness"),  # an eye has one class, so have lips and open mouth
        "frontalize": ("pose",),
    },
    noun="face",
    # They differ in pose, hair, age and accessories; the last one is from outside the domain.
    examples=(1_000_000, 1_000_003, 1_000_007, 1_000_012, 2_000_002),
    drawn=(1_000_001, 1_000_004, 1_000_008, 1_000_010),
    known=KnownDomain("synthetic-faces", 25.5, "drawn faces without hats or face paint", "face model"),
)
NAMES = FACES.names
draw_faces = FACES.draw

__all__ = ["CLASSES", "FACES", "NAMES", "draw_faces"]
