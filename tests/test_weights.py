"""The shipped weights: sharp faces, true codes that reproduce their faces, methods in the papers' order.

Bounds are a little below the measured values (docs/), so that they catch a wrong file or a broken path, not noise.
"""

import pytest
import torch
import torch.nn.functional as F

from inversion import invert, metrics
from inversion.checkpoints import hub
from inversion.checkpoints.registry import registry
from inversion.methods import METHODS, Result, Step, parse_method, tuned
from inversion.methods.beginnings import Beginnings
from inversion.methods.run import RunOptions
from inversion.model import Model
from inversion.synthetic import DOMAINS, HELD_OUT, Batch
from inversion.synthetic.faces import CLASSES, FACES
from inversion.tasks import Reconstruct
from inversion.training.generator import sharpness
from inversion.translations import input_of
from inversion.translations.translate import translate

pytestmark = pytest.mark.weights
SHARED = Beginnings()
DETAILS = [CLASSES.index(name) for name in ("eyes", "mouth", "glasses")]


@pytest.fixture(scope="module")
def model() -> Model:
    return hub.load(hub.DEFAULT, device="cpu")


@pytest.fixture(scope="module")
def held_out(model: Model) -> Batch:
    return FACES.draw(range(HELD_OUT, HELD_OUT + 16), model.resolution)


def mean(values: list[float]) -> float:
    return sum(values) / len(values)


def reconstruct(model: Model, method: str, settings: dict[str, float], y: torch.Tensor) -> Result:
    """The result of a method. Runs of this file share their first stages, which gives the same bits."""
    configured = parse_method(method).configured(settings)
    *_, result = invert(model, Reconstruct(), y, configured, options=RunOptions(beginnings=SHARED))
    assert isinstance(result, Result)
    return result


def test_the_files_are_small_enough_for_the_repository() -> None:
    sizes = [entry.bytes for entry in registry().values() if entry.file is not None]
    assert sizes
    assert max(sizes) < 10_000_000
    assert sum(sizes) < 60_000_000


def test_true_codes_reproduce_held_out_faces(model: Model, held_out: Batch) -> None:
    assert model.prior is not None
    with torch.no_grad():
        x = model.prior(held_out.z)
    details = held_out.segmentation[:, DETAILS].sum(1, keepdim=True)
    assert mean(metrics.psnr(x, held_out.picture)) > 30
    assert mean(metrics.psnr(x, held_out.picture, (details > 0.95).float())) > 23.5
    assert sharpness(x) > 0.75 * sharpness(held_out.picture)


def test_samples_differ_and_are_as_sharp_as_renders(model: Model, held_out: Batch) -> None:
    assert model.prior is not None
    z = torch.randn(16, model.prior.z_dim, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        x = model.prior.synthesis(model.prior.truncate(model.prior.mapping(z), 0.7))
    assert sharpness(x) > 0.6 * sharpness(held_out.picture)
    assert x.std(dim=0).mean() > 0.15


def test_methods_come_in_the_order_of_the_papers(model: Model, held_out: Batch) -> None:
    y = held_out.picture[:1]
    scores = {}
    for method, settings in (
        ("w", {"w.steps": 30}),
        ("wplus", {"wplus.steps": 30}),
        ("mganprior", {"multicode.steps": 40, "multicode.codes": 6}),
    ):
        scores[method] = mean(metrics.psnr(reconstruct(model, method, settings, y).image, y))
    assert scores["w"] > 25
    assert scores["wplus"] > scores["w"]
    assert scores["mganprior"] > scores["w"]
    tuned = reconstruct(model, "pti", {"wplus.steps": 20, "pti.steps": 10}, y)
    before = reconstruct(model, "wplus", {"wplus.steps": 20}, y)
    assert metrics.psnr(tuned.image, y)[0] > metrics.psnr(before.image, y)[0] + 0.5


def test_the_predictor_reads_attributes_and_knows_people(model: Model, held_out: Batch) -> None:
    assert model.predictor is not None
    read = model.predictor.attributes(held_out.picture)
    for name, bound in {"yaw": 0.03, "smile": 0.1, "hair_length": 0.2, "skin_tone": 0.1, "age": 0.5}.items():
        truth = held_out.factors[:, FACES.names.index(name)]
        error = (read[name] - truth).square().mean() / truth.var()
        assert error < bound, name
    front = FACES.front(held_out)
    same = (model.predictor.embed(held_out.picture) * model.predictor.embed(front)).sum(1)
    other = (model.predictor.embed(held_out.picture) * model.predictor.embed(front.roll(1, 0))).sum(1)
    assert (same > other).float().mean() > 0.9


def test_the_discriminator_tells_renders_from_samples_blur_and_noise(model: Model, held_out: Batch) -> None:
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


@pytest.mark.parametrize(
    ("role", "bound"), [("encoder", 24.5), ("indomain", 25.5), ("psp", 27.0), ("e4e", 25.5), ("restyle", 27.0)]
)
def test_encoders_reproduce_held_out_faces(role: str, bound: float, model: Model, held_out: Batch) -> None:
    method = {"indomain": "guided"}.get(role, role)
    *_, result = invert(model, Reconstruct(), held_out.picture, parse_method(method))
    assert mean(metrics.psnr(result.image, held_out.picture)) > bound


def test_restyle_s_steps_improve_on_the_first(model: Model, held_out: Batch) -> None:
    *steps, _ = invert(model, Reconstruct(), held_out.picture[:8], METHODS["restyle"])
    scores = [step.losses["pixel"] for step in steps if isinstance(step, Step)]
    assert min(scores[1:]) < scores[0]


def test_starting_from_the_encoder_saves_most_steps_of_w_plus(model: Model, held_out: Batch) -> None:
    y = held_out.picture[:4]
    short = reconstruct(model, "hybrid", {"wplus.steps": 10}, y)
    long = reconstruct(model, "wplus", {"wplus.steps": 30}, y)
    assert mean(metrics.psnr(short.image, y)) > mean(metrics.psnr(long.image, y))


def test_the_domain_term_keeps_codes_near_the_encoders(model: Model, held_out: Batch) -> None:
    """In-Domain's lambda: a smaller distance to the encoder's code, for a slightly lower PSNR."""
    y, scores, domains = held_out.picture[:1], [], []
    for weight in (0.0, 2.0):
        result = reconstruct(model, "indomain", {"indomain.steps": 40, "indomain.domain_weight": weight}, y)
        scores.append(mean(metrics.psnr(result.image, y)))
        domains.append(result.curves["indomain.domain"][-1])
    assert scores[0] > scores[1] > 27
    assert domains[1] < 0.8 * domains[0]


def test_clone_moves_other_faces_less_than_pti_that_fits_as_well(model: Model, held_out: Batch) -> None:
    """Without pictures of the domain, because that is faster."""
    assert model.prior is not None
    y = held_out.picture[3:4]
    pivot = {"wplus.steps": 30}
    clone = reconstruct(model, "wplus+clone", {**pivot, "clone.steps": 15, "clone.cohesion": "samples"}, y)
    fit = metrics.psnr(clone.image, y)[0]
    pti = reconstruct(model, "wplus+pti", {**pivot, "pti.stop_psnr": fit}, y)
    assert fit > metrics.psnr(reconstruct(model, "wplus", pivot, y).image, y)[0] + 0.5
    z = torch.randn(16, model.prior.z_dim, generator=torch.Generator().manual_seed(5))

    def moved(result: Result) -> float:
        assert model.prior is not None and result.weights
        with torch.no_grad():
            return (tuned(model.prior, result.weights)(z) - model.prior(z)).square().mean().sqrt().item()

    assert moved(clone) < 0.8 * moved(pti)


def test_pggan_is_a_prior_for_mganprior(held_out: Batch) -> None:
    model = hub.load("synthetic-faces-pggan", device="cpu")
    assert model.prior is not None
    assert model.prior.spaces == {"z"}
    with torch.no_grad():
        x = model.prior(held_out.z)
    assert mean(metrics.psnr(x, held_out.picture)) > 25
    y = held_out.picture[:1]
    many = reconstruct(model, "mganprior", {"multicode.steps": 60, "multicode.codes": 8}, y)
    single = reconstruct(model, "z", {"z.steps": 60}, y)
    assert metrics.psnr(many.image, y)[0] > metrics.psnr(single.image, y)[0]


def contours(x: torch.Tensor) -> torch.Tensor:
    """Slopes of the grey values of pictures (B, 3, R, R) as rows (B, n) of mean 0 and length 1."""
    grey = x.mean(dim=1)
    slopes = torch.cat([grey.diff(dim=1).abs().flatten(1), grey.diff(dim=2).abs().flatten(1)], dim=1)
    return F.normalize(slopes - slopes.mean(dim=1, keepdim=True), dim=1)


def test_the_recipe_carries_over_to_houses() -> None:
    model = hub.load("synthetic-houses", device="cpu")
    assert model.prior is not None
    drawn = DOMAINS[model.domain].draw(range(HELD_OUT, HELD_OUT + 16))
    with torch.no_grad():
        x = model.prior(drawn.z)
    assert mean(metrics.psnr(x, drawn.picture)) > 27
    assert sharpness(x) > 0.75 * sharpness(drawn.picture)
    one = reconstruct(model, "psp", {}, drawn.picture)
    few = drawn.picture[:4]
    more = reconstruct(model, "psp+wplus", {"wplus.steps": 30, "wplus.principal": True}, few)
    assert mean(metrics.psnr(one.image, drawn.picture)) > 23
    assert mean(metrics.psnr(more.image, few)) > mean(metrics.psnr(one.image[:4], few)) + 2
    assert model.discriminator is not None
    blurred = F.avg_pool2d(drawn.picture, 5, stride=1, padding=2)
    real, fake, blurry = (model.discriminator(seen) > 0 for seen in (drawn.picture, x, blurred))
    assert real.float().mean() > 0.75 > 0.25 > max(fake.float().mean(), blurry.float().mean())
    for name in ("sketch", "map"):  # of all houses, the given one has the most similar contours
        uploads = input_of(name).rendered(drawn)
        made = torch.cat([contours(translate(model, name, upload).pictures) for upload in uploads])
        nearest = (made @ contours(drawn.picture).t()).argmax(dim=1)
        assert (nearest == torch.arange(len(uploads))).float().mean() > 0.8, name
