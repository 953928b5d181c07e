"""Edits of results by the endpoint, and the sliders of the page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from helpers.page import W, call, opened
from helpers.serving import Served
from PIL import Image

from inversion.common.errors import UserError
from inversion.editing.requests import EditOptions, read_layers
from ui.parts.sliders import read_edit, sliders


def test_an_edit_moves_every_result(site: Served, client: Client, picture: Path) -> None:
    given = {"moves": {"yaw": 2.0}, "layers": "0-5", "keep": ["smile"]}
    rows, pictures, sheet = call(client, "/edit", picture, **given)
    assert [row["edit"]["moves"] for row in rows] == [{"yaw": 2.0}] * 2 and rows[0]["edit"]["layers"] == [0, 5]
    assert [p["caption"] for p in pictures] == ["W", "W+"] and sheet is not None
    key = site.session.submitted[-1]
    for i, shown in enumerate(pictures):
        expected = site.session.edits.move(key, i, EditOptions({"yaw": 2.0}, (0, 5), ("smile",))).picture
        result = np.asarray(opened(shown["image"]))
        assert (result == expected).all() and (result != site.session.stored_result(key, i).image).any()


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({}, "Choose at least one direction"),
        ({"moves": {"wings": 1}}, "Unknown direction 'wings"),
        ({"moves": {"yaw": 99}}, "moves: yaw must be a number between"),
        ({"moves": [1]}, "moves must be an object"),
        ({"moves": {"yaw": 1}, "layers": "x"}, "Write the first and the last layer"),
        ({"moves": {"yaw": 1}, "keep": [["yaw"]]}, r"keep\[0\] must be text"),
        ({"moves": {"yaw": 1}, "keep": ["wings"]}, "keep: Unknown direction 'wings"),
    ],
)
def test_a_message_says_why_an_edit_is_refused(given: dict[str, Any], text: str, client: Client, picture: Path) -> None:
    with pytest.raises(AppError, match=text):
        call(client, "/edit", picture, **given)


def test_a_script_edits_a_region(site: Served, client: Client, picture: Path, tmp_path: Path) -> None:
    with Image.open(picture) as image:
        mask = np.zeros((image.height, image.width), np.uint8)
    mask[:, : mask.shape[1] // 2] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    given = {"moves": {"yaw": 2.0}, "mask": handle_file(tmp_path / "mask.png"), **W}
    [row], [shown], _ = call(client, "/edit", picture, **given)
    before, after = site.session.stored_result(site.session.submitted[-1], 0).image, np.asarray(opened(shown["image"]))
    assert (before[:, 16:] == after[:, 16:]).all() and row["edit"]["region"] == pytest.approx(0.5, abs=0.05)
    [row], shown, _ = call(client, "/edit", picture, **{**given, "keep_identity": 0.9})
    assert not shown and "cannot measure the identity" in row["message"]


def test_a_result_without_a_code_fails_in_its_row(client: Client, picture: Path) -> None:
    given = {"methods": ["dip", "w"], "settings": {"dip.steps": 2, "w.steps": 2}, "moves": {"yaw": 1}}
    rows, pictures, _ = call(client, "/edit", picture, **given)
    assert rows[0]["state"] == "failed" and "no code" in rows[0]["message"] and len(pictures) == 1
    assert rows[1]["state"] == "done"


def test_sliders_show_every_direction_and_what_they_send_is_checked(site: Served) -> None:
    cards = site.session.edits.directions("synthetic-faces")
    html = sliders([{**card, "label": f"<b>{card['label']}"} for card in cards])
    assert all(f'name="{card["name"]}"' in html for card in cards) and "<b>Yaw" not in html
    assert read_edit(cards, {"yaw": 1, "smile": 0.0}, "", None).moves == {"yaw": 1.0}
    assert read_layers(" 2-4 ") == (2, 4) and read_layers("") is None
    for wrong in ({"yaw": True}, {"yaw": "1"}, {"yaw": float("nan")}, {"yaw": None}):
        with pytest.raises(UserError, match="yaw must be"):
            read_edit(cards, wrong, "", None)
