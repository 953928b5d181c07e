"""Names networks that people take for supported ones: the kind of file, why it cannot be used, and the remedy."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from torch import Tensor

USE = "use a checkpoint of StyleGAN2, StyleGAN or PGGAN"
ALIAS_FREE = "use the StyleGAN2 checkpoint of the same pictures"


@dataclass(frozen=True)
class Unsupported:
    """A kind of network that cannot be used.

    patterns: regular expressions that all occur in its keys. advice: why it cannot be used, and what to do.
    """

    patterns: tuple[str, ...]
    advice: str


# By what it is. The first one that fits counts.
KINDS: dict[str, Unsupported] = {
    "a StyleGAN-XL generator": Unsupported(
        (r"mapping\.embed_proj\.", r"synthesis\."),
        f"Its networks differ from StyleGAN2's, so the methods here cannot invert it: {ALIAS_FREE}.",
    ),
    "an EG3D generator": Unsupported(
        (r"backbone\.(mapping|synthesis)\.", r"decoder\.net\.0\."),
        f"It renders a scene from a camera, which is not supported: {USE}.",
    ),
    "a StyleGAN3 generator": Unsupported(
        (r"synthesis\.input\.(affine|weight|transform)", r"synthesis\.L\d+_\d+_\d+\."),
        f"Its layers are not those of StyleGAN2, so the methods here cannot invert it yet: {ALIAS_FREE}.",
    ),
    "a StyleGAN generator in rosinality's layout": Unsupported(
        (r"generator\.progression\.\d+\.conv1\.",),
        "This layout of StyleGAN is not supported: use GenForce's or IDInvert's PyTorch file of StyleGAN.",
    ),
    "a StyleGAN generator in lernapparat's layout": Unsupported(
        (r"g_synthesis\.blocks\.4x4\.",),
        "This layout of StyleGAN is not supported: use GenForce's or IDInvert's PyTorch file of StyleGAN.",
    ),
    "a StyleGAN2 generator in BasicSR's layout": Unsupported(
        (r"style_mlp\.1\.weight$", r"style_conv1\.modulated_conv\.weight$"),
        "This layout is not supported: use rosinality's or NVIDIA's file of the same generator.",
    ),
    "a StyleGAN2 generator in lucidrains' layout": Unsupported(
        (r"(^|\.)S\.net\.\d+\.", r"(^|\.)G\.blocks\.\d+\.to_style1\."),
        "Its layers differ from those of NVIDIA's StyleGAN2: use rosinality's or NVIDIA's training code.",
    ),
    "a SWAGAN generator": Unsupported(
        (r"to_rgbs?\d*(\.\d+)?\.(iwt|dwt)\.|(^|\.)iwt\.",),
        f"It makes wavelets instead of pixels, which is not supported: {USE}.",
    ),
    "a FastGAN or Projected GAN generator": Unsupported(
        (r"(^|\.)init\.init\.0\.weight", r"feat_(8|16)\."),
        f"It has no latent space of styles, so the methods here cannot invert it: {USE}.",
    ),
    "a linear classifier of scikit-learn": Unsupported(
        (r"(^|\.)coef_$", r"(^|\.)intercept_$"),
        "A direction is its normal: use `numpy.save(FILE, classifier.coef_)`, and give that file as a direction.",
    ),
    "a StyleCLIP mapper": Unsupported(
        (r"mapper\.(course|medium|fine)_mapping\.",),
        "It edits codes for one text and is not supported: use a direction, such as one of InterFaceGAN.",
    ),
    "the state of an optimiser": Unsupported(
        (r"^(optimi[sz]er\.)?state\.\d+\.exp_avg(_sq)?$",),
        "It has no weights: use the file of the generator that was saved beside it.",
    ),
    "a HyperStyle network": Unsupported(
        (r"hypernet\.",),
        "It predicts changes of weights, which is not supported: use its W encoder, or the method PTI.",
    ),
    "a GFPGAN network": Unsupported(
        (r"stylegan_decoder\.", r"conv_body_first\."),
        f"It restores faces and is not a generator: {USE}.",
    ),
    "a BigGAN generator": Unsupported(
        (r"(^|\.)shared\.weight$", r"blocks\.0\.0\.conv1\."), f"BigGAN is not supported: {USE}."
    ),
    "a diffusion model": Unsupported(
        (r"(model\.diffusion_model|unet|input_blocks|down_blocks|transformer_blocks)\b",),
        f"It is not a GAN and cannot be inverted here: {USE}.",
    ),
    "a LoRA": Unsupported((r"lora_(up|down|A|B|unet|te)",), f"It adapts a diffusion or language model: {USE}."),
    "an autoencoder": Unsupported((r"quant_conv\.|quantize\.embedding",), f"It is not a GAN: {USE}."),
    "a CLIP or text model": Unsupported(
        (r"(visual\.transformer|text_model|token_embedding|self_attn|wte\.weight)",),
        f"It is not a GAN: {USE}.",
    ),
    "a face parsing network": Unsupported((r"cp\.resnet\.|ffm\.convblk\.",), f"It is not a generator: {USE}."),
    "a ResNet classifier": Unsupported(
        (r"(^|\.)layer1\.0\.conv1\.weight$", r"(^|\.)layer4\.\d+\."), f"It is not a GAN: {USE}."
    ),
    "a vision transformer": Unsupported((r"blocks\.0\.attn\.qkv\.",), f"It is not a GAN: {USE}."),
}

CONSTANTS = {  # layout -> the key of its constant input (..., height, width)
    "rosinality": "input.input",
    "nvidia": "synthesis.b4.const",
    "genforce-stylegan2": "synthesis.early_layer.const",
    "mganprior-stylegan2": "synthesis.early_layer.const",
    "genforce-stylegan": "synthesis.layer0.const",
    "idinvert": "synthesis.layer0.const",
}
PICTURE_LAYERS = {"rosinality": "to_rgb1.bias", "nvidia": "synthesis.b4.torgb.bias"}  # -> channels of pictures


def name_of(keys: Iterable[str]) -> str | None:
    """The kind of network that has these keys, and the remedy. None if the kind is unknown."""
    known = list(keys)
    for kind, network in KINDS.items():
        if all(any(re.search(pattern, key) for key in known) for pattern in network.patterns):
            return f"it holds {kind}. {network.advice}"
    return None


def unsupported_reason(layout: str, tensors: Mapping[str, Tensor]) -> str | None:
    """Why a generator of a known layout is not supported, and what to do. None if it is supported."""
    constant = tensors.get(CONSTANTS.get(layout, ""))
    if constant is not None and constant.ndim >= 2:
        height, width = constant.shape[-2:]
        if height != width:
            return (
                f"it holds a generator of pictures that are not square ({width}:{height}). Only square pictures are "
                f"supported: use a model that was trained on square pictures."
            )
        if height != 4:
            return f"it holds a generator that starts from {height}x{width} pixels instead of 4x4: {USE}."
    colours = tensors.get(PICTURE_LAYERS.get(layout, ""))
    if colours is not None and colours.numel() not in (1, 3):
        return f"it holds a generator of pictures with {colours.numel()} channels. Only 1 or 3 are supported: {USE}."
    if layout == "nvidia" and any(re.match(r"synthesis\.b\d+\.skip\.", key) for key in tensors):
        return (
            "it holds a StyleGAN2 generator of the 'resnet' kind, which is not supported: use one of the 'skip' kind, "
            "which is the default of StyleGAN2-ADA."
        )
    if layout == "nvidia" and "synthesis.b4.torgb.weight" not in tensors:
        return (
            "it holds a StyleGAN2 generator of the 'orig' kind, which is not supported: use one of the 'skip' kind, "
            "which is the default of StyleGAN2-ADA."
        )
    return None
