"""The viewer: results of a tab over the whole window, and pictures of all tabs in a tab of their own."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.accessibility import faults
from helpers.browser import open_tab, rectangles, shoot, take_example
from playwright.sync_api import Locator, Page, expect

pytestmark = pytest.mark.browser

DRAWN = "canvases => canvases.map(one => one.toDataURL())"


def drawn(viewer: Locator) -> list[str]:
    """What every picture of the viewer shows, after the next frame."""
    viewer.page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    shown: list[str] = viewer.locator("canvas").evaluate_all(DRAWN)
    return shown


def values(viewer: Locator) -> list[str]:
    """The small print above the pictures."""
    return viewer.locator("figcaption span").all_inner_texts()


def test_results_and_files_are_compared_in_every_way(visit: Callable[..., Page], picture: Path) -> None:
    page = visit(1440, 900)
    page.locator("#reconstruct-column-2 img").nth(1).wait_for()
    fetched: list[str] = []
    page.on("request", lambda request: fetched.append(request.url) if "file=" in request.url else None)
    page.get_by_role("button", name="Compare closely").click()
    viewer, zoom = page.locator(".viewer-dialog .viewer"), page.locator(".viewer-dialog .viewer-percent")
    expect(viewer.locator("figcaption b")).to_have_text(["Your picture", "pSp", "ReStyle", "Hybrid"])
    expect(viewer.locator(".viewer-stage")).to_be_focused()
    whole, first = zoom.inner_text(), drawn(viewer)
    page.keyboard.press("+")
    page.keyboard.press("ArrowRight")
    expect(zoom).not_to_have_text(whole)
    expect(viewer.get_by_role("status")).to_contain_text("Zoom")
    assert all(a != b for a, b in zip(first, drawn(viewer), strict=True)), "all move together"
    page.keyboard.press("0")
    expect(zoom).to_have_text(whole)
    assert drawn(viewer) == first
    page.keyboard.press("Space")  # every picture alternates with the reference
    expect(viewer.locator("figcaption b")).to_have_text(["Your picture"] * 4)
    expect(viewer.locator("figcaption b").nth(1)).to_have_text("pSp")
    page.keyboard.press("Space")
    shoot(page, "viewer-side")

    viewer.get_by_role("radio", name="Slider").click()
    viewer.get_by_label("Left").select_option("Hybrid")
    expect(viewer.locator("figcaption b")).to_have_text(["Hybrid | pSp"])
    border = viewer.get_by_role("slider", name="Border")
    border.press("ArrowRight")
    expect(border).to_have_attribute("aria-valuenow", "52")
    shoot(page, "viewer-slider")

    viewer.get_by_role("radio", name="Difference").click()
    expect(viewer.locator("figcaption span").first).to_have_text(re.compile(r"^mean \d+\.\d, max \d+$"))
    expect(viewer.locator(".viewer-legend")).to_contain_text("64 (0.25)")
    viewer.get_by_label("Scale").select_option("0 to 255")
    expect(viewer.locator(".viewer-legend")).to_contain_text("255 (1.00)")
    viewer.get_by_role("button", name="Loupe").click()
    viewer.locator("canvas").first.hover()
    expect(viewer.locator("figcaption span").nth(2)).to_have_text(re.compile(r"^\(6\d, 6\d\) +\d+$"))
    assert len({text.split(")")[0] for text in values(viewer)}) == 1, "one place in all pictures"
    assert faults(page, ".viewer-dialog") == []
    shoot(page, "viewer-difference")
    assert not fetched, "the page has all pictures already"
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Compare closely")).to_be_focused()

    open_tab(page, "Compare")
    viewer = page.locator("#compare-viewer .viewer")
    expect(viewer.locator("canvas")).to_have_count(4)
    viewer.locator("input[type=file]").set_input_files(picture)
    expect(viewer.locator("figcaption b").last).to_have_text("upload")
    viewer.get_by_role("checkbox", name="ReStyle").uncheck()
    expect(viewer.locator("canvas")).to_have_count(4)
    assert faults(page, "#compare-viewer") == []

    send = viewer.get_by_role("button", name="Send Hybrid to another tab")
    send.press("Enter")
    page.keyboard.press("ArrowDown")
    expect(page.get_by_role("menuitem", name="Super-resolve")).to_be_focused()
    page.get_by_role("menuitem", name="Inpaint").press("Enter")
    expect(page.locator("#inpaint-picture-framing .framing-line")).to_contain_text("picture")
    open_tab(page, "Colourise")
    page.get_by_role("button", name="Use the picture of Inpaint").click()
    page.locator("#colorize-picture .image-frame img").wait_for()
    expect(page.locator("#colorize-offer .offer")).to_be_hidden()


def test_the_tab_shows_the_results_seen_last_on_a_phone(visit: Callable[..., Page]) -> None:
    page = visit(390, 844, color_scheme="dark")
    page.locator("#reconstruct-column-0 img").nth(1).wait_for(state="attached")
    open_tab(page, "Colourise")  # it has no results yet
    take_example(page, "colorize")
    page.locator("#colorize-column-0 img").nth(1).wait_for(state="attached")
    open_tab(page, "Compare")
    viewer = page.locator("#compare-viewer .viewer")
    expect(viewer.locator(".viewer-list label").filter(has_text="Reconstruct: pSp")).to_have_count(1)
    first = viewer.locator(".viewer-list label:has(:checked)").first
    expect(first).to_contain_text("Colourise: ")
    row, chip = rectangles(page, "#compare-viewer .viewer-list", "#compare-viewer .viewer-list label:has(:checked)")
    assert row["left"] <= chip["left"] + 1 < row["right"] - 100, "the row begins with it"
    viewer.get_by_role("radio", name="Difference").click()
    bar, place = rectangles(page, ".viewer-bar", ".viewer-stage canvas")
    assert bar["height"] < 120 and place["width"] > 120, "three rows of buttons, and maps that can be read"
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    shoot(page, "viewer-phone")
