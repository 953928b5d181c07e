"""Figures of sets of pictures: exact cases and laws."""

from __future__ import annotations

import pytest
import torch
from helpers.pictures import random_pictures

from inversion.metrics.sets import frechet, ms_ssim, similarity_within


def test_the_frechet_distance_of_equal_sets_is_zero_and_it_is_symmetric() -> None:
    a, b = random_pictures(9, 1, 1, 4, seed=1).flatten(1), random_pictures(7, 1, 1, 4, seed=2).flatten(1)
    assert frechet(a, a) == pytest.approx(0, abs=1e-9)
    assert frechet(a, b) > 0 and frechet(a, b) == pytest.approx(frechet(b, a))
    assert frechet(a, a + 2) == pytest.approx(4 * a.shape[1])  # only the mean moves
    with pytest.raises(ValueError, match="at least one"):
        frechet(a[:0], b)


def test_the_frechet_distance_agrees_with_its_formula() -> None:
    a, b = torch.randn(50, 3, dtype=torch.double), 2 * torch.randn(60, 3, dtype=torch.double) + 1
    values = torch.linalg.eigvals(a.T.cov() @ b.T.cov()).real.clamp_min(0)
    gap = (a.mean(dim=0) - b.mean(dim=0)).square().sum()
    expected = gap + a.T.cov().trace() + b.T.cov().trace() - 2 * values.sqrt().sum()
    assert frechet(a, b) == pytest.approx(expected.item())


@pytest.mark.parametrize("side", [16, 32, 176])
def test_ms_ssim_is_one_for_equal_pictures_and_falls_with_noise(side: int) -> None:
    a = random_pictures(2, 3, side, side)
    little, much = (ms_ssim(a, (a + s * torch.randn_like(a)).clamp(-1, 1)) for s in (0.1, 1.0))
    assert ms_ssim(a, a) == pytest.approx([1, 1])
    assert all(0 <= m < n < 1 for m, n in zip(much, little, strict=True))
    assert ms_ssim(a[:1], a[1:]) == pytest.approx(ms_ssim(a[1:], a[:1]))


def test_a_set_of_equal_pictures_is_least_diverse() -> None:
    a = random_pictures(3, 3, 32, 32)
    assert similarity_within(a[:1].expand(3, -1, -1, -1)) == pytest.approx(1)
    assert similarity_within(a[:1]) is None
    mixed = similarity_within(a)
    assert mixed is not None and mixed < 1
