"""The encoders that can be trained: a small one, as in the embedded domains, and pSp's of full size."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import load_file

from inversion.encoders import E4E, PSP, Encoder, Narrow, NarrowE4E
from inversion.encoders.backbones import IRSE
from inversion.encoders.narrow import WIDTHS
from inversion.generators import Prior
from inversion.training.options import TrainingError
from inversion.training.recipes import EncoderRecipe

STEMS = ("stem.weight", "backbone.input_layer.0.weight")  # read the input; ReStyle's have twice the channels
HALVINGS = 4  # convolutions of pSp's coarse styles; those of middle and fine ones have one and two more


def rows_of(recipe: EncoderRecipe, n: int) -> tuple[int, ...]:
    """How many of n styles read the smallest, the middle and the large map: pSp's coarse, middle and fine styles.

    A generator without styles has one row, its z, which reads the smallest map.
    """
    if n == 1:
        return (1,)
    pyramid = (3, 4, n - 7) if n > 7 else (1, 1, n - 2)
    return {"pyramid": pyramid, "last": (n,), "single": (1,)}[recipe.rows]


def narrow(prior: Prior, recipe: EncoderRecipe, offsets: bool, classes: int) -> Narrow:
    """An encoder with a million weights that reads 32 to 128 pixels."""
    halvings = min(len(WIDTHS), max(3, prior.resolution.bit_length() - 3))
    kind, rows = NarrowE4E if offsets else Narrow, rows_of(recipe, prior.num_ws)
    return kind(recipe.inputs(classes), prior.num_ws, prior.w_dim, rows, WIDTHS[:halvings])


def full(prior: Prior, recipe: EncoderRecipe, offsets: bool, classes: int) -> PSP:
    """The encoder of pSp (Richardson et al. 2021) on IR-SE-50, which reads 256 pixels. Raises TrainingError."""
    if recipe.rows == "single":
        raise TrainingError("The network psp has no single style. Choose --network narrow, or other rows.")
    halvings = [HALVINGS + level for level, count in enumerate(rows_of(recipe, prior.num_ws)) for _ in range(count)]
    return (E4E if offsets else PSP)(IRSE(recipe.inputs(classes)), halvings, prior.w_dim)


BUILDERS: dict[str, Callable[[Prior, EncoderRecipe, bool, int], Encoder]] = {"narrow": narrow, "psp": full}


def build(
    prior: Prior, recipe: EncoderRecipe, offsets: bool = False, classes: int = 0, network: str = "narrow"
) -> Encoder:
    """An encoder that starts from the generator's mean style. Raises TrainingError.

    offsets: e4e's, one style and an offset for each layer. classes: of label maps, if the recipe reads them. network:
    a key of BUILDERS.
    """
    encoder = BUILDERS[network](prior, recipe, offsets, classes)
    encoder.latent_avg.copy_(prior.w_avg)
    return encoder


def copy_matching_weights(encoder: Encoder, path: Path) -> None:
    """Copy the tensors of the same name and shape from the file of another encoder, or of ArcFace. Raises OSError.

    Further input channels (ReStyle) and e4e's offsets start at 0. Raises TrainingError if no tensor matches.
    """
    own, copied = encoder.state_dict(), 0
    for name, tensor in load_file(path).items():
        if name in STEMS and name in own and own[name].shape[1] == 2 * tensor.shape[1]:
            tensor = torch.cat([tensor, torch.zeros_like(tensor)], dim=1)
        if name in own and own[name].shape == tensor.shape:
            own[name] = tensor.to(own[name].dtype)
            copied += 1
    if not copied:
        raise TrainingError(f"No tensor of {path} fits the encoder. Check --start and --network.")
    encoder.load_state_dict(own)
    if isinstance(encoder, NarrowE4E):
        encoder.forget_offsets()
