"""Generators in NVIDIA's names, for scripts of StyleGAN2-ADA and PTI.

    data = packed_nvidia(model, result.weights)
    Path("face-nvidia.pt").write_bytes(data)

In a script of theirs, `file = torch.load("face-nvidia.pt", weights_only=True)`, `G = Generator(**file["init_kwargs"])`
and `G.load_state_dict(file["G_ema"])`. PTI itself pickles the whole network with its source text, which this package
does not have. `load` of this package reads such a file, too.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch

from inversion.model import prior_of

if TYPE_CHECKING:
    from torch import Tensor

    from inversion.generators import StyleGAN2
    from inversion.model import Model


def packed_nvidia(model: Model, weights: Mapping[str, Tensor]) -> bytes | None:
    """The bytes of a torch.save file of the model's generator with tuned weights. None unless it is a StyleGAN2.

    It holds plain data: `G_ema` (a state dict, see `layouts.stylegan2.nvidia_state`), `init_kwargs` of NVIDIA's
    Generator, and `conv_clamp` (a number) if the layers have a limit. model: without options.
    """
    from inversion.checkpoints.layouts.stylegan2 import nvidia_state  # imports all networks
    from inversion.generators import StyleGAN2

    prior = prior_of(model)
    if not isinstance(prior, StyleGAN2):
        return None
    tensors = {**prior.state_dict(), **weights}
    clamp = {"conv_clamp": tensors["clamp"].detach().cpu().clone()} if "clamp" in tensors else {}
    file = io.BytesIO()
    torch.save({"G_ema": nvidia_state(tensors), "init_kwargs": _arguments(prior), **clamp}, file)
    return file.getvalue()


def _arguments(prior: StyleGAN2) -> dict[str, object]:
    """The arguments of NVIDIA's Generator. Its channels are min(channel_base / side, channel_max)."""
    blocks = (prior.num_layers + 1) // 2
    channels = {prior.size(2 * j + 1): prior.channels(2 * j + 1) for j in range(blocks)}
    base, largest = channels[prior.resolution] * prior.resolution, channels[4]
    synthesis: dict[str, object] = {}
    if all(width == min(base // side, largest) for side, width in channels.items()):
        synthesis |= {"channel_base": base, "channel_max": largest}
    if "clamp" in prior.state_dict():
        synthesis["conv_clamp"] = float(prior.get_buffer("clamp"))
    if not prior.noise_shapes:
        synthesis["use_noise"] = False
    return {
        "z_dim": prior.z_dim,
        "c_dim": prior.classes,
        "w_dim": prior.w_dim,
        "img_resolution": prior.resolution,
        "img_channels": 3,
        "mapping_kwargs": {"num_layers": len(prior.dense)},
        "synthesis_kwargs": synthesis,
    }
