"""Figures that analyses share: closeness, plausibility, effect of edits, movement of random samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch

from inversion import metrics
from inversion.model import prior_of
from inversion.synthetic import DOMAINS

if TYPE_CHECKING:
    from torch import Tensor

    from inversion.generators.base import Prior
    from inversion.methods.codes import Code
    from inversion.model import Model

SAMPLES = 32  # random pictures that a result is compared with
EDITS = 6  # directions whose effect is measured
STRENGTH = 1.0  # of an edit, in deviations of random codes


def psnr(a: Tensor, b: Tensor) -> float:
    """PSNR in dB of pictures (1, 3, R, R)."""
    return metrics.psnr(a, b)[0]


def samples(prior: Prior, count: int, seed: int = 0) -> Tensor:
    """Styles (count, num_ws, w_dim) of random codes."""
    z = torch.randn(count, prior.z_dim, generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        return prior.mapping(z.to(prior.w_avg.device))


class Plausibility:
    """How plausible pictures look to the model's discriminator, in per cent of random samples that look no better."""

    def __init__(self, model: Model) -> None:
        if model.discriminator is None:
            raise ValueError("the model has no discriminator")
        self._discriminator, prior = model.discriminator, prior_of(model)
        with torch.no_grad():
            self._random = self._scores(prior.synthesis(samples(prior, SAMPLES)))

    def __call__(self, pictures: Tensor) -> list[float]:
        """The percentage for each picture (B, 3, R, R)."""
        with torch.no_grad():
            found = self._scores(pictures)
        return [100 * (self._random <= score).float().mean().item() for score in found]

    def scores(self, pictures: Tensor) -> list[float]:
        """Scores (B,) in deviations of random samples from their mean: 0 is as real as an average sample."""
        with torch.no_grad():
            found = self._scores(pictures)
        return ((found - self._random.mean()) / self._random.std().clamp_min(1e-6)).tolist()

    def _scores(self, pictures: Tensor) -> Tensor:
        return self._discriminator(pictures.clamp(-1, 1)).flatten()


class Effect(NamedTuple):
    """Mean changes by edits, in units of each attribute's spread over random samples."""

    wanted: float  # of the attribute that an edit is for
    others: float  # of all other attributes

    @property
    def leak(self) -> float | None:
        """Change of the other attributes for each unit of the wanted change; None if nothing wanted happens."""
        return self.others / self.wanted if self.wanted > 1e-3 else None


class Edits:
    """The effect of the directions that the tables of the domain show, or of the first ones. Needs a predictor."""

    def __init__(self, model: Model) -> None:
        if model.predictor is None or not model.directions:
            raise ValueError("the model has no predictor or no directions")
        self._model, self._predictor, prior = model, model.predictor, prior_of(model)
        domain = DOMAINS.get(model.domain)
        headline = [] if domain is None else [name for name in domain.headline if name in model.directions]
        known = [name for name in model.directions if name in model.predictor.names]
        self.names: Sequence[str] = headline or known[:EDITS]
        with torch.no_grad():
            self._spread = self._predictor.heads(prior.synthesis(samples(prior, SAMPLES)).clamp(-1, 1))[0].std(dim=0)

    def edited(self, code: Code, name: str, strength: float = STRENGTH, prior: Prior | None = None) -> Tensor:
        """The picture (1, 3, R, R) of a code that is moved along a direction, as a generator renders it."""
        used = prior or prior_of(self._model)
        with torch.no_grad():
            return code.shifted(used, strength * self._model.directions[name].step()).render(used)

    def effect(self, code: Code, prior: Prior | None = None) -> Effect:
        """The mean effect of every edit in both directions. prior: a tuned generator."""
        used = prior or prior_of(self._model)
        wanted, others = 0.0, 0.0
        with torch.no_grad():
            before = self._read(code.render(used))
            for name in self.names:
                own = self._predictor.names.index(name)
                for sign in (-1.0, 1.0):
                    change = (self._read(self.edited(code, name, sign * STRENGTH, used)) - before) / self._spread
                    wanted += sign * change[own].item()
                    others += (change.abs().sum() - change[own].abs()).item() / max(1, len(change) - 1)
        count = 2 * len(self.names)
        return Effect(wanted / count, others / count)

    def _read(self, picture: Tensor) -> Tensor:
        return self._predictor.heads(picture.clamp(-1, 1))[0][0]


def edits_of(model: Model) -> Edits | None:
    """The edits of a model, None if it has no predictor or no directions."""
    return Edits(model) if model.predictor is not None and model.directions else None


class Movement:
    """How far the pictures of random codes have moved from those of the untouched generator."""

    def __init__(self, prior: Prior, count: int = 16) -> None:
        self._styles = samples(prior, count)
        with torch.no_grad():
            self.before = prior.synthesis(self._styles).clamp(-1, 1)

    def after(self, prior: Prior) -> Tensor:
        """The same codes on a tuned generator, (count, 3, R, R)."""
        with torch.no_grad():
            return prior.synthesis(self._styles).clamp(-1, 1)

    def __call__(self, prior: Prior) -> float:
        """Mean over the samples of the root mean squared change, in 8-bit units."""
        change = (self.after(prior) - self.before).square().flatten(1).mean(dim=1).sqrt()
        return 127.5 * change.mean().item()


def figures(values: Mapping[str, float | None], digits: int = 2) -> str:
    """Figures in one line, as `31.20 dB, 4.1 s`; the keys are units, and missing values are left out."""
    return ", ".join(f"{value:.{digits}f} {unit}".strip() for unit, value in values.items() if value is not None)
