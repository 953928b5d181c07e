"""The page's endpoints through the API client, and what every event and component of the page must obey."""

from __future__ import annotations

import inspect
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from html import unescape
from pathlib import Path
from typing import Any

import gradio as gr
import httpx
import numpy as np
import pytest
import torch
from gradio.components.image_editor import EditorData
from gradio.data_classes import FileData
from gradio.processing_utils import move_files_to_cache
from gradio.route_utils import delete_files_created_by_app
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image, PngImagePlugin
from serving import MODELS, SIZE, Remote, Served, free_port, served
from torch import Tensor

from inversion import align, images
from inversion.align import Face
from inversion.checkpoints import detector
from inversion.methods import METHODS, STAGES
from inversion.model import Model
from inversion.serving import catalogue
from inversion.serving.session import Request, RunView, UnknownJob
from inversion.synthetic.faces import CLASSES
from inversion.tasks import TASKS, make_task
from inversion.translations import TRANSLATIONS
from inversion.translations.drawings import PALETTE
from inversion.translations.label_map import CELEBA_CLASSES
from inversion.translations.label_map import legend as classes_legend
from ui import TABS
from ui.examples import drawings
from ui.parts.fields import KINDS, OWN, changed, joined, menu, own_section, sections
from ui.parts.inputs import InputError, hole
from ui.parts.inputs import picture as picture_of
from ui.parts.markup import run_figures
from ui.parts.moves import read, read_layers, sliders
from ui.parts.pair import KINDS as JOINS
from ui.parts.pair import as_published, digest, done, mixture, region, strip
from ui.parts.settings import Settings
from ui.parts.uploads import canvas, examples_strip, mask_editor, picture_field
from ui.parts.workbench import Workbench
from ui.tab import Desk
from ui.tabs import sketch
from ui.tabs.edit import Edit, EditBench
from ui.tabs.models import describe
from ui.tabs.reconstruct import Reconstruct
from ui.tabs.sketch import SketchBench, legend, swatches

FEW = {"w.steps": 3, "wplus.steps": 3}
W = {"methods": ["w"], "settings": {"w.steps": 3}}
BESIDE = {"inpaint": {"hole": "centre"}, "edit": {"moves": {"yaw": 1}}}  # what an endpoint needs beside a picture
PAGE = gr.Request(session_hash="a page")
PARAMETERS = ["picture", "methods", "model", "seed", "settings", "budget"]
ENDPOINTS = {
    "/reconstruct": [*PARAMETERS, "align"],
    "/colorize": [*PARAMETERS, "measured", "align"],
    "/superres": [*PARAMETERS, "measured", "factor", "align"],
    "/inpaint": [*PARAMETERS, "measured", "mask", "hole", "align"],
    "/edit": [*PARAMETERS, "moves", "layers", "keep", "align"],
    "/sketch": ["picture", "kind", "model", "seed", "variations", "alpha", "mix_layers", "align"],
    "/compare": ["picture", "task", *PARAMETERS[1:], "measured", "factor", "mask", "hole", "align"],
}


@pytest.fixture(scope="module")
def site(model: Model, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(model, tmp_path_factory.mktemp("gradio")) as running:
        yield running


@pytest.fixture(scope="module")
def client(site: Served, tmp_path_factory: pytest.TempPathFactory) -> Client:
    folder = str(tmp_path_factory.mktemp("downloads"))
    return Client(site.url, verbose=False, download_files=folder, httpx_kwargs={"timeout": 60})


@pytest.fixture(scope="module")
def picture(pictures: Tensor, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An upload with metadata that must not come back."""
    path = tmp_path_factory.mktemp("uploads") / "upload.png"
    info = PngImagePlugin.PngInfo()
    info.add_text("Comment", "secret of the upload")
    Image.fromarray(images.to_array(pictures[0])).resize((96, 64)).save(path, pnginfo=info)
    return path


def call(client: Client, name: str, picture: Path | None, **parameters: Any) -> tuple[list[Any], list[Any], str | None]:  # noqa: ANN401
    """The endpoint's last event."""
    given = {"methods": ["w", "wplus"], "settings": FEW, **parameters}
    return client.predict(picture=handle_file(picture) if picture else None, api_name=name, **given)


def opened(path: str) -> Image.Image:
    with Image.open(path) as image:
        image.load()
        return image


def test_endpoints_and_their_parameters_are_stable(client: Client) -> None:
    named = client.view_api(return_format="dict", print_info=False)["named_endpoints"]
    assert {name: [p["parameter_name"] for p in info["parameters"]] for name, info in named.items()} == ENDPOINTS
    for name, info in named.items():
        assert [p["parameter_name"] for p in info["parameters"] if not p["parameter_has_default"]] == ["picture"]
        assert name == "/sketch" or "settings" in info["description"]


@pytest.mark.parametrize("name", [key for key, tab in TABS.items() if not tab.task])
def test_an_endpoint_returns_rows_pictures_and_a_sheet(name: str, client: Client, picture: Path) -> None:
    rows, pictures, sheet = call(client, f"/{name}", picture, **BESIDE.get(name, {}))
    json.dumps(rows, allow_nan=False)
    assert [row["method"] for row in rows] == ["w", "wplus"] and all(row["state"] == "done" for row in rows)
    for row in rows:
        assert row["psnr"] > 0 and 0 < row["ssim"] <= 1 and row["seconds"] > 0 and row["lpips"] is None
        assert row["task"] == name and row["steps"] == 3
    assert [p["caption"] for p in pictures] == ["W", "W+"]
    for shown in pictures:
        image = opened(shown["image"])
        assert image.size == (32, 32) and image.format == "PNG" and "secret" not in str(image.info)
    assert sheet is not None and opened(sheet).width > 256


@pytest.mark.parametrize("name", [name for name, task in TASKS.items() if task.merges])
def test_the_measured_part_survives_to_the_png(name: str, client: Client, picture: Path, tmp_path: Path) -> None:
    mask = np.zeros((64, 96), np.uint8)
    mask[20:40, 30:60] = 255
    path = tmp_path / "mask.png"
    Image.fromarray(mask).save(path)
    given = {"task": name, "factor": 8, "mask": handle_file(path)}
    _, pictures, _ = call(client, "/compare", picture, **given)
    truth = images.to_tensor(images.fit(images.read(picture), 32))
    task = make_task(name, factor=8, mask=images.known_pixels(mask, 32))
    for shown in pictures:
        result = images.to_tensor(images.read(shown["image"]))
        assert (task.A(result) - task.A(truth)).abs().amax().item() <= 2 / 255 + 1e-5  # pictures span 2


def test_compare_runs_any_task_and_free_combinations(client: Client, picture: Path) -> None:
    methods = ["mean+w+wplus", "w"]
    rows, pictures, _ = call(client, "/compare", picture, task="inpaint", hole="random", methods=methods, seed=3)
    assert [row["method"] for row in rows] == methods and len(pictures) == 2
    assert rows[0]["parameters"]["hole"] > 0 and rows[0]["seed"] == 3


def test_a_measured_picture_has_no_psnr(client: Client, picture: Path) -> None:
    rows, _, _ = call(client, "/superres", picture, measured=True)
    assert all(row["psnr"] is None and row["state"] == "done" for row in rows)


def test_events_stream_while_the_run_goes_on(client: Client, picture: Path) -> None:
    job = client.submit(
        picture=handle_file(picture), methods=["w"], settings={"w.steps": 400}, budget=3, api_name="/reconstruct"
    )
    events = list(job)
    assert len(events) >= 2 and {row["state"] for row in events[0][0]} <= {"queued", "running"}
    assert events[-1][0][0]["state"] == "done"


def test_a_script_that_leaves_stops_its_job(site: Served, client: Client, picture: Path) -> None:
    job = client.submit(
        picture=handle_file(picture), methods=["w"], settings={"w.steps": 10_000}, budget=50, api_name="/reconstruct"
    )
    deadline = time.monotonic() + 30
    while (key := site.session.status().running) is None or site.session.snapshot(key).runs[0].image is None:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    began = time.monotonic()
    job.cancel()
    while site.session.status().running is not None:
        assert time.monotonic() < began + 10
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("name", "parameters", "text"),
    [
        ("/reconstruct", {"methods": []}, "at least one method"),
        ("/reconstruct", {"methods": ["w"] + [f"mean+w{'+wplus' * i}" for i in range(1, 9)]}, "can stand|at most"),
        ("/reconstruct", {"methods": ["magic"]}, "magic"),
        ("/reconstruct", {"methods": ["<img src=x onerror=alert(1)>"]}, "&lt;img"),
        ("/reconstruct", {"settings": {"w.steps": 10**6}}, "w.steps must be between"),
        ("/reconstruct", {"settings": {"pti.steps": 5}}, "pti.steps"),
        ("/reconstruct", {"settings": [1]}, "Settings must be"),
        ("/reconstruct", {"seed": -1}, "Seed must be"),
        ("/reconstruct", {"seed": 1.5}, "Seed must be"),
        ("/reconstruct", {"budget": 10**9}, "Budget must be"),
        ("/reconstruct", {"model": "../../x"}, "x"),
        ("/superres", {"factor": 0}, "Factor must be"),
        ("/inpaint", {}, "Upload a mask"),
        ("/compare", {"task": "fly"}, "fly"),
    ],
)
def test_bad_input_is_explained(
    name: str, parameters: dict[str, Any], text: str, client: Client, picture: Path
) -> None:
    with pytest.raises(AppError, match=text) as raised:
        call(client, name, picture, **parameters)
    assert "Traceback" not in str(raised.value) and tempfile.gettempdir() not in str(raised.value)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"not a picture", "not a PNG, JPEG or WebP"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not a PNG, JPEG or WebP"),
        (None, "Give a picture first"),
    ],
)
def test_a_file_that_is_no_picture_is_explained(
    content: bytes | None, text: str, client: Client, tmp_path: Path
) -> None:
    path = tmp_path / "upload.png"
    path.write_bytes(content or b"")
    with pytest.raises(AppError, match=text):
        call(client, "/reconstruct", None if content is None else path)


def test_a_huge_picture_is_refused_at_once(client: Client, tmp_path: Path) -> None:
    path = tmp_path / "huge.png"
    Image.new("1", (9000, 9000)).save(path)
    with pytest.raises(AppError, match="million"):
        call(client, "/reconstruct", path)


def test_a_factor_that_does_not_divide_fails_in_its_row(client: Client, picture: Path) -> None:
    rows, pictures, sheet = call(client, "/superres", picture, factor=5)
    assert all(row["state"] == "failed" and "does not divide" in row["message"] for row in rows)
    assert not pictures and sheet is None


def test_a_model_that_cannot_be_loaded_is_explained(client: Client, picture: Path) -> None:
    rows, _, _ = call(client, "/reconstruct", picture, model="absent")
    assert all(row["state"] == "failed" and "is there a network" in row["message"] for row in rows)
    rows, _, _ = call(client, "/reconstruct", picture, model="only-z")
    assert all("offers no W" in row["message"] for row in rows)


@pytest.mark.parametrize("name", TABS)
def test_a_broken_model_leaves_every_tab_with_the_others(name: str, client: Client, picture: Path) -> None:
    given = {**W, **BESIDE.get(name, {})}
    if name == "edit":  # it asks for the model's directions before it runs anything
        with pytest.raises(AppError, match="is there a network"):
            call(client, f"/{name}", picture, model="absent", **given)
    else:
        rows, _, _ = call(client, f"/{name}", picture, model="absent", **given)
        assert {row["state"] for row in rows} == {"failed"}
    rows, _, _ = call(client, f"/{name}", picture, model="synthetic-faces", **given)
    assert {row["state"] for row in rows} == {"done"}


# ---- combinations


def test_the_menus_hold_every_stage_by_kind_and_leave_out_what_is_lacking() -> None:
    assert sorted(key for kind in KINDS for _, key in menu(kind, {})[1:]) == sorted(STAGES)
    assert all(menu(kind, {})[0] == ("none", "") for kind in KINDS)
    assert "psp" not in [key for _, key in menu("embed", {"psp": "no encoder"})]


def test_typed_fields_are_settings_where_they_differ_from_their_defaults() -> None:
    card = catalogue.method("wplus")
    first = {spec.name: spec.default for spec in card.fields}
    assert changed(card, {"wplus": first}, "wplus") == {} == changed(card, {"w": {"wplus.steps": 3}}, "wplus")
    assert changed(card, {"wplus": {**first, "wplus.steps": 3, "pti.steps": 5}}, "wplus") == {"wplus.steps": 3}
    with pytest.raises(InputError, match="give a number"):
        changed(card, {"wplus": {"wplus.steps": None}}, "wplus")
    for junk in (None, [], "x", {"wplus": 3}):  # what no page of ours sends
        assert changed(card, junk, "wplus") == {}
    assert joined({"refine": "pti", "embed": "mean", "optimise": ""}) == "mean+pti" and joined(None) == ""


@pytest.mark.parametrize("key", [*METHODS, "psp+wplus+clone"])
def test_every_field_of_what_is_chosen_has_a_control_with_its_default(key: str) -> None:
    shown = sections(catalogue.methods(), [key]) if key in METHODS else own_section(key)
    given = {
        field: (method, json.loads(unescape(first)))
        for method, field, first in re.findall(r'data-method="(.*?)" data-field="(.*?)" data-first="(.*?)"', shown)
    }
    own = key if key in METHODS else OWN
    assert given == {spec.name: (own, spec.default) for spec in catalogue.method(key).fields}
    assert len(re.findall(r"<(?:input|select)[^>]* aria-label=", shown)) >= len(given)


def test_stages_that_do_not_fit_say_so_where_their_fields_would_be() -> None:
    assert "stands alone" in own_section("mean+dip") and own_section("") == ""
    assert sections(catalogue.methods(), []) == "" == sections(catalogue.methods(), ["<b>"])


@pytest.fixture(scope="module", params=TABS)
def settings(request: pytest.FixtureRequest, site: Served) -> Settings:
    """The choices of a tab, laid out again outside the page."""
    desk = Desk(site.session, catalogue.methods(), catalogue.models(), catalogue.tasks(), ())
    with gr.Blocks():
        laid = Settings(TABS[request.param](), desk)
        laid.advanced()
    return laid


def chosen(settings: Settings, stages: dict[str, str], typed: dict[str, Any]) -> dict[Any, Any]:
    """The components' values with these stages in the menus and this in the fields."""
    values = {part: part.value for part in settings.inputs()}
    return {**values, settings.fields.stages: stages, settings.fields.typed: typed}


def test_a_combination_is_one_more_method_of_every_tab(settings: Settings) -> None:
    given = {"picture": np.zeros((32, 32, 3), np.uint8)}
    first = settings.tab.methods[0]
    field = catalogue.method(first).fields[0].name
    typed = {OWN: {"wplus.steps": 3, "clone.steps": 9}, first: {field: 7}, "dip": {"dip.steps": 8}}
    values = chosen(settings, {"embed": "mean", "optimise": "wplus", "refine": "pti"}, typed)
    *ticked, own = settings.requests(values, given)
    assert [request.method for request in ticked] == list(settings.tab.methods)
    assert [dict(request.settings) for request in ticked] == [{field: 7}, *({} for _ in ticked[1:])]
    assert own.method == "mean+wplus+pti" and own.settings == {"wplus.steps": 3}
    assert own.task == (settings.tab.task or settings.tab.key)
    plain = settings.requests(chosen(settings, {}, {}), given)
    assert [(r.method, dict(r.settings)) for r in plain] == [(method, {}) for method in settings.tab.methods]
    with pytest.raises(InputError, match="stands alone"):
        settings.requests(chosen(settings, {"embed": "mean", "optimise": "dip"}, {}), given)


def test_what_a_model_lacks_is_left_out_and_said(settings: Settings, site: Served) -> None:
    _, without = site.session.unavailable("only-z")
    assert "w" in without and "z" not in without and "dip" not in without
    updates = settings.offered({}, without, [])
    shown = updates[settings.fields.stages]["rows"]
    assert set(re.findall(r'<option value="(.*?)"', shown)) == {"", *STAGES} - set(without)
    assert "offers no W codes" in shown


# ---- edits


def test_an_edit_moves_every_result(site: Served, client: Client, picture: Path) -> None:
    given = {"moves": {"yaw": 2.0}, "layers": "0-5", "keep": ["smile"]}
    rows, pictures, sheet = call(client, "/edit", picture, **given)
    assert [row["edit"]["moves"] for row in rows] == [{"yaw": 2.0}] * 2 and rows[0]["edit"]["layers"] == [0, 5]
    assert [p["caption"] for p in pictures] == ["W", "W+"] and sheet is not None
    key = site.session.submitted[-1]
    for i, shown in enumerate(pictures):
        expected = site.session.edits.move(key, i, {"yaw": 2.0}, (0, 5), ("smile",)).picture
        result = np.asarray(opened(shown["image"]))
        assert (result == expected).all() and (result != site.session.kept(key, i).image).any()


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({}, "Say what to edit"),
        ({"moves": {"wings": 1}}, "no direction &#x27;wings"),
        ({"moves": {"yaw": 99}}, "Yaw must be a number between"),
        ({"moves": [1]}, "must be an object"),
        ({"moves": {"yaw": 1}, "layers": "x"}, "Write the first and the last layer"),
    ],
)
def test_an_edit_that_cannot_be_is_explained(given: dict[str, Any], text: str, client: Client, picture: Path) -> None:
    with pytest.raises(AppError, match=text):
        call(client, "/edit", picture, **given)


def test_a_result_without_a_code_fails_in_its_row(client: Client, picture: Path) -> None:
    given = {"methods": ["dip", "w"], "settings": {"dip.steps": 2, "w.steps": 2}, "moves": {"yaw": 1}}
    rows, pictures, _ = call(client, "/edit", picture, **given)
    assert rows[0]["state"] == "failed" and "no code" in rows[0]["message"] and len(pictures) == 1
    assert rows[1]["state"] == "done"


def test_sliders_show_every_direction_and_what_they_send_is_checked(site: Served) -> None:
    cards = site.session.edits.directions("synthetic-faces")
    html = sliders([{**card, "label": f"<b>{card['label']}"} for card in cards])
    assert all(f'name="{card["name"]}"' in html for card in cards) and "<b>Yaw" not in html
    assert read(cards, {"yaw": 1, "smile": 0.0}, "", None).moves == {"yaw": 1.0}
    assert read_layers(" 2-4 ") == (2, 4) and read_layers("") is None
    for wrong in ({"yaw": True}, {"yaw": "1"}, {"yaw": float("nan")}, {"yaw": None}):
        with pytest.raises(InputError, match="yaw must be"):
            read(cards, wrong, "", None)


def test_two_pictures_become_strips(site: Served, picture: Path) -> None:
    upload = np.asarray(images.read(picture))
    keys = []
    for shot in (upload, upload[:, ::-1].copy()):
        keys.append(site.session.submit([Request("reconstruct", "w", shot, settings={"w.steps": 2})]))
        until(lambda key=keys[-1]: site.session.snapshot(key).over)  # type: ignore[misc]
    ends = [site.session.kept(key, 0).image for key in keys]
    way = strip(site.session, (keys[0], 0), (keys[1], 0), 5)
    assert way.shape == (32, 5 * 32, 3)
    for end, shown in ((ends[0], way[:, :32]), (ends[1], way[:, -32:])):
        assert (end == shown).mean() > 0.99
    both = mixture(site.session, (keys[0], 0), (keys[1], 0), 3)
    assert (both[:, :64] == np.concatenate(ends, axis=1)).all() and (both[:, 64:] != both[:, :32]).any()
    assert done(site.session.snapshot(keys[0])) == [0]


def submitted(site: Served, picture: Path, steps: int) -> str:
    """Key of a job that inverts the picture by W."""
    upload = np.asarray(images.read(picture))
    return site.session.submit([Request("reconstruct", "w", upload, settings={"w.steps": steps}, budget=50)])


@pytest.fixture
def bench(site: Served) -> EditBench:
    """The Edit tab, laid out again outside the page."""
    desk = Desk(site.session, catalogue.methods(), catalogue.models(), catalogue.tasks(), ())
    with gr.Blocks():
        return EditBench(Edit(), desk, gr.BrowserState(None))


def values_of(bench: EditBench, picture: Path, kind: str = "interpolate", first: str | None = None) -> dict[Any, Any]:
    """What the page sends with Run and with Make it: two steps of W, the same picture twice and a region of it."""
    pair, upload = bench.panel.pair, np.asarray(images.read(picture))
    mask = np.zeros(upload.shape[:2], np.uint8)
    mask[20:40, 30:60] = 255
    values: dict[Any, Any] = {part: part.value for part in {*bench.settings.inputs(), *bench.crop.inputs()}}
    values |= {bench.settings.methods: ["w"], bench.settings.fields.typed: {"w": {"w.steps": 2}}}
    values |= {bench.controls["picture"]: str(picture), bench.panel.left: "measured", bench.job: first}
    values |= {pair.second: str(picture), pair.kind: kind, pair.region: (upload, mask), pair.other: None}
    return {**values, pair.frames: 3, pair.start: 3}


@pytest.mark.parametrize("kind", [kind for _, kind in JOINS])
def test_a_second_picture_joins_in(kind: str, site: Served, bench: EditBench, picture: Path) -> None:
    first, pair = submitted(site, picture, 2), bench.panel.pair
    until(lambda: site.session.snapshot(first).over)
    last = list(pair._go(values_of(bench, picture, kind, first), PAGE))[-1]
    assert pair.status not in last  # nothing went wrong
    [(path, label)] = last[pair.gallery]
    assert label == "W" and path
    start, *_ = bench.panel.updates(site.session, first, "measured")  # of the next run
    assert start[pair.gallery] is None and start.keys() <= {*bench.panel.outputs(), bench.panel.status}


def test_a_region_is_measured_on_the_part_that_the_tab_uses(site: Served, bench: EditBench, picture: Path) -> None:
    values = {**values_of(bench, picture, "diffuse"), bench.crop.how: "hand", bench.crop.x: 30}
    list(bench.panel.pair._go(values, PAGE))
    model, upload = values[bench.settings.model], np.asarray(images.read(picture))
    wanted = bench.crop.crop(upload, model, values)
    assert wanted.quad is not None and site.session.snapshot(site.session.submitted[-1]).crop == wanted
    # A page sends what its events name and nothing else.
    event = next(fn for fn in site.page.fns.values() if getattr(fn.fn, "__qualname__", "") == "Pair._go")
    assert len(event.inputs) == len(values) - 1  # of these, the slider beside Run


def test_a_second_picture_whose_results_are_gone_is_inverted_again(
    site: Served, bench: EditBench, picture: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, pair, upload = submitted(site, picture, 2), bench.panel.pair, np.asarray(images.read(picture))
    until(lambda: site.session.snapshot(first).over)
    view = site.session.snapshot(first)
    key = pair._inverted(view, upload, None)
    until(lambda: site.session.snapshot(key).over)
    other = [first, digest(upload), key]
    assert pair._inverted(view, upload, other) == key
    monkeypatch.setattr(site.session.limits, "kept", 1)
    newer = submitted(site, picture, 2)
    until(lambda: site.session.snapshot(newer).over)
    assert pair._inverted(view, upload, other) != key


def test_only_the_newest_stream_writes_into_a_page(site: Served, bench: EditBench, picture: Path) -> None:
    """A page that follows the job of before a reload, and then runs another."""
    key = submitted(site, picture, 10_000)
    values, elsewhere = values_of(bench, picture), gr.Request(session_hash="another page")
    old, other = bench._resume(key, "measured", PAGE), bench._resume(key, "measured", elsewhere)
    for stream in (old, other):
        assert next(stream) == {bench.job: key}
        assert bench.panel.columns[0].box in next(stream)
    with pytest.raises(gr.Error, match="at least one method"):
        list(bench._start({**values, bench.settings.methods: []}, PAGE))
    assert bench.panel.status in next(old)  # what was refused changes nothing
    new = bench._start(values, PAGE)
    started = next(new)[bench.job]
    assert started != key
    *before, last = old
    assert not before and all(value == gr.skip() for value in last.values())
    site.session.cancel(key)
    written = {component: value for update in new for component, value in update.items()}
    assert "Done" in str(written[bench.panel.status]) and site.session.snapshot(started).over
    assert "Cancelled" in str([update[bench.panel.status] for update in other if bench.panel.status in update][-1])
    assert not bench.streams._newest


def test_a_new_run_ends_what_is_being_made_of_two_pictures(site: Served, bench: EditBench, picture: Path) -> None:
    first, pair = submitted(site, picture, 2), bench.panel.pair
    until(lambda: site.session.snapshot(first).over)
    busy = submitted(site, picture, 10_000)  # so that the second picture waits
    making = pair._go(values_of(bench, picture, first=first), PAGE)
    assert pair.other in next(making)
    new = bench._start(values_of(bench, picture), PAGE)
    next(new)
    assert pair.gallery in next(new)  # cleared
    site.session.cancel(busy)
    assert all(value == gr.skip() for update in making for value in update.values())
    list(new)


def test_an_upload_that_is_gone_is_asked_for_again(tmp_path: Path) -> None:
    gone = str(tmp_path / "gone.png")
    painted = np.zeros((8, 8), np.uint8)
    with gr.Blocks():
        editor, drawing = mask_editor("x", "x"), canvas("y", "y", ["#000000"], 5)
    part = FileData(path=gone)
    sent = EditorData(background=part, layers=[], composite=part)
    readers: list[Callable[[], object]] = [lambda: picture_of(gone), lambda: hole("uploaded", painted, gone, 0)]
    readers += [lambda: editor.preprocess(sent), lambda: drawing.preprocess(sent)]
    for reader in readers:
        with pytest.raises((InputError, gr.Error), match="upload it again") as raised:
            reader()
        assert gone not in str(raised.value)


def test_an_example_that_was_taken_stays_when_uploads_are_deleted(
    picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    with gr.Blocks() as page:
        field, editor = picture_field("x", "x"), mask_editor("y", "y")
        for taker in (field, editor):
            examples_strip([picture], taker, f"{taker.elem_id}-examples")
    strips = [block for block in page.blocks.values() if isinstance(block, gr.Dataset)]
    for taker, shown in zip((field, editor), strips, strict=True):
        taken = taker.postprocess(shown.preprocess(0)[0])  # type: ignore[index]
        move_files_to_cache(taken.model_dump(), taker, postprocess=True)  # type: ignore[union-attr]
    upload = tmp_path / "upload.png"
    upload.write_bytes(picture.read_bytes())
    field.temp_files.add(str(upload))
    delete_files_created_by_app(page, age=-1)
    assert not upload.exists()
    assert all(Path(sample["path"]).is_file() for shown in strips for [sample] in shown.samples)


def test_a_region_has_to_be_painted() -> None:
    upload, mask = np.zeros((8, 8, 3), np.uint8), np.zeros((8, 8), np.uint8)
    with pytest.raises(InputError, match="Paint on my picture"):
        region(None)
    with pytest.raises(InputError, match="No region is painted"):
        region((upload, mask))
    mask[2:4] = 255
    assert region((upload, mask))["inputs"]["mask"] is mask
    plain = as_published(Request("diffuse", "indomain", upload))
    assert plain.settings == {"indomain.domain_weight": 0.0}
    own = as_published(Request("diffuse", "indomain", upload, settings={"indomain.domain_weight": 1.0}))
    assert (
        own.settings == {"indomain.domain_weight": 1.0} and not as_published(Request("diffuse", "w", upload)).settings
    )


# ---- drawings


@pytest.fixture(scope="module")
def drawn() -> dict[str, list[Path]]:
    return drawings()


@pytest.mark.parametrize("kind", [name for name in TRANSLATIONS if name != "toonify"])  # no tiny encoder does that
def test_an_example_of_every_kind_becomes_pictures(kind: str, client: Client, drawn: dict[str, list[Path]]) -> None:
    upload = handle_file(drawn[TRANSLATIONS[kind].takes][-1])
    rows, pictures, sheet = client.predict(picture=upload, kind=kind, variations=3, api_name="/sketch")
    assert rows[0]["translation"] == kind and rows[0]["variations"] == 3 and sheet is not None
    assert len(pictures) == 4 and "reads" in pictures[0]["caption"]
    assert all(opened(shown["image"]).size == (32, 32) for shown in pictures[1:])
    again = client.predict(picture=upload, kind=kind, variations=1, api_name="/sketch")[1]
    assert (np.asarray(opened(again[1]["image"])) == np.asarray(opened(pictures[1]["image"]))).mean() > 0.99


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({}, "Draw the outlines"),
        ({"kind": "map"}, "canvas is empty"),
        ({"kind": "toonify"}, "Cartoon needs another model"),
        ({"model": "only-z"}, "needs a generator with styles"),
        ({"variations": 11}, "Variations must be"),
        ({"alpha": 2}, "Strength of variations must be"),
        ({"mix_layers": 99}, "First layer that varies must be"),
    ],
)
def test_a_drawing_that_cannot_be_is_explained(
    given: dict[str, Any], text: str, client: Client, tmp_path: Path
) -> None:
    path = tmp_path / "empty.png"
    Image.new("RGB", (64, 64), "white").save(path)
    with pytest.raises(AppError, match=text):
        client.predict(picture=handle_file(path), api_name="/sketch", **given)


def test_the_palette_shows_the_classes_of_the_model_and_no_others() -> None:
    classes = [("background", (255, 255, 255)), ("skin", PALETTE[1]), ("<b>", PALETTE[2])]
    html = legend(classes)
    assert 'nth-child(1)::after { content: "skin"; }' in html and "<b>" not in html
    assert f'nth-child({len(PALETTE)})::after {{ content: "background"; }}' in html and "nth-child(3)" not in html
    assert swatches()[0] == "#{:02x}{:02x}{:02x}".format(*PALETTE[1]) and swatches()[-1] == "#ffffff"
    assert len(swatches()) == len(PALETTE) and legend([]) == ""


def cards(legends: dict[str, list[tuple[str, tuple[int, int, int]]]]) -> dict[str, dict[str, dict[str, Any]]]:
    """What models with these classes say of their translations."""
    return {
        model: {name: {"unavailable": None, "legend": own if name == "map" else []} for name in TRANSLATIONS}
        for model, own in legends.items()
    }


def test_a_map_is_read_in_one_way_only(
    site: Served, drawn: dict[str, list[Path]], monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, others = classes_legend(CLASSES), classes_legend(CELEBA_CLASSES)
    known = cards({"synthetic-faces": ours, "aligned": others, "only-z": []})
    monkeypatch.setattr(sketch, "cards_of", lambda session, model: known[model])
    with gr.Blocks():
        desk = Desk(site.session, catalogue.methods(), catalogue.models(), catalogue.tasks(), ())
        bench = SketchBench(desk)
    offered = [dict(zip(bench._offers(), bench._switch(models, "map"), strict=True)) for models in (
        ["synthetic-faces"], ["aligned"], ["synthetic-faces", "aligned"], ["only-z"]
    )]  # fmt: skip
    assert [update[bench.strips["map"]]["visible"] for update in offered] == [True, False, True, False]
    assert ["other classes" in update[bench.legend] for update in offered] == [False, False, True, False]
    values: dict[Any, Any] = {bench.variations: 1, bench.blend: 1, bench.styles: None, bench.seed: 0, bench.kind: "map"}
    values |= {bench.models: ["synthetic-faces", "aligned"]}
    values[bench.fields["map"]] = np.asarray(images.read(drawn["map"][0]))
    last = list(bench._run(values))[-1]
    assert {caption.partition(":")[0] for _, caption in last[bench.gallery]} == {"synthetic-faces"}
    assert "aligned" in last[bench.status] and "other classes than those of synthetic-faces" in last[bench.status]


# ---- crops


@pytest.fixture
def face(monkeypatch: pytest.MonkeyPatch) -> Face:
    """The one face that the detector finds in `picture`, turned a little."""
    found = Face((38, 24), (48, 26), (42, 30), (38, 35), (46, 36))
    monkeypatch.setattr(detector, "registered", lambda entries: lambda picture: [found])
    return found


def test_a_face_is_cut_out_and_pasted_back(site: Served, client: Client, picture: Path, face: Face) -> None:
    rows, pictures, _ = call(client, "/reconstruct", picture, align="face", **W)
    assert rows[0]["crop"]["how"] == "face" and np.allclose(rows[0]["crop"]["quad"], face.quad)
    key = site.session.submitted[-1]
    job = site.session.snapshot(key)
    photo = np.asarray(images.read(picture))
    assert job.truth is not None and (job.truth == align.cut(photo, face.quad, 32)).all()
    pasted = site.session.pasted(key, 0)
    assert (pasted == align.paste(photo, face.quad, np.asarray(images.read(pictures[0]["image"])))).all()
    assert (pasted[:, :10] == photo[:, :10]).all() and (pasted != photo).any()


def test_only_models_of_aligned_faces_look_for_one(client: Client, picture: Path, face: Face) -> None:
    rows, _, _ = call(client, "/reconstruct", picture, **W)
    assert rows[0]["crop"] == {"how": "centre", "quad": None, "note": ""}
    rows, _, _ = call(client, "/reconstruct", picture, model="aligned", **W)
    assert rows[0]["crop"]["how"] == "face"


def test_a_hole_in_the_middle_is_in_the_middle_of_the_crop(
    site: Served, client: Client, picture: Path, face: Face
) -> None:
    call(client, "/inpaint", picture, hole="centre", align="face", **W)
    job = site.session.snapshot(site.session.submitted[-1])
    assert job.measured is not None
    hole = (job.measured == 128).all(axis=2)
    assert hole[11:21, 11:21].all() and not hole[:8].any() and not hole[:, 24:].any()


def test_without_the_detector_the_centre_is_used_and_said_so(client: Client, picture: Path) -> None:
    rows, _, _ = call(client, "/reconstruct", picture, model="aligned", **W)
    assert rows[0]["state"] == "done" and rows[0]["crop"]["how"] == "centre"
    assert "without looking for a face" in rows[0]["crop"]["note"]
    with pytest.raises(AppError, match="detector"):
        call(client, "/reconstruct", picture, align="face", **W)


def test_a_part_that_cannot_be_found_shows_no_other(site: Served, picture: Path) -> None:
    desk = Desk(site.session, catalogue.methods(), catalogue.models(), catalogue.tasks(), ())
    with gr.Blocks():
        bench = Workbench(Reconstruct(), desk, gr.BrowserState(None))
    box = bench.crop
    values: dict[Any, Any] = {part: part.value for part in box.inputs()}
    values |= {box._picture: str(picture), box._model: "aligned"}
    [shown] = box._show({**values, box.how: "hand"})
    assert shown[box.preview]
    failing = box._show({**values, box.how: "face"})
    assert set(next(failing).values()) == {None}
    with pytest.raises(gr.Error, match="detector"):
        next(failing)


def test_photos_are_kept_for_the_last_few_jobs_only(
    site: Served, client: Client, picture: Path, face: Face, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(site.session.limits, "photos", 1)
    for _ in range(2):
        call(client, "/reconstruct", picture, align="face", **W)
    keys = site.session.submitted[-2:]
    with pytest.raises(UnknownJob, match="no longer kept"):
        site.session.pasted(keys[0], 0)
    assert site.session.pasted(keys[-1], 0).shape == (64, 96, 3)


# ---- downloads


@pytest.fixture
def remote(site: Served) -> Iterator[Remote]:
    """The stand-in for the Hub, with nothing downloaded."""
    site.remote.reset()
    yield site.remote
    site.remote.gate.set()  # lets go of a thread that a failed test has left
    until(lambda: not site.session.status().downloading)


def until(ready: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not ready():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.02)


def test_a_run_waits_for_its_model_beside_the_device(
    site: Served, client: Client, picture: Path, remote: Remote
) -> None:
    given = {**W, "api_name": "/reconstruct"}
    waiting = client.submit(picture=handle_file(picture), model="remote", **given)
    until(lambda: [site.session.snapshot(k).download for k in site.session.status().downloading] == [(SIZE // 2, SIZE)])
    rows, _, _ = call(client, "/reconstruct", picture, **W)  # others go on computing
    assert rows[0]["state"] == "done" and remote.fetched >= 1 and not waiting.done()
    remote.gate.set()
    rows, _, _ = waiting.result(timeout=60)
    assert rows[0]["state"] == "done" and rows[0]["model"] == "remote"
    assert site.session.files.card("remote")["cached"]


def test_a_download_that_fails_is_explained_and_can_be_tried_again(
    client: Client, picture: Path, remote: Remote
) -> None:
    remote.problem = "its server does not answer"
    rows, _, _ = call(client, "/reconstruct", picture, model="remote")
    assert all(row["state"] == "failed" and "does not answer" in row["message"] for row in rows)
    remote.problem = None
    remote.gate.set()
    rows, _, _ = call(client, "/reconstruct", picture, model="remote")
    assert all(row["state"] == "done" for row in rows)


def test_a_download_is_shared_and_ends_when_nobody_wants_it(site: Served, remote: Remote) -> None:
    before = remote.fetched
    for visitor in ("ann", "bob"):
        site.session.files.download("remote", visitor)
    until(lambda: (site.session.files.card("remote")["download"] or {}).get("done") == SIZE // 2)
    assert remote.fetched == before + 1
    site.session.files.cancel("remote", "ann")
    assert not site.session.files.card("remote", "ann")["mine"] and site.session.files.card("remote", "bob")["mine"]
    assert site.session.files.card("remote")["download"]["state"] == "running"
    site.session.files.cancel("remote", "bob")
    until(lambda: site.session.files.card("remote")["download"]["state"] == "cancelled")
    assert not site.session.files.card("remote")["cached"]


def test_the_list_of_models_says_where_each_one_is(site: Served, remote: Remote) -> None:
    listed = {card["name"]: card for card in site.session.files.cards()}
    assert [name for name, card in listed.items() if card["embedded"]] == [*MODELS, "aligned"]
    assert listed["by-hand"]["by_hand"] and not listed["by-hand"]["cached"] and not listed["remote"]["by_hand"]
    assert "python -m inversion convert FILE --as by-hand" in describe(listed["by-hand"])
    assert "not here" in describe(listed["remote"]) and "40 MB" in describe(listed["remote"])
    hostile = {**listed["remote"], "note": "<script>", "licence": "<b>", "source": 'https://x"><script>'}
    assert "<script>" not in describe(hostile) and "<b>" not in describe({**hostile, "name": ""}).replace("<b></b>", "")
    menus = [block for block in site.page.blocks.values() if isinstance(block, gr.Dropdown) and block.label == "Model"]
    assert len(menus) == len(TABS) and all("by-hand" not in [value for _, value in menu.choices] for menu in menus)


def test_lpips_on_another_trunk_says_so_on_the_page() -> None:
    usual = run_figures(RunView("w", "W", row={"lpips": 0.12345, "lpips_vgg": None}))
    other = run_figures(RunView("w", "W", row={"lpips": None, "lpips_vgg": 0.12345}))
    assert "0.123" in usual and "VGG" not in usual and "0.123 (VGG)" in other


def test_a_full_queue_refuses_the_rest_at_once(
    site: Served, picture: Path, remote: Remote, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R23. The jobs wait for a download, so none of them costs anything."""
    monkeypatch.setattr(site.session.limits, "waiting", 100)
    event = next(fn for fn in site.page.fns.values() if fn.api_name == "reconstruct")
    with httpx.Client(base_url=f"{site.url}gradio_api", timeout=30) as http:
        stored = http.post("/upload", files={"files": picture.read_bytes()}).json()[0]
        given = [{"path": stored, "meta": {"_type": "gradio.FileData"}}, ["w"], "remote", 0, W["settings"], 60, "auto"]

        def join(user: int) -> httpx.Response:
            return http.post("/queue/join", json={"data": given, "fn_index": event._id, "session_hash": f"r23-{user}"})

        running = int(event.concurrency_limit or 0)
        assert all(join(user).status_code == 200 for user in range(running))
        until(lambda: len(site.session.status().downloading) == running)
        most = site.page.max_size if hasattr(site.page, "max_size") else 24
        began = time.monotonic()
        answers = [join(user) for user in range(running, running + most + 4)]
        assert time.monotonic() - began < len(answers)  # each within a second
        assert [answer.status_code for answer in answers] == [200] * most + [503] * 4
        assert "full" in answers[-1].text
        remote.problem = "gone"  # the rest ends as it begins
        for key in site.session.status().downloading:
            site.session.cancel(key)
        lane = site.page._queue.event_queue_per_concurrency_id["device"]
        until(lambda: not lane.queue and not site.session.status().downloading)


# ---- contracts


def test_computing_events_are_generators_on_one_lane(site: Served) -> None:
    computing = [fn for fn in site.page.fns.values() if fn.concurrency_id == "device"]
    assert len(computing) == 2 * len(TABS) + 2 + len(ENDPOINTS)  # two pictures joined, and a drawing
    downloading = [fn for fn in site.page.fns.values() if fn.concurrency_id == "downloads"]
    assert len(downloading) == 3 and all(fn.api_visibility == "private" for fn in downloading)
    assert all(inspect.isgeneratorfunction(fn.fn) for fn in computing)
    assert len({fn.concurrency_limit for fn in computing}) == 1
    assert {f"/{fn.api_name}" for fn in site.page.fns.values() if fn.api_visibility != "private"} == set(ENDPOINTS)


def test_pictures_are_lossless_and_uploads_undecoded(site: Served) -> None:
    for block in site.page.blocks.values():
        if isinstance(block, gr.Image | gr.ImageSlider | gr.ImageEditor | gr.Gallery):
            assert block.format == "png", block
        if isinstance(block, gr.Image) and block.interactive is not False and block.type == "filepath":
            assert block.image_mode is None or block.label == "sheet"
        if isinstance(block, gr.State):
            assert block.value is None  # keys only


def answer(url: str, data: bytes | None = None, **headers: str) -> int:
    """HTTP status of a request."""
    request = urllib.request.Request(url, data=data, headers=headers)  # noqa: S310 - our own server
    try:
        with urllib.request.urlopen(request, timeout=30) as response:  # noqa: S310
            return int(response.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_foreign_large_and_direct_requests_are_refused(site: Served) -> None:
    upload = f"{site.url}gradio_api/upload"
    for origin in ("https://evil.example", "null", "http://127.0.0.1:1"):
        assert answer(upload, b"x", Origin=origin) == 403
    assert answer(upload, b"x", Origin=site.url.rstrip("/")) != 403
    assert answer(upload, b"x", **{"Content-Length": str(10**9)}) == 413
    for name in ENDPOINTS:
        assert answer(f"{site.url}gradio_api/run{name}", b'{"data": []}', **{"Content-Type": "application/json"}) == 404
    for path in ("monitoring", "monitoring/summary", "gradio_api/file=/etc/passwd"):
        assert answer(site.url + path) in (403, 404)


def test_the_entry_point_serves_on_this_machine_only(tmp_path: Path) -> None:
    """`python app.py` answers; with nothing else running that takes 5 s (the bound here is for a busy machine)."""
    port = free_port()
    root = Path(images.__file__).resolve().parent.parent
    environment = {**os.environ, "GRADIO_TEMP_DIR": str(tmp_path)}
    process = subprocess.Popen(
        [sys.executable, "app.py", "--port", str(port), "--device", "cpu"],
        cwd=root,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        deadline = time.monotonic() + 90
        while True:
            try:
                assert answer(f"http://127.0.0.1:{port}/") == 200
                break
            except OSError:
                assert process.poll() is None and time.monotonic() < deadline
                time.sleep(0.1)
    finally:
        process.terminate()
        output, _ = process.communicate(timeout=30)
    assert "http://127.0.0.1" in output and "gradio.live" not in output


def test_nothing_is_left_of_a_run_in_torch(site: Served) -> None:
    assert torch.is_grad_enabled() and site.session.status().running is None
