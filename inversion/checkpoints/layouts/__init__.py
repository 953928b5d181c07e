"""From the tensors of public checkpoints to this package's networks: recognised by their keys and checked strictly.

    found = network(state_dict)         # a flat state dict; `search` finds such dicts in checkpoints
    network = found.build()

No code from a file is run, nothing is downloaded, and sizes come from the shapes of tensors, not from stated numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypedDict

from torch import Tensor, nn
from typing_extensions import Unpack

from inversion.checkpoints.layouts import encoders, stylegan, stylegan2
from inversion.checkpoints.layouts.source import Renamed
from inversion.checkpoints.registry import NETWORKS
from inversion.generators import StateDictError

Builder = Callable[[Mapping[str, Tensor]], nn.Module]
Checkpoint = Mapping[str, Any]  # content of a foreign file: tensors, state dicts, options; types are checked when read


class Shared(TypedDict, total=False):
    """Properties that an encoder and its generator share. Layouts of both take them besides the tensors."""

    latent_avg: Tensor | None  # mean style (w_dim,) or (num_ws, w_dim)
    num_ws: int


def builder(architecture: str) -> Builder | None:
    """The function that builds a network from tensors with this package's names. None if it is unknown."""
    return next((kind[architecture].from_state_dict for kind in NETWORKS.values() if architecture in kind), None)


@dataclass(frozen=True)
class Layout:
    """One published way to store one kind of network."""

    kind: str  # generator, discriminator, encoder, identity or perceptual
    architecture: str  # see `builder`
    signature: str  # keys, separated by spaces; the layout with the most matching keys is chosen
    rename: Callable[..., Renamed]  # of a flat state dict; those of encoders and their generators also take `Shared`


# A layout that is a special case of another one, with fewer keys of its own, comes after it.
LAYOUTS: dict[str, Layout] = {
    "rosinality": Layout(
        "generator",
        "stylegan2",
        "input.input to_rgb1.bias",
        stylegan2.rosinality_generator,
    ),
    "nvidia": Layout(
        "generator",
        "stylegan2",
        "synthesis.b4.const mapping.fc0.weight",
        stylegan2.nvidia_generator,
    ),
    "genforce-stylegan2": Layout(
        "generator",
        "stylegan2",
        "synthesis.early_layer.const mapping.dense0.weight synthesis.layer0.noise_strength",
        stylegan2.genforce_generator,
    ),
    "mganprior-stylegan2": Layout(
        "generator",
        "stylegan2",
        "synthesis.early_layer.const mapping.dense0.fc.weight synthesis.layer0.noise_strength "
        "synthesis.layer0.style.fc.weight",
        stylegan2.mganprior_generator,
    ),
    "genforce-stylegan": Layout(
        "generator",
        "stylegan",
        "synthesis.layer0.const mapping.dense0.weight synthesis.layer0.bias",
        stylegan.genforce_generator,
    ),
    "idinvert": Layout(
        "generator",
        "stylegan",
        "synthesis.layer0.const mapping.dense0.fc.weight synthesis.layer0.epilogue.bias",
        stylegan.idinvert_generator,
    ),
    "genforce-pggan": Layout(
        "generator",
        "pggan",
        "layer0.weight output0.weight",
        stylegan.genforce_pggan,
    ),
    "mganprior-pggan": Layout(
        "generator",
        "pggan",
        "layer0.conv.weight output0.conv.weight",
        stylegan.mganprior_pggan,
    ),
    "rosinality-discriminator": Layout(
        "discriminator",
        "stylegan2-discriminator",
        "convs.0.0.weight final_linear.1.weight",
        stylegan2.rosinality_discriminator,
    ),
    "nvidia-discriminator": Layout(
        "discriminator",
        "stylegan2-discriminator",
        "b4.conv.weight b4.out.weight",
        stylegan2.nvidia_discriminator,
    ),
    "genforce-discriminator": Layout(
        "discriminator",
        "stylegan2-discriminator",
        "input0.weight input0.bias skip_layer0.weight",
        stylegan2.genforce_discriminator,
    ),
    "psp": Layout(
        "encoder",
        "psp",
        "styles.0.linear.weight styles.0.linear.bias styles.0.convs.0.weight styles.0.convs.0.bias",
        encoders.psp_encoder,
    ),
    "single-wplus": Layout(
        "encoder",
        "single-wplus",
        "output_layer_2.3.weight output_layer_2.3.bias output_layer_2.0.weight linear.weight",
        encoders.psp_encoder,
    ),
    "idinvert-encoder": Layout(
        "encoder",
        "indomain",
        "block0.conv.weight block1.wscale1.bias",
        encoders.idinvert_encoder,
    ),
    "arcface": Layout(
        "identity",
        "arcface",
        "output_layer.3.weight output_layer.3.bias output_layer.4.weight output_layer.4.bias",
        encoders.arcface,
    ),
    "single-w": Layout(
        "encoder",
        "single-w",
        "linear.weight input_layer.0.weight input_layer.1.weight",
        encoders.psp_encoder,
    ),
    "idinvert-vgg16": Layout(
        "perceptual",
        "keras-vgg16",
        "layer0.weight layer28.weight layer28.bias",
        encoders.idinvert_vgg16,
    ),
    "torchvision": Layout(
        "perceptual",
        "lpips",
        "features.0.weight features.10.weight",
        encoders.torchvision_trunk,
    ),
    "lpips": Layout(
        "perceptual",
        "lpips",
        "net.slice1.0.weight lin0.model.1.weight",
        encoders.lpips,
    ),
}

# Class names in the training options of pSp, e4e and ReStyle -> architecture, for encoders with the same tensors.
ENCODER_TYPES = {
    "GradualStyleEncoder": "psp",
    "BackboneEncoder": "psp",
    "ResNetBackboneEncoder": "psp",
    "ResNetGradualStyleEncoder": "psp",
    "Encoder4Editing": "e4e",
    "ProgressiveBackboneEncoder": "e4e",
    "ResNetProgressiveBackboneEncoder": "e4e",
    "BackboneEncoderUsingLastLayerIntoW": "single-w",
    "SingleStyleCodeEncoder": "single-w",
    "BackboneEncoderUsingLastLayerIntoWPlus": "single-wplus",
}


@dataclass(frozen=True)
class Found:
    """A network in a checkpoint, under this package's names."""

    layout: str
    kind: str
    architecture: str
    tensors: Renamed

    def build(self) -> nn.Module:
        """Build the network. StateDictError names the keys of the file that do not fit."""
        build = builder(self.architecture)
        if build is None:
            raise StateDictError(f"unknown architecture {self.architecture!r}")
        try:
            return build(self.tensors)
        except StateDictError as error:
            raise StateDictError(self.tensors.blame(str(error))) from None


def identify(tensors: Mapping[str, Tensor]) -> str:
    """The key in LAYOUTS of a flat state dict's layout. Raises StateDictError if no key matches."""
    scores = {name: sum(key in tensors for key in layout.signature.split()) for name, layout in LAYOUTS.items()}
    best = max(scores, key=lambda name: scores[name])
    if not scores[best]:
        raise StateDictError(f"its layout is unknown: {', '.join(sorted(map(str, tensors))[:3])}, ...")
    return best


def network(tensors: Mapping[str, Tensor], **shared: Unpack[Shared]) -> Found:
    """Recognise and rename one flat state dict; `shared` is passed to the layout's function. Raises StateDictError."""
    name = identify(tensors)
    layout = LAYOUTS[name]
    return Found(name, layout.kind, layout.architecture, layout.rename(tensors, **shared))
