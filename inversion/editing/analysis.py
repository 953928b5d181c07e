"""What a code stands for: how well boundaries read attributes from it, and what else an edit of it changes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from inversion.directions import Direction


def precision_recall(scores: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Precision and recall (n,) of calling the 1, 2, ... n highest scores (n,) positive; labels (n,) are booleans.

    Equal scores come together: at each of them both figures are those after the last. ValueError without positives.
    """
    positives = int(labels.sum())
    if not positives:
        raise ValueError("precision and recall need a positive example")
    order = scores.argsort(descending=True, stable=True)
    hits = labels[order].double().cumsum(dim=0)
    rank = torch.arange(1, len(scores) + 1, dtype=torch.double)
    ordered = scores[order].contiguous()
    last = torch.searchsorted(-ordered, -ordered, right=True) - 1  # of those with the same score
    return (hits / rank)[last], (hits / positives)[last]


def average_precision(scores: Tensor, labels: Tensor) -> float:
    """Area under the precision-recall curve as a step function: 1 where every positive outranks every negative."""
    precision, recall = precision_recall(scores, labels)
    return float((precision * recall.diff(prepend=recall.new_zeros(1))).sum())


def readings(ws: Tensor, direction: Direction) -> Tensor:
    """How far styles (B, num_ws, w_dim) lie on the positive side of a direction's boundary, (B,); the mean of rows."""
    if direction.normal is None:
        raise ValueError(f"{direction.name} has no boundary: it was not fitted to an attribute")
    return (ws * direction.normal.to(ws)).sum(dim=2).mean(dim=1)


def semantic_precision(
    ws: Tensor, attributes: Mapping[str, Tensor], directions: Mapping[str, Direction]
) -> dict[str, float]:
    """Average precision per attribute of inverted codes (In-Domain, Zhu et al. 2020, section 4.2, semantic analysis).

    ws: styles (B, num_ws, w_dim), `Code.ws` of the inversions. attributes: what the pictures really show, name -> (B,);
    positive values count as having it. directions: fitted ones, see `train directions`; attributes without one, or with
    only one kind of example, are left out.
    """
    figures = {}
    for name, values in attributes.items():
        labels = values.cpu() > 0
        direction = directions.get(name)
        if direction is not None and direction.normal is not None and 0 < int(labels.sum()) < len(labels):
            figures[name] = average_precision(readings(ws, direction).cpu(), labels)
    return figures


def side_effects(before: Tensor, after: Tensor, wanted: int) -> tuple[Tensor, Tensor]:
    """What an edit did to attributes (B, K), in units of each one's spread: the wanted one's change, and the others'.

    Returns the signed change of column `wanted` and the mean absolute change of all other columns, (B,) each.
    """
    change = after - before
    others = change.abs().sum(dim=1) - change[:, wanted].abs()
    return change[:, wanted], others / max(1, change.shape[1] - 1)
