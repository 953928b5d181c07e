"""Translations: any drawing is read alike, variations share what they must, and every way in leads to the same code."""

from __future__ import annotations

import io
import json
import math
import pickle
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from helpers.networks import build_prior
from numpy.typing import NDArray
from PIL import Image

from benchmarks import determined
from benchmarks import translations as benchmark
from inversion import images, invert, make_task, parse_method
from inversion.__main__ import main
from inversion.checkpoints import hub
from inversion.common.errors import UserError
from inversion.encoders import PSP, Encoder, Narrow
from inversion.encoders.backbones import IRSE, stages
from inversion.generators import StyleGAN2
from inversion.methods import Result, SettingError
from inversion.methods.codes import from_plain
from inversion.model import Model
from inversion.perception.predictor import Predictor
from inversion.serving.lane import Lane
from inversion.synthetic import DOMAINS, HELD_OUT
from inversion.synthetic.faces import CLASSES, draw_faces
from inversion.training.pairs import PairFile
from inversion.translations import TRANSLATIONS, TranslationOptions
from inversion.translations.base import TranslationError
from inversion.translations.drawings import PALETTE, PURE, DrawingError, classes, lines
from inversion.translations.label_map import CELEBA_CLASSES, legend
from inversion.translations.requests import TranslateRequest, TranslationsRequest
from inversion.translations.translate import classes_of, translate

SIDE = 64  # of the drawings
CHANNELS = {"lines": 1, "map": len(CLASSES), "picture": 3}
COLOURS = np.asarray(PALETTE, np.uint8)
Array = NDArray[np.uint8]


def narrow(inputs: int, prior: StyleGAN2) -> Encoder:
    """A tiny encoder whose random codes lie around the prior's mean."""
    with torch.random.fork_rng():
        torch.manual_seed(inputs)
        encoder = Narrow(inputs, prior.num_ws, prior.w_dim, (2, 3, prior.num_ws - 5), (8, 8, 8), 8, 2)
    encoder.latent_avg.copy_(prior.w_avg)
    return encoder.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def whole() -> Model:
    """A model with a tiny encoder for every translation."""
    prior = build_prior()
    encoders = {name: narrow(CHANNELS[kind.takes], prior) for name, kind in TRANSLATIONS.items()}
    return Model("synthetic-faces", prior, prior.resolution, encoders=encoders, domain="synthetic-faces")


@pytest.fixture(scope="module")
def uploads() -> dict[str, list[Array]]:
    """Four uploads of each kind, uint8 (SIDE, SIDE, 3)."""
    drawn = draw_faces(range(HELD_OUT, HELD_OUT + 4), SIDE)
    sketches = images.quantise(drawn.sketch.expand(-1, 3, -1, -1)).permute(0, 2, 3, 1).numpy()
    maps = COLOURS[drawn.segmentation.argmax(dim=1).numpy()]
    return {"lines": list(sketches), "map": list(maps), "picture": [images.to_array(x) for x in drawn.picture]}


def blank(value: int = 255) -> Array:
    return np.full((SIDE, SIDE, 3), value, np.uint8)


def test_every_translation_has_a_role() -> None:
    assert {"sketch", "map", "frontalize"} <= set(TRANSLATIONS)
    assert all(name == kind.name for name, kind in TRANSLATIONS.items())


@pytest.mark.parametrize("name", TRANSLATIONS)
@pytest.mark.parametrize("shape", [(64, 64), (200, 301), (90, 70)])
def test_any_upload_becomes_what_the_encoder_reads(
    name: str, shape: tuple[int, int], uploads: dict[str, list[Array]]
) -> None:
    kind = TRANSLATIONS[name]
    upload = np.ascontiguousarray(cv2.resize(uploads[kind.takes][0], shape[::-1], interpolation=cv2.INTER_NEAREST))
    read = kind.read(upload, CHANNELS[kind.takes], 32)
    assert read.shape == (1, CHANNELS[kind.takes], 32, 32)
    assert read.dtype == torch.float32
    assert read.max() <= 1
    assert read.min() >= (-1 if kind.takes == "picture" else 0)
    if kind.takes == "map":
        assert torch.equal(read.sum(dim=1), torch.ones(1, 32, 32))
    shown = kind.show(read)
    assert shown.shape == (32, 32, 3)
    assert shown.dtype == np.uint8


@pytest.mark.parametrize("name", TRANSLATIONS)
def test_an_encoder_of_another_input_is_refused(name: str, uploads: dict[str, list[Array]]) -> None:
    kind = TRANSLATIONS[name]
    with pytest.raises(TranslationError, match=f"{kind.label}: the model's encoder reads 77"):
        kind.read(uploads[kind.takes][0], 77, 32)


def photograph(grey: Array) -> Array:
    """The drawing on paper in uneven light, grey lines, grain."""
    big = cv2.resize(grey, (320, 320), interpolation=cv2.INTER_CUBIC).astype(np.float64)
    y, x = np.mgrid[:320, :320] / 320
    paper = 120 + 90 * x - 40 * y
    grain = np.random.default_rng(0).normal(size=big.shape) * 4
    return (paper * (1 - 0.5 * (1 - big / 255)) + grain).clip(0, 255).astype(np.uint8)


def thickened(grey: Array) -> Array:
    big = cv2.resize(grey, (512, 512), interpolation=cv2.INTER_CUBIC)
    return cv2.erode(big, np.ones((9, 9), np.uint8))


STYLES = {
    "photographed": photograph,
    "thick": thickened,
    "chalk": lambda grey: 255 - grey,
    "pencil": lambda grey: 255 - (255 - grey) // 4,
    "large": lambda grey: cv2.resize(grey, (900, 900), interpolation=cv2.INTER_CUBIC),
}


@pytest.mark.parametrize("style", STYLES)
def test_pens_and_papers_are_read_alike(style: str) -> None:
    drawn = draw_faces(range(HELD_OUT, HELD_OUT + 4), 128).sketch[:, 0]
    plain = [((x + 1) * 127.5).round().byte().numpy() for x in drawn]
    expected = [lines(grey, 64) for grey in plain]
    for i, grey in enumerate(plain):
        read = lines(STYLES[style](grey), 64)
        errors = [float(np.abs(read - other).mean()) for other in expected]
        assert errors[i] < 0.08
        assert errors[i] < 0.6 * min(errors[:i] + errors[i + 1 :])


def test_an_empty_canvas_is_told_so() -> None:
    grain = np.random.default_rng(0).normal(200, 3, (SIDE, SIDE)).clip(0, 255).astype(np.uint8)
    shade = np.linspace(90, 220, SIDE).astype(np.uint8)[None].repeat(SIDE, axis=0)
    for grey in (blank()[..., 0], blank(0)[..., 0], grain, shade):
        with pytest.raises(DrawingError, match="Draw the outlines"):
            lines(grey, 64)
    with pytest.raises(DrawingError, match="canvas is empty"):
        TRANSLATIONS["map"].read(blank(), len(CLASSES), 32)


def test_a_photo_is_no_label_map(uploads: dict[str, list[Array]]) -> None:
    with pytest.raises(DrawingError, match="not a label map"):
        TRANSLATIONS["map"].read(uploads["picture"][0], len(CLASSES), 32)


def test_a_hard_map_is_read_exactly(uploads: dict[str, list[Array]]) -> None:
    truth = draw_faces([HELD_OUT], SIDE).segmentation.argmax(dim=1)[0].numpy()
    assert (classes(uploads["map"][0], len(CLASSES), SIDE) == truth).all()


@pytest.mark.parametrize("quality", [None, 85])
def test_smoothed_edges_make_no_other_class(quality: int | None, uploads: dict[str, list[Array]]) -> None:
    for upload in uploads["map"]:
        smooth = cv2.resize(upload, (8 * SIDE, 8 * SIDE), interpolation=cv2.INTER_CUBIC)
        if quality is not None:
            file = io.BytesIO()
            Image.fromarray(smooth).save(file, format="JPEG", quality=quality)
            smooth = np.asarray(images.read(file.getvalue()))
        truth = classes(upload, len(CLASSES), SIDE)
        found = classes(smooth, len(CLASSES), SIDE)
        assert set(np.unique(found)) <= set(np.unique(truth))
        assert (found != truth).mean() < 0.01


def test_no_mixture_of_two_colours_looks_like_a_third() -> None:
    colours = COLOURS.astype(np.float64)
    t = np.linspace(0, 1, 21)[:, None]
    for i, a in enumerate(colours):
        for j, b in enumerate(colours[:i]):
            mixtures = a + t * (b - a)  # (21, 3)
            others = np.delete(colours, [i, j], axis=0)
            assert np.linalg.norm(mixtures[:, None] - others, axis=2).min() > 1.5 * PURE


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
        ({"mix_layers": 99}, "First layer"),
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
    assert (row["variations"], row["alpha"], row["mix_layers"], row["alike"]) == (3, 0.5, 7, 64)
    assert len(row["images"]) == 3
    for path in row["images"]:
        assert images.read(path).size == (whole.resolution, whole.resolution)
    assert images.read(row["sheet"]).size == (4 * whole.resolution, whole.resolution)
    assert json.loads((out / "drawing_sketch.json").read_text()) == row
    assert main(arguments) == 0
    assert "add --out" in capsys.readouterr().out


def test_the_command_line_says_what_is_wrong_in_one_line(
    whole: Model, sketch_file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(hub, "load", lambda *_, **__: whole)
    empty = sketch_file.with_name("empty.png")
    images.write_png(empty, blank())
    for arguments, message in (
        ([str(empty), "--to", "sketch"], "Draw the outlines"),
        ([str(empty), "--to", "map"], "The canvas is empty"),
        ([str(sketch_file), "--to", "map"], "not a label map"),
        ([str(sketch_file), "--to", "sketch", "--variations", "0"], "Pictures must be"),
        ([str(sketch_file), "--to", "sketch", "--seed", "-1"], "Seed"),
        ([str(sketch_file.with_name("none.png")), "--to", "sketch"], "There is no file"),
    ):
        assert main(["translate", *arguments]) == 2
        error = capsys.readouterr().err
        assert message in error
        assert error.count("\n") == 1


def test_the_benchmark_scores_what_is_made(
    whole: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, small in (("FITTED", 16), ("STEPS", 5), ("SAMPLED", 64), ("READABLE", -math.inf)):
        monkeypatch.setattr(benchmark, name, small)
    predictor = Predictor((8,) * 5).eval().requires_grad_(False)
    encoders = {k: v for k, v in whole.encoders.items() if k != "map"} | {"psp": whole.encoders["frontalize"]}
    judged = replace(whole, predictor=predictor, encoders=encoders)
    monkeypatch.setattr(hub, "load", lambda *_, **__: judged)
    arguments = ["--n", "3", "--json", str(tmp_path / "rows.json"), "--pictures", str(tmp_path)]
    assert benchmark.main(arguments) == 0
    assert "map is left out" in capsys.readouterr().err
    rows = {row["translation"]: row for row in json.loads((tmp_path / "rows.json").read_text())}
    assert set(rows) == {"sketch", "frontalize"}
    assert 0 <= rows["sketch"]["iou"] <= 1
    assert all(row["yaw_degrees"] > 0 for row in rows.values())
    assert images.read(tmp_path / "sketch.png").size == (3 * whole.resolution, 6 * whole.resolution)


def test_iou_is_one_for_the_same_map_and_counts_every_class() -> None:
    a, b = torch.tensor([0, 0, 1, 1]), torch.tensor([0, 0, 0, 2])
    assert benchmark.iou(a, a) == 1
    assert benchmark.iou(a, b) == pytest.approx((2 / 3 + 0 + 0) / 3)


def test_readings_are_scored_by_what_they_explain_and_on_which_side_they_lie() -> None:
    truth = torch.tensor([[-0.5], [-0.1], [0.2], [0.4]])
    assert benchmark.explained(truth, truth) == 1
    assert benchmark.explained(truth.mean().expand(4, 1), truth) == pytest.approx(0)
    assert benchmark.sided(2 * truth, truth) == 1
    assert benchmark.sided(truth.abs(), truth) == 0.5


def test_a_reader_learns_what_drawings_show(
    whole: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    judged = replace(whole, predictor=Predictor((8,) * 5).eval().requires_grad_(False))
    monkeypatch.setattr(hub, "load", lambda *_: judged)
    monkeypatch.setattr(determined, "BATCH", 4)
    arguments = ["--pairs", str(tmp_path), "--count", "8", "--n", "6", "--json", str(tmp_path / "rows.json")]
    with pytest.raises(SystemExit):
        determined.main(arguments)
    assert "train pairs" in capsys.readouterr().err
    PairFile(tmp_path, 8, whole.resolution).render()
    assert determined.main([*arguments, "--steps", "2"]) == 0
    rows = json.loads((tmp_path / "rows.json").read_text())
    assert [row["kind"] for row in rows] == list(determined.KINDS)
    assert all(len(row["factors"]) == 53 for row in rows)
