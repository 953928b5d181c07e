"""The endpoints of the tasks through the API client."""

from __future__ import annotations

import json
import re
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from helpers.page import ENDPOINTS, W, call, opened, required
from PIL import Image

from inversion import images
from inversion.tasks import TASKS, make_task

RUNS = [*TASKS, "edit"]  # endpoints that run methods
# Names that scripts use, by endpoint. Written by hand: names derived from the fields would follow a renamed field.
COMMON = {"picture", "methods", "model", "seed", "settings", "budget", "label", "align", "preset"}
PUBLISHED = {
    "/reconstruct": COMMON,
    "/colorize": COMMON | {"measured"},
    "/superres": COMMON | {"measured", "factor"},
    "/inpaint": COMMON | {"measured", "mask", "hole", "invert_mask"},
    "/denoise": COMMON | {"measured", "sigma"},
    "/edit": COMMON | {"moves", "layers", "keep", "mask", "keep_identity"},
    "/compare": COMMON | {"task", "measured", "factor", "mask", "hole", "invert_mask", "sigma"},
    "/sketch": {"picture", "kind", "model", "seed", "variations", "alpha", "mix_layers", "align"},
}


def test_endpoints_have_the_parameters_of_their_tabs_and_keep_published_names(client: Client) -> None:
    named = client.view_api(return_format="dict", print_info=False)["named_endpoints"]
    parameters = {name: [p["parameter_name"] for p in info["parameters"]] for name, info in named.items()}
    assert parameters == ENDPOINTS
    gone = {name: names - set(parameters[name]) for name, names in PUBLISHED.items()}
    assert not any(gone.values()), gone
    for name, info in named.items():
        assert [p["parameter_name"] for p in info["parameters"] if not p["parameter_has_default"]] == ["picture"]
        assert name == "/sketch" or "settings" in info["description"]


WHOLE = {"seed", "factor", "variations", "mix_layers", "label", "pictures", "layer"}
CHOICES = {"task", "model", "align", "hole", "kind", "preset", "mask_source"}


def test_parameters_have_exact_types_and_a_sentence(client: Client) -> None:
    for name, info in client.view_api(return_format="dict", print_info=False)["named_endpoints"].items():
        for parameter in info["parameters"]:
            key, schema = parameter["parameter_name"], parameter["type"]
            assert (schema.get("type") == "integer") == (key in WHOLE), (name, key)
            assert bool(schema.get("enum")) == (key in CHOICES), (name, key)
            sentence = parameter["python_type"]["description"]
            assert sentence[0].isupper() or sentence[0] == "{", (name, key, sentence)
            assert sentence.endswith(".") and "\n" not in sentence
            assert key in ("picture", "second", "mask") or schema.get("type"), (name, key)


@pytest.mark.parametrize("name", TASKS)
def test_an_endpoint_returns_rows_pictures_and_a_sheet(name: str, client: Client, picture: Path) -> None:
    rows, pictures, sheet = call(client, f"/{name}", picture, **required(name))
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


def test_the_erased_part_of_a_picture_is_its_mask(client: Client, picture: Path, tmp_path: Path) -> None:
    photo = Image.open(picture).convert("RGBA")
    alpha = Image.new("L", photo.size, 255)
    alpha.paste(0, (30, 20, 60, 40))
    photo.putalpha(alpha)
    photo.save(tmp_path / "erased.png")
    for given in ({}, {"mask": handle_file(tmp_path / "erased.png")}):
        rows, _, _ = call(client, "/inpaint", tmp_path / "erased.png", **W, **given)
        assert rows[0]["hole_share"] == pytest.approx(20 * 30 / 64**2, abs=0.03)
        assert images.ERASED in rows[0]["notes"] and rows[0]["psnr"] is None
    with pytest.raises(AppError, match="Upload a picture that is white"):
        call(client, "/inpaint", picture, **W)


def test_compare_runs_any_task_and_free_combinations(client: Client, picture: Path) -> None:
    methods = ["mean+w+wplus", "w"]
    rows, pictures, _ = call(client, "/compare", picture, task="inpaint", hole="random", methods=methods, seed=3)
    assert [row["method"] for row in rows] == methods and len(pictures) == 2
    assert 0 < rows[0]["hole_share"] < 0.5 and rows[0]["seed"] == 3


@pytest.mark.parametrize(("kind", "width"), [("interpolate", 3 * 32), ("mix", 3 * 32), ("diffuse", 32)])
def test_two_pictures_are_combined(kind: str, width: int, client: Client, picture: Path) -> None:
    second = handle_file(picture)
    given = {"kind": kind, "second": second, "mask_source": "centre", "pictures": 3, "layer": 2}
    rows, pictures, sheet = call(client, "/combine", picture, **given)
    assert [row["method"] for row in rows] == ["w", "wplus"] * (1 if kind == "diffuse" else 2)
    assert [(one["caption"], opened(one["image"]).width) for one in pictures] == [("W", width), ("W+", width)]
    assert sheet is not None


def test_a_measured_picture_has_no_psnr(client: Client, picture: Path) -> None:
    rows, _, _ = call(client, "/superres", picture, measured=True)
    assert all(row["psnr"] is None and row["state"] == "done" for row in rows)


def test_events_stream_while_the_run_goes_on(client: Client, picture: Path) -> None:
    job = client.submit(
        picture=handle_file(picture), methods=["w"], settings={"w.steps": 250}, budget=3, api_name="/reconstruct"
    )
    events = list(job)
    assert len(events) >= 2 and {row["state"] for row in events[0][0]} <= {"queued", "running"}
    assert events[-1][0][0]["state"] == "done"


@pytest.mark.parametrize(
    ("name", "parameters", "text"),
    [
        ("/reconstruct", {"methods": []}, "at least one method"),
        ("/reconstruct", {"methods": ["w"] + [f"mean+w{'+wplus' * i}" for i in range(1, 9)]}, "used only once"),
        ("/reconstruct", {"methods": ["magic"]}, "magic"),
        ("/reconstruct", {"methods": ["<img src='x' onerror=alert(1)>"]}, "<img src='x'"),
        ("/reconstruct", {"settings": {"w.steps": 10**6}}, "w.steps must be between"),
        ("/reconstruct", {"settings": {"pti.steps": 5}}, "pti.steps"),
        ("/reconstruct", {"settings": [1]}, "settings must be"),
        ("/reconstruct", {"seed": -1}, "seed must be"),
        ("/reconstruct", {"seed": 1.5}, "seed must be"),
        ("/reconstruct", {"budget": 10**9}, "budget must be"),
        ("/reconstruct", {"model": "../../x"}, "x"),
        ("/superres", {"factor": 0}, "factor must be"),
        ("/inpaint", {}, "white where the mask applies"),
        ("/compare", {"task": "fly"}, "fly"),
        ("/combine", {}, "second: give another picture"),
        ("/combine", {"kind": "fly"}, "fly"),
        ("/combine", {"pictures": 1}, "pictures must be"),
    ],
)
def test_bad_input_is_explained(
    name: str, parameters: dict[str, Any], text: str, client: Client, picture: Path
) -> None:
    with pytest.raises(AppError, match=text) as raised:
        call(client, name, picture, **parameters)
    assert "\n" not in str(raised.value) and not re.search(r"&\w+;|&#", str(raised.value))
    assert "Traceback" not in str(raised.value) and tempfile.gettempdir() not in str(raised.value)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"not a picture", "The file is a text"),
        (b"\x00\xffnot a picture", "not a PNG, JPEG or WebP"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "an SVG drawing"),
        (None, "Upload a picture first"),
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


@pytest.mark.parametrize("name", RUNS)
def test_a_broken_model_leaves_every_tab_with_the_others(name: str, client: Client, picture: Path) -> None:
    given = {**W, **required(name)}
    if name == "edit":  # it asks for the model's directions before it runs anything
        with pytest.raises(AppError, match="is there a network"):
            call(client, f"/{name}", picture, model="absent", **given)
    else:
        rows, _, _ = call(client, f"/{name}", picture, model="absent", **given)
        assert {row["state"] for row in rows} == {"failed"}
    rows, _, _ = call(client, f"/{name}", picture, model="synthetic-faces", **given)
    assert {row["state"] for row in rows} == {"done"}
