"""The shipped weights: sharp faces, true codes that give their faces back, methods in the papers' order.

Bounds lie a little below what was measured (README), so that they catch a wrong file or a broken path, not noise.
"""

import pytest
import torch
import torch.nn.functional as F

from inversion import hub, invert, metrics
from inversion.hub import Model
from inversion.methods import METHODS, Result
from inversion.synthetic import CLASSES, HELD_OUT, Faces, faces
from inversion.synthetic.factors import INDEX
from inversion.tasks import Reconstruct
from inversion.training.generator import sharpness

pytestmark = pytest.mark.weights
DETAILS = [CLASSES.index(name) for name in ("eyes", "mouth", "glasses")]


@pytest.fixture(scope="module")
def model() -> Model:
    return hub.load(hub.DEFAULT, device="cpu")


@pytest.fixture(scope="module")
def held_out(model: Model) -> Faces:
    return faces(range(HELD_OUT, HELD_OUT + 16), model.resolution)


def mean(values: list[float]) -> float:
    return sum(values) / len(values)


def reconstruct(model: Model, method: str, settings: dict[str, float], y: torch.Tensor) -> Result:
    *_, result = invert(model, Reconstruct(), y, METHODS[method].configured(settings))
    assert isinstance(result, Result)
    return result


def test_the_files_are_small_enough_for_the_repository() -> None:
    sizes = [entry.bytes for entry in hub.registry().values() if entry.file is not None]
    assert sizes
    assert max(sizes) < 10_000_000
    assert sum(sizes) < 40_000_000


def test_true_codes_give_held_out_faces_back(model: Model, held_out: Faces) -> None:
    assert model.prior is not None
    with torch.no_grad():
        x = model.prior(held_out.z)
    details = held_out.segmentation[:, DETAILS].sum(1, keepdim=True)
    assert mean(metrics.psnr(x, held_out.picture)) > 30
    assert mean(metrics.psnr(x, held_out.picture, (details > 0.95).float())) > 23.5
    assert sharpness(x) > 0.75 * sharpness(held_out.picture)


def test_samples_differ_and_are_as_sharp_as_renders(model: Model, held_out: Faces) -> None:
    assert model.prior is not None
    z = torch.randn(16, model.prior.z_dim, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        x = model.prior.synthesis(model.prior.truncate(model.prior.mapping(z), 0.7))
    assert sharpness(x) > 0.6 * sharpness(held_out.picture)
    assert x.std(dim=0).mean() > 0.15


def test_methods_come_in_the_order_of_the_papers(model: Model, held_out: Faces) -> None:
    y = held_out.picture[:2]
    scores = {}
    for method, settings in (
        ("w", {"w.steps": 60}),
        ("wplus", {"wplus.steps": 60}),
        ("mganprior", {"multicode.steps": 80, "multicode.codes": 8}),
    ):
        scores[method] = mean(metrics.psnr(reconstruct(model, method, settings, y).image, y))
    assert scores["w"] > 25
    assert scores["wplus"] > scores["w"]
    assert scores["mganprior"] > scores["w"]
    tuned = reconstruct(model, "pti", {"wplus.steps": 60, "pti.steps": 60}, y[:1])
    before = reconstruct(model, "wplus", {"wplus.steps": 60}, y[:1])
    assert metrics.psnr(tuned.image, y[:1])[0] > metrics.psnr(before.image, y[:1])[0] + 0.5


def test_the_predictor_reads_attributes_and_knows_people(model: Model, held_out: Faces) -> None:
    assert model.predictor is not None
    read = model.predictor.attributes(held_out.picture)
    for name, bound in {"yaw": 0.03, "smile": 0.1, "hair_length": 0.2, "skin_tone": 0.1, "age": 0.5}.items():
        truth = held_out.factors[:, INDEX[name]]
        error = (read[name] - truth).square().mean() / truth.var()
        assert error < bound, name
    same = (model.predictor.embed(held_out.picture) * model.predictor.embed(held_out.front)).sum(1)
    other = (model.predictor.embed(held_out.picture) * model.predictor.embed(held_out.front.roll(1, 0))).sum(1)
    assert (same > other).float().mean() > 0.9


def test_the_discriminator_tells_renders_from_samples_and_from_what_is_no_face(model: Model, held_out: Faces) -> None:
    assert model.prior is not None
    assert model.discriminator is not None
    rng = torch.Generator().manual_seed(2)
    real = model.discriminator(held_out.picture)
    samples = model.discriminator(model.prior(torch.randn(16, model.prior.z_dim, generator=rng)))
    blurred = model.discriminator(F.avg_pool2d(held_out.picture, 5, stride=1, padding=2))
    noise = model.discriminator(torch.randn(held_out.picture.shape, generator=rng).clamp(-1, 1))
    assert (real > 0).float().mean() > 0.75
    for fakes in (samples, blurred, noise):
        assert (fakes < 0).float().mean() > 0.75
    alone = model.discriminator(held_out.picture[:1])
    assert (alone - real[:1]).abs().max() < 1e-3  # no picture depends on its batch
