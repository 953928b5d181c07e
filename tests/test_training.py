"""Training on a few tiny faces: it learns, stops and resumes, and its files can be loaded."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from helpers.training import read_log, train
from safetensors.torch import load_file

from inversion.common.errors import UserError
from inversion.generators import GENERATORS, Discriminator, StateDictError, StyleGAN2
from inversion.model import Model
from inversion.perception.predictor import Predictor
from inversion.synthetic import latents
from inversion.synthetic.faces import FACES, NAMES
from inversion.training import adversarial, cli, generator, loop, neglected, predictor
from inversion.training.muon import Muon, orthogonalise
from inversion.training.pictures import PictureFile

COUNT, SIDE = 32, 16


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with rendered faces; the networks are narrow."""
    for kind in GENERATORS.values():
        monkeypatch.setattr(kind, "embedded_size", replace(kind.embedded_size, widest=8))
    monkeypatch.setattr(adversarial, "DISCRIMINATOR", replace(adversarial.DISCRIMINATOR, widest=8))
    train("pictures", "--folder", tmp_path, "--count", COUNT, "--resolution", SIDE, "--no-compile")
    return tmp_path


@pytest.fixture
def distil(folder: Path) -> Callable[..., None]:
    def run(kimg: float, architecture: str = "stylegan2") -> None:
        arguments = ["--pictures", folder, "--out", folder / "run", "--count", COUNT, "--resolution", SIDE]
        arguments += ["--batch", 8, "--architecture", architecture]
        train("generator", *arguments, "--kimg", kimg, "--kimg-32", 0, "--kimg-64", 0)

    return run


def test_orthogonalised_matrices_keep_their_direction_and_have_singular_values_near_one() -> None:
    matrix = torch.randn(6, 20, generator=torch.Generator().manual_seed(0))
    q = orthogonalise(matrix)
    values = torch.linalg.svdvals(q)
    assert (values > 0.5).all()
    assert (values < 1.4).all()
    assert torch.nn.functional.cosine_similarity(q.flatten(), matrix.flatten(), dim=0) > 0.8


def test_muon_fits_a_linear_map_at_any_scale_of_its_weights() -> None:
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


def test_a_stopped_face_file_resumes(folder: Path) -> None:
    file = PictureFile(folder, COUNT, SIDE, create=True)
    assert file.ready()
    pictures, detail = file.batch(torch.tensor([0, 31]))
    assert pictures.shape == (2, 3, SIDE, SIDE)
    assert detail.max() > 0
    before = file.rows.copy()
    file.rows[16:] = 0
    file.path.with_suffix(".0of1").write_text("16")
    file.render(compiled=False)
    assert (file.rows == before).all()


@pytest.mark.parametrize("drawn", [[], ["0of2"], ["0of2", "1of2"], ["0of1"]])
def test_only_a_complete_face_file_is_read(tmp_path: Path, drawn: list[str]) -> None:
    with pytest.raises(UserError, match="is missing. Draw it with `train pictures`"):
        PictureFile(tmp_path / "no", COUNT, SIDE)
    assert not (tmp_path / "no").exists()
    path = PictureFile(tmp_path, COUNT, SIDE, create=True).path
    path.with_suffix(".0of3").write_text("16")  # a stopped call
    for part in drawn:
        path.with_suffix(f".{part}").write_text(str(COUNT))
    if drawn in (["0of2", "1of2"], ["0of1"]):
        assert PictureFile(tmp_path, COUNT, SIDE).ready()
    else:
        with pytest.raises(UserError, match="not completely drawn"):
            PictureFile(tmp_path, COUNT, SIDE)


@pytest.mark.parametrize("architecture", GENERATORS)
def test_distillation_learns_and_resumes(distil: Callable[..., None], folder: Path, architecture: str) -> None:
    distil(0.2, architecture)
    distil(1.2, architecture)
    log = read_log(folder / "run")
    assert log[0]["kimg"] == pytest.approx(0.2)
    assert log[-1]["kimg"] == pytest.approx(1.2)
    assert log[-1]["loss"] < 0.8 * log[0]["loss"]


def test_the_adversarial_stage_starts_from_a_distilled_generator_and_exports_both_networks(
    distil: Callable[..., None], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    distil(0.08)
    arguments = ["--pictures", folder, "--out", folder / "game", "--distilled", folder / "run" / "state.pt"]
    arguments += ["--count", COUNT]
    arguments += ["--resolution", SIDE, "--batch", 8, "--alone-kimg", 0.016, "--r1-every", 2]
    train("adversarial", *arguments, "--kimg", 0.032)
    train("adversarial", *arguments, "--kimg", 0.048)  # resumes
    log = read_log(folder / "game")
    assert [row["step"] for row in log] == [4, 6]
    train("export", "--state", folder / "game" / "state.pt", "--out", folder)
    prior = StyleGAN2.from_state_dict(load_file(folder / "synthetic_faces_generator.safetensors"))
    assert prior.w_avg.abs().max() > 0
    discriminator = Discriminator.from_state_dict(load_file(folder / "synthetic_faces_discriminator.safetensors"))
    with torch.no_grad():
        assert discriminator(prior(torch.randn(2, prior.z_dim))).isfinite().all()
    assert "sha256" in capsys.readouterr().out


def test_a_models_discriminator_is_trained_without_its_generator(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prior = generator.build(SIDE, torch.float32).freeze()
    tiny = Model("tiny", prior, SIDE, domain="synthetic-faces")
    monkeypatch.setattr(adversarial.hub, "load", lambda *_, **__: tiny)
    before = {name: tensor.clone() for name, tensor in prior.state_dict().items()}
    arguments = ["--pictures", folder, "--count", COUNT, "--out", folder / "judge", "--batch", 8, "--model", "tiny"]
    train("adversarial", *arguments, "--kimg", 0.032, "--alone-kimg", 0.032)
    state = loop.load_checkpoint(folder / "judge" / "state.pt")
    assert all(torch.equal(state["prior"][name], before[name]) for name in before)
    assert all(torch.equal(prior.state_dict()[name], before[name]) for name in before)
    assert Discriminator.from_state_dict(state["discriminator"]).resolution == SIDE
    tiny.domain = "lions"
    with pytest.raises(UserError, match="without a renderer"):
        train("adversarial", *arguments, "--kimg", 0.032)


def test_pairs_differ_in_one_factor_only() -> None:
    z, columns = latents(range(6)), torch.tensor([0, 3, 7, 7, 20, 52])
    one, other = FACES.factors(neglected.opposite_pairs(z, columns)).chunk(2)
    rows = torch.arange(6)
    assert torch.allclose(one[rows, columns], -other[rows, columns], atol=1e-6)
    assert (one[rows, columns] > 0.2).all()
    one[rows, columns] = other[rows, columns]
    assert torch.allclose(one, other, atol=1e-6)


def test_the_unexplained_share_counts_only_where_the_true_pictures_differ() -> None:
    rng = torch.Generator().manual_seed(0)
    truth = torch.rand(6, 3, SIDE, SIDE, generator=rng)
    truth[3:, :, : SIDE // 2] = truth[:3, :, : SIDE // 2]  # the upper halves are alike
    assert (neglected.missing_share(truth, truth) == 0).all()
    assert torch.allclose(neglected.missing_share(torch.zeros_like(truth), truth), torch.ones(3), atol=1e-2)
    elsewhere = truth.clone()
    elsewhere[3:, :, 0] += 5
    assert (neglected.missing_share(elsewhere, truth) == 0).all()


def test_a_neglected_factor_gets_an_axis_and_the_other_codes_stay(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prior = generator.build(SIDE, torch.float32).freeze()
    tiny = Model("tiny", prior, SIDE, domain="synthetic-faces")
    monkeypatch.setattr(neglected.hub, "load", lambda *_: tiny)
    before = {k: v.clone() for k, v in prior.state_dict().items()}
    arguments = ["--out", tmp_path / "run", "--factors", "nose_width", "--mapping-steps", 120, "--pairs", 2]
    arguments += ["--steps", 4, "--lr", 3e-3]
    train("neglected", *arguments, "--minutes", 0)
    train("neglected", *arguments)
    log = read_log(tmp_path / "run")
    assert [(row["mapping"], row["synthesis"]) for row in log] == [(1, 0), (120, 0), (120, 4)]
    assert log[1]["added_axes"] < 0.9 * log[0]["added_axes"]
    assert log[1]["other_axes"] < 0.2
    assert all(torch.equal(before[k], v) for k, v in prior.state_dict().items())  # the shared generator is unchanged
    made = tmp_path / "a" / "new folder"
    train("export", "--state", tmp_path / "run" / "state.pt", "--out", made)
    after = StyleGAN2.from_state_dict(load_file(made / "synthetic_faces_generator.safetensors"))
    assert any(not torch.equal(before[k].half(), v.half()) for k, v in after.state_dict().items() if "convs" in k)
    with pytest.raises(UserError, match="choose from yaw"):
        train("neglected", "--out", tmp_path, "--factors", "moustache")


def test_the_predictor_trains_and_is_exported(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = ["--folder", folder, "--count", 16, "--no-compile"]
    train("pictures", *drawn)
    train("pictures", *drawn, "--same-individual")
    monkeypatch.setattr(predictor, "HELD_OUT_PERSONS", 8)
    arguments = ["--pictures", folder, "--out", folder / "net", "--count", 16, "--pairs", 16]
    train("predictor", *arguments, "--steps", 2, "--batch", 4)
    net = Predictor.from_state_dict(load_file(folder / "net" / "predictor.safetensors"))
    x = torch.rand(2, 3, 64, 64) * 2 - 1
    net.name_attributes(NAMES)
    assert set(net.attributes(x)) == set(NAMES)
    with pytest.raises(StateDictError, match="53 attributes"):
        net.name_attributes(NAMES[1:])
    assert torch.allclose(net.embed(x).norm(dim=1), torch.ones(2), atol=1e-4)


def test_an_unknown_command_lists_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["everything"]) == 2
    assert "predictor" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (
            ["encoder", "--recipe", "psp", "--out", "OUT", "--pictures", "OUT", "--model", "gothic"],
            "There is no model 'gothic'",
        ),
        (["encoder", "--recipe", "map", "--out", "OUT", "--images", "OUT"], "--recipe map needs pairs"),
        (["encoder", "--recipe", "psp", "--out", "OUT", "--set", "turns=x"], "turns must be a whole number"),
        (["encoder", "--recipe", "psp", "--out", "OUT", "--set", "sugar=1"], "unknown term 'sugar'"),
        (["predictor", "--out", "OUT"], "--pictures"),
        (
            ["pictures", "--folder", "OUT", "--domain", "synthetic-houses", "--same-individual"],
            "Leave out --same-individual",
        ),
        (["pictures", "--folder", "OUT", "--count", "0"], "at least 1"),
        (["pictures", "--folder", "OUT", "--parts", "2", "--part", "2"], "--part"),
        (["pairs", "--folder", "OUT", "--count", "-1"], "at least 1"),
        (["generator", "--pictures", "OUT/no", "--out", "OUT"], "train pictures"),
        (["directions", "--out", "OUT/d.safetensors", "--count", "5"], "--count"),
        (["export", "--state", "OUT/state.pt", "--out", "OUT"], "No such file"),
    ],
)
def test_a_command_that_cannot_run_gives_the_reason_in_one_line(
    arguments: list[str], reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main([text.replace("OUT", str(tmp_path)) for text in arguments]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"python -m inversion train {arguments[0]}: ")
    assert reason in line


def test_a_checkpoint_is_replaced_as_a_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / loop.CHECKPOINT
    loop.save_checkpoint(path, {"step": 1})

    def interrupted(state: object, part: Path) -> None:
        part.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(torch, "save", interrupted)
    with pytest.raises(KeyboardInterrupt):
        loop.save_checkpoint(path, {"step": 2})
    assert loop.load_checkpoint(path) == {"step": 1}


def test_the_learning_rate_grows_stays_constant_and_falls() -> None:
    assert [loop.ramp_factor(step, 4) for step in (0, 1, 3, 9)] == [0.25, 0.5, 1, 1]
    assert [loop.decay_factor(progress, 0.5) for progress in (0, 0.5, 0.75, 1)] == [1, 1, 0.5, 0]


def test_a_checkpoint_of_other_settings_is_refused(distil: Callable[..., None]) -> None:
    distil(0.08)
    with pytest.raises(UserError, match="other settings"):
        distil(0.16, "pggan")
