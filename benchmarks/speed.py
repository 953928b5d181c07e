"""Measures ratios of speed, timed in one run: seconds alone mean little on shared, noisy machines.

``python -m benchmarks.speed --json speed.json`` times a W+ step (forward, backward to the latent, Adam) in the usual
public formulation of StyleGAN2 (weights modulated per picture, one group per picture) and in ours.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from unittest.mock import patch

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.common import benchmark_parser, write_rows
from inversion.checkpoints.hub import find_device
from inversion.common.commands import add_device, guarded, positive
from inversion.generators import StyleGAN2
from inversion.generators.modulated import StyledConv
from inversion.generators.ops import EPSILON, SLOPE, SQRT2, blur


@dataclass(frozen=True)
class SpeedRow:
    """Seconds of a step in one formulation, and how many times faster than the first one it is."""

    name: str
    resolution: int
    batch: int
    device: str
    seconds: float
    ratio: float


def grouped(self: StyledConv, x: Tensor, w: Tensor, noise: Tensor | None, dtype: torch.dtype) -> Tensor:
    """A styled convolution as public code computes it: one set of weights per picture, demodulated, grouped."""
    B, inputs, height, _ = x.shape
    weight = self.weight * self.scale * self.affine(w)[:, None, :, None, None]  # (B, O, I, 3, 3)
    weight = weight * torch.rsqrt(weight.square().sum((2, 3, 4), keepdim=True) + EPSILON)
    x = x.to(dtype).reshape(1, B * inputs, height, height)
    if self.up:
        flat = weight.transpose(1, 2).reshape(B * inputs, -1, 3, 3).to(dtype)
        x = F.conv_transpose2d(x, flat, stride=2, groups=B)
        x = blur(x.view(B, -1, *x.shape[2:]), self.kernel, padding=1)
    else:
        x = F.conv2d(x, weight.flatten(0, 1).to(dtype), padding=1, groups=B).view(B, -1, height, height)
    return F.leaky_relu(x + self.bias[:, None, None].to(dtype), SLOPE) * SQRT2


def step(prior: StyleGAN2, batch: int) -> Callable[[], None]:
    """A function that makes one W+ step towards random targets."""
    rng = torch.Generator().manual_seed(0)
    target = torch.rand(batch, 3, prior.resolution, prior.resolution, generator=rng).to(prior.w_avg)
    ws = torch.randn(batch, prior.num_ws, prior.w_dim, generator=rng).to(prior.w_avg).requires_grad_()
    optimizer = torch.optim.Adam([ws], lr=0.1)

    def run() -> None:
        optimizer.zero_grad()
        (prior.synthesis(ws) - target).square().mean().backward()
        optimizer.step()
        if ws.is_cuda:
            torch.cuda.synchronize()

    return run


def seconds(run: Callable[[], None], repeats: int) -> float:
    """Median seconds of a call, after one to warm up."""
    run()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def main(argv: Sequence[str] | None = None) -> int:
    """Time the formulations and write a row for each."""
    parser = benchmark_parser("speed", __doc__)
    parser.add_argument("--resolution", type=positive, default=256, help="side of the pictures in pixels")
    parser.add_argument("--batch", type=positive, default=1, help="pictures per step")
    parser.add_argument("--repeats", type=positive, default=5, help="timed steps")
    add_device(parser, dtype=False)
    args = parser.parse_args(argv)
    device = find_device(args.device)
    prior = StyleGAN2(args.resolution, noise=False).to(device)
    rows: list[SpeedRow] = []
    for name, dtype, forward in (
        ("grouped float32", torch.float32, grouped),
        ("ours float32", torch.float32, StyledConv.forward),
        ("ours bfloat16", torch.bfloat16, StyledConv.forward),
    ):
        prior.freeze(dtype)
        with patch.object(StyledConv, "forward", forward):
            taken = seconds(step(prior, args.batch), args.repeats)
        ratio = rows[0].seconds / taken if rows else 1.0
        rows.append(SpeedRow(name, args.resolution, args.batch, str(device), taken, ratio))
        sys.stdout.write(f"{name:<18} {taken:7.3f} s   {ratio:.2f} x\n")
    write_rows(args.json, rows)
    return 0


if __name__ == "__main__":
    raise SystemExit(guarded("python -m benchmarks.speed", main))
