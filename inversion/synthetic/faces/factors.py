"""The named factors of a synthetic face, the classes of its segmentation map, and the factors of its identity."""

from __future__ import annotations

from inversion.synthetic.base import Factor

CLASSES: tuple[str, ...] = (
    "background",
    "clothes",
    "neck",
    "ears",
    "face",
    "nose",
    "mouth",
    "eyes",
    "brows",
    "beard",
    "hair",
    "glasses",
    "extra",
)

FACTORS: tuple[Factor, ...] = (
    Factor("yaw", -32.0, 32.0, "pose", "degrees", label="Turn head"),
    Factor("pitch", -11.0, 11.0, "pose", "degrees", label="Look up or down"),
    Factor("roll", -2.0, 2.0, "pose", "degrees", label="Tilt head"),
    Factor("shift_x", -0.012, 0.012, "pose", "half pictures", label="Move left or right"),
    Factor("shift_y", -0.012, 0.012, "pose", "half pictures", label="Move up or down"),
    Factor("scale", 1.21, 1.25, "pose", label="Size"),
    Factor("head_width", 0.385, 0.45, "shape"),
    Factor("head_height", 0.52, 0.575, "shape"),
    Factor("jaw", 0.04, 0.30, "shape"),
    Factor("chin", -0.04, 0.05, "shape"),
    Factor("skin_tone", 0.0, 1.0, "colour"),
    Factor("skin_warmth", -1.0, 1.0, "colour"),
    Factor("hair_colour", 0.0, 1.0, "colour"),
    Factor("hair_lightness", 0.88, 1.12, "colour"),
    Factor("hair_length", 0.0, 1.0, "hair"),
    Factor("hair_volume", 0.05, 0.13, "hair"),
    Factor("fringe", 0.0, 1.0, "hair"),
    Factor("parting", -1.0, 1.0, "hair"),
    Factor("hair_wave", 0.0, 1.0, "hair"),
    Factor("age", 0.0, 1.0, "age"),
    Factor("smile", -0.7, 1.0, "expression"),
    Factor("mouth_open", -0.7, 1.0, "expression"),
    Factor("mouth_width", 0.125, 0.17, "shape"),
    Factor("lip_fullness", 0.024, 0.046, "shape"),
    Factor("lip_redness", 0.25, 0.9, "colour"),
    Factor("eye_size", 0.9, 1.14, "shape"),
    Factor("eye_openness", 0.62, 1.0, "expression"),
    Factor("eye_spacing", 0.168, 0.196, "shape"),
    Factor("iris_colour", 0.0, 1.0, "colour"),
    Factor("gaze_x", -1.0, 1.0, "expression", label="Eyes left or right"),
    Factor("gaze_y", -0.5, 0.5, "expression", label="Eyes up or down"),
    Factor("eye_tilt", -0.16, 0.16, "shape"),
    Factor("brow_height", 0.135, 0.17, "expression"),
    Factor("brow_angle", -0.24, 0.24, "expression"),
    Factor("brow_thickness", 0.014, 0.028, "shape"),
    Factor("nose_length", 0.13, 0.18, "shape"),
    Factor("nose_width", 0.044, 0.064, "shape"),
    Factor("ear_size", 0.85, 1.15, "shape"),
    Factor("glasses", -1.0, 1.0, "accessories"),
    Factor("glasses_shape", 0.0, 1.0, "accessories"),
    Factor("glasses_colour", 0.0, 1.0, "accessories"),
    Factor("glasses_size", 0.94, 1.1, "accessories"),
    Factor("beard", -1.0, 1.0, "beard"),
    Factor("beard_length", 0.0, 1.0, "beard"),
    Factor("blush", 0.0, 0.55, "colour"),
    Factor("background_hue", 0.0, 1.0, "scene", label="Background colour"),
    Factor("background_lightness", 0.42, 0.86, "scene"),
    Factor("background_tilt", -1.0, 1.0, "scene"),
    Factor("clothes_hue", 0.0, 1.0, "scene", label="Clothes colour"),
    Factor("clothes_lightness", 0.3, 0.72, "scene"),
    Factor("light_azimuth", -55.0, 55.0, "light", "degrees", label="Light from left or right"),
    Factor("light_elevation", 10.0, 50.0, "light", "degrees", label="Light from above"),
    Factor("light_contrast", 0.35, 0.62, "light", label="Contrast of the light"),
)
# Two pictures show one person if these factors are equal: shape, colours and hair. Pose, expression, age, glasses and
# light may differ.
IDENTITY: tuple[str, ...] = tuple(
    f.name for f in FACTORS if f.group in ("shape", "colour", "hair") and f.name != "blush"
)
POSE: tuple[str, ...] = ("yaw", "pitch", "roll", "shift_x", "shift_y")
UNCOLOURED: tuple[str, ...] = ("colour", "scene", "light", "age")  # groups that a drawing without colours does not show
