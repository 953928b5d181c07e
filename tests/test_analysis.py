"""Precision, recall and side effects in cases that can be calculated by hand."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from inversion.editing import Direction
from inversion.editing.analysis import (
    average_precision,
    boundary_distances,
    precision_recall,
    semantic_precision,
    side_effects,
)


def direction(name: str, normal: Tensor | None) -> Direction:
    return Direction(name, name, "attributes", torch.ones(1, 4) / 2, 1.0, normal=normal)


def test_a_perfect_ranking_has_precision_one_and_a_reversed_one_the_worst() -> None:
    labels = torch.tensor([True, True, False, False])
    assert average_precision(torch.tensor([4.0, 3.0, 2.0, 1.0]), labels) == 1
    assert average_precision(torch.tensor([1.0, 2.0, 3.0, 4.0]), labels) == pytest.approx((1 / 3 + 2 / 4) / 2)


def test_precision_and_recall_count_hits_from_the_top() -> None:
    precision, recall = precision_recall(torch.tensor([0.1, 0.9, 0.5]), torch.tensor([True, True, False]))
    assert precision.tolist() == pytest.approx([1, 1 / 2, 2 / 3]) and recall.tolist() == [0.5, 0.5, 1]
    with pytest.raises(ValueError, match="positive"):
        precision_recall(torch.zeros(2), torch.zeros(2, dtype=torch.bool))


def test_equal_scores_say_nothing_whatever_their_order() -> None:
    labels = torch.tensor([True, False, False, True])
    assert average_precision(torch.zeros(4), labels) == pytest.approx(0.5)
    assert average_precision(torch.zeros(4), labels.flip(0)) == pytest.approx(0.5)


def test_agrees_with_scikit_learn() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    rng = torch.Generator().manual_seed(0)
    for _ in range(5):
        scores = torch.randn(50, generator=rng).round(decimals=1)  # some are equal
        labels = torch.rand(50, generator=rng) < 0.3
        expected = metrics.average_precision_score(labels.numpy(), scores.numpy())
        assert average_precision(scores, labels) == pytest.approx(expected)


def test_codes_are_read_by_the_mean_of_their_styles() -> None:
    ws = torch.arange(24.0).view(2, 3, 4)
    first = torch.tensor([[1.0, 0.0, 0.0, 0.0]])
    assert boundary_distances(ws, direction("a", first)).tolist() == [4, 16]
    with pytest.raises(ValueError, match="a has no boundary"):
        boundary_distances(ws, direction("a", None))


def test_attributes_without_boundary_or_contrast_are_left_out() -> None:
    ws = torch.tensor([-1.0, 0.0, 2.0]).view(3, 1, 1).expand(3, 2, 4)
    known = {"up": torch.tensor([-1.0, -1, 1]), "one_kind": torch.ones(3), "unknown": torch.tensor([-1.0, 1, 1])}
    normal = torch.full((1, 4), 0.5)
    directions = {name: direction(name, normal) for name in ("up", "one_kind")} | {"unknown": direction("u", None)}
    assert semantic_precision(ws, known, directions) == {"up": 1.0}


def test_side_effects_are_the_mean_of_the_other_columns() -> None:
    before, after = torch.zeros(1, 4), torch.tensor([[0.3, 2.0, -0.6, 0.0]])
    wanted, others = side_effects(before, after, 1)
    assert wanted.tolist() == [2.0] and others.tolist() == pytest.approx([0.3])
