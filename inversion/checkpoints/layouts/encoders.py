"""Renames the tensors of public encoders, of ArcFace and of perceptual networks to this package's names."""

from collections.abc import Mapping

from torch import Tensor

from inversion.checkpoints.layouts.source import Renamed, Source
from inversion.encoders.base import COUNTER
from inversion.perception.networks import ALEX, VGG16

BODY = ("input_layer.", "body.", "conv1.", "bn1.", "relu.")  # prefixes of the backbone's keys
HEADS = ("styles.", "latlayer", "output_layer", "linear.")  # of what follows it
SHARED = tuple(f"lins.{i}.model.1.weight" for i in range(5))  # LPIPS stores its heads twice


def psp_encoder(tensors: Mapping[str, Tensor], latent_avg: Tensor | None = None, num_ws: int = 0) -> Renamed:
    """Rename the `encoder.` part of a pSp, e4e or ReStyle file, given without that prefix.

    `latent_avg` is (w_dim,) or (num_ws, w_dim). `num_ws` is the generator's number of styles: an encoder of one style
    does not state it, and published encoders of cars have more styles than their generator. Raises StateDictError.
    """
    source = Source("pSp encoder", tensors)
    styles = source.count("styles.{}.linear.weight")
    for key in source.left:
        if key.startswith("styles.") and key.endswith(".bias"):
            source.require(key.removesuffix("bias") + "weight", key)
    if styles:
        kept = min(styles, num_ws or styles)
        source.drop(*(key for key in source.left if key.startswith("styles.") and _index(key) >= kept))
        num_ws, w_dim = kept, source.width("styles.0.linear.weight", 0)
    elif any(key.startswith("output_layer_2.") for key in source.left):
        w_dim = source.width("output_layer_2.3.weight", 0)
        num_ws = source.width("linear.weight", 0) // max(w_dim, 1)
    else:
        w_dim = source.width("linear.weight", 0)
        num_ws = num_ws or (len(latent_avg) if latent_avg is not None and latent_avg.ndim == 2 else 1)
    _keep(source)
    source.average(latent_avg, "latent_avg", num_ws, w_dim, to="latent_avg")
    return source.finish()


def arcface(tensors: Mapping[str, Tensor]) -> Renamed:
    """Rename ArcFace's `model_ir_se50.pth`. Raises StateDictError."""
    source = Source("ArcFace", tensors)
    _keep(source)
    return source.finish()


def idinvert_encoder(tensors: Mapping[str, Tensor]) -> Renamed:
    """Rename an IDInvert encoder; a bias after a convolution becomes its own. Raises StateDictError."""
    source = Source("IDInvert encoder", tensors)
    last = source.count("block{}.bn2.bn.weight", start=1, beside="block{}.conv1.") + 1
    source.move("block0.conv.weight", "stem.conv.weight")
    _norm(source, "block0.bn", "stem.bn")
    for i in range(1, last):
        for number, part in (("1", "first"), ("2", "second")):
            source.move(f"block{i}.conv{number}.weight", f"blocks.{i - 1}.{part}.conv.weight")
            source.move(f"block{i}.wscale{number}.bias", f"blocks.{i - 1}.{part}.conv.bias")
            _norm(source, f"block{i}.bn{number}", f"blocks.{i - 1}.{part}.bn")
        source.require(f"block{i}.conv.weight", f"block{i}.bn.")
        if f"block{i}.conv.weight" in source.left:
            source.move(f"block{i}.conv.weight", f"blocks.{i - 1}.skip.conv.weight")
            _norm(source, f"block{i}.bn", f"blocks.{i - 1}.skip.bn")
    source.move(f"block{last}.fc.weight", "weight")
    _norm(source, f"block{last}.bn", "bn")
    return source.finish()


def idinvert_vgg16(tensors: Mapping[str, Tensor]) -> Renamed:
    """Rename IDInvert's `vgg16.pth`. Raises StateDictError."""
    source = Source("IDInvert VGG16", tensors)
    for index, _, _ in (conv for block in VGG16.blocks for conv in block):
        source.pair(f"layer{index}", f"features.{index}")
    return source.finish()


def torchvision_trunk(tensors: Mapping[str, Tensor]) -> Renamed:
    """Keep the convolutions of torchvision's AlexNet or VGG16, or timm's VGG16. Raises StateDictError."""
    source = Source("torchvision trunk", tensors)
    for key in list(source.left):
        if key.startswith("features."):
            source.move(key, key)
        elif key.startswith(("classifier.", "pre_logits.", "head.")):
            source.drop(key)
    return source.finish()


def lpips(tensors: Mapping[str, Tensor]) -> Renamed:
    """Rename a whole state dict of the lpips package. Raises StateDictError."""
    source = Source("LPIPS", tensors)
    design = VGG16 if any(key.startswith("net.slice5.28.") for key in source.left) else ALEX
    for i, block in enumerate(design.blocks):
        for index, _, _ in block:
            source.pair(f"net.slice{i + 1}.{index}", f"features.{index}")
        source.move(f"lin{i}.model.1.weight", f"heads.{i}", (-1,))
    for key in (*SHARED, "scaling_layer.shift", "scaling_layer.scale"):
        source.optional(key)
    return source.finish()


def _keep(source: Source) -> None:
    """Keep the name of every tensor of an encoder, with `backbone.` before those of the backbone."""
    irse = any(key.startswith("input_layer.") for key in source.left)
    source.count("body.{}.res_layer.1.weight" if irse else "body.{}.conv1.weight")
    for key in list(source.left):
        if key.endswith(COUNTER):
            source.drop(key)
        elif key.startswith(BODY + HEADS):
            source.move(key, f"backbone.{key}" if key.startswith(BODY) else key)


def _index(key: str) -> int:
    """The number N in styles.N.*; -1 if it is not a number, which the network then refuses."""
    part = key.split(".")[1]
    return int(part) if part.isdigit() else -1


def _norm(source: Source, name: str, to: str) -> None:
    """Move a batch norm that is nested in another module."""
    for part in ("weight", "bias", "running_mean", "running_var"):
        source.move(f"{name}.bn.{part}", f"{to}.{part}")
    source.optional(f"{name}.bn{COUNTER}")
