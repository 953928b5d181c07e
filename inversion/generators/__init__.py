"""Generators (priors) and their discriminators. A new generator is one file and one line in `GENERATORS`."""

from __future__ import annotations

from collections.abc import Container
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


def architecture_of(names: Container[str]) -> str | None:
    """The architecture whose signature is among these names of tensors, the longest if several are. None: unknown."""
    found = [name for name, kind in GENERATORS.items() if all(key in names for key in kind.signature)]
    return max(found, key=lambda name: len(GENERATORS[name].signature), default=None)


__getattr__ = attributes(
    __name__,
    {"base": "Prior State", "pggan": "PGGAN", "stylegan": "StyleGAN", "stylegan2": "Discriminator StyleGAN2"},
)

__all__ = [
    "GENERATORS",
    "PGGAN",
    "Discriminator",
    "Prior",
    "State",
    "StateDictError",
    "StyleGAN",
    "StyleGAN2",
    "architecture_of",
]
