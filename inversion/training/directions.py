"""Fits editing directions to the predictor's readings of a generator's own pictures.

Each attribute gets two vectors of the space of styles. The *normal* of InterFaceGAN's boundary (Shen et al. 2020, a
linear SVM on the most confident codes) reads the attribute from a code. The *rows* write it: the regression of codes on
all attributes at once, that is, how codes differ on average if one attribute differs and the others do not. A
regression on one attribute alone would include errors of the readings (old people's noses are read as narrower). The
regression of the attribute on codes gives directions in which random codes do not vary.

Codes moved to the same places along a direction measure its use. Its *reach* is where the attribute rises for most
codes. The *range* of its slider brings most random codes to both ends of the reach, but ends before the identity
changes. A slider follows steps that depend on the code (`AttributeMap`) where these spare the other attributes. An
attribute gets no slider if the predictor hardly reads it, if it moves on some faces only (hair lightness:
grey hair stays), or if it changes the other attributes.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional as F

from inversion.checkpoints import hub
from inversion.directions import MAX_STRENGTH, Bend, Direction, deviation_along, to_tensors
from inversion.editing.analysis import side_effects
from inversion.methods.codes import WPlus
from inversion.training.bends import bent_or_straight, map_of, slope_of
from inversion.training.export import file_line
from inversion.training.models import networks_of
from inversion.training.options import DirectionsOptions, TrainingError
from inversion.training.readings import Samples, draw_samples, read_pictures

if TYPE_CHECKING:
    from inversion.model import Model

CONFIDENT_SHARE = 0.25  # fraction of the samples, at each end of an attribute, that its SVM is trained on
SVM_PENALTY = 0.01  # for codes in units of their spread; 0.1 is as accurate, 0.001 is less accurate
SWEPT_CODES = 64  # codes on which ranges are measured
POSITIONS = 9  # places along a direction to which each of these codes is moved
SWEEP_QUANTILES = (0.01, 0.99)  # of random codes: the first and the last place
SUBDIVISIONS = 4  # steps between two places at which stretches may begin and end
MIN_GAIN = 0.1  # of an attribute, in its deviations, for a move by one deviation of codes
FALL_TOLERANCE = 0.05  # part of a stretch's mean gain by which a rising code may fall
MIN_RISING_SHARE = 0.85  # fraction of codes that rise over a slider's reach
MAX_SIDE_EFFECT = 0.25  # mean change of the other attributes, relative to that of the slider's own
MIN_READABLE = 0.36  # fraction of a factor's variance (1/3: uniform on (-1, 1)) that the readings of pictures show
SERVED_SHARE = 0.9  # fraction of random codes that the range brings to both ends of the reach
STRANGER_QUANTILE = 0.95  # of the identity scores of two different persons: an edited picture must score higher
IDENTITY_MARGIN = 0.2  # added to that score, for codes outside the sweep
RANGE_STEP = 0.05  # ranges end at multiples of it


def boundary(styles: Tensor, scores: Tensor) -> Tensor:
    """Unit normal (R, w_dim) of the plane between styles (n, R, w_dim) with the highest and the lowest scores (n,).

    Raises TrainingError without scikit-learn.
    """
    try:
        from sklearn.svm import LinearSVC
    except ImportError:
        raise TrainingError("Boundaries need scikit-learn. Install it with `pip install scikit-learn`.") from None
    order, end = scores.argsort(), max(1, int(CONFIDENT_SHARE * len(scores)))
    chosen = torch.cat([order[:end], order[-end:]])
    flat = styles.flatten(1).double()
    spread = flat.std(dim=0).square().mean().sqrt()
    codes = ((flat[chosen] - flat.mean(dim=0)) / spread).numpy()
    labels = (torch.arange(2 * end) >= end).numpy()
    normal = torch.from_numpy(LinearSVC(C=SVM_PENALTY, dual=False).fit(codes, labels).coef_[0])
    return F.normalize(normal, dim=0).float().view(styles.shape[1:])


def regression(styles: Tensor, scores: Tensor) -> Tensor:
    """Mean change of styles (n, R, w_dim) with each of the scores (n, K) if the other scores stay.

    Returns unit vectors (K, R, w_dim): least squares of the styles on all scores at once.
    """
    centred = (scores - scores.mean(dim=0)).double()
    slopes = torch.linalg.lstsq(centred, (styles - styles.mean(dim=0)).flatten(1).double()).solution
    return F.normalize(slopes, dim=1).float().view(-1, *styles.shape[1:])


def fit_directions(model: Model, samples: Samples) -> Iterator[Direction]:
    """Fit a direction to each editable attribute; its range is in deviations of random codes. Raises TrainingError."""
    (prior, predictor), persons = networks_of(model), samples.identities[:500]
    names = predictor.names
    cosines = torch.pdist(persons).square().mul(-0.5).add(1)  # of unit vectors
    strangers = float(cosines.quantile(STRANGER_QUANTILE))
    readable = (3 * samples.attributes.var(dim=0) >= MIN_READABLE).nonzero()[:, 0].tolist()
    read = samples.attributes[:, readable]
    known = map_of(prior, samples.styles, read)
    for place, (k, rows) in enumerate(zip(readable, regression(samples.styles, read), strict=True)):
        name, scores = names[k], samples.attributes[:, k]
        deviation = deviation_along(samples.styles, rows)
        at = ((samples.styles - samples.styles.mean(dim=0)) * rows).sum(dim=(1, 2)) / deviation
        direction = Direction(name, name, "attributes", rows, deviation, normal=boundary(samples.styles, scores))
        swept = sweep(model, direction, samples, at)
        spreads = samples.attributes.std(dim=0)
        reach = rising_stretch(swept.places, swept.values[:, :, k], float(spreads[k]))
        if reach is not None and moves_alone(swept, reach, k, spreads):
            low, high = usable_range(swept, at, reach, strangers + IDENTITY_MARGIN)
            if low < 0 < high:
                found = replace(direction, low=low, high=high, reach=reach)
                bend = None if known is None else Bend(known, place, slope_of(at, scores))
                yield bent_or_straight(model, found, bend, samples.first(SWEPT_CODES), k, strangers + IDENTITY_MARGIN)


@dataclass(frozen=True)
class Sweep:
    """Some codes of the samples, moved along a direction to the same places, in deviations from the mean."""

    places: Tensor  # (P,) from low to high
    strengths: Tensor  # (P, n) of the moves there
    values: Tensor  # (P, n, K) attributes
    identity: Tensor  # (P, n) scores against the unedited pictures


@torch.no_grad()
def sweep(model: Model, direction: Direction, samples: Samples, at: Tensor) -> Sweep:
    """Read the codes along a direction; at (n,): positions of all samples along it, in deviations. NoPredictor."""
    prior, _ = networks_of(model)
    first, last = (float(at.quantile(share)) for share in SWEEP_QUANTILES)
    places = torch.linspace(first, last, POSITIONS)
    codes = WPlus(samples.styles[:SWEPT_CODES].expand(-1, prior.num_ws, -1).to(prior.w_avg))
    strengths = places[:, None] - at[:SWEPT_CODES]
    values, identity = [], []
    for row in strengths:
        moved = codes.shifted(prior, row.to(prior.w_avg)[:, None, None] * direction.step())
        attributes, persons = read_pictures(model, moved.ws(prior))
        values.append(attributes.cpu().clamp(-1, 1))  # the factors' range
        identity.append((persons.cpu() * samples.identities[:SWEPT_CODES]).sum(dim=1))
    return Sweep(places, strengths, torch.stack(values), torch.stack(identity))


def rising_stretch(places: Tensor, values: Tensor, spread: float) -> tuple[float, float] | None:
    """The best stretch of places (P,) on which an attribute's values (P, n) rise; None if there is none.

    The mean gains at least MIN_GAIN of the spread (the attribute's deviation over random codes) at each place. The best
    stretch has the largest gain times the square of the share of codes that rise: a longer one is no better if most
    codes do not follow.
    """
    places, values = _fine(places, values)
    enough = values.mean(dim=1).diff() >= MIN_GAIN * spread * places.diff()
    best, found = 0.0, None
    for first in range(len(places)):
        for last in range(first + 1, len(places)):
            if not enough[last - 1]:
                break
            path = values[first : last + 1]
            worth = float((path[-1] - path[0]).mean()) * _rising_share(path) ** 2
            if worth > best:
                best, found = worth, (float(places[first]), float(places[last]))
    return found


def moves_alone(swept: Sweep, reach: tuple[float, float], k: int, spreads: Tensor) -> bool:
    """Whether attribute k rises over its reach for MIN_RISING_SHARE of the codes and the others hardly move.

    spreads (K,): deviations of the attributes over random codes, the units of the moves.
    """
    places, values = _fine(swept.places, swept.values)
    path = values[(places >= reach[0] - 1e-6) & (places <= reach[1] + 1e-6)]  # (p, n, K)
    wanted, others = side_effects(path[0] / spreads, path[-1] / spreads, k)
    return _rising_share(path[:, :, k]) >= MIN_RISING_SHARE and float(others.mean() / wanted.mean()) < MAX_SIDE_EFFECT


def _fine(places: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    """Places (P,) and values (P, ...) interpolated to SUBDIVISIONS steps between two places."""
    fine = torch.linspace(0, len(places) - 1, SUBDIVISIONS * (len(places) - 1) + 1)
    before = fine.long().clamp_max(len(places) - 2)
    t = fine - before
    places = torch.lerp(places[before], places[before + 1], t)
    return places, torch.lerp(values[before], values[before + 1], t.view(-1, *[1] * (values.ndim - 1)))


def rises(path: Tensor) -> Tensor:
    """Which codes (n,) have values (P, n) that never fall by more than FALL_TOLERANCE of the mean gain."""
    fall = (path.cummax(dim=0).values - path).max(dim=0).values
    return fall <= FALL_TOLERANCE * (path[-1] - path[0]).mean()


def _rising_share(path: Tensor) -> float:
    return float(rises(path).float().mean())


def usable_range(swept: Sweep, at: Tensor, reach: tuple[float, float], min_identity: float) -> tuple[float, float]:
    """The strengths (low, high) that bring codes to the ends of their reach and keep the identity.

    at (n,): positions of random codes, in deviations. min_identity: every swept code must keep a higher score.
    """
    ends = []
    for sign, end in ((-1, reach[0]), (1, reach[1])):
        wanted = sign * (end - float(at.quantile(SERVED_SHARE if sign < 0 else 1 - SERVED_SHARE)))
        safe = min(
            _crossing(s, c, min_identity) for s, c in zip(sign * swept.strengths.t(), swept.identity.t(), strict=True)
        )
        ends.append(sign * math.floor(min(wanted, safe, MAX_STRENGTH) / RANGE_STEP + 1e-3) * RANGE_STEP)
    return ends[0], ends[1]


def _crossing(strengths: Tensor, scores: Tensor, limit: float) -> float:
    """The first positive strength at which a code's identity scores (P,) fall to the limit; infinity if none."""
    points = sorted((s, c) for s, c in zip(strengths.tolist(), scores.tolist(), strict=True) if s > 0)
    before, score = 0.0, 1.0
    for strength, after in points:
        if after <= limit:
            return before + (strength - before) * (score - limit) / (score - after)
        before, score = strength, after
    return math.inf


def main(options: DirectionsOptions) -> None:
    """Fit the directions, print their ranges, and write them. Raises TrainingError or HubError."""
    if options.count < 100:
        raise TrainingError("--count must be at least 100.")
    model = hub.load(options.model)
    directions = []
    for direction in fit_directions(model, draw_samples(model, options.count, options.seed)):
        directions.append(direction)
        sys.stdout.write(f"{direction.name:<22}{direction.low:6.2f} to {direction.high:5.2f}\n")
        sys.stdout.flush()
    save_file(to_tensors(directions), str(options.out))
    sys.stdout.write(file_line(options.out))
