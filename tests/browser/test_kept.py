"""Drawings, fields and runs of the tabs that are not of a task come back by reload and link."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.browser import open_tab, reload, shoot, status, stroke, upload
from helpers.serving import Served
from helpers.waiting import until
from playwright.sync_api import Page, Route, expect

pytestmark = pytest.mark.browser


def lose_first_answer(page: Page, site: Served, element: str, event: str) -> None:
    """Let the page wait for ever for the first answer to an event of an element."""
    [block] = [key for key, one in site.page.blocks.items() if one.elem_id == element]
    numbers = [number for number, fn in site.page.fns.items() if (block, event) in map(tuple, fn.targets)]

    def answer(route: Route) -> None:
        if numbers and (route.request.post_data_json or {}).get("fn_index") == numbers[0]:
            numbers.clear()
            route.fulfill(json={"event_id": "lost"})
        else:
            route.continue_()

    assert len(numbers) == 1
    page.route("**/queue/join*", answer)


def test_a_drawing_comes_back_by_reload_and_link(visit: Callable[..., Page], site: Served) -> None:
    page = visit(1280)
    open_tab(page, "Sketch to face")
    canvas = page.locator("#sketch-lines canvas").first
    canvas.wait_for()
    page.locator("#sketch-lines[data-pen]").wait_for()
    stroke(page, canvas, 160)
    page.click("#sketch-run")
    expect(status(page, "sketch")).to_contain_text("Done")
    key = site.session.submitted[-1]
    drawn = site.session.history.requests(key)[0].picture
    reload(page)
    expect(status(page, "sketch")).to_contain_text("Done")
    page.locator("#sketch-lines[data-filled]").wait_for()
    page.click("#sketch-run")
    until(lambda: site.session.submitted[-1] != key)
    again = site.session.history.requests(site.session.submitted[-1])[0].picture
    assert drawn.min() == 0 and abs(again.astype(int) - drawn).mean() < 0.5
    other = visit(390, 844, f"{site.url}?run={key}")
    expect(status(other, "sketch")).to_contain_text("Done")
    expect(other.locator("#sketch-gallery .thumbnail-item img, #sketch-gallery .grid-container img")).to_have_count(5)
    other.locator("#sketch-lines[data-filled]").wait_for()
    shoot(other, "kept-sketch-phone")
    open_tab(page, "History")
    expect(page.locator(".past").first).to_contain_text("Sketch to face")
    shoot(page, "kept-history")


def test_a_grid_comes_back_by_reload_and_link(visit: Callable[..., Page], site: Served, picture: Path) -> None:
    page = visit(1440, 900)
    open_tab(page, "Grid")
    page.locator("#grid-axes [data-listens], #grid-axes[data-listens]").first.wait_for()
    upload(page, "grid", picture)
    page.wait_for_selector("#grid-picture img")
    page.get_by_label("Other settings").fill("z.steps=3; w.steps=3")
    page.get_by_label("Values on the X axis").fill("w, z")
    page.get_by_label("What varies on the Y axis").select_option("")
    page.click("#grid-run")
    expect(page.locator("#grid-cells .cell img")).to_have_count(2)
    page.wait_for_function("window.hub.stored('grid')")
    reload(page)
    other = visit(390, 844, f"{site.url}?run={site.session.submitted[-1]}")
    for one in (page, other):
        expect(one.locator("#grid-cells .cell img")).to_have_count(2)
        one.locator("#grid-picture img").wait_for()
        expect(one.get_by_label("Values on the X axis")).to_have_value("w, z")
        expect(one.get_by_label("Other settings")).to_have_value("z.steps=3; w.steps=3")
    shoot(other, "kept-grid-phone")
    lose_first_answer(page, site, "grid-opener", "fetched")
    open_tab(page, "History")
    page.locator(".past").first.get_by_role("button", name="Open").click()
    page.locator("#grid-picture[data-filled='1']").wait_for()
