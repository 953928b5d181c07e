"""Training on a handful of tiny faces: it learns, stops and goes on, and what it writes can be loaded."""

import json
import math
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator
from safetensors.torch import load_file, save_file

from inversion import images, synthetic
from inversion.checkpoints import hub
from inversion.encoders import ENCODERS
from inversion.generators import Discriminator, StyleGAN2
from inversion.model import Model
from inversion.perception.predictor import Predictor
from inversion.synthetic import latents
from inversion.synthetic.faces import CLASSES, draw_faces
from inversion.synthetic.faces.factors import factors_of, turned_to_front
from inversion.tasks import Superres
from inversion.training import (
    adversarial,
    cli,
    encoder,
    examples,
    export,
    faces,
    generator,
    overlooked,
    pairs,
    predictor,
)
from inversion.training.muon import Muon, orthogonalise

COUNT, SIDE = 32, 16


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a few rendered faces; networks are narrow."""
    monkeypatch.setattr(generator, "CHANNELS", dict.fromkeys(("stylegan2", "pggan"), {4: 8, 8: 8, 16: 8}))
    monkeypatch.setattr(adversarial, "WIDTHS", {4: 8, 8: 8, 16: 8})
    faces.main(["--folder", str(tmp_path), "--count", str(COUNT), "--resolution", str(SIDE), "--no-compile"])
    return tmp_path


@pytest.fixture
def distil(folder: Path) -> Callable[..., None]:
    def run(kimg: float, architecture: str = "stylegan2") -> None:
        arguments = ["--faces", folder, "--out", folder / "run", "--count", COUNT, "--resolution", SIDE, "--batch", 8]
        arguments += ["--architecture", architecture]
        generator.main([str(a) for a in [*arguments, "--kimg", kimg, "--kimg-32", 0, "--kimg-64", 0]])

    return run


def test_orthogonalised_matrices_keep_their_directions_and_lose_their_stretch() -> None:
    matrix = torch.randn(6, 20, generator=torch.Generator().manual_seed(0))
    q = orthogonalise(matrix)
    values = torch.linalg.svdvals(q)
    assert (values > 0.5).all()
    assert (values < 1.4).all()
    assert torch.nn.functional.cosine_similarity(q.flatten(), matrix.flatten(), dim=0) > 0.8


def test_muon_fits_a_linear_map_whatever_the_scale_of_its_storage() -> None:
    rng = torch.Generator().manual_seed(0)
    x, target = torch.randn(64, 8, generator=rng), torch.randn(64, 8, generator=rng)
    errors = []
    for scale in (1.0, 100.0):
        weight = torch.nn.Parameter(scale * torch.randn(8, 8, generator=torch.Generator().manual_seed(1)))
        optimizer = Muon([weight], lr=0.02)
        for _ in range(200):
            optimizer.zero_grad()
            loss = (x @ weight / scale - target).square().mean()
            loss.backward()
            optimizer.step()
        errors.append(float(loss.detach()))
    best = (x @ torch.linalg.lstsq(x, target).solution - target).square().mean()
    assert errors[0] < 1.1 * best
    assert abs(errors[0] - errors[1]) < 0.05 * errors[0]


def test_the_face_file_goes_on_where_it_stopped(folder: Path) -> None:
    file = faces.FaceFile(folder, COUNT, SIDE)
    assert file.ready()
    pictures, detail = file.batch(torch.tensor([0, 31]))
    assert pictures.shape == (2, 3, SIDE, SIDE)
    assert detail.max() > 0
    before = file.rows.copy()
    file.rows[16:] = 0
    file.path.with_suffix(".0of1").write_text("16")
    file.render(compiled=False)
    assert (file.rows == before).all()


@pytest.mark.parametrize("architecture", generator.CHANNELS)
def test_distillation_learns_stops_and_goes_on(distil: Callable[..., None], folder: Path, architecture: str) -> None:
    distil(0.2, architecture)
    distil(1.2, architecture)
    log = [json.loads(line) for line in (folder / "run" / "log.jsonl").read_text().splitlines()]
    assert log[0]["kimg"] == pytest.approx(0.2)
    assert log[-1]["kimg"] == pytest.approx(1.2)
    assert log[-1]["loss"] < 0.8 * log[0]["loss"]


def test_the_adversarial_stage_starts_from_it_and_both_networks_ship(
    distil: Callable[..., None], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    distil(0.08)
    arguments = [
        "--faces",
        folder,
        "--out",
        folder / "game",
        "--distilled",
        folder / "run" / "state.pt",
        "--count",
        COUNT,
    ]
    arguments += ["--resolution", SIDE, "--batch", 8, "--alone-kimg", 0.016, "--r1-every", 2]
    adversarial.main([str(a) for a in [*arguments, "--kimg", 0.032]])
    adversarial.main([str(a) for a in [*arguments, "--kimg", 0.048]])  # goes on
    log = [json.loads(line) for line in (folder / "game" / "log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in log] == [4, 6]
    export.main(["--state", str(folder / "game" / "state.pt"), "--out", str(folder)])
    prior = StyleGAN2.from_state_dict(load_file(folder / "synthetic_faces_generator.safetensors"))
    assert prior.w_avg.abs().max() > 0
    judge = Discriminator.from_state_dict(load_file(folder / "synthetic_faces_discriminator.safetensors"))
    with torch.no_grad():
        assert judge(prior(torch.randn(2, prior.z_dim))).isfinite().all()
    assert "sha256" in capsys.readouterr().out


def test_pairs_differ_in_one_factor_alone() -> None:
    z, columns = latents(range(6)), torch.tensor([0, 3, 7, 7, 20, 52])
    one, other = factors_of(overlooked.opposites(z, columns)).chunk(2)
    rows = torch.arange(6)
    assert torch.allclose(one[rows, columns], -other[rows, columns], atol=1e-6)
    assert (one[rows, columns] > 0.2).all()
    one[rows, columns] = other[rows, columns]
    assert torch.allclose(one, other, atol=1e-6)


def test_what_is_unexplained_of_a_pair_counts_where_the_true_pictures_differ() -> None:
    rng = torch.Generator().manual_seed(0)
    truth = torch.rand(6, 3, SIDE, SIDE, generator=rng)
    truth[3:, :, : SIDE // 2] = truth[:3, :, : SIDE // 2]  # the upper halves are alike
    assert (overlooked.unexplained(truth, truth) == 0).all()
    assert torch.allclose(overlooked.unexplained(torch.zeros_like(truth), truth), torch.ones(3), atol=1e-2)
    elsewhere = truth.clone()
    elsewhere[3:, :, 0] += 5
    assert (overlooked.unexplained(elsewhere, truth) == 0).all()


def test_an_overlooked_factor_gets_an_axis_and_the_other_codes_stay(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prior = generator.build(SIDE, torch.float32).freeze()
    tiny = Model("tiny", prior, SIDE, domain="synthetic-faces")
    monkeypatch.setattr(overlooked.hub, "load", lambda *_: tiny)
    before = {k: v.clone() for k, v in prior.state_dict().items()}
    arguments = ["--out", tmp_path / "run", "--factors", "nose_width", "--mapping-steps", 120, "--pairs", 2]
    arguments += ["--steps", 4, "--lr", 3e-3]
    overlooked.main([str(a) for a in [*arguments, "--minutes", 0]])
    overlooked.main([str(a) for a in arguments])
    log = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert [(row["mapping"], row["synthesis"]) for row in log] == [(1, 0), (120, 0), (120, 4)]
    assert log[1]["added_axes"] < 0.9 * log[0]["added_axes"]
    assert log[1]["other_axes"] < 0.2
    assert all(torch.equal(before[k], v) for k, v in prior.state_dict().items())  # what is shared stays as it was
    export.main(["--state", str(tmp_path / "run" / "state.pt"), "--out", str(tmp_path)])
    after = StyleGAN2.from_state_dict(load_file(tmp_path / "synthetic_faces_generator.safetensors"))
    assert any(not torch.equal(before[k].half(), v.half()) for k, v in after.state_dict().items() if "convs" in k)
    with pytest.raises(SystemExit, match="choose of yaw"):
        overlooked.main(["--out", str(tmp_path), "--factors", "moustache"])


def test_the_predictor_trains_and_ships(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = ["--folder", str(folder), "--count", "16", "--no-compile"]
    faces.main(drawn)
    faces.main([*drawn, "--mates"])
    monkeypatch.setattr(predictor, "EXAMINED", 8)
    arguments = ["--faces", folder, "--out", folder / "net", "--count", 16, "--pairs", 16, "--steps", 2, "--batch", 4]
    predictor.main([str(a) for a in arguments])
    net = Predictor.from_state_dict(load_file(folder / "net" / "predictor.safetensors"))
    x = torch.rand(2, 3, 64, 64) * 2 - 1
    assert len(net.attributes(x)) > 40
    assert torch.allclose(net.embed(x).norm(dim=1), torch.ones(2), atol=1e-4)


def test_an_unknown_stage_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["everything"]) == 2
    assert "predictor" in capsys.readouterr().err


@pytest.mark.parametrize("recipe", encoder.RECIPES)
def test_an_encoder_trains_goes_on_and_ships(recipe: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prior = generator.build(SIDE, torch.float32).freeze()
    judge = Discriminator(SIDE, adversarial.WIDTHS).requires_grad_(False)
    tiny = Model(
        "tiny",
        prior,
        SIDE,
        discriminator=judge,
        predictor=Predictor((8,) * 5).eval().requires_grad_(False),
        domain="synthetic-faces",
    )
    pairs.main(["--folder", str(folder), "--count", str(COUNT), "--resolution", str(SIDE)])
    monkeypatch.setattr(encoder.hub, "load", lambda *_, **__: tiny)
    monkeypatch.setattr(encoder, "EXAMINED", 4)
    monkeypatch.setattr(encoder, "WIDTHS", (8,) * 5)
    before = {k: v.clone() for k, v in [*prior.state_dict().items(), *judge.state_dict().items()]}
    arguments = ["--recipe", recipe, "--faces", folder, "--count", COUNT, "--out", folder / "net", "--batch", 4]
    arguments += ["--pairs", folder]
    encoder.main([str(a) for a in [*arguments, "--steps", 20, "--minutes", 0]])
    encoder.main([str(a) for a in [*arguments, "--steps", 20]])
    log = [json.loads(line) for line in (folder / "net" / "log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in log] == [1, 20]
    assert all(math.isfinite(value) for row in log for value in row.values())
    if not encoder.RECIPES[recipe].reads:  # codes of renders mean nothing to a generator that never saw them
        learnt = "codes" if encoder.RECIPES[recipe].codes else "pixel"
        assert log[1][learnt] < log[0][learnt]
    made = ENCODERS["narrow-e4e" if recipe == "e4e" else "narrow"].from_state_dict(
        load_file(folder / "net" / "encoder.safetensors")
    )
    assert made.num_ws == prior.num_ws
    assert made.inputs == encoder.RECIPES[recipe].inputs(len(CLASSES))
    assert made.reads == {"restyle": "pair", "sketch": "sketch", "map": "labels"}.get(recipe, "picture")
    after = {**prior.state_dict(), **judge.state_dict()}
    assert all(torch.equal(before[k], after[k]) for k in before)  # what is shared stays as it was


def test_a_folder_of_pictures_is_a_domain_too(folder: Path) -> None:
    rng = torch.Generator().manual_seed(0)
    (folder / "own").mkdir()
    for i in range(4):
        images.write_png(folder / "own" / f"{i}.png", torch.randint(0, 256, (20, 30, 3), generator=rng).byte().numpy())
    recipe, net = encoder.RECIPES["superres"], encoder.Narrow(3, 6, 8, (2, 2, 2), (8, 8, 8), 8, 2)
    tiny = Model("tiny", resolution=SIDE, domain="lions")
    with pytest.raises(SystemExit, match="--images"):
        encoder.Pictures(encoder.Run(folder, faces=folder), recipe, net, tiny)
    pictures = encoder.Pictures(encoder.Run(folder, images=folder / "own"), recipe, net, tiny)
    assert pictures.count == 3
    given = next(pictures.batches(5, rng))
    assert given.target.shape == (5, 3, SIDE, SIDE)
    assert given.read.shape == (5, 3, net.size, net.size)
    assert given.z is None
    assert pictures.examined.target.shape == (1, 3, SIDE, SIDE)
    with pytest.raises(SystemExit, match="two at least"):
        encoder.Pictures(encoder.Run(folder, images=folder / "run"), recipe, net, tiny)
    with pytest.raises(SystemExit, match="--faces"):
        encoder.Pictures(encoder.Run(folder), recipe, net, tiny)


def test_the_pair_file_goes_on_where_it_stopped_and_feeds_the_translations(tmp_path: Path) -> None:
    net = encoder.Narrow(1, 6, 8, (2, 2, 2), (8, 8, 8), 8, 2)
    run, recipe = encoder.Run(tmp_path, pairs=tmp_path, count=24), encoder.RECIPES["sketch"]
    tiny = Model("tiny", resolution=SIDE, domain="synthetic-faces")
    with pytest.raises(SystemExit, match="train pairs"):
        encoder.Translations(run, recipe, net, tiny)
    cli.main(["pairs", "--folder", str(tmp_path), "--count", "24", "--resolution", str(SIDE)])
    file = pairs.PairFile(tmp_path, 24, SIDE)
    before = file.rows.copy()
    file.rows[16:] = 0
    file.marker.write_text("16")
    assert encoder.Translations(run, recipe, net, tiny).count == 16
    file.render()
    assert (file.rows == before).all()
    chosen, drawn = file.batch(torch.tensor([0, 23])), draw_faces([0, 23], SIDE)
    assert torch.equal(chosen.front, images.quantise(drawn.front))
    assert torch.equal(chosen.classes, drawn.segmentation.argmax(dim=1).byte())


def test_the_code_of_a_front_changes_the_pose_alone() -> None:
    z = latents(range(8))
    assert torch.allclose(factors_of(examples.faced(z)), turned_to_front(factors_of(z)), atol=1e-6)


@pytest.mark.parametrize("reads", examples.TRANSLATED)
def test_examples_are_what_the_app_would_feed(reads: str) -> None:
    drawn, domain = pairs.draw(range(4), 64), synthetic.DOMAINS["synthetic-faces"]
    net = encoder.Narrow(examples.TRANSLATED[reads](len(domain.classes)), 6, 8, (2, 2, 2), (8,) * 4, 8, 2)
    plain = examples.example(reads, drawn, domain, net, None, None)
    rng = torch.Generator().manual_seed(0)
    varied = examples.example(reads, drawn, domain, net, latents(range(4)), rng)
    for given in (plain, varied):
        assert given.read.shape == (4, net.inputs, net.size, net.size)
        assert given.target.min() >= -1
        assert given.target.max() <= 1
    if reads == "turned":
        assert not torch.equal(given.target, drawn.picture / 127.5 - 1)
    elif reads == "map":
        assert torch.equal(varied.read.sum(dim=1), torch.ones(4, net.size, net.size))
        assert 0 < (varied.read.argmax(dim=1) != plain.read.argmax(dim=1)).float().mean() < 0.2
    else:
        assert plain.read.min() >= 0
        assert plain.read.max() <= 1
        assert not torch.equal(varied.read, plain.read)


def test_degraded_pictures_agree_with_the_tasks() -> None:
    x, rng = torch.rand(8, 3, 32, 32) * 2 - 1, torch.Generator().manual_seed(0)
    for picture, small in zip(x, examples.shrunk(x, rng), strict=True):
        fits = [
            f for f in examples.FACTORS[1:] if torch.allclose(Superres(f).pinv(Superres(f).A(picture[None]))[0], small)
        ]
        assert fits or torch.equal(picture, small)
    with_holes = examples.holed(x, rng)
    hole = (with_holes == 0).all(dim=1)
    assert ((with_holes == x) | hole[:, None]).all()
    share = hole.float().mean(dim=(1, 2))
    assert share.min() > 0
    assert share.max() < 0.95


def test_an_encoder_starts_from_another_ones_trunk() -> None:
    one, other = (encoder.Narrow(inputs, 6, 8, (2, 2, 2), (8, 8, 8), 8, 2) for inputs in (3, 6))
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "encoder.safetensors"
        save_file(one.state_dict(), str(path))
        encoder.adopt(other, path)
    assert torch.equal(one.blocks[0].conv1.weight, other.blocks[0].conv1.weight)
    assert one.stem.weight.shape != other.stem.weight.shape


def test_a_translation_learns_its_pairs_by_heart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoder, "WIDTHS", (8,) * 5)
    monkeypatch.setattr(generator, "CHANNELS", {"stylegan2": {4: 8, 8: 8, 16: 8}})
    prior = generator.build(SIDE, torch.float32).freeze()
    tiny = Model("tiny", prior, SIDE, domain="synthetic-faces")
    net = encoder.Trainer(encoder.Run(Path(), steps=80), encoder.RECIPES["sketch"], False, tiny, Accelerator(cpu=True))
    z, rng = latents(range(4)), torch.Generator().manual_seed(0)
    read = torch.rand(4, net.encoder.inputs, net.encoder.size, net.encoder.size, generator=rng)
    with torch.no_grad():
        given = examples.Example(prior(z), read, z)
    rows = [net.step(given, rng) for _ in range(80)]
    assert set(rows[0]) == {"codes"}
    assert {"codes", "pixel", "norm"} <= set(rows[-1])
    assert rows[-1]["codes"] < 0.8 * rows[0]["codes"]


@pytest.mark.parametrize("compared", ["entries", "axes"])
def test_codes_are_compared_in_units_of_their_spread(compared: str) -> None:
    prior = hub.load(hub.DEFAULT).prior
    assert prior is not None
    with torch.no_grad():
        w = prior.mapping(torch.randn(4000, prior.z_dim, generator=torch.Generator().manual_seed(5)))[:, 0]
    away = (w - w.mean(dim=0)) @ encoder.units(prior, compared)
    variance = away.var(dim=0)
    assert abs(float(variance.mean()) - 1) < 0.05
    if compared == "axes":
        assert 10 < away.shape[1] <= prior.w_dim
        assert (variance - 1).abs().max() < 0.2
        assert (torch.corrcoef(away.t()) - torch.eye(away.shape[1])).abs().max() < 0.15


@pytest.mark.parametrize("harm", examples.DEGRADED.values(), ids=list(examples.DEGRADED))
def test_damage_is_seeded_and_leaves_pictures(harm: Callable[[torch.Tensor, torch.Generator], torch.Tensor]) -> None:
    x = torch.rand(24, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0)) * 2 - 1
    made, again = (harm(x, torch.Generator().manual_seed(1)) for _ in range(2))
    assert torch.equal(made, again)
    assert made.shape == x.shape
    assert made.abs().max() <= 1
    assert (made != x).any()
    for size in (1, 2):  # whatever falls to nobody
        assert harm(x[:size], torch.Generator().manual_seed(2)).shape == x[:size].shape
