"""Trains a finished generator on factors that it neglects.

Regression counts pixels: a factor that changes few of them (the width of a nose, a blush) changes neither the codes nor
the pictures. Two stages correct that. All other codes stay, so that encoders stay valid:

1. The mapping learns a new axis of W for each of these factors, among the axes along which its codes hardly vary.
2. The synthesis learns from pairs of renders whose codes differ in one coordinate: the difference of its two pictures
   must be that of the renders, in units of its own energy, so that a nose counts as much as a turning head.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from inversion.checkpoints import hub
from inversion.common.devices import fast_dtype
from inversion.generators import Prior, StyleGAN2
from inversion.generators.statistics import principal_axes
from inversion.synthetic import DOMAINS, Domain
from inversion.training.generator import GeneratorScore, distance
from inversion.training.loop import Clock, Processes, State, Trainer, decay_factor, ramp_factor, run
from inversion.training.muon import Muon
from inversion.training.options import NeglectedOptions, TrainingError

CODES = 1024  # codes in a step of the mapping
VARIANCE_FLOOR = 1e-5  # smallest variance of an axis that is used as a unit, as part of W's variance
MIN_OFFSET = 0.4  # smallest distance of the two codes of a pair from the middle, in deviations
DIFFERENCE_FLOOR = 0.02  # a pixel counts as different from this part of the largest energy of a difference on
WINDOW = 5  # pixels over which energy is gathered
FAINT_ENERGY = 0.3  # energy of a hardly visible difference, over pixels and colours: half that of a nose's width
HELD_OUT_PAIRS = 32  # for each factor
BATCH = 16  # held-out pairs that are drawn at a time


class FactorTargets:
    """Targets of both stages: pictures and codes. neglected: columns of the neglected factors of the domain."""

    def __init__(self, before: Prior, domain: Domain, neglected: list[int]) -> None:
        self.before, self.domain, self.neglected = before, domain, neglected
        axes, variance = principal_axes(before)
        scale = (3 * variance.mean()).sqrt()  # a uniform factor gets the mean variance of an axis
        self.axes, self.added = axes, axes[:, : len(neglected)] * scale
        self.units = (variance + VARIANCE_FLOOR * variance.sum()).rsqrt()
        self.units[: len(neglected)] = variance.mean().rsqrt()
        self.labels = domain.detail_labels()

    def codes(self, z: Tensor) -> Tensor:
        """Target styles (B, w_dim) of z (B, z_dim): the former ones plus the neglected factors on their axes."""
        with torch.no_grad():
            return self.before.mapping(z)[:, 0] + self.domain.factors(z)[:, self.neglected] @ self.added.t()

    def code_errors(self, prior: Prior, z: Tensor) -> Tensor:
        """Squared error (w_dim,) of the styles of z (B, z_dim) along each axis, in units of its variance."""
        return (((prior.mapping(z)[:, 0] - self.codes(z)) @ self.axes) * self.units).square().mean(dim=0)

    def pictures(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Renders (B, 3, R, R) of z (B, z_dim) and their planes of detail (B, 1, R, R) in [0, 1]."""
        drawn = self.domain.render(self.domain.factors(z), self.before.resolution, labels=self.labels)
        return drawn.picture, drawn.labels

    def columns(self, n: int, rng: torch.Generator) -> Tensor:
        """Coordinates (n,) in which pairs differ: on average half of them neglected factors, half of them any."""
        neglected = torch.tensor(self.neglected)[torch.randint(0, len(self.neglected), (n,), generator=rng)]
        any_factor = torch.randint(0, len(self.domain.names), (n,), generator=rng)
        return torch.where(torch.rand(n, generator=rng) < 0.5, neglected, any_factor)


def opposite_pairs(z: Tensor, columns: Tensor) -> Tensor:
    """Pairs (2B, z_dim), rows i and B + i, of codes z (B, z_dim) with opposite signs in one coordinate, columns (B,).

    Both lie equally far from zero, so that normalising leaves the other coordinates equal.
    """
    rows = torch.arange(len(z))
    one, other = z.clone(), z.clone()
    one[rows, columns] = z[rows, columns].abs() + MIN_OFFSET
    other[rows, columns] = -one[rows, columns]
    return torch.cat([one, other])


def missing_share(made: Tensor, truth: Tensor) -> Tensor:
    """Share (B,) of the true pairs' differences that the made pairs lack, where the true pictures differ.

    made and truth: (2B, 3, R, R); rows i and B + i are a pair.
    """
    (a, b), (c, d) = made.chunk(2), truth.chunk(2)
    difference = c - d
    energy = F.avg_pool2d(difference.square().sum(dim=1, keepdim=True), WINDOW, 1, WINDOW // 2)
    where = (energy > DIFFERENCE_FLOOR * energy.amax(dim=(1, 2, 3), keepdim=True)).float()
    missing = (where * (a - b - difference).square()).sum(dim=(1, 2, 3))
    return missing / ((where * difference.square()).sum(dim=(1, 2, 3)) + FAINT_ENERGY)


class NeglectedTraining:
    """The generator in training and its two stages. `train export` reads the checkpoint.

    Raises TrainingError if the model has no StyleGAN2 of an embedded domain, or the domain lacks a factor.
    """

    def __init__(self, options: NeglectedOptions) -> None:
        model = hub.load(options.model)
        before, domain = model.prior, DOMAINS.get(model.domain)
        if not isinstance(before, StyleGAN2) or domain is None:
            raise TrainingError(f"{options.model}: choose a model with a StyleGAN2 of {' or '.join(DOMAINS)}.")
        self.options, self.names = options, options.factors.split(",")
        unknown = [name for name in self.names if name not in domain.names]
        if unknown:
            known = ", ".join(domain.names)
            raise TrainingError(f"{model.domain} has no factor {', '.join(unknown)}: choose from {known}.")
        self.targets = FactorTargets(before, domain, [domain.names.index(name) for name in self.names])
        self.score = GeneratorScore(before.resolution, before.w_avg.device, domain=model.domain)
        self.prior = before.clone().requires_grad_(True)
        self.prior.compute_dtype = fast_dtype(before.w_avg.device)
        synthesis = [p for name, p in self.prior.named_parameters() if not name.startswith("dense.")]
        optimizers = Muon(self.prior.dense.parameters(), lr=options.lr), Muon(synthesis, lr=options.lr)
        self.stages = {
            "mapping": Stage(self, self.mapping_loss, optimizers[0], options.mapping_steps, every=1000),
            "synthesis": Stage(self, self.synthesis_loss, optimizers[1], options.steps, every=250),
        }
        self.stages["mapping"].resume(options.out)

    @property
    def done(self) -> dict[str, int]:
        """Steps of both stages so far."""
        return {name: stage.steps for name, stage in self.stages.items()}

    def mapping_loss(self, rng: torch.Generator) -> Tensor:
        """Loss of the mapping, a scalar of at least 0: the errors of its styles."""
        return self.targets.code_errors(self.prior, torch.randn(CODES, self.prior.z_dim, generator=rng)).sum()

    def synthesis_loss(self, rng: torch.Generator) -> Tensor:
        """Loss of the synthesis, a scalar: the distance of the pictures, and the missing share of their differences."""
        z = torch.randn(self.options.pairs, self.prior.z_dim, generator=rng)
        z = opposite_pairs(z, self.targets.columns(len(z), rng))
        truth, detail = self.targets.pictures(z)
        with torch.no_grad():
            ws = self.prior.mapping(z)
        made = self.prior.synthesis(ws)
        pictures = distance(made, truth, 1 + self.options.detail * detail)
        return pictures + self.options.difference * missing_share(made, truth).mean()

    @torch.no_grad()
    def examine(self) -> dict[str, float]:
        """Held-out figures: of pictures, of styles, and the missing share of every neglected factor."""
        rng = torch.Generator().manual_seed(0)
        z = torch.randn(4 * CODES, self.prior.z_dim, generator=rng)
        errors, added = self.targets.code_errors(self.prior, z), len(self.names)
        row = self.score(self.prior, self.prior.resolution)
        row |= {"added_axes": float(errors[:added].mean()), "other_axes": float(errors[added:].sum())}
        for name, column in zip(self.names, self.targets.neglected, strict=True):
            shares = []
            for part in z[:HELD_OUT_PAIRS].split(BATCH):
                both = opposite_pairs(part, torch.full((len(part),), column))
                shares.append(missing_share(self.prior(both), self.targets.pictures(both)[0]))
            row[name] = float(torch.cat(shares).mean())
        return row

    def state(self) -> State:
        """The generator, both optimisers and the steps."""
        optimizers = {name: stage.optimizer.state_dict() for name, stage in self.stages.items()}
        return {"average": self.prior.state_dict(), "done": self.done, **optimizers}

    def load(self, state: State) -> None:
        """Resume both stages. Raises KeyError or RuntimeError for a checkpoint of another generator."""
        self.prior.load_state_dict(state["average"])
        for name, stage in self.stages.items():
            stage.optimizer.load_state_dict(state[name])
            stage.steps = state["done"][name]


class Stage(Trainer):
    """One of the two stages: `length` steps on a loss, with a learning rate that falls to 0."""

    averages = True

    def __init__(
        self,
        training: NeglectedTraining,
        loss: Callable[[torch.Generator], Tensor],
        optimizer: Muon,
        length: int,
        every: int,
    ) -> None:
        self.training, self.loss, self.optimizer, self.length, self.every = training, loss, optimizer, length, every

    @property
    def finished(self) -> bool:
        """Whether all steps are done."""
        return self.steps >= self.length

    def step(self, rng: torch.Generator) -> dict[str, float]:
        """One update on a random batch."""
        o = self.training.options
        for group in self.optimizer.param_groups:
            group["lr"] = o.lr * ramp_factor(self.steps, 50) * decay_factor(self.steps / self.length, o.decay)
        value = self.loss(rng)
        self.optimizer.zero_grad()
        value.backward()
        self.optimizer.step()
        self.steps += 1
        return {"loss": float(value.detach())}

    def progress(self) -> dict[str, float]:
        """Steps of both stages."""
        return {**self.training.done}

    def examine(self) -> dict[str, float]:
        """Held-out figures."""
        return self.training.examine()

    def state(self) -> State:
        """The state of both stages."""
        return self.training.state()

    def load(self, state: State) -> None:
        """Resume both stages."""
        self.training.load(state)


def main(options: NeglectedOptions) -> None:
    """Train, or resume the run. Raises TrainingError or HubError."""
    torch.manual_seed(options.seed)
    training, clock = NeglectedTraining(options), Clock(options.minutes)
    for stage in training.stages.values():
        run(stage, options, Processes(), clock)
        if not stage.finished:
            return
