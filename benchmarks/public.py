"""Times a checkout of the public StyleGAN2 implementation beside ours: rosinality/stylegan2-pytorch, same weights.

Both draw the same picture (checked), and both make the same steps: W+ on one picture, tuning on one picture (PTI), and
tuning on four pictures (Clone, without its discriminator, which the two would share).
"""

from __future__ import annotations

import copy
import importlib
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from unittest.mock import patch

import torch
from torch import Tensor, nn

from inversion.checkpoints.layouts import network
from inversion.common.commands import UsageError
from inversion.generators import StyleGAN2

PUBLIC = "public float32"
STYLES, MAPPING_LAYERS = 512, 8  # of the official networks
NOISE = 0.1  # strength, so that the noise counts
CLONE_PICTURES = 4

Render = Callable[[Tensor], Tensor]
Call = Callable[[], object]
Steps = dict[str, dict[str, Call]]


def generator(folder: Path, side: int, device: torch.device) -> nn.Module:
    """The checkout's generator with random weights. Runs its code. Raises UsageError if the folder is no checkout.

    On a CPU its own operators are replaced by its own plain forms, so its CUDA sources need not be compiled.
    """
    if not (folder / "model.py").is_file() or not (folder / "op").is_dir():
        raise UsageError(f"{folder} is not a checkout of stylegan2-pytorch: model.py or op is missing.")
    sys.path.insert(0, str(folder.resolve()))
    try:
        import torch.utils.cpp_extension as extension

        compiled = extension.load if device.type == "cuda" else (lambda *_, **__: None)
        with patch.object(extension, "load", compiled):
            module = importlib.import_module("model")
    finally:
        sys.path.remove(str(folder.resolve()))
    torch.manual_seed(0)
    made = module.Generator(side, STYLES, MAPPING_LAYERS)
    for name, weight in made.named_parameters():
        if name.endswith("noise.weight"):
            nn.init.constant_(weight, NOISE)
    return made.to(device)


def rendering(made: nn.Module) -> Render:
    """The function of the public generator that renders ws (B, num_ws, w_dim) with its stored noise."""
    return lambda ws: made([ws], input_is_latent=True, randomize_noise=False)[0]


def ours(made: nn.Module) -> StyleGAN2:
    """Our generator with copies of the public one's weights."""
    found = network({name: value.detach().clone() for name, value in made.state_dict().items()})
    return StyleGAN2.from_state_dict(found.tensors)


def styles(prior: StyleGAN2, batch: int) -> Tensor:
    """Random styles (B, num_ws, w_dim)."""
    rng = torch.Generator().manual_seed(0)
    return torch.randn(batch, prior.num_ws, prior.w_dim, generator=rng).to(prior.w_avg)


def check_same_picture(made: nn.Module, prior: StyleGAN2) -> None:
    """Raises RuntimeError unless both generators draw the same picture in float32."""
    with torch.no_grad():
        ws = styles(prior, 1)
        theirs, own = rendering(made)(ws), prior.synthesis(ws)
    if not torch.allclose(theirs, own, rtol=1e-3, atol=1e-3 * float(theirs.abs().max())):
        raise RuntimeError(f"the two generators differ by up to {float((theirs - own).abs().max()):.3g}")


def step(render: Render, ws: Tensor, tuned: Sequence[Tensor] | None = None) -> Call:
    """A function that makes one step of Adam towards random pictures: on ws, or on the weights `tuned`."""
    leaf = ws.clone().requires_grad_(tuned is None)
    with torch.no_grad():
        target = torch.rand_like(render(ws))
    optimizer = torch.optim.Adam([leaf] if tuned is None else tuned, lr=1e-4, fused=None if tuned is None else True)

    def run() -> None:
        optimizer.zero_grad()
        (render(leaf) - target).square().mean().backward()
        optimizer.step()

    return run


def public_step(made: nn.Module, ws: Tensor, tuned: bool) -> Call:
    """The step of the public generator, with Adam as its projector uses it."""
    weights = [weight for name, weight in made.named_parameters() if not name.startswith("style.")]
    for weight in weights:
        weight.requires_grad_(tuned)
    return step(rendering(made), ws, weights if tuned else None)


def steps(
    folder: Path, side: int, device: torch.device, dtypes: Mapping[str, torch.dtype]
) -> dict[str, dict[str, Call]]:
    """For each kind of step: formulation -> the call. The public formulation is the first.

    dtypes: the formulations of ours. Raises UsageError if the folder is no checkout.
    """
    made = generator(folder, side, device).requires_grad_(False)
    check_same_picture(made, ours(made).freeze(torch.float32))
    priors = {name: ours(made).freeze(dtype) for name, dtype in dtypes.items()}
    first = next(iter(priors.values()))
    calls: Steps = {}
    for label, batch, tuned in (("W+ step", 1, False), ("PTI step", 1, True), ("Clone step", CLONE_PICTURES, True)):
        ws = styles(first, batch)
        calls[label] = {PUBLIC: public_step(copy.deepcopy(made), ws, tuned)}
        for name, prior in priors.items():
            trained = prior.clone() if tuned else prior
            weights = [weight for _, weight in trained.tunable()] if tuned else None
            calls[label][name] = step(trained.synthesis, ws, weights)
    return calls
