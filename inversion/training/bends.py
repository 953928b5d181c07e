"""Fits the steps of sliders that depend on the code, and decides which sliders follow them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

from inversion.directions import AttributeMap, Bend, Direction
from inversion.directions.bends import LIMIT
from inversion.editing.analysis import side_effects
from inversion.editing.edit import edited
from inversion.methods.codes import WPlus
from inversion.training.models import networks_of
from inversion.training.readings import Samples, read_pictures

if TYPE_CHECKING:
    from inversion.generators.base import Prior
    from inversion.model import Model

STEPS, BATCH, RATE, DECAY = 3000, 256, 2e-3, 1e-3
# Of a bent slider, relative to the straight one: smaller gains are not worth another kind of step.
MAX_SIDE_EFFECT, MIN_EFFECT = 0.95, 0.92


def fit_map(offsets: Tensor, attributes: Tensor) -> AttributeMap:
    """The map of styles (n, w_dim), as offsets from the mean style, and their attributes (n, K)."""
    rng = torch.Generator().manual_seed(0)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = AttributeMap(offsets.shape[1], attributes.shape[1], float(offsets.std(dim=0).square().mean().sqrt()))
    optimizer = torch.optim.AdamW(made.parameters(), RATE, weight_decay=DECAY)
    for step in range(STEPS):
        optimizer.param_groups[0]["lr"] = RATE * (1 - step / STEPS)
        rows = torch.randint(len(offsets), (BATCH,), generator=rng)
        styles, truth = offsets[rows], attributes[rows]
        loss = F.mse_loss(made.read(styles), truth) + F.mse_loss(
            made.mean_style(truth) / made.scale, styles / made.scale
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return made.eval().requires_grad_(False)


def map_of(prior: Prior, styles: Tensor, attributes: Tensor) -> AttributeMap | None:
    """The map of styles (n, 1, w_dim) and their attributes (n, K); None for a generator without a space of styles W."""
    if "w" not in prior.spaces:
        return None
    return fit_map(styles[:, 0] - prior.w_avg.mean(dim=0).cpu(), attributes.clamp(-LIMIT, LIMIT))


def slope_of(at: Tensor, scores: Tensor) -> float:
    """Mean change of an attribute (n,) for one unit of the places (n,) of codes along a direction."""
    centred = at - at.mean()
    return float((centred * scores).mean() / centred.square().mean())


def bent_or_straight(
    model: Model, direction: Direction, bend: Bend | None, samples: Samples, k: int, min_identity: float
) -> Direction:
    """The direction with the bend, if there is one and it spares the other attributes, else as it is.

    Both are moved to both ends of the slider. The slope of the bend is changed so that it has the same effect on its
    own attribute. k: the attribute among those of the samples. min_identity: see `usable_range`. Raises NoPredictor.
    """
    if bend is None:
        return direction
    wanted, others, _ = _effects(model, direction, samples, k)
    gain, _, _ = _effects(model, replace(direction, bend=bend), samples, k)
    bent = replace(direction, bend=replace(bend, slope=bend.slope * wanted / max(gain, wanted / 2)))
    gain, changed, identity = _effects(model, bent, samples, k)
    spared = changed * wanted <= MAX_SIDE_EFFECT * others * gain  # a bend may have no effect: nothing to divide by
    return bent if spared and gain >= MIN_EFFECT * wanted and identity > min_identity else direction


def _effects(model: Model, direction: Direction, samples: Samples, k: int) -> tuple[float, float, float]:
    """Mean changes of attribute k and of the others, and the lowest identity score.

    Changes are in units of the attributes' deviations, and sums over both ends of the slider.
    """
    prior, _ = networks_of(model)
    codes = WPlus(samples.styles.expand(-1, prior.num_ws, -1).to(prior.w_avg))
    spreads, changes, lowest = samples.attributes.std(dim=0), [], 1.0
    for end in (direction.low, direction.high):
        moved = edited(codes, prior, {direction.name: direction}, {direction.name: end})
        attributes, persons = read_pictures(model, moved.ws(prior))
        ends = samples.attributes, attributes.cpu().clamp(-1, 1)
        before, after = (values / spreads for values in (ends if end > 0 else ends[::-1]))
        wanted, others = side_effects(before, after, k)
        changes.append((float(wanted.mean()), float(others.mean())))
        lowest = min(lowest, float((persons.cpu() * samples.identities).sum(dim=1).min()))
    (low, low_others), (high, high_others) = changes
    return low + high, low_others + high_others, lowest
