"""Losses and metrics: exact cases, ranges, invariances, and None for missing networks."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from math import pi

import pytest
import torch
from helpers.pictures import random_pictures
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torch import Tensor

from inversion import metrics
from inversion.generators import Discriminator
from inversion.images import quantise
from inversion.losses import LossWeights, Objective, geodesic_cross, gradient_penalty, pixel, pyramid
from inversion.model import Model
from inversion.perception import Perceptual
from inversion.tasks import TASKS, Reconstruct, make_task


def smooth(x: Tensor) -> Tensor:
    return torch.nn.functional.avg_pool2d(x, 9, stride=1, padding=4, count_include_pad=False)


# --- losses ---


@pytest.mark.parametrize("loss", [pixel, pyramid])
@pytest.mark.parametrize("size", [(8, 8), (32, 32), (33, 47), (128, 128)])
def test_residual_losses_are_even_grow_and_vanish_at_zero(loss: object, size: tuple[int, int]) -> None:
    assert callable(loss)
    r = random_pictures(3, 2, *size)
    value = loss(r)
    assert value.shape == (3,) and bool((value > 0).all())
    assert torch.equal(loss(torch.zeros_like(r)), torch.zeros(3))
    assert torch.allclose(loss(-r), value) and torch.allclose(loss(r[1:2]), value[1:2], rtol=1e-5)
    assert bool((loss(2 * r) > value).all())


def test_pyramid_bands_add_up_to_the_picture() -> None:
    """No picture but zero has a zero pyramid, and coarse errors cost more than in plain L1."""
    fine, coarse = random_pictures(1, 1, 64, 64), smooth(smooth(random_pictures(1, 1, 64, 64)))
    coarse = coarse * fine.abs().mean() / coarse.abs().mean()
    assert pyramid(coarse).item() > coarse.abs().mean().item()
    assert pyramid(torch.full((1, 1, 64, 64), 0.5)).item() >= 0.5 * 0.9


def test_pyramid_has_its_gradient() -> None:
    r = random_pictures(1, 1, 16, 16).double().requires_grad_(True)
    assert torch.autograd.gradcheck(lambda t: pyramid(t).sum(), (r,), eps=1e-7, atol=1e-5)


@pytest.mark.parametrize("name", TASKS)
def test_objective_is_zero_at_the_truth_and_positive_elsewhere(name: str, model: Model, pictures: Tensor) -> None:
    mask = torch.ones(1, 1, 32, 32)
    mask[..., 4:12, 4:12] = 0
    task = make_task(name, mask=mask, factor=4)
    objective = Objective(task, task.A(pictures), model)
    here, there = objective(pictures), objective(pictures.flip(0))
    assert list(here) == ["total", "pixel", "pyramid", "perceptual"]
    assert all(value.shape == (4,) for value in here.values())
    assert here["total"].abs().max() < 1e-5 and there["total"].min() > 1e-3
    w = objective.weights
    total = w.pixel * there["pixel"] + w.pyramid * there["pyramid"] + w.perceptual * there["perceptual"]
    assert torch.allclose(total, there["total"])


def test_objective_sees_only_what_is_measured(model: Model, pictures: Tensor) -> None:
    mask = torch.ones(1, 1, 32, 32)
    mask[..., 4:12, 4:12] = 0
    task = make_task("inpaint", mask=mask)
    objective = Objective(task, task.A(pictures), model)
    changed = torch.where(mask == 0, -pictures, pictures)
    assert torch.equal(objective(changed)["total"], objective(pictures)["total"])


def test_the_penalty_of_a_task_is_added_to_the_objective(model: Model, pictures: Tensor) -> None:
    mask = torch.zeros(1, 1, 32, 32)
    mask[..., 8:24, 8:24] = 1
    task = make_task("diffuse", mask=mask, context=pictures.flip(0))
    terms = Objective(task, task.A(pictures), model)(pictures)
    published = Objective(replace(task, context_weight=0.0), task.A(pictures), model)(pictures)
    assert "penalty" not in published and torch.allclose(terms["total"], published["total"] + terms["penalty"])


def test_a_weight_of_zero_leaves_the_term_out(model: Model, pictures: Tensor) -> None:
    objective = Objective(Reconstruct(), pictures, model, LossWeights(pixel=1, pyramid=0, perceptual=0))
    assert list(objective(pictures)) == ["total", "pixel"] and objective.perceptual_name == "none"


def test_the_perceptual_loss_says_which_network_it_is(
    model: Model, discriminator: Discriminator, pictures: Tensor
) -> None:
    assert Objective(Reconstruct(), pictures, model).perceptual_name == "discriminator"
    extended = replace(model, predictor=discriminator)  # anything with features(x)
    assert Objective(Reconstruct(), pictures, extended).perceptual_name == "synthetic_perceptual"
    official = replace(extended, perceptual=Perceptual("lpips", discriminator.features))
    assert Objective(Reconstruct(), pictures, official).perceptual_name == "lpips"
    bare = replace(model, discriminator=None)
    objective = Objective(Reconstruct(), pictures, bare)
    assert objective.perceptual_name == "none" and "perceptual" not in objective(pictures)


def test_the_identity_term_compares_persons(model: Model, pictures: Tensor) -> None:
    """1 - the cosine of the embeddings, by the network that the model has; other terms do not change."""

    class Embedding(torch.nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.nn.functional.normalize(x.flatten(1), dim=1)

    weights = LossWeights(identity=0.5)
    known = replace(model, identity=Embedding())
    there, without = (Objective(Reconstruct(), pictures, one, weights)(pictures.flip(0)) for one in (known, model))
    cosine = (Embedding()(pictures) * Embedding()(pictures.flip(0))).sum(dim=1)
    assert torch.allclose(there["identity"], 1 - cosine) and "identity" not in without
    assert torch.allclose(there["total"], without["total"] + 0.5 * there["identity"])


def test_perceptual_distance_is_a_distance_per_picture(model: Model, pictures: Tensor) -> None:
    perceptual = model.perceptual_loss
    assert perceptual is not None
    other = pictures.flip(0)
    d = perceptual(pictures, other)
    assert torch.allclose(d, perceptual(other, pictures)) and torch.equal(
        perceptual(pictures, pictures), torch.zeros(4)
    )
    assert torch.allclose(perceptual(pictures[1:2], other[1:2]), d[1:2], rtol=1e-4)
    assert bool((d > 0).all()) and bool((d <= 4).all())  # squared difference of unit vectors


def test_perceptual_gradient_is_finite_where_features_are_off() -> None:
    perceptual = Perceptual("relu", lambda x: [x.clamp_min(0)])
    x = (-torch.ones(1, 3, 8, 8)).requires_grad_(True)
    perceptual(x, torch.ones(1, 3, 8, 8)).sum().backward()
    assert x.grad is not None and bool(x.grad.isfinite().all())


@pytest.mark.parametrize(
    "weights", [{"pixel": -1.0}, {"pyramid": float("nan")}, {"perceptual": float("inf")}, {"identity": -0.1}]
)
def test_bad_weights_are_refused(weights: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(weights))):
        LossWeights(**weights)


def test_geodesic_cross_measures_angles() -> None:
    """GEOCROSS of PULSE: the mean over all ordered pairs of rows, including a row with itself."""
    a, b = torch.eye(4)[:1], torch.eye(4)[1:2]
    rows = torch.stack([torch.cat([a, a]), torch.cat([a, b]), torch.cat([a, -a])])  # (3, 2, 4)
    expected = torch.tensor([0.0, (pi / 2) ** 2, pi**2]) / 2 * 4 / 8
    torch.testing.assert_close(geodesic_cross(rows), expected, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(geodesic_cross(3 * rows), expected, rtol=1e-3, atol=1e-3)
    rows.requires_grad_(True)
    geodesic_cross(rows).sum().backward()
    assert rows.grad is not None and rows.grad.isfinite().all()


def test_gradient_penalty_of_a_linear_discriminator() -> None:
    slope = torch.randn(3, 4, 4)
    real = torch.randn(2, 3, 4, 4)
    penalty = gradient_penalty(lambda x: (x * slope).sum(dim=(1, 2, 3)), real)
    torch.testing.assert_close(penalty, slope.square().sum().expand(2))


# --- metrics ---


def test_psnr_and_ssim_are_scikit_image_s_on_8_bits() -> None:
    a, b = random_pictures(2, 3, 40, 40), smooth(random_pictures(2, 3, 40, 40))
    for i in range(2):
        p, q = (quantise(t)[i].permute(1, 2, 0).numpy() for t in (a, b))
        assert metrics.psnr(a, b)[i] == pytest.approx(peak_signal_noise_ratio(p, q, data_range=255), abs=1e-6)
        expected = structural_similarity(p, q, channel_axis=2, data_range=255)
        assert metrics.ssim(a, b)[i] == pytest.approx(expected, abs=1e-9)


def test_psnr_of_a_known_error() -> None:
    a = torch.zeros(1, 3, 16, 16)
    assert metrics.psnr(a, a + 10 / 127.5)[0] == pytest.approx(28.13, abs=0.01)  # 20 log10(255 / 10)
    assert metrics.psnr(a, a) == [metrics.MAX_PSNR]
    assert metrics.psnr(a, a + 1e-3) == [metrics.MAX_PSNR]  # rounds to the same byte
    assert metrics.psnr(a + 5, a + 1)[0] == metrics.MAX_PSNR  # both clamp to white


def test_psnr_inside_a_mask() -> None:
    a, mask = torch.zeros(1, 3, 16, 16), torch.zeros(1, 1, 16, 16)
    mask[..., :8] = 1
    b = a + 20 / 127.5 * mask
    assert metrics.psnr(a, b, mask)[0] == pytest.approx(metrics.psnr(a, b)[0] - 3.01, abs=0.01)
    assert metrics.psnr(a, b, 1 - mask)[0] == metrics.MAX_PSNR
    assert math.isnan(metrics.psnr(a, b, torch.zeros_like(mask))[0])


def networks_for(need: str, discriminator: Discriminator) -> list[object]:
    """Networks for the attribute `need` of a model; every metric that needs it works with one of them."""
    features = discriminator.features

    class ToyPredictor:
        """Features, and an embedding of unit length."""

        def features(self, x: Tensor) -> list[Tensor]:
            return features(x)

        def embed(self, x: Tensor) -> Tensor:
            return torch.nn.functional.normalize(x.mean(dim=(2, 3)), dim=1)

    networks: dict[str, list[object]] = {
        "perceptual": [Perceptual(name, features) for name in ("lpips", "lpips_vgg")],
        "identity": [torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())],
        "predictor": [ToyPredictor()],
    }
    return networks[need]


@pytest.mark.parametrize("name", metrics.METRICS)
def test_a_metric_is_a_number_if_the_model_has_its_network(
    name: str, model: Model, discriminator: Discriminator, pictures: Tensor
) -> None:
    metric = metrics.METRICS[name]
    assert metric.label and metric.help.endswith(".") and metric.digits >= 0
    models = [model]
    if metric.needs:
        assert getattr(model, metric.needs) is None and metric.fn(pictures[:1], pictures[1:2], model) is None
        models = [replace(model, **{metric.needs: n}) for n in networks_for(metric.needs, discriminator)]  # type: ignore[arg-type]
    found = [value for m in models if (value := metric.fn(pictures[:2], pictures[2:], m)) is not None]
    assert len(found) == 1 and len(found[0]) == 2 and all(isinstance(v, float) and math.isfinite(v) for v in found[0])
    assert metrics.scores(pictures[:1], None, models[-1])[name] is None


@pytest.mark.parametrize("name", ["lpips", "lpips_vgg"])
def test_lpips_scores_are_named_after_their_network(
    name: str, model: Model, discriminator: Discriminator, pictures: Tensor
) -> None:
    extended = replace(model, perceptual=Perceptual(name, discriminator.features))
    row = metrics.scores(pictures[:1], pictures[1:2], extended)
    (other,) = {"lpips", "lpips_vgg"} - {name}
    assert row[name] is not None and row[name] > 0 and row[other] is None


def test_the_authors_features_come_before_lpips(model: Model, discriminator: Discriminator) -> None:
    lpips_, own = (Perceptual(name, discriminator.features) for name in ("lpips", "keras-vgg16"))
    assert replace(model, perceptual=lpips_, features=own).perceptual_loss is own


def test_scores_have_every_name_and_none_for_missing_networks(model: Model, pictures: Tensor) -> None:
    row = metrics.scores(pictures[:1], pictures[1:2], model)
    assert list(row) == list(metrics.METRICS)
    assert row["psnr"] is not None and row["ssim"] is not None
    assert row["lpips"] is row["identity"] is row["synthetic_identity"] is row["synthetic_perceptual"] is None
    assert metrics.scores(pictures[:1], None, model) == dict.fromkeys(metrics.METRICS)
    json.dumps(metrics.scores(pictures[:1], pictures[:1], model), allow_nan=False)
