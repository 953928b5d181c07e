"""Fits directions for editing to what the predictor says of a generator's own pictures.

Per attribute two vectors of the space of styles come out. The *normal* of InterFaceGAN's boundary (Shen et al. 2020, a
linear SVM on the most confident codes) reads the attribute from a code. The *rows* write it: they are the regression
of codes on the attribute, cov(w, a), how a code differs on average when the attribute does. Moving along the normal
instead changed the other attributes a fifth more on the embedded faces, and the regression of the attribute on codes
runs into directions that random codes never take.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor

from inversion import hub
from inversion.editing.directions import Direction, as_fitted, deviation_along, to_tensors
from inversion.editing.edit import edited
from inversion.methods.codes import WPlus
from inversion.synthetic.factors import NAMES

if TYPE_CHECKING:
    from inversion.generators.base import Prior
    from inversion.hub import Model
    from inversion.predictor import Predictor

BATCH = 50
ENDS = 0.25  # of all samples, at each end of an attribute: the confident ones
PENALTY = 0.01  # of the SVM, on codes in units of their spread; 0.1 reads as well, 0.001 less
STRENGTHS = (0.75, 1.5, 2.25, 3.0)  # deviations, to both sides
EXAMINED = 8  # codes on which ranges are measured
LEAST = 0.05  # what an attribute must change by from one strength to the next, in its own deviations
REACHED = (0.01, 0.99)  # of random codes lie below the places that edits go to and no further
STRANGER = 0.95  # quantile of the identity scores of two different persons that an edit must stay above


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
    """How styles (n, R, w_dim) change with scores (n,) on average, cov(w, a), at unit length (R, w_dim)."""
    centred = (scores - scores.mean()).double()
    slope = torch.einsum("n,nrd->rd", centred, (styles - styles.mean(dim=0)).double())
    return F.normalize(slope.flatten(), dim=0).float().view_as(slope)


def fitted(model: Model, samples: Samples) -> Iterator[Direction]:
    """One direction per attribute that can be edited, with the range over which it can."""
    prior, _ = _networks(model)
    with torch.no_grad():
        z = torch.randn(EXAMINED, prior.z_dim, generator=torch.Generator().manual_seed(1))
        codes = WPlus(prior.mapping(z.to(prior.w_avg)))
    persons = samples.identities[:500]
    strangers = float(torch.pdist(persons).square().mul(-0.5).add(1).quantile(STRANGER))  # cosines of unit vectors
    for k, name in enumerate(NAMES):
        scores = samples.attributes[:, k]
        rows = regression(samples.styles, scores)
        deviation = deviation_along(samples.styles, rows)
        at = ((samples.styles - samples.styles.mean(dim=0)) * rows).sum(dim=(1, 2)) / deviation
        direction = Direction(
            name,
            name,
            "attributes",
            rows,
            deviation,
            normal=boundary(samples.styles, scores),
            reach=(float(at.quantile(REACHED[0])), float(at.quantile(REACHED[1]))),
        )
        low, high = usable_range(model, codes, direction, k, float(scores.std()), strangers)
        if low < 0 < high:
            yield replace(direction, low=low, high=high)


def usable_range(
    model: Model, codes: WPlus, direction: Direction, attribute: int, spread: float, strangers: float
) -> tuple[float, float]:
    """The strengths (low, high) around 0 within which the mean attribute rises and nobody becomes somebody else.

    attribute: its column; spread: its deviation over random codes; strangers: the identity score that no code's picture
    may fall to, against the one without an edit.
    """
    prior, _ = _networks(model)
    before, person = judged(model, codes.rows)
    ends = []
    for sign in (-1, 1):
        reached, last = 0.0, float(before[:, attribute].mean())
        for strength in STRENGTHS:
            moved = edited(codes, prior, {direction.name: direction}, {direction.name: sign * strength})
            after, other = judged(model, moved.ws(prior))
            value = float(after[:, attribute].mean())
            same = float((person * other).sum(dim=1).min())
            if sign * (value - last) < LEAST * spread or same <= strangers:
                break
            reached, last = sign * strength, value
        ends.append(reached)
    return ends[0], ends[1]


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
