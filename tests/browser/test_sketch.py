"""Drawing on the canvas."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from helpers.browser import open_tab, shoot, status, stroke
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.browser


def test_a_drawing_on_the_canvas_becomes_pictures(visit: Callable[..., Page]) -> None:
    page = visit(1280)
    open_tab(page, "Sketch to face")
    canvas = page.locator("#sketch-lines canvas").first
    canvas.wait_for()
    expect(page.locator("#sketch-missing")).to_contain_text("Cartoon needs another model.")
    page.click("#sketch-run")
    expect(page.locator("body")).to_contain_text("The canvas is empty")
    page.locator("#sketch-lines[data-pen]").wait_for()  # the pen is chosen without a click
    stroke(page, canvas, 160)
    page.click("#sketch-run")
    expect(status(page, "sketch")).to_contain_text("Done")
    pictures = page.locator("#sketch-gallery .grid-container img, #sketch-gallery .thumbnail-item img")
    expect(pictures).to_have_count(5)
    page.set_viewport_size({"width": 390, "height": 844})
    page.wait_for_function(
        """() => [...document.querySelectorAll('#sketch-gallery img')].every(
        image => image.getBoundingClientRect().width && image.getBoundingClientRect().right <= window.innerWidth)"""
    )
    page.set_viewport_size({"width": 1280, "height": 1000})
    drawn = pictures.first.get_attribute("src")
    shoot(page, "11-sketch")
    page.get_by_label("Map to picture").check()
    expect(page.locator("#sketch-map-legend")).to_contain_text("brows")
    expect(page.locator("#sketch-other")).to_contain_text("These pictures belong to \u201cSketch to picture\u201d.")
    page.locator("#sketch-map-face-examples button").first.click()
    page.click("#sketch-run")
    expect(pictures.first).not_to_have_attribute("src", drawn or "")
    expect(page.locator("#sketch-other")).to_be_empty()
    shoot(page, "12-map")
