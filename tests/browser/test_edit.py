"""Sliders of the Edit tab, and combinations of two pictures."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.browser import column, invert_to_edit, shoot, shown, stroke
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
        expect(column(page, index, "edit").locator("img").nth(1)).not_to_have_attribute("src", before[index])
    expect(page.locator("#edit-sliders").get_by_label("Yaw, strength")).to_have_value("2")
    shoot(page, "9-edit")
    with page.expect_download() as edited:
        column(page, 0, "edit").get_by_role("button", name="Download (png)").click()
    edited.value.save_as(tmp_path / "edited.png")
    with Image.open(tmp_path / "edited.png") as image:
        assert '"yaw": 2.0' in image.info["inversion"]
    page.locator("#edit-sliders").get_by_text("Reset all").click()
    expect(column(page, 0, "edit").locator(".head span")).to_have_text(re.compile(r"^\d+\.\d s$"))
    expect(slider).to_have_value("0")


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
    page.click("#edit-take")
    canvas = page.locator("#edit-region canvas").first
    expect(page.locator("#edit-region")).not_to_contain_text("Drop a picture")
    page.locator("#edit-region").get_by_label("Brush").first.wait_for()
    page.wait_for_timeout(500)  # the editor takes the picture, then the brush
    stroke(page, canvas)
    page.click("#edit-only")
    expect(page.locator("#edit-only")).to_have_text("Edit the whole picture again")
    edited = column(page, 0, "edit")
    page.locator("#edit-sliders").get_by_role("slider", name="Yaw").fill("2")
    expect(edited.locator(".head span")).to_have_text("before | after")
    shoot(page, "10-local")
    page.click("#edit-only")
    expect(page.locator("#edit-only")).to_have_text("Edit only this region")
    before = gallery.first.get_attribute("src") or ""
    page.click("#edit-pair-run")
    expect(gallery.first).not_to_have_attribute("src", before)
    expect(gallery).to_have_count(2)
    shoot(page, "10-pair")
