"""Variations share the coarse styles, options are checked, and page, script and command line give the same code."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from helpers.drawings import Array, blank, narrow, translating_model, uploads
from helpers.networks import build_prior

from inversion import images, invert, make_task, parse_method
from inversion.__main__ import main
from inversion.checkpoints import hub
from inversion.common.errors import UserError
from inversion.encoders import PSP
from inversion.encoders.backbones import IRSE, stages
from inversion.generators import StyleGAN2
from inversion.methods import Result, SettingError
from inversion.methods.codes import from_plain
from inversion.model import Model
from inversion.serving.lane import Lane
from inversion.synthetic import DOMAINS
from inversion.synthetic.faces import CLASSES
from inversion.translations import INPUTS, TRANSLATIONS, TranslationOptions
from inversion.translations.drawings import PALETTE
from inversion.translations.label_map import CELEBA_CLASSES, legend
from inversion.translations.requests import TranslateRequest, TranslationsRequest
from inversion.translations.translate import classes_of, translate

__all__ = ["uploads"]  # a fixture


@pytest.fixture(scope="module")
def whole() -> Model:
    return translating_model()


def test_every_translation_takes_a_known_kind_of_input() -> None:
    assert {"sketch", "map", "frontalize"} <= set(TRANSLATIONS)
    assert all(kind.takes in INPUTS for kind in TRANSLATIONS.values())


def test_variations_share_the_coarse_styles(whole: Model, uploads: dict[str, list[Array]]) -> None:
    options = TranslationOptions(4, mix_layers=3, seed=5)
    made = translate(whole, "sketch", uploads["lines"][0], options)
    alone = translate(whole, "sketch", uploads["lines"][0])
    prior = whole.prior
    assert prior is not None
    assert made.pictures.shape == (4, 3, prior.resolution, prior.resolution)
    assert torch.allclose(made.pictures[:1], alone.pictures, atol=1e-5)
    rows = made.code.rows
    assert torch.equal(rows[:, :3], rows[:1, :3].expand(4, -1, -1))
    any_style = translate(whole, "sketch", uploads["lines"][0], replace(options, candidates=1)).code.rows
    z = torch.randn(3, prior.z_dim, generator=torch.Generator().manual_seed(5))
    assert torch.allclose(any_style[1:, 3:], prior.mapping(z)[:, 3:], atol=1e-6)
    assert torch.allclose(made.code.render(prior), made.pictures, atol=1e-5)
    again = translate(whole, "sketch", uploads["lines"][0], options)
    assert torch.equal(again.pictures, made.pictures)
    other = translate(whole, "sketch", uploads["lines"][0], replace(options, seed=6))
    assert not torch.equal(other.pictures[1:], made.pictures[1:])


def test_variations_take_styles_of_codes_like_the_drawings(whole: Model, uploads: dict[str, list[Array]]) -> None:
    prior = whole.prior
    assert prior is not None
    options = TranslationOptions(3, mix_layers=3, seed=5, candidates=10)
    made = translate(whole, "sketch", uploads["lines"][0], options).code.rows
    more = translate(whole, "sketch", uploads["lines"][0], replace(options, variations=5)).code.rows
    assert torch.equal(more[:3], made)  # a variation stays what it is when others are asked for
    ws = prior.mapping(torch.randn(20, prior.z_dim, generator=torch.Generator().manual_seed(5))).unflatten(0, (2, 10))
    apart = (ws - made[0])[:, :, :3].square().sum(dim=(2, 3))
    for i, nearest in enumerate(apart.argmin(dim=1).tolist()):
        assert torch.allclose(made[i + 1, 3:], ws[i, nearest, 3:], atol=1e-6)


def test_the_blend_weight_goes_from_the_input_to_the_random_styles(
    whole: Model, uploads: dict[str, list[Array]]
) -> None:
    def fine(alpha: float) -> torch.Tensor:
        options = TranslationOptions(3, alpha=alpha)
        return translate(whole, "map", uploads["map"][0], options).code.rows[:, options.mix_layers :]

    none, half, full = fine(0.0), fine(0.5), fine(1.0)
    assert torch.equal(none, none[:1].expand(3, -1, -1))
    assert torch.allclose(half, (none + full) / 2, atol=1e-6)
    assert (full[1] - full[2]).abs().max() > 1e-3


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"variations": 0}, "Pictures"),
        ({"variations": 65}, "between 1 and 64"),
        ({"mix_layers": 99}, "First varied layer"),
        ({"alpha": 1.5}, "Strength"),
        ({"alpha": float("nan")}, "Strength"),
        ({"seed": -1}, "Seed"),
        ({"candidates": 0}, "Candidates"),
        ({"candidates": 65}, "between 1 and 64"),
    ],
)
def test_options_out_of_range_are_refused(wrong: dict[str, float], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        TranslationOptions(**wrong)  # type: ignore[arg-type]


def test_large_seeds_stay_exact() -> None:
    assert TranslationOptions(seed=2**53 + 1).seed == 2**53 + 1 and TranslationOptions(seed=4.0).seed == 4  # type: ignore[arg-type]


def test_an_unknown_translation_is_refused(whole: Model, uploads: dict[str, list[Array]]) -> None:
    with pytest.raises(SettingError, match="Choose one of: sketch, map"):
        translate(whole, "paint", uploads["lines"][0])


def test_styles_from_beyond_the_last_layer_vary_nothing(whole: Model, uploads: dict[str, list[Array]]) -> None:
    rows = translate(whole, "sketch", uploads["lines"][0], TranslationOptions(3, mix_layers=18)).code.rows
    assert torch.equal(rows, rows[:1].expand(3, -1, -1))


@pytest.mark.parametrize(("name", "channels", "takes"), [("sketch", 1, "lines"), ("map", 19, "map")])
def test_official_encoders_are_served_by_the_same_translations(
    name: str, channels: int, takes: str, uploads: dict[str, list[Array]]
) -> None:
    prior = build_prior()
    units = stages((16, 1), (20, 1), (24, 1), (32, 1))
    pyramid = [min(3, 1 + i // 3) for i in range(prior.num_ws)]
    encoder = PSP(IRSE(channels, units), pyramid, prior.w_dim).eval().requires_grad_(False)
    model = Model("ffhq", prior, prior.resolution, encoders={name: encoder}, domain="ffhq")
    made = translate(model, name, uploads[takes][0], TranslationOptions(2))
    assert made.read.shape == (1, channels, encoder.size, encoder.size)
    assert made.pictures.isfinite().all()
    if name == "map":
        assert classes_of(model, name) == CELEBA_CLASSES
        assert len(legend(CELEBA_CLASSES)) == 19


def test_a_model_names_its_own_classes(whole: Model) -> None:
    assert classes_of(whole, "map") == CLASSES
    assert all(len(legend(domain.classes)) == len(domain.classes) for domain in DOMAINS.values())


def test_the_request_and_its_answer_are_plain(
    whole: Model, uploads: dict[str, list[Array]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "load", lambda *_, **__: whole)
    request = TranslateRequest("synthetic-faces", "map", uploads["map"][0], TranslationOptions(3))
    answer = pickle.loads(pickle.dumps(Lane("cpu").answer(pickle.loads(pickle.dumps(request)))))  # noqa: S301
    assert whole.prior is not None
    for picture, code in zip(answer.pictures, answer.codes, strict=True):
        assert (images.to_array(from_plain(code, whole.device).render(whole.prior)) == picture).mean() > 0.99
    assert {tuple(colour) for colour in answer.read.reshape(-1, 3).tolist()} <= set(PALETTE)
    with pytest.raises(UserError, match="Draw the outlines"):
        Lane("cpu").answer(TranslateRequest("synthetic-faces", "sketch", blank()))


def test_cards_say_what_a_model_offers(whole: Model) -> None:
    cards = {card["name"]: card for card in TranslationsRequest("synthetic-faces")(whole)}
    assert set(cards) == set(TRANSLATIONS)
    assert all(card["unavailable"] is None for card in cards.values())
    assert [name for name, _ in cards["map"]["legend"]] == list(CLASSES)
    lacking = TranslationsRequest("bare")(Model("bare", whole.prior, whole.resolution))
    assert all("bare has no encoder" in card["unavailable"] for card in lacking)


def test_psp_reads_with_the_encoder_of_its_task(whole: Model) -> None:
    prior = whole.prior
    assert isinstance(prior, StyleGAN2)
    one, other = narrow(3, prior), narrow(3, prior)
    other.latent_avg.add_(0.5)
    x = torch.rand(1, 3, prior.resolution, prior.resolution) * 2 - 1
    for roles, task, reader in (
        ({"psp": one, "superres": other}, make_task("superres", factor=4), other),
        ({"psp": one, "superres": other}, make_task("reconstruct"), one),
        ({"psp": one}, make_task("superres", factor=4), one),
    ):
        model = Model("tiny", prior, prior.resolution, encoders=roles)
        y = task.A(x)
        result = list(invert(model, task, y, parse_method("psp")))[-1]
        assert isinstance(result, Result)
        assert result.code is not None
        assert torch.allclose(result.code.ws(prior), reader(reader.fit(task.pinv(y))), atol=1e-5)


@pytest.fixture
def sketch_file(tmp_path: Path, uploads: dict[str, list[Array]]) -> Path:
    path = tmp_path / "drawing.png"
    images.write_png(path, uploads["lines"][0])
    return path


def test_the_command_line_keeps_pictures_and_figures(
    whole: Model, sketch_file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(hub, "load", lambda *_, **__: whole)
    out = sketch_file.parent / "out"
    arguments = ["translate", str(sketch_file), "--to", "sketch", "--variations", "3", "--alpha", "0.5"]
    assert main([*arguments, "--out", str(out), "--json"]) == 0
    row = json.loads(capsys.readouterr().out)
    assert row["translation"] == "sketch"
    assert (row["variations"], row["alpha"], row["mix_layers"], row["candidates"]) == (3, 0.5, 7, 64)
    assert len(row["images"]) == 3
    for path in row["images"]:
        assert images.read(path).size == (whole.resolution, whole.resolution)
    assert images.read(row["sheet"]).size == (4 * whole.resolution, whole.resolution)
    assert json.loads((out / "drawing_sketch.json").read_text()) == [row]
    assert main(arguments) == 0
    assert "add --out" in capsys.readouterr().out


def test_the_command_line_refuses_wrong_inputs_in_one_line(
    whole: Model, sketch_file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(hub, "load", lambda *_, **__: whole)
    empty = sketch_file.with_name("empty.png")
    images.write_png(empty, blank())
    for arguments, message in (
        ([str(empty), "--to", "sketch"], "Draw the outlines"),
        ([str(empty), "--to", "map"], "The canvas is empty"),
        ([str(sketch_file), "--to", "map"], "not a label map"),
        ([str(sketch_file), "--to", "sketch", "--variations", "0"], "--variations"),
        ([str(sketch_file), "--to", "sketch", "--seed", "-1"], "--seed"),
        ([str(sketch_file.with_name("none.png")), "--to", "sketch"], "There is no file"),
    ):
        try:
            status: object = main(["translate", *arguments])
        except SystemExit as stop:  # an argument that the parser refuses
            status = stop.code
        error = capsys.readouterr().err
        assert status == 2 and message in error
        assert error.count("\n") == 1
