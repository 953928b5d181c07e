"""Directions of editing: sliders that change one attribute, and their files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inversion.common.lazy import attributes

if TYPE_CHECKING:
    from inversion.directions.base import (
        EVERYWHERE,
        MAX_STRENGTH,
        SAMPLES,
        Direction,
        DirectionCard,
        Layers,
        as_fitted,
        attribute_label,
        conditioned,
        deviation_along,
        random_styles,
        style_range,
    )
    from inversion.directions.bends import AttributeMap, Bend
    from inversion.directions.files import from_array, from_tensors, names_of, to_tensors

__getattr__ = attributes(
    __name__,
    {
        "base": "EVERYWHERE MAX_STRENGTH SAMPLES Direction DirectionCard Layers as_fitted attribute_label conditioned "
        "deviation_along random_styles style_range",
        "bends": "AttributeMap Bend",
        "files": "from_array from_tensors names_of to_tensors",
    },
)

__all__ = [
    "EVERYWHERE",
    "MAX_STRENGTH",
    "SAMPLES",
    "AttributeMap",
    "Bend",
    "Direction",
    "DirectionCard",
    "Layers",
    "as_fitted",
    "attribute_label",
    "conditioned",
    "deviation_along",
    "from_array",
    "from_tensors",
    "names_of",
    "random_styles",
    "style_range",
    "to_tensors",
]
