"""Trains the embedded generators by distilling the renderer; the adversarial stage (`adversarial.py`) follows.

The z of every render is known, so the generator learns by regression, picture by picture and at growing resolutions,
which a CPU can afford. Only the detail that regression blurs is left to the adversarial stage.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from inversion.common.devices import fast_dtype
from inversion.generators import GENERATORS, Prior
from inversion.synthetic import DEFAULT, DOMAINS, HELD_OUT, latents
from inversion.synthetic.base import Z_DIM
from inversion.training.loop import Processes, State, Trainer, decay_factor, ramp_factor, run
from inversion.training.muon import Group, Muon
from inversion.training.options import DistillationOptions
from inversion.training.pictures import PictureFile


def side_at(options: DistillationOptions, shown: int) -> int:
    """Side of the training pictures after `shown` of them; smaller at first if the architecture `grows`."""
    if not GENERATORS[options.architecture].grows:
        return options.resolution
    grown = 32 if shown < options.kimg_32 * 1000 else 64 if shown < options.kimg_64 * 1000 else options.resolution
    return min(options.resolution, grown)


def rate_at(options: DistillationOptions, shown: int, step: int) -> float:
    """Learning rate: a ramp of 50 steps, constant, then linearly to 0 over the last part."""
    return options.lr * decay_factor(shown / (options.kimg * 1000), options.decay) * ramp_factor(step, 50)


def build(resolution: int, dtype: torch.dtype, architecture: str = "stylegan2", width: float = 1.0) -> Prior:
    """An untrained generator of a key of GENERATORS, of the `embedded_size` of its class; z has 64 entries.

    width multiplies the channels of all layers.
    """
    make: Callable[..., Prior] = GENERATORS[architecture]  # architectures differ in their further arguments
    size = GENERATORS[architecture].embedded_size
    channels = size.channels(resolution, width)
    return make(resolution, Z_DIM, channels=channels, compute_dtype=dtype, **size.settings)


def distance(x: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Weighted regression loss, a scalar: L1 and L2 of the error, and L1 of its two finest bands, which keep edges.

    x and target: (B, 3, R, R) in [-1, 1]; weight: (B, 1, R, R).
    """
    error = x - target
    loss = (weight * (error.abs() + 2 * error.square())).mean()
    for gain in (1.5, 1.0):
        low = F.avg_pool2d(error, 2)
        band = error - F.interpolate(low, scale_factor=2, mode="nearest")
        loss = loss + gain * (weight * band.abs()).mean()
        error, weight = low, F.avg_pool2d(weight, 2)
    return loss


class GeneratorScore:
    """Held-out figures of a generator: PSNR in dB of all pixels and of the details; sharpness relative to renders."""

    def __init__(self, resolution: int, device: torch.device, n: int = 64, domain: str = DEFAULT) -> None:
        self.z = latents(range(HELD_OUT, HELD_OUT + n)).to(device)
        renderer = DOMAINS[domain]
        drawn = renderer.render(renderer.factors(self.z).to(device), resolution, labels=renderer.detail_labels())
        self.truth = drawn.picture
        self.detail = (drawn.labels > 0.95 * max(renderer.detail.values())).float()  # the details of full weight

    @torch.no_grad()
    def __call__(self, prior: Prior, side: int) -> dict[str, float]:
        """The figures of the generator's pictures of this side, enlarged to full resolution."""
        x = torch.cat([prior.picture_at(z, side) for z in self.z.split(16)]).float()
        x = F.interpolate(x, size=self.truth.shape[-1], mode="bilinear", antialias=False).clamp(-1, 1)
        square = (x - self.truth).square()
        inside = (square * self.detail).sum((1, 2, 3)) / (3 * self.detail.sum((1, 2, 3))).clamp_min(1)
        return {
            "psnr": float((10 * torch.log10(4 / square.mean((1, 2, 3)))).mean()),
            "detail_psnr": float((10 * torch.log10(4 / inside.clamp_min(1e-6))).mean()),
            "sharpness": sharpness(x) / sharpness(self.truth),
        }


def sharpness(x: Tensor) -> float:
    """Mean absolute Laplacian of pictures (B, 3, R, R)."""
    kernel = torch.tensor([[0.0, 1.0, 0.0], [1.0, -4.0, 1.0], [0.0, 1.0, 0.0]], device=x.device).expand(3, 1, 3, 3)
    return float(F.conv2d(x, kernel, groups=3).abs().mean())


class DistillationTrainer(Trainer):
    """The generator in training, its averaged weights, and the training pictures."""

    every, averages = 250, True

    def __init__(self, options: DistillationOptions, processes: Processes) -> None:
        self.options, self.processes = options, processes
        shape = (options.resolution, fast_dtype(processes.device), options.architecture, options.width)
        self.prior = build(*shape).to(processes.device)
        self.average = build(*shape).to(processes.device).requires_grad_(False)
        self.optimizer = processes.muon(_parameter_groups(self.prior), options.lr)
        self.file = PictureFile(options.pictures, options.count, options.resolution, domain=options.domain)
        self.shown, self.side = 0, side_at(options, 0)
        if not self.resume(options.out):
            self.average.load_state_dict(self.prior.state_dict())

    @cached_property
    def score(self) -> GeneratorScore:
        """The held-out figures."""
        return GeneratorScore(self.options.resolution, self.processes.device, domain=self.options.domain)

    @property
    def finished(self) -> bool:
        """Whether all pictures have been shown."""
        return self.shown >= self.options.kimg * 1000

    def step(self, rng: torch.Generator) -> dict[str, float]:
        """One update of the generator and of the averaged weights."""
        o, device = self.options, self.processes.device
        self.side = side_at(o, self.shown)
        rows = torch.randint(0, o.count, (o.batch // self.processes.count,), generator=rng)
        target, detail = (t.to(device) for t in self.file.batch(rows))
        if self.side < o.resolution:
            target, detail = (F.avg_pool2d(t, o.resolution // self.side) for t in (target, detail))
        z = latents(rows.tolist()).to(device)
        loss = distance(self.prior.picture_at(z, self.side), target, 1 + o.detail * detail)
        self.optimizer.zero_grad()
        loss.backward()
        self.processes.average_gradients(self.prior)
        for group in self.optimizer.param_groups:
            group["lr"] = group["scale"] * rate_at(o, self.shown, self.steps)
        self.optimizer.step()
        self.shown, self.steps = self.shown + o.batch, self.steps + 1
        half_life = min(o.ema_kimg, 0.05 * self.shown / 1000 + 0.01)
        update_average(self.average, self.prior, 0.5 ** (o.batch / (1000 * half_life)))
        return {"loss": float(loss.detach())}

    def progress(self) -> dict[str, float]:
        """Steps, thousands of pictures shown, and their side in pixels."""
        return {"step": self.steps, "kimg": self.shown / 1000, "side": self.side}

    def examine(self) -> dict[str, float]:
        """Held-out figures of the averaged weights."""
        return self.score(self.average, self.side)

    def state(self) -> State:
        """Both generators, the optimiser and the counters."""
        return {
            "prior": self.prior.state_dict(),
            "average": self.average.state_dict(),
            "shown": self.shown,
            "step": self.steps,
            "optimizer": [self.optimizer.state[p] for g in self.optimizer.param_groups for p in g["params"]],
        }

    def load(self, state: State) -> None:
        """Resume from a checkpoint of the same architecture. Raises KeyError or RuntimeError for another one."""
        self.prior.load_state_dict(state["prior"])
        self.average.load_state_dict(state["average"])
        _load_optimizer(self.optimizer, state["optimizer"])
        self.shown, self.steps = state["shown"], state["step"]


def _parameter_groups(prior: Prior) -> list[Group]:
    """Parameter groups: the mapping's biases are stored 100 times larger than they act (run-time multiplier 0.01)."""
    named = list(prior.named_parameters())
    slow = [p for name, p in named if name.startswith("dense.") and name.endswith(".bias")]
    rest = [p for name, p in named if not (name.startswith("dense.") and name.endswith(".bias"))]
    return [{"params": rest, "scale": 1.0}, {"params": slow, "scale": 100.0}]


@torch.no_grad()
def update_average(average: nn.Module, prior: nn.Module, keep: float) -> None:
    """Move the averaged weights towards the live ones: average = keep * average + (1 - keep) * live."""
    for a, p in zip(average.parameters(), prior.parameters(), strict=True):
        a.lerp_(p, 1 - keep)


def _load_optimizer(optimizer: Muon, states: list[State]) -> None:
    for p, state in zip((p for g in optimizer.param_groups for p in g["params"]), states, strict=True):
        optimizer.state[p].update({k: v.to(p.device) if isinstance(v, Tensor) else v for k, v in state.items()})


def main(options: DistillationOptions) -> None:
    """Train, or resume the run. Raises TrainingError."""
    processes = Processes.launched()
    torch.manual_seed(options.seed)
    run(DistillationTrainer(options, processes), options, processes)
