"""Trains the embedded generators: distillation of the renderer first, an adversarial stage after it.

Every render knows its z, so the generator can be taught picture by picture (regression at growing resolutions, which
a CPU can afford), and the adversarial game is left with the detail that regression blurs. Both stages are resumable:
the run folder holds the state, a JSON-lines log and sample grids.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from accelerate import Accelerator
from torch import Tensor, nn

from inversion.generators import PGGAN, Prior, StyleGAN2
from inversion.synthetic import DOMAINS, HELD_OUT, latents
from inversion.synthetic.base import Z_DIM
from inversion.training.faces import FACES, FaceFile
from inversion.training.muon import Muon

CHANNELS: dict[str, dict[int, int]] = {
    "stylegan2": {4: 256, 8: 256, 16: 256, 32: 128, 64: 64, 128: 32, 256: 16},
    "pggan": {4: 160, 8: 160, 16: 160, 32: 80, 64: 40, 128: 16, 256: 8},
}
CHOICES: dict[str, list[str]] = {"domain": list(DOMAINS), "architecture": list(CHANNELS)}


@dataclass(frozen=True)
class Recipe:
    """What a run is made with; written into its log."""

    faces: Path
    out: Path
    count: int = 80_000
    domain: str = FACES  # what `train faces` drew
    architecture: str = "stylegan2"  # or pggan
    width: float = 1.0  # times the channels of the table
    resolution: int = 128
    batch: int = 16  # over all processes
    kimg: float = 400.0  # pictures to show in all, in thousands
    kimg_32: float = 60.0  # until here at 32 px
    kimg_64: float = 130.0  # until here at 64 px
    decay: float = 0.35  # last part of the run, over which the rate falls to zero
    lr: float = 1e-2
    detail: float = 4.0  # extra weight of eyes, brows, nose, mouth and glasses
    ema_kimg: float = 4.0  # half-life of the averaged weights
    seed: int = 0
    minutes: float = 600.0  # stop (and save) after this time

    def side(self, shown: int) -> int:
        """Side of the pictures to learn from after so many have been shown; PGGAN has no pictures on the way."""
        if self.architecture == "pggan":
            return self.resolution
        grown = 32 if shown < self.kimg_32 * 1000 else 64 if shown < self.kimg_64 * 1000 else self.resolution
        return min(self.resolution, grown)

    def rate(self, shown: int, step: int) -> float:
        """Learning rate: short ramp, constant, then linearly to zero over the last part."""
        return self.lr * rate(shown / (self.kimg * 1000), self.decay) * min(1.0, (step + 1) / 50)


def build(resolution: int, dtype: torch.dtype, architecture: str = "stylegan2", width: float = 1.0) -> Prior:
    """The embedded generator: 64-d z, and for StyleGAN2 256-d w, four mapping layers, no noise inputs."""
    table = {side: int(width * n) for side, n in CHANNELS[architecture].items() if side <= resolution}
    if architecture == "pggan":
        return PGGAN(resolution, Z_DIM, table, compute_dtype=dtype)
    return StyleGAN2(resolution, Z_DIM, 256, table, mapping_layers=4, noise=False, compute_dtype=dtype)


def picture_at(prior: Prior, z: Tensor, side: int) -> Tensor:
    """The picture (B, 3, side, side); below the full side what a skip generator has after the blocks up to there."""
    if side == prior.resolution or not isinstance(prior, StyleGAN2):
        return prior(z)
    ws = prior.mapping(z)
    k = 2 * int(math.log2(side)) - 3
    state = prior.head(ws, k)
    return prior.rgbs[k // 2](state.features, ws[:, k], state.rgb)


def distance(x: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Weighted regression loss: L1 and L2 of the error, and L1 of its two finest bands, which keep edges."""
    error = x - target
    loss = (weight * (error.abs() + 2 * error.square())).mean()
    for gain in (1.5, 1.0):
        low = F.avg_pool2d(error, 2)
        band = error - F.interpolate(low, scale_factor=2, mode="nearest")
        loss = loss + gain * (weight * band.abs()).mean()
        error, weight = low, F.avg_pool2d(weight, 2)
    return loss


class Judge:
    """Held-out figures: PSNR, PSNR inside the details, sharpness against the renders."""

    def __init__(self, resolution: int, device: torch.device, n: int = 64, domain: str = FACES) -> None:
        self.z = latents(range(HELD_OUT, HELD_OUT + n)).to(device)
        drawer = DOMAINS[domain]
        drawn = drawer.render(drawer.factors(self.z).to(device), resolution, labels=drawer.detail_labels())
        self.truth = drawn.picture
        self.detail = (drawn.labels > 0.95 * max(drawer.detail.values())).float()  # what counts most

    @torch.no_grad()
    def __call__(self, prior: Prior, side: int) -> dict[str, float]:
        x = torch.cat([picture_at(prior, z, side) for z in self.z.split(16)]).float()
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


def distil(recipe: Recipe) -> None:
    """Run or resume the regression stage; writes ``state.pt``, ``log.jsonl`` in ``recipe.out``."""
    accelerator = Accelerator(cpu=not torch.cuda.is_available())
    rank, world, device = accelerator.process_index, accelerator.num_processes, accelerator.device
    torch.manual_seed(recipe.seed)
    shape = (recipe.resolution, torch.bfloat16, recipe.architecture, recipe.width)
    prior = build(*shape).to(device)
    average = build(*shape).to(device).requires_grad_(False)
    optimizer = Muon(
        _groups(prior),
        lr=recipe.lr,
        rank=rank,
        world=world,
        reduce=lambda x: accelerator.reduce(x, "sum"),
    )
    file = FaceFile(recipe.faces, recipe.count, recipe.resolution, domain=recipe.domain)
    shown, step = 0, 0
    path = recipe.out / "state.pt"
    if path.exists():
        state = torch.load(path, map_location="cpu", weights_only=True)
        prior.load_state_dict(state["prior"])
        average.load_state_dict(state["average"])
        _load_optimizer(optimizer, state["optimizer"])
        shown, step = state["shown"], state["step"]
    else:
        average.load_state_dict(prior.state_dict())
    judge = Judge(recipe.resolution, device, domain=recipe.domain) if rank == 0 else None
    share = recipe.batch // world
    rng = torch.Generator().manual_seed(recipe.seed + 1000 * rank + step)
    start, spent, losses = time.monotonic(), time.process_time(), []
    while shown < recipe.kimg * 1000:
        side = recipe.side(shown)
        rows = torch.randint(0, recipe.count, (share,), generator=rng)
        target, detail = (t.to(device) for t in file.batch(rows))
        if side < recipe.resolution:
            target, detail = (F.avg_pool2d(t, recipe.resolution // side) for t in (target, detail))
        z = latents(rows.tolist()).to(device)
        loss = distance(picture_at(prior, z, side), target, 1 + recipe.detail * detail)
        optimizer.zero_grad()
        loss.backward()
        share_gradients(prior, accelerator)
        for group in optimizer.param_groups:
            group["lr"] = group["scale"] * recipe.rate(shown, step)
        optimizer.step()
        shown, step = shown + recipe.batch, step + 1
        follow(average, prior, 0.5 ** (recipe.batch / (1000 * min(recipe.ema_kimg, 0.05 * shown / 1000 + 0.01))))
        losses.append(float(loss.detach()))
        out_of_time = agreed(accelerator, time.monotonic() - start > recipe.minutes * 60)
        if step % 250 == 0 or out_of_time or shown >= recipe.kimg * 1000:
            if judge is not None:
                row = {
                    "step": step,
                    "kimg": shown / 1000,
                    "side": side,
                    "loss": sum(losses) / len(losses),
                    "cpu_s": time.process_time() - spent,
                    "wall_s": time.monotonic() - start,
                    **judge(average, side),
                }
                _save(recipe, prior, average, optimizer, shown, step, row)
            losses = []
        if out_of_time:
            return


def _groups(prior: Prior) -> list[dict[str, Any]]:
    """Parameter groups: the mapping's biases are stored 100 times larger than they act (run-time multiplier 0.01)."""
    named = list(prior.named_parameters())
    slow = [p for name, p in named if name.startswith("dense.") and name.endswith(".bias")]
    rest = [p for name, p in named if not (name.startswith("dense.") and name.endswith(".bias"))]
    return [{"params": rest, "scale": 1.0}, {"params": slow, "scale": 100.0}]


def rate(progress: float, decay: float) -> float:
    """Constant, then linearly to zero over the last ``decay`` of the run."""
    return min(1.0, max(0.0, (1 - progress) / decay))


def agreed(accelerator: Accelerator, wish: bool) -> bool:
    """Whether any of the processes wishes so; the same answer in all of them."""
    votes = accelerator.reduce(torch.tensor(float(wish), device=accelerator.device), "sum")
    return float(votes) > 0


def share_gradients(network: nn.Module, accelerator: Accelerator) -> None:
    """Average the gradients over processes; parameters that took no part (higher resolutions) stay without."""
    if accelerator.num_processes == 1:
        return
    grads = [p.grad for p in network.parameters() if p.grad is not None]
    flat = accelerator.reduce(torch.cat([g.flatten() for g in grads]), "mean")
    for g, part in zip(grads, flat.split([g.numel() for g in grads]), strict=True):
        g.copy_(part.view_as(g))


@torch.no_grad()
def follow(average: nn.Module, prior: nn.Module, keep: float) -> None:
    """Move the averaged weights towards the live ones: average = keep * average + (1 - keep) * live."""
    for a, p in zip(average.parameters(), prior.parameters(), strict=True):
        a.lerp_(p, 1 - keep)


def _save(
    recipe: Recipe,
    prior: Prior,
    average: Prior,
    optimizer: Muon,
    shown: int,
    step: int,
    row: dict[str, Any],
) -> None:
    recipe.out.mkdir(parents=True, exist_ok=True)
    with (recipe.out / "log.jsonl").open("a") as log:
        log.write(json.dumps(row) + "\n")
    state = {
        "prior": prior.state_dict(),
        "average": average.state_dict(),
        "shown": shown,
        "step": step,
        "optimizer": [optimizer.state[p] for g in optimizer.param_groups for p in g["params"]],
    }
    part = recipe.out / "state.part"
    torch.save(state, part)
    part.replace(recipe.out / "state.pt")


def _load_optimizer(optimizer: Muon, states: list[dict[str, Any]]) -> None:
    for p, state in zip((p for g in optimizer.param_groups for p in g["params"]), states, strict=True):
        optimizer.state[p].update({k: v.to(p.device) if isinstance(v, Tensor) else v for k, v in state.items()})


def main(argv: list[str] | None = None) -> None:
    """Teach the generator the renderer's pictures; several processes by ``accelerate launch -m ...``."""
    parser = argparse.ArgumentParser(prog="python -m inversion train generator", description=main.__doc__)
    for name, value in asdict(Recipe(Path(), Path())).items():
        required = name in ("faces", "out")
        parser.add_argument(
            f"--{name.replace('_', '-')}",
            type=type(value) if not required else Path,
            choices=CHOICES.get(name),
            required=required,
            default=None if required else value,
        )
    distil(Recipe(**vars(parser.parse_args(argv))))


if __name__ == "__main__":
    main()
