"""The named factors of a synthetic house in its landscape, and the classes of its segmentation map."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inversion.synthetic.base import Factor, uniform

if TYPE_CHECKING:
    from torch import Tensor

CLASSES: tuple[str, ...] = (
    "sky",
    "hills",
    "lawn",
    "path",
    "tree",
    "wall",
    "beams",
    "roof",
    "chimney",
    "window",
    "shutters",
    "door",
    "bush",
    "fence",
)

FACTORS: tuple[Factor, ...] = (
    Factor("yaw", 18.0, 36.0, "pose", "degrees"),
    Factor("elevation", 4.0, 7.5, "pose", "degrees"),
    Factor("distance", 4.6, 5.0, "pose", "house units"),
    Factor("shift_x", -0.03, 0.03, "pose", "half pictures"),
    Factor("width", 1.5, 1.9, "shape", "house units"),
    Factor("depth", 1.35, 1.8, "shape", "house units"),
    Factor("height", 0.86, 1.32, "shape", "house units"),
    Factor("roof_pitch", 31.0, 48.0, "shape", "degrees"),
    Factor("eaves", 0.08, 0.20, "shape", "house units"),
    Factor("wall_colour", 0.0, 1.0, "colour"),
    Factor("wall_lightness", 0.86, 1.08, "colour"),
    Factor("roof_colour", 0.0, 1.0, "colour"),
    Factor("door_hue", 0.0, 1.0, "colour"),
    Factor("shutter_hue", 0.0, 1.0, "colour"),
    Factor("beams", -1.0, 1.0, "parts"),
    Factor("shutters", -1.0, 1.0, "parts"),
    Factor("chimney", -1.0, 1.0, "parts"),
    Factor("chimney_x", -0.45, 0.45, "parts", "half widths"),
    Factor("smoke", -1.0, 1.0, "parts"),
    Factor("attic", -1.0, 1.0, "parts"),
    Factor("porch", -1.0, 1.0, "parts"),
    Factor("door_x", -0.25, 0.25, "parts", "half widths"),
    Factor("window_width", 0.23, 0.36, "parts", "house units"),
    Factor("window_height", 0.28, 0.40, "parts", "house units"),
    Factor("bushes", -1.0, 1.0, "garden"),
    Factor("fence", -1.0, 1.0, "garden"),
    Factor("path_bend", -1.0, 1.0, "garden"),
    Factor("oak", -1.0, 1.0, "garden"),
    Factor("oak_x", 1.2, 2.1, "garden", "house units"),
    Factor("pine", -1.0, 1.0, "garden"),
    Factor("pine_x", -3.6, -2.7, "garden", "house units"),
    Factor("season", 0.0, 1.0, "scene"),
    Factor("daytime", 0.0, 1.0, "scene"),
    Factor("sun_x", -0.8, 0.8, "light", "half pictures"),
    Factor("sun_y", -0.85, -0.55, "light", "half pictures"),
    Factor("clouds", -1.0, 1.0, "scene"),
    Factor("cloud_x", -0.25, 0.25, "scene", "half pictures"),
    Factor("hills", 0.02, 0.32, "scene", "half pictures"),
    Factor("hill_shift", -1.0, 1.0, "scene"),
)
NAMES: tuple[str, ...] = tuple(factor.name for factor in FACTORS)


def factors_of(z: Tensor) -> Tensor:
    """Factors (B, len(FACTORS)) in (-1, 1), float32 on the CPU, of codes z (B, 64)."""
    return uniform(z, len(FACTORS))
