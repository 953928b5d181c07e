"""Fits directions for editing to what the predictor says of a generator's own pictures.

Per attribute two vectors of the space of styles come out. The *normal* of InterFaceGAN's boundary (Shen et al. 2020, a
linear SVM on the most confident codes) reads the attribute from a code. The *rows* write it: they are the regression
of codes on all attributes at once, how a code differs on average when one attribute does and the others do not. The
regression on one attribute alone takes along what readings confuse it with (old people's noses are read as narrower),
and the regression of the attribute on codes runs into directions that random codes never take.

What a direction is good for is measured on codes that are moved to the same places along it: the *reach* is where the
attribute rises for most of them, the *range* of the slider brings most random codes to its ends, but ends before
anybody turns into somebody else. Attributes that the predictor hardly reads get no slider, nor do those that move on
some faces only (how light hair is: grey hair stays) or take the others along.
"""

from __future__ import annotations

import argparse
import hashlib
import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor

from inversion.checkpoints import hub
from inversion.directions import MAX_STRENGTH, Direction, as_fitted, deviation_along, to_tensors
from inversion.editing.analysis import side_effects
from inversion.methods.codes import WPlus
from inversion.synthetic.faces import NAMES

if TYPE_CHECKING:
    from inversion.generators.base import Prior
    from inversion.model import Model
    from inversion.perception.predictor import Predictor

BATCH = 50
ENDS = 0.25  # of all samples, at each end of an attribute: the confident ones
PENALTY = 0.01  # of the SVM, on codes in units of their spread; 0.1 reads as well, 0.001 less
EXAMINED = 64  # codes on which ranges are measured
POSITIONS = 9  # places along a direction that each of them is moved to
REACHED = (0.01, 0.99)  # of random codes lie below the first and the last of them
FINE = 4  # stretches begin and end at this many parts of the way from one place to the next
LEAST = 0.1  # what an attribute must gain on the way of one deviation of codes, in its own deviations
SLACK = 0.05  # of what a stretch gains on average: a code that loses no more on it rises
MOST = 0.85  # of codes have to rise over a slider's reach
QUARTER = 0.25  # of what a slider moves its own attribute by the others may move, on average
LEGIBLE = 0.36  # least share of a factor's variance (1/3: uniform on (-1, 1)) that is read off pictures for a slider
SERVED = 0.9  # of random codes are to come to both ends of their reach
STRANGER = 0.95  # quantile of the identity scores of two different persons that an edit must stay above
MARGIN = 0.2  # by which it must, for the codes that were not examined
TICK = 0.05  # ranges end at multiples


class NoPredictor(hub.HubError):
    """The model has nothing that could say what its pictures show."""


@dataclass(frozen=True)
class Samples:
    """Random codes of a generator and what the predictor says of their pictures."""

    styles: Tensor  # (n, 1 or num_ws, w_dim)
    attributes: Tensor  # (n, K)
    identities: Tensor  # (n, D), unit length


@torch.no_grad()
def judged(model: Model, ws: Tensor) -> tuple[Tensor, Tensor]:
    """Attributes (B, K) and identity embeddings (B, D) of the pictures of styles (B, num_ws, w_dim)."""
    prior, predictor = _networks(model)
    return predictor.heads(prior.synthesis(ws).clamp(-1, 1))


@torch.no_grad()
def sampled(model: Model, count: int, seed: int) -> Samples:
    """`count` random codes with their scores; z come from the seed."""
    prior, _ = _networks(model)
    rng = torch.Generator().manual_seed(seed)
    parts: list[tuple[Tensor, Tensor, Tensor]] = []
    for start in range(0, count, BATCH):
        z = torch.randn(min(BATCH, count - start), prior.z_dim, generator=rng)
        ws = prior.mapping(z.to(prior.w_avg))
        parts.append((as_fitted(prior, ws).clone(), *judged(model, ws)))
    styles, attributes, identities = (torch.cat(part).cpu() for part in zip(*parts, strict=True))
    return Samples(styles, attributes, identities)


def boundary(styles: Tensor, scores: Tensor) -> Tensor:
    """Unit normal (R, w_dim) of the plane between styles (n, R, w_dim) with the highest and the lowest scores (n,)."""
    try:
        from sklearn.svm import LinearSVC
    except ImportError:
        raise hub.HubError("boundaries need scikit-learn: pip install scikit-learn") from None
    order, end = scores.argsort(), max(1, int(ENDS * len(scores)))
    chosen = torch.cat([order[:end], order[-end:]])
    flat = styles.flatten(1).double()
    spread = flat.std(dim=0).square().mean().sqrt()
    codes = ((flat[chosen] - flat.mean(dim=0)) / spread).numpy()
    labels = (torch.arange(2 * end) >= end).numpy()
    normal = torch.from_numpy(LinearSVC(C=PENALTY, dual=False).fit(codes, labels).coef_[0])
    return F.normalize(normal, dim=0).float().view(styles.shape[1:])


def regression(styles: Tensor, scores: Tensor) -> Tensor:
    """How styles (n, R, w_dim) change on average with each of the scores (n, K) while the others stay.

    Returns (K, R, w_dim), unit vectors: least squares of the styles on all scores at once.
    """
    centred = (scores - scores.mean(dim=0)).double()
    slopes = torch.linalg.lstsq(centred, (styles - styles.mean(dim=0)).flatten(1).double()).solution
    return F.normalize(slopes, dim=1).float().view(-1, *styles.shape[1:])


def fitted(model: Model, samples: Samples) -> Iterator[Direction]:
    """One direction per attribute that can be edited, with the range over which it can."""
    persons = samples.identities[:500]
    strangers = float(torch.pdist(persons).square().mul(-0.5).add(1).quantile(STRANGER))  # cosines of unit vectors
    legible = (3 * samples.attributes.var(dim=0) >= LEGIBLE).nonzero()[:, 0].tolist()
    for k, rows in zip(legible, regression(samples.styles, samples.attributes[:, legible]), strict=True):
        name, scores = NAMES[k], samples.attributes[:, k]
        deviation = deviation_along(samples.styles, rows)
        at = ((samples.styles - samples.styles.mean(dim=0)) * rows).sum(dim=(1, 2)) / deviation
        direction = Direction(name, name, "attributes", rows, deviation, normal=boundary(samples.styles, scores))
        swept = sweep(model, direction, samples, at)
        spreads = samples.attributes.std(dim=0)
        reach = rising(swept.places, swept.values[:, :, k], float(spreads[k]))
        if reach is not None and steady(swept, reach, k, spreads):
            low, high = usable_range(swept, at, reach, strangers + MARGIN)
            if low < 0 < high:
                yield replace(direction, low=low, high=high, reach=reach)


@dataclass(frozen=True)
class Sweep:
    """The first codes of some samples, moved along a direction to the same places, in deviations from the mean."""

    places: Tensor  # (P,) from low to high
    strengths: Tensor  # (P, n) what brings the codes there
    values: Tensor  # (P, n, K) attributes
    identity: Tensor  # (P, n) scores against the pictures without an edit


@torch.no_grad()
def sweep(model: Model, direction: Direction, samples: Samples, at: Tensor) -> Sweep:
    """What the predictor says along a direction; at (samples,): where they lie along it."""
    prior, _ = _networks(model)
    first, last = (float(at.quantile(share)) for share in REACHED)
    places = torch.linspace(first, last, POSITIONS)
    codes = WPlus(samples.styles[:EXAMINED].expand(-1, prior.num_ws, -1).to(prior.w_avg))
    strengths = places[:, None] - at[:EXAMINED]
    values, identity = [], []
    for row in strengths:
        moved = codes.shifted(prior, row.to(prior.w_avg)[:, None, None] * direction.step())
        attributes, persons = judged(model, moved.ws(prior))
        values.append(attributes.cpu().clamp(-1, 1))  # factors end there: beyond, readings say nothing
        identity.append((persons.cpu() * samples.identities[:EXAMINED]).sum(dim=1))
    return Sweep(places, strengths, torch.stack(values), torch.stack(identity))


def rising(places: Tensor, values: Tensor, spread: float) -> tuple[float, float] | None:
    """The stretch of places (P,) on which an attribute's values (P, n) rise; None where there is none.

    On all of it the mean gains LEAST of the spread, the attribute's deviation over random codes. Of such stretches the
    best has the largest gain times the square of the share of codes that rise: a longer one is no better for what most
    codes no longer show, or show the wrong way.
    """
    places, values = _fine(places, values)
    enough = values.mean(dim=1).diff() >= LEAST * spread * places.diff()
    best, found = 0.0, None
    for first in range(len(places)):
        for last in range(first + 1, len(places)):
            if not enough[last - 1]:
                break
            path = values[first : last + 1]
            worth = float((path[-1] - path[0]).mean()) * _share_that_rises(path) ** 2
            if worth > best:
                best, found = worth, (float(places[first]), float(places[last]))
    return found


def steady(swept: Sweep, reach: tuple[float, float], k: int, spreads: Tensor) -> bool:
    """Whether attribute k rises over its reach for MOST codes, and the others move by less than QUARTER of it.

    spreads (K,): deviations of the attributes over random codes, in which the moves are counted.
    """
    places, values = _fine(swept.places, swept.values)
    path = values[(places >= reach[0] - 1e-6) & (places <= reach[1] + 1e-6)]  # (p, n, K)
    wanted, others = side_effects(path[0] / spreads, path[-1] / spreads, k)
    return _share_that_rises(path[:, :, k]) >= MOST and float(others.mean() / wanted.mean()) < QUARTER


def _fine(places: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    """Places (P,) and values (P, ...) with FINE steps from each to the next, along straight lines."""
    fine = torch.linspace(0, len(places) - 1, FINE * (len(places) - 1) + 1)
    before = fine.long().clamp_max(len(places) - 2)
    t = fine - before
    places = torch.lerp(places[before], places[before + 1], t)
    return places, torch.lerp(values[before], values[before + 1], t.view(-1, *[1] * (values.ndim - 1)))


def _share_that_rises(path: Tensor) -> float:
    """The share of codes whose values (P, n) never fall by more than SLACK of the mean gain."""
    fall = (path.cummax(dim=0).values - path).max(dim=0).values
    return float((fall <= SLACK * (path[-1] - path[0]).mean()).float().mean())


def usable_range(swept: Sweep, at: Tensor, reach: tuple[float, float], same: float) -> tuple[float, float]:
    """The strengths (low, high) that bring codes to the ends of their reach and make nobody somebody else.

    at (samples,): where random codes lie; same: the identity score that every code examined must stay above.
    """
    ends = []
    for sign, end in ((-1, reach[0]), (1, reach[1])):
        wanted = sign * (end - float(at.quantile(SERVED if sign < 0 else 1 - SERVED)))
        safe = min(_crossing(s, c, same) for s, c in zip(sign * swept.strengths.t(), swept.identity.t(), strict=True))
        ends.append(sign * math.floor(min(wanted, safe, MAX_STRENGTH) / TICK + 1e-3) * TICK)
    return ends[0], ends[1]


def _crossing(strengths: Tensor, scores: Tensor, same: float) -> float:
    """The first positive strength at which a code's identity scores (P,) fall to `same`; infinite if they do not."""
    points = sorted((s, c) for s, c in zip(strengths.tolist(), scores.tolist(), strict=True) if s > 0)
    before, score = 0.0, 1.0
    for strength, after in points:
        if after <= same:
            return before + (strength - before) * (score - same) / (score - after)
        before, score = strength, after
    return math.inf


def _networks(model: Model) -> tuple[Prior, Predictor]:
    if model.prior is None or model.predictor is None:
        raise NoPredictor(f"{model.name} has no predictor of attributes: directions cannot be fitted to its pictures")
    return model.prior, model.predictor


def main(argv: Sequence[str] | None = None) -> None:
    """Fit directions for editing to what the predictor says of a generator's own pictures."""
    parser = argparse.ArgumentParser(prog="python -m inversion train directions", description=main.__doc__)
    parser.add_argument("--model", default=hub.DEFAULT, help="a generator whose domain has a predictor")
    parser.add_argument("--count", type=int, default=8000, help="random codes to fit to")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="a .safetensors file")
    args = parser.parse_args(argv)
    if args.count < 100:
        parser.error("--count: a hundred codes at least")
    try:
        model = hub.load(args.model)
        directions = []
        for direction in fitted(model, sampled(model, args.count, args.seed)):
            directions.append(direction)
            sys.stdout.write(f"{direction.name:<22}{direction.low:6.2f} to {direction.high:5.2f}\n")
            sys.stdout.flush()
    except hub.HubError as error:
        parser.error(str(error))
    save_file(to_tensors(directions), str(args.out))
    data = args.out.read_bytes()
    sys.stdout.write(f"{args.out.name} bytes {len(data)} sha256 {hashlib.sha256(data).hexdigest()}\n")


if __name__ == "__main__":
    main()
