"""The tab Grid in a browser: axes, plan, cells, the viewer, and a phone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.accessibility import faults
from helpers.browser import open_tab, reload, shoot, status, upload
from helpers.serving import Served
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


def test_a_grid_is_planned_run_looked_at_and_comes_back(
    visit: Callable[..., Page], site: Served, picture: Path
) -> None:
    page = visit(1440, 900)
    open_tab(page, "Grid")
    page.locator("#grid-axes [data-listens], #grid-axes[data-listens]").first.wait_for()
    upload(page, "grid", picture)
    page.wait_for_selector("#grid-picture img")
    page.get_by_label("Other settings").fill("z.steps=3")
    plan, across = page.locator("#grid-plan"), page.get_by_label("Values on the X axis")
    across.fill("w, nope")
    expect(plan).to_contain_text("Unknown method 'nope'")
    across.fill("w")
    chips = page.locator("#grid-axes [data-axis=x] .chips")
    expect(chips.get_by_role("button", name="pSp", exact=True)).to_have_count(0)  # the model has no encoder
    chips.get_by_role("button", name="Single Z code").click()
    expect(across).to_have_value("w, z")
    page.get_by_label("What varies on the Y axis").select_option("w.steps")
    page.get_by_label("Values on the Y axis").fill("1..3 [3]")
    expect(plan).to_contain_text("2 × 3 = 6 cells")
    assert faults(page, "#grid-axes") == []
    page.click("#grid-run")
    expect(status(page, "grid")).to_contain_text("4 runs")
    cells = page.locator("#grid-cells .cell")
    expect(cells.locator("img")).to_have_count(6)
    expect(page.locator("#grid-summary")).to_contain_text("Best PSNR")
    expect(page.locator("#grid-cells [scope=row]")).to_have_text(["1", "2", "3"])
    expect(page.locator("#grid-sheet")).to_be_enabled()
    assert faults(page, "#grid-cells") == []
    shoot(page, "grid")

    cells.nth(3).click()
    viewer = page.locator(".viewer-dialog .viewer")
    expect(viewer.locator("figcaption b")).to_have_text(["upload", "Single Z code, 2"])
    expect(viewer.locator(".viewer-list label")).to_have_count(7)
    page.keyboard.press("Escape")
    expect(cells.nth(3)).to_be_focused()

    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    shoot(page, "grid-phone")

    page.wait_for_function("window.hub.stored('grid')")
    reload(page)
    other = visit(390, 844, f"{site.url}?run={site.session.submitted[-1]}")
    for one in (page, other):
        expect(one.locator("#grid-cells .cell img")).to_have_count(6)
        one.locator("#grid-picture img").wait_for()
        expect(one.get_by_label("Values on the X axis")).to_have_value("w, z")
        expect(one.get_by_label("Other settings")).to_have_value("z.steps=3")
    lose_first_answer(page, site, "grid-opener", "fetched")
    open_tab(page, "History")
    page.locator(".past").first.get_by_role("button", name="Open").click()
    page.locator("#grid-picture[data-filled='1']").wait_for()
