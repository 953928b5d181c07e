"""Teaches a finished generator the factors that it overlooked.

Regression counts pixels: a factor that shows in few of them (the width of a nose, a blush) moves neither the codes nor
the pictures. Two stages mend that and leave all other codes where they are, so that encoders stay right:

1. The mapping learns one axis of W more for each of these factors, out of those along which its codes hardly vary.
2. The synthesis learns from pairs of renders whose codes differ in one coordinate. The difference of its two pictures
   is to be that of the renders, in units of its own energy: here a nose counts as much as a head that turns.

Both are resumable: the run folder holds the state and a JSON-lines log.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from inversion.checkpoints import hub
from inversion.generators import Prior, StyleGAN2
from inversion.generators.statistics import principal_axes
from inversion.synthetic import DOMAINS, Domain
from inversion.training.generator import Judge, distance, rate
from inversion.training.muon import Muon

CODES = 1024  # in a step of the mapping
FLOOR = 1e-5  # of W's variance: axes with less count as if they had as much
APART = 0.4  # deviations that the two codes of a pair lie from the middle, at least
REMAINS = 0.02  # of a difference's largest energy: with less than this, two pictures do not differ there
AROUND = 5  # pixels over which energy is gathered
FAINT = 0.3  # energy (over pixels and colours) of a difference that hardly shows: half of what a nose's width makes
EXAMINED = 32  # held-out pairs of each factor
BATCH = 16  # of them at once


@dataclass(frozen=True)
class Recipe:
    """What a run is made with."""

    out: Path
    model: str = hub.DEFAULT  # whose generator goes on learning
    factors: str = "nose_width,blush"
    mapping_steps: int = 16_000
    steps: int = 3000  # of the synthesis
    pairs: int = 8  # in each of them
    lr: float = 1e-3
    decay: float = 0.8  # last part of both stages, over which the rate falls to zero
    difference: float = 0.02  # weight of what is unexplained of a pair's difference
    detail: float = 4.0  # extra weight of eyes, brows, nose, mouth and glasses
    seed: int = 0
    minutes: float = 600.0  # stop (and save) after this time


class Lesson:
    """What the generator is to learn: pictures and codes of a domain, of which some factors were overlooked."""

    def __init__(self, before: Prior, domain: Domain, wanted: list[int]) -> None:
        self.before, self.domain, self.wanted = before, domain, wanted
        axes, variance = principal_axes(before)
        scale = (3 * variance.mean()).sqrt()  # a uniform factor gets the variance that an axis has on average
        self.axes, self.added = axes, axes[:, : len(wanted)] * scale
        self.units = (variance + FLOOR * variance.sum()).rsqrt()
        self.units[: len(wanted)] = variance.mean().rsqrt()
        self.labels = domain.detail_labels()

    def codes(self, z: Tensor) -> Tensor:
        """Styles (B, w_dim) that codes z (B, z_dim) are to have: the former ones, and the overlooked factors'."""
        with torch.no_grad():
            return self.before.mapping(z)[:, 0] + self.domain.factors(z)[:, self.wanted] @ self.added.t()

    def missed(self, prior: Prior, z: Tensor) -> Tensor:
        """Squared error of the styles of z (B, z_dim) along each axis, in units of its variance: (w_dim,)."""
        return (((prior.mapping(z)[:, 0] - self.codes(z)) @ self.axes) * self.units).square().mean(dim=0)

    def pictures(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Renders (B, 3, R, R) of codes, and where they have small things (B, 1, R, R)."""
        drawn = self.domain.render(self.domain.factors(z), self.before.resolution, labels=self.labels)
        return drawn.picture, drawn.labels

    def columns(self, n: int, rng: torch.Generator) -> Tensor:
        """Coordinates (n,) that pairs are to differ in: every other time one of the overlooked."""
        overlooked = torch.tensor(self.wanted)[torch.randint(0, len(self.wanted), (n,), generator=rng)]
        anyone = torch.randint(0, len(self.domain.names), (n,), generator=rng)
        return torch.where(torch.rand(n, generator=rng) < 0.5, overlooked, anyone)


def opposites(z: Tensor, columns: Tensor) -> Tensor:
    """Pairs (2B, z_dim), rows i and B + i, of codes z (B, z_dim): one coordinate, columns (B,), on either side of zero.

    Both are equally far from zero, so that normalising leaves the other coordinates equal.
    """
    rows = torch.arange(len(z))
    one, other = z.clone(), z.clone()
    one[rows, columns] = z[rows, columns].abs() + APART
    other[rows, columns] = -one[rows, columns]
    return torch.cat([one, other])


def unexplained(made: Tensor, truth: Tensor) -> Tensor:
    """Share (B,) of the differences of pairs that pictures lack: rows i and B + i of (2B, 3, R, R) are one.

    Counted where the true pictures differ.
    """
    (a, b), (c, d) = made.chunk(2), truth.chunk(2)
    difference = c - d
    energy = F.avg_pool2d(difference.square().sum(dim=1, keepdim=True), AROUND, 1, AROUND // 2)
    where = (energy > REMAINS * energy.amax(dim=(1, 2, 3), keepdim=True)).float()
    left = (where * (a - b - difference).square()).sum(dim=(1, 2, 3))
    return left / ((where * difference.square()).sum(dim=(1, 2, 3)) + FAINT)


class Run:
    """The generator that learns, and how far it has come."""

    def __init__(self, recipe: Recipe) -> None:
        model = hub.load(recipe.model)
        before, domain = model.prior, DOMAINS.get(model.domain)
        if not isinstance(before, StyleGAN2) or domain is None:
            raise SystemExit(f"{recipe.model}: only a StyleGAN2 of {' or '.join(DOMAINS)} can go on learning")
        names = recipe.factors.split(",")
        unknown = [name for name in names if name not in domain.names]
        if unknown:
            raise SystemExit(f"{model.domain} has no factor {', '.join(unknown)}: choose of {', '.join(domain.names)}")
        self.recipe, self.names = recipe, names
        self.lesson = Lesson(before, domain, [domain.names.index(name) for name in names])
        self.judge = Judge(before.resolution, before.w_avg.device, domain=model.domain)
        self.prior = before.clone().requires_grad_(True)
        self.prior.compute_dtype = torch.bfloat16
        synthesis = [p for name, p in self.prior.named_parameters() if not name.startswith("dense.")]
        self.optimizers = {
            "mapping": Muon(self.prior.dense.parameters(), lr=recipe.lr),
            "synthesis": Muon(synthesis, lr=recipe.lr),
        }
        self.done = dict.fromkeys(self.optimizers, 0)
        self.path, self.started = recipe.out / "state.pt", time.monotonic()
        if self.path.exists():
            state = torch.load(self.path, weights_only=True)
            self.prior.load_state_dict(state["average"])
            for name, optimizer in self.optimizers.items():
                optimizer.load_state_dict(state[name])
            self.done = state["done"]

    def learn(self, stage: str, steps: int, every: int, loss: Callable[[torch.Generator], Tensor]) -> None:
        """Take a stage to so many steps, with the rate falling to zero; stops early when the time is over."""
        optimizer, rng = self.optimizers[stage], torch.Generator().manual_seed(self.recipe.seed + self.done[stage])
        losses: list[float] = []
        while self.done[stage] < steps:
            step = self.done[stage]
            for group in optimizer.param_groups:
                group["lr"] = self.recipe.lr * min(1.0, (step + 1) / 50) * rate(step / steps, self.recipe.decay)
            value = loss(rng)
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
            losses.append(float(value.detach()))
            self.done[stage] = step + 1
            late = time.monotonic() - self.started > self.recipe.minutes * 60
            if (step + 1) % every == 0 or step + 1 == steps or late:
                self.save(sum(losses) / len(losses))
                losses = []
            if late:
                return

    def of_codes(self, rng: torch.Generator) -> Tensor:
        """Loss of the mapping."""
        return self.lesson.missed(self.prior, torch.randn(CODES, self.prior.z_dim, generator=rng)).sum()

    def of_pairs(self, rng: torch.Generator) -> Tensor:
        """Loss of the synthesis: the pictures, and what is unexplained of their differences."""
        z = torch.randn(self.recipe.pairs, self.prior.z_dim, generator=rng)
        z = opposites(z, self.lesson.columns(len(z), rng))
        truth, detail = self.lesson.pictures(z)
        with torch.no_grad():
            ws = self.prior.mapping(z)
        made = self.prior.synthesis(ws)
        pictures = distance(made, truth, 1 + self.recipe.detail * detail)
        return pictures + self.recipe.difference * unexplained(made, truth).mean()

    @torch.no_grad()
    def examine(self) -> dict[str, float]:
        """Held-out figures: of pictures, of styles, and what is unexplained of every overlooked factor."""
        rng = torch.Generator().manual_seed(0)
        z = torch.randn(4 * CODES, self.prior.z_dim, generator=rng)
        missed, added = self.lesson.missed(self.prior, z), len(self.names)
        row = self.judge(self.prior, self.prior.resolution)
        row |= {"added_axes": float(missed[:added].mean()), "other_axes": float(missed[added:].sum())}
        for name, column in zip(self.names, self.lesson.wanted, strict=True):
            shares = []
            for part in z[:EXAMINED].split(BATCH):
                both = opposites(part, torch.full((len(part),), column))
                shares.append(unexplained(self.prior(both), self.lesson.pictures(both)[0]))
            row[name] = float(torch.cat(shares).mean())
        return row

    def save(self, loss: float) -> None:
        """Write the state, with the weights where `train export` looks for them, and a line of the log."""
        self.recipe.out.mkdir(parents=True, exist_ok=True)
        row = {**self.done, "loss": loss, "wall_s": time.monotonic() - self.started, **self.examine()}
        with (self.recipe.out / "log.jsonl").open("a") as log:
            log.write(json.dumps(row) + "\n")
        state = {name: optimizer.state_dict() for name, optimizer in self.optimizers.items()}
        part = self.recipe.out / "state.part"
        torch.save({"average": self.prior.state_dict(), "done": self.done, **state}, part)
        part.replace(self.path)


def teach(recipe: Recipe) -> None:
    """Run or resume both stages; writes ``state.pt`` and ``log.jsonl`` in ``recipe.out``."""
    torch.manual_seed(recipe.seed)
    run = Run(recipe)
    run.learn("mapping", recipe.mapping_steps, 1000, run.of_codes)
    if run.done["mapping"] == recipe.mapping_steps:
        run.learn("synthesis", recipe.steps, 250, run.of_pairs)


def main(argv: list[str] | None = None) -> None:
    """Teach a generator the factors that it overlooked; `train export` writes what the run reached."""
    parser = argparse.ArgumentParser(prog="python -m inversion train overlooked", description=main.__doc__)
    parser.add_argument("--out", type=Path, required=True)
    for name, value in asdict(Recipe(Path())).items():
        if name != "out":
            parser.add_argument(f"--{name.replace('_', '-')}", type=type(value), default=value)
    teach(Recipe(**vars(parser.parse_args(argv))))


if __name__ == "__main__":
    main()
