"""Training of the encoders: every recipe learns and resumes, and its examples are the inputs of the app."""

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from helpers.training import read_log, train
from safetensors.torch import load_file, save_file

from inversion import images
from inversion.checkpoints import hub
from inversion.checkpoints.converted import header_of
from inversion.checkpoints.layouts.ours import own_networks
from inversion.common.errors import UserError
from inversion.encoders import ENCODERS, Narrow
from inversion.generators import Discriminator, StyleGAN2
from inversion.methods import Z
from inversion.methods.encode import code_of
from inversion.model import Model, prior_of
from inversion.perception.predictor import Predictor
from inversion.synthetic import DOMAINS, latents
from inversion.synthetic.faces import CLASSES, FACES
from inversion.tasks import Superres
from inversion.training import data, encoder, examples, generator, loop, networks, pairs
from inversion.training.options import EncoderOptions
from inversion.training.recipes import RECIPES
from inversion.translations import input_of

COUNT, SIDE = 32, 16


@pytest.fixture
def prior() -> StyleGAN2:
    """A narrow generator of 16 pixels."""
    made = generator.build(SIDE, torch.float32, width=1 / 32).freeze()
    assert isinstance(made, StyleGAN2)
    return made


@pytest.mark.parametrize("recipe", RECIPES)
def test_an_encoder_trains_resumes_and_is_exported(
    recipe: str, prior: StyleGAN2, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path
    train("pictures", "--folder", folder, "--count", COUNT, "--resolution", SIDE, "--no-compile")
    discriminator = Discriminator(SIDE, dict.fromkeys((4, 8, 16), 8)).requires_grad_(False)
    tiny = Model(
        "tiny",
        prior,
        SIDE,
        discriminator=discriminator,
        predictor=Predictor(FACES.names, (8,) * 5).eval().requires_grad_(False),
        domain="synthetic-faces",
    )
    train("pairs", "--folder", folder, "--count", COUNT, "--resolution", SIDE)
    monkeypatch.setattr(encoder.hub, "load", lambda *_, **__: tiny)
    monkeypatch.setattr(data, "HELD_OUT_PICTURES", 4)
    monkeypatch.setattr(networks, "WIDTHS", (8,) * 5)
    before = {k: v.clone() for k, v in [*prior.state_dict().items(), *discriminator.state_dict().items()]}
    arguments = ["--recipe", recipe, "--pictures", folder, "--count", COUNT, "--out", folder / "net", "--batch", 4]
    arguments += ["--pairs", folder]
    train("encoder", *arguments, "--steps", 20, "--minutes", 0)
    train("encoder", *arguments, "--steps", 20)
    log = read_log(folder / "net")
    assert [row["step"] for row in log] == [1, 20]
    assert all(math.isfinite(value) for row in log for value in row.values())
    if not RECIPES[recipe].reads:  # this untrained generator does not know the codes of the renders
        learnt = "codes" if RECIPES[recipe].codes else "pixel"
        assert log[1][learnt] < log[0][learnt]
    file = folder / "net" / "encoder.safetensors"
    (exported,) = own_networks(load_file(file), header_of(file))
    made = ENCODERS["narrow-e4e" if recipe == "e4e" else "narrow"].from_state_dict(exported.tensors)
    assert type(exported.build()) is type(made)
    assert made.num_ws == prior.num_ws
    assert made.inputs == RECIPES[recipe].inputs(len(CLASSES))
    assert made.reads == {"restyle": "pair", "sketch": "sketch", "map": "labels"}.get(recipe, "picture")
    after = {**prior.state_dict(), **discriminator.state_dict()}
    assert all(torch.equal(before[k], after[k]) for k in before)  # the shared networks are unchanged


def test_an_encoder_of_a_generator_without_styles_predicts_its_z(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = generator.build(SIDE, torch.float32, "pggan", width=1 / 32).freeze()
    tiny = Model("tiny", made, SIDE, domain="synthetic-faces")
    monkeypatch.setattr(encoder.hub, "load", lambda *_, **__: tiny)
    monkeypatch.setattr(data, "HELD_OUT_PICTURES", 4)
    monkeypatch.setattr(networks, "WIDTHS", (8,) * 5)
    train("pictures", "--folder", tmp_path, "--count", COUNT, "--resolution", SIDE, "--no-compile")
    arguments = ["--pictures", tmp_path, "--count", COUNT, "--out", tmp_path / "net", "--batch", 16, "--steps", 100]
    for recipe in ("e4e", "restyle"):
        with pytest.raises(UserError, match="no W\\+ space"):
            train("encoder", "--recipe", recipe, *arguments)
    train("encoder", "--recipe", "encoder", *arguments, "--minutes", 0)
    train("encoder", "--recipe", "encoder", *arguments)
    log = read_log(tmp_path / "net")
    assert log[-1]["codes"] < log[0]["codes"]
    file = tmp_path / "net" / "encoder.safetensors"
    (exported,) = own_networks(load_file(file), header_of(file))
    network = ENCODERS["narrow"].from_state_dict(exported.tensors)
    assert (network.num_ws, network.w_dim) == (1, made.z_dim)
    code = code_of(network(network.fit(torch.zeros(2, 3, SIDE, SIDE))))
    assert isinstance(code, Z) and code.render(made).shape == (2, 3, SIDE, SIDE)


def test_a_folder_of_pictures_serves_as_a_domain(tmp_path: Path) -> None:
    folder = tmp_path
    rng = torch.Generator().manual_seed(0)
    (folder / "own").mkdir()
    for i in range(4):
        images.write_png(folder / "own" / f"{i}.png", torch.randint(0, 256, (20, 30, 3), generator=rng).byte().numpy())
    recipe, net = RECIPES["superres"], Narrow(3, 6, 8, (2, 2, 2), (8, 8, 8), 8, 2)
    tiny = Model("tiny", resolution=SIDE, domain="lions")
    with pytest.raises(UserError, match="--images"):
        data.Pictures(EncoderOptions(out=folder, pictures=folder), recipe, net, tiny)
    pictures = data.Pictures(EncoderOptions(out=folder, images=folder / "own"), recipe, net, tiny)
    assert pictures.count == 3
    given = pictures.batch(5, rng)
    assert given.target.shape == (5, 3, SIDE, SIDE)
    assert given.input.shape == (5, 3, net.size, net.size)
    assert given.z is None
    assert pictures.held_out.target.shape == (1, 3, SIDE, SIDE)
    with pytest.raises(UserError, match="At least two"):
        data.Pictures(EncoderOptions(out=folder, images=folder / "run"), recipe, net, tiny)
    with pytest.raises(UserError, match="--pictures"):
        data.Pictures(EncoderOptions(out=folder), recipe, net, tiny)


def test_a_stopped_pair_file_resumes_and_feeds_the_translations(tmp_path: Path) -> None:
    net = Narrow(1, 6, 8, (2, 2, 2), (8, 8, 8), 8, 2)
    options, recipe = EncoderOptions(out=tmp_path, pairs=tmp_path, count=24), RECIPES["sketch"]
    tiny = Model("tiny", resolution=SIDE, domain="synthetic-faces")
    with pytest.raises(UserError, match="train pairs"):
        data.TranslationPairs(options, recipe, net, tiny)
    train("pairs", "--folder", tmp_path, "--count", 24, "--resolution", SIDE)
    file = pairs.PairFile(tmp_path, 24, SIDE, create=True)
    before = file.rows.copy()
    file.rows[16:] = 0
    file.marker.write_text("16")
    assert data.TranslationPairs(options, recipe, net, tiny).count == 16
    file.render()
    assert (file.rows == before).all()
    chosen, drawn = file.batch(torch.tensor([0, 23])), FACES.draw([0, 23], SIDE)
    assert torch.equal(chosen.front, images.quantise(FACES.front(drawn)))
    assert torch.equal(chosen.classes, drawn.segmentation.argmax(dim=1).byte())


@pytest.mark.parametrize("reads", examples.PAIRED)
def test_examples_have_the_shape_and_range_of_the_apps_inputs(reads: str) -> None:
    drawn, domain = pairs.draw_pairs(range(4), 64), DOMAINS["synthetic-faces"]
    net = Narrow(input_of(reads).channels(len(domain.classes)), 6, 8, (2, 2, 2), (8,) * 4, 8, 2)
    plain = examples.translation_example(reads, drawn, domain, net)
    rng = torch.Generator().manual_seed(0)
    varied = examples.translation_example(reads, drawn, domain, net, latents(range(4)), rng)
    for given in (plain, varied):
        assert given.input.shape == (4, net.inputs, net.size, net.size)
        assert given.target.min() >= -1
        assert given.target.max() <= 1
    if reads == "frontalize":
        assert not torch.equal(given.target, drawn.picture / 127.5 - 1)
    elif reads == "map":
        assert torch.equal(varied.input.sum(dim=1), torch.ones(4, net.size, net.size))
        assert 0 < (varied.input.argmax(dim=1) != plain.input.argmax(dim=1)).float().mean() < 0.2
    else:
        assert plain.input.min() >= 0
        assert plain.input.max() <= 1
        assert not torch.equal(varied.input, plain.input)


def test_a_translation_without_training_examples_is_refused() -> None:
    drawn, net = pairs.draw_pairs(range(1), SIDE), Narrow(3, 6, 8, (2, 2, 2), (8,) * 4, 8, 2)
    with pytest.raises(UserError, match="has no training examples"):
        examples.translation_example("toonify", drawn, FACES, net)


def test_degraded_pictures_agree_with_the_tasks() -> None:
    x, rng = torch.rand(8, 3, 32, 32) * 2 - 1, torch.Generator().manual_seed(0)
    for picture, small in zip(x, examples.with_low_resolution(x, rng), strict=True):
        fits = [
            f for f in examples.FACTORS[1:] if torch.allclose(Superres(f).pinv(Superres(f).A(picture[None]))[0], small)
        ]
        assert fits or torch.equal(picture, small)
    degraded = examples.with_holes(x, rng)
    hole = (degraded == 0).all(dim=1)
    assert ((degraded == x) | hole[:, None]).all()
    share = hole.float().mean(dim=(1, 2))
    assert share.min() > 0
    assert share.max() < 0.95


def test_an_encoder_starts_from_the_trunk_of_another(tmp_path: Path) -> None:
    one, other = (Narrow(inputs, 6, 8, (2, 2, 2), (8, 8, 8), 8, 2) for inputs in (3, 6))
    path = tmp_path / "encoder.safetensors"
    save_file(one.state_dict(), str(path))
    networks.copy_matching_weights(other, path)
    assert torch.equal(one.blocks[0].conv1.weight, other.blocks[0].conv1.weight)
    assert one.stem.weight.shape != other.stem.weight.shape


def test_a_translation_memorises_its_pairs(prior: StyleGAN2, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(networks, "WIDTHS", (8,) * 5)
    tiny = Model("tiny", prior, SIDE, domain="synthetic-faces")
    options = EncoderOptions(out=Path(), steps=80)
    net = encoder.EncoderLearner(options, RECIPES["sketch"], False, tiny, loop.Processes())
    z, rng = latents(range(4)), torch.Generator().manual_seed(0)
    read = torch.rand(4, net.encoder.inputs, net.encoder.size, net.encoder.size, generator=rng)
    with torch.no_grad():
        given = examples.Example(prior(z), read, z)
    rows = [net.update(given, rng) for _ in range(80)]
    assert set(rows[0]) == {"codes"}
    assert {"codes", "pixel", "norm"} <= set(rows[-1])
    assert rows[-1]["codes"] < 0.8 * rows[0]["codes"]


@pytest.mark.parametrize("compared", ["entries", "axes"])
def test_codes_are_compared_in_units_of_their_spread(compared: str) -> None:
    prior = prior_of(hub.load(hub.DEFAULT))
    with torch.no_grad():
        w = prior.mapping(torch.randn(4000, prior.z_dim, generator=torch.Generator().manual_seed(5)))[:, 0]
    away = (w - w.mean(dim=0)) @ encoder.code_units(prior, compared)
    variance = away.var(dim=0)
    assert abs(float(variance.mean()) - 1) < 0.05
    if compared == "axes":
        assert 10 < away.shape[1] <= prior.w_dim
        assert (variance - 1).abs().max() < 0.2
        assert (torch.corrcoef(away.t()) - torch.eye(away.shape[1])).abs().max() < 0.15


@pytest.mark.parametrize("degrade", examples.DEGRADED.values(), ids=list(examples.DEGRADED))
def test_degradations_are_seeded_and_return_pictures(
    degrade: Callable[[torch.Tensor, torch.Generator], torch.Tensor],
) -> None:
    x = torch.rand(24, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0)) * 2 - 1
    made, again = (degrade(x, torch.Generator().manual_seed(1)) for _ in range(2))
    assert torch.equal(made, again)
    assert made.shape == x.shape
    assert made.abs().max() <= 1
    assert (made != x).any()
    for size in (1, 2):  # with no picture for some kinds of damage
        assert degrade(x[:size], torch.Generator().manual_seed(2)).shape == x[:size].shape
