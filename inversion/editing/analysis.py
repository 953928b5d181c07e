"""Semantics of codes: how well boundaries predict attributes from them, and the side effects of edits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch

from inversion.common.devices import float64

if TYPE_CHECKING:
    from torch import Tensor

    from inversion.directions.base import Direction


def precision_recall(scores: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Precision and recall (n,) if the 1, 2, ... n highest scores (n,) count as positive; labels (n,) are booleans.

    Equal scores count together, as one step. Raises ValueError without a positive label.
    """
    positives = int(labels.sum())
    if not positives:
        raise ValueError("precision and recall need at least one positive label")
    order = scores.argsort(descending=True, stable=True)
    hits = float64(labels[order]).cumsum(dim=0)
    rank = torch.arange(1, len(scores) + 1, dtype=torch.double)
    ordered = scores[order].contiguous()
    last = torch.searchsorted(-ordered, -ordered, right=True) - 1  # the last of those with the same score
    return (hits / rank)[last], (hits / positives)[last]


def average_precision(scores: Tensor, labels: Tensor) -> float:
    """Area under the precision-recall curve as a step function, 0 to 1: 1 if every positive outranks every negative.

    scores: (n,). labels: booleans (n,). Raises ValueError without a positive label.
    """
    precision, recall = precision_recall(scores, labels)
    return float((precision * recall.diff(prepend=recall.new_zeros(1))).sum())


def boundary_distances(ws: Tensor, direction: Direction) -> Tensor:
    """Signed distance (B,) of styles (B, num_ws, w_dim) to the boundary of a direction, the mean over rows.

    Raises ValueError for a direction without a boundary.
    """
    if direction.normal is None:
        raise ValueError(f"{direction.name} has no boundary: it was not fitted to an attribute")
    return (ws * direction.normal.to(ws)).sum(dim=2).mean(dim=1)


def semantic_precision(
    ws: Tensor, attributes: Mapping[str, Tensor], directions: Mapping[str, Direction]
) -> dict[str, float]:
    """Average precision, 0 to 1, of each attribute of inverted codes (In-Domain, Zhu et al. 2020, section 4.2).

    ws: styles (B, num_ws, w_dim), `Code.ws` of the inversions. attributes: ground truth, name -> (B,); positive values
    count as having the attribute. directions: from `train directions`. Attributes without a boundary, or with only
    positive or only negative examples, are left out.
    """
    figures = {}
    for name, values in attributes.items():
        labels = values.cpu() > 0
        direction = directions.get(name)
        if direction is not None and direction.normal is not None and 0 < int(labels.sum()) < len(labels):
            figures[name] = average_precision(boundary_distances(ws, direction).cpu(), labels)
    return figures


def side_effects(before: Tensor, after: Tensor, wanted: int) -> tuple[Tensor, Tensor]:
    """Effect of an edit on attributes (B, K), each in units of its standard deviation.

    Returns the signed change of column `wanted` and the mean absolute change of all other columns, (B,) each.
    """
    change = after - before
    others = change.abs().sum(dim=1) - change[:, wanted].abs()
    return change[:, wanted], others / max(1, change.shape[1] - 1)
