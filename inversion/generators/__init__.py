"""Generators (priors) and their discriminators."""

from inversion.generators.base import Prior, State, StateDictError
from inversion.generators.pggan import PGGAN
from inversion.generators.stylegan import StyleGAN
from inversion.generators.stylegan2 import Discriminator, StyleGAN2

GENERATORS: dict[str, type[Prior]] = {"stylegan2": StyleGAN2, "stylegan": StyleGAN, "pggan": PGGAN}

__all__ = ["GENERATORS", "PGGAN", "Discriminator", "Prior", "State", "StateDictError", "StyleGAN", "StyleGAN2"]
