"""Parts of a model that training and benchmarks cannot do without. Each function names the missing part."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inversion.synthetic import DOMAINS, Domain
from inversion.training.options import TrainingError
from inversion.translations.label_map import CELEBA_CLASSES

if TYPE_CHECKING:
    from inversion.generators import Prior
    from inversion.model import Model
    from inversion.perception import Predictor


class NoPredictor(TrainingError):
    """The model has no predictor that reads its pictures."""


def networks_of(model: Model) -> tuple[Prior, Predictor]:
    """The model's generator and predictor. Raises NoPredictor if one of them is missing."""
    if model.prior is None or model.predictor is None:
        raise NoPredictor(f"{model.name} has no predictor that reads its pictures. Choose another model.")
    return model.prior, model.predictor


def domain_of(model: Model) -> Domain:
    """The embedded domain of the model, with its renderer. Raises TrainingError if there is none."""
    if model.domain not in DOMAINS:
        known = " or ".join(DOMAINS)
        raise TrainingError(f"{model.name} makes pictures of a domain without a renderer. Choose a model of {known}.")
    return DOMAINS[model.domain]


def label_classes(model: Model) -> int:
    """Number of classes of the label maps of the model's domain; those of CelebAMask-HQ if it has no renderer."""
    return len(DOMAINS[model.domain].classes if model.domain in DOMAINS else CELEBA_CLASSES)
