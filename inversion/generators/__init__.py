"""Generators (priors) and their discriminators."""

from inversion.generators.base import Prior, State, StateDictError
from inversion.generators.stylegan2 import Discriminator, StyleGAN2

GENERATORS: dict[str, type[Prior]] = {"stylegan2": StyleGAN2}

__all__ = ["GENERATORS", "Discriminator", "Prior", "State", "StateDictError", "StyleGAN2"]
