"""Sliders of the Edit tab, and combinations of two pictures."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.browser import column, invert_to_edit, rectangles, shoot, shown, still, stroke
from PIL import Image
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.browser


def test_a_slider_of_the_edit_tab_moves_every_result(visit: Callable[..., Page], picture: Path, tmp_path: Path) -> None:
    page = visit(1280)
    invert_to_edit(page, picture)
    slider = page.locator("#edit-sliders").get_by_role("slider", name="Yaw")
    expect(slider).to_be_visible()
    before = [shown(page, index, "edit") for index in (0, 1)]
    slider.fill("2")
    for index in (0, 1):
        expect(column(page, index, "edit").locator(".head span")).to_have_text("before | after")
        picture_shown = column(page, index, "edit").locator("img").nth(1)
        expect(picture_shown).not_to_have_attribute("src", before[index])
        expect(picture_shown).to_have_attribute(
            "src", re.compile(r"-edited-\w+\.png$")
        )  # the one of the drag was a JPEG
    expect(page.locator("#edit-sliders").get_by_label("Yaw, strength")).to_have_value("2")
    shoot(page, "9-edit")
    with page.expect_download() as edited:
        column(page, 0, "edit").get_by_role("button", name="Download (png)").click()
    edited.value.save_as(tmp_path / "edited.png")
    with Image.open(tmp_path / "edited.png") as image:
        assert '"yaw": 2.0' in image.info["inversion"]
    limit_and_animate(page)
    page.locator("#edit-sliders").get_by_text("Reset all").click()
    expect(column(page, 0, "edit").locator(".head span")).to_have_text(re.compile(r"^\d+\.\d+ s$"))
    expect(slider).to_have_value("0")


def test_every_slider_is_in_reach_in_every_window(visit: Callable[..., Page], picture: Path) -> None:
    page = visit(1440, 900)
    invert_to_edit(page, picture, "Single Z code", "W", "W+", "Projector")
    for size in ((1440, 900), (1366, 768), (1280, 720), (1024, 768), (800, 900), (1920, 1080), (390, 844)):
        page.set_viewport_size(dict(zip(("width", "height"), size, strict=True)))
        still(page)
        for slider in page.locator("#edit-sliders").get_by_role("slider").filter(visible=True).all():
            slider.click(trial=True, timeout=3000)  # fails if something covers it wherever the page is scrolled
        faces = rectangles(page, "#edit-column-0 img")[0]
        assert faces["y"] >= 0 and faces["bottom"] < size[1], "the faces are in view while a slider is moved"


def paint(page: Page, button: str, editor: str) -> None:
    """Take the picture into an editor, and paint a stroke on it."""
    page.click(button)
    expect(page.locator(editor)).not_to_contain_text("Drop a picture")
    page.locator(editor).get_by_label("Brush").first.wait_for()
    page.wait_for_timeout(500)  # the editor takes the picture, then the brush
    stroke(page, page.locator(f"{editor} canvas").first)


def limit_and_animate(page: Page) -> None:
    """Limit the edits to a painted region while the faces stay in view, and animate the sliders."""
    page.locator("#edit-local").get_by_role("button", name="Edit only a region").click()
    paint(page, "#edit-local-take", "#edit-local-region")
    faces, canvas = rectangles(page, "#edit-column-0 img", "#edit-local-region canvas")
    assert faces["bottom"] > 100 and canvas["bottom"] > faces["bottom"] - 1, "the faces are in view while one paints"
    page.click("#edit-only")
    expect(page.locator("#edit-only")).to_have_text("Edit the whole picture again")
    shoot(page, "10-local")
    page.click("#edit-only")
    expect(page.locator("#edit-only")).to_have_text("Edit only this region")
    page.locator("#edit-animate").get_by_role("button", name="Animate").first.click()
    page.click("#edit-add-state")
    expect(page.locator("#edit-states li")).to_have_text(re.compile("Turn head|Yaw"))
    page.locator("#edit-animate").get_by_role("spinbutton").fill("5")
    page.click("#edit-animate-run")
    expect(page.locator("#edit-animation img")).to_have_attribute("src", re.compile("webp"))
    shoot(page, "11-animation")
    page.locator("#edit-states button").click()
    expect(page.locator("#edit-states li")).to_have_count(0)


def test_two_pictures_are_combined(visit: Callable[..., Page], picture: Path) -> None:
    page = visit(1280)
    invert_to_edit(page, picture)
    fold = page.locator("#edit-pair")
    fold.get_by_role("button", name="Combine two pictures").click()
    page.click("#edit-pair-run")
    expect(page.locator("body")).to_contain_text("Upload a second picture first")
    page.locator("#edit-second-examples button").first.click()
    page.wait_for_selector("#edit-second-picture img")
    page.click("#edit-pair-run")
    gallery = page.locator("#edit-pair-gallery img")
    expect(gallery).to_have_count(2)
    before = gallery.first.get_attribute("src") or ""
    fold.get_by_label("Mix styles").check()
    page.click("#edit-pair-run")
    expect(gallery.first).not_to_have_attribute("src", before)
    fold.get_by_label("Transplant a region").check()
    paint(page, "#edit-take", "#edit-region")
    before = gallery.first.get_attribute("src") or ""
    page.click("#edit-pair-run")
    expect(gallery.first).not_to_have_attribute("src", before)
    expect(gallery).to_have_count(2)
    shoot(page, "10-pair")
