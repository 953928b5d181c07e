"""Files of a result: its code, and its tuned generator; and results from such files. Quick requests of plain data."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from inversion import images
from inversion.checkpoints.codes import SavedCode, packed, plain_array
from inversion.checkpoints.tuned import packed_generator
from inversion.checkpoints.vendor import packed_nvidia
from inversion.editing.requests import Inverted
from inversion.methods.codes import to_plain
from inversion.methods.starts import opened, saved
from inversion.model import prior_of

if TYPE_CHECKING:
    from inversion.model import Model


@dataclass(frozen=True)
class ResultFiles:
    """The bytes of a result's files; None if it has no code, or no tuned generator."""

    code: bytes | None  # our .npz, see `checkpoints.codes`
    array: bytes | None  # the styles alone, .npy
    generator: bytes | None  # .safetensors, see `checkpoints.tuned`
    nvidia: bytes | None  # the generator in NVIDIA's names, .pt, see `checkpoints.vendor`


@dataclass(frozen=True, eq=False)
class ExportRequest:
    """The files of a result. method: the one that tuned its generator. tuned: whether to include the generator.

    nvidia: whether to include it in NVIDIA's names, too, if it is a StyleGAN2.
    """

    model: str
    result: Inverted
    method: str = ""
    tuned: bool = True
    nvidia: bool = True

    def __call__(self, model: Model) -> ResultFiles:
        code, array, generator, nvidia = None, None, None, None
        if self.result.code is not None:
            configured = model.configured(self.result.options)
            plain = replace(saved(self.result.on(configured), configured), tuned=bool(self.result.weights))
            code, array = packed(plain), plain_array(plain)
        if self.result.weights and self.tuned:
            generator = packed_generator(model, self.result.weights, self.method)
            nvidia = packed_nvidia(model, self.result.weights) if self.nvidia else None
        return ResultFiles(code, array, generator, nvidia)


class Opened(NamedTuple):
    """The result that a code stands for, its picture uint8 (R, R, 3), and sentences for the user."""

    result: Inverted
    picture: np.ndarray
    notes: list[str]


@dataclass(frozen=True, eq=False)
class OpenRequest:
    """Open a code from a file as a result. Raises CodeError."""

    model: str
    code: SavedCode

    def __call__(self, model: Model) -> Opened:
        options = self.code.options if prior_of(model).classes else {}
        configured = model.configured(options)
        code = opened(self.code, configured)
        with torch.no_grad():
            picture = images.to_array(code.render(prior_of(configured)))
        return Opened(
            Inverted(to_plain(code), None, options),
            picture,
            self.code.remarks(model.base_sha256, bool(prior_of(model).noise_shapes)),
        )
