"""The second embedded domain: little houses in a landscape, with exact factors and a segmentation map."""

from inversion.synthetic.houses.factors import CLASSES, FACTORS, NAMES, factors
from inversion.synthetic.houses.renderer import render

__all__ = ["CLASSES", "FACTORS", "NAMES", "factors", "render"]
