"""Generators (priors) and their discriminators. A new generator is one file and one line in `GENERATORS`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inversion.common.lazy import LazyClasses, attributes
from inversion.generators.errors import StateDictError

if TYPE_CHECKING:
    from inversion.generators.base import Prior, State
    from inversion.generators.pggan import PGGAN
    from inversion.generators.stylegan import StyleGAN
    from inversion.generators.stylegan2 import Discriminator, StyleGAN2

# Keys are the `architecture` of entries in checkpoints.yaml. Each class is imported at its first use.
GENERATORS: LazyClasses[Prior] = LazyClasses(
    {
        "stylegan2": "inversion.generators.stylegan2:StyleGAN2",
        "stylegan": "inversion.generators.stylegan:StyleGAN",
        "pggan": "inversion.generators.pggan:PGGAN",
    }
)

__getattr__ = attributes(
    __name__,
    {"base": "Prior State", "pggan": "PGGAN", "stylegan": "StyleGAN", "stylegan2": "Discriminator StyleGAN2"},
)

__all__ = ["GENERATORS", "PGGAN", "Discriminator", "Prior", "State", "StateDictError", "StyleGAN", "StyleGAN2"]
