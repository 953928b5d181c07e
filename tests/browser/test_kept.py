"""Drawings, fields and runs of the tabs that are not of a task come back by reload and link."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from helpers.browser import open_tab, reload, shoot, status, stroke
from helpers.serving import Served
from helpers.waiting import until
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.browser


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
