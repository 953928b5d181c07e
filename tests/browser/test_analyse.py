"""An analysis from the menu to its files, again after a reload, and cancelled."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.browser import open_tab, reload, shoot, status, upload
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.browser


def set_effort(page: Page, effort: str) -> None:
    """Fill the field of the effort in the advanced fold."""
    fold = page.locator("#analyse-advanced")
    field = fold.locator("[data-field=effort] input").last
    if not field.is_visible():
        fold.get_by_role("button", name="Advanced").click()
    fold.locator("[data-listens]").wait_for()
    field.fill(effort)
    field.blur()


def test_an_analysis_shows_its_report_and_can_be_cancelled(visit: Callable[..., Page], picture: Path) -> None:
    page = visit()
    open_tab(page, "Analyse")
    claim, report = page.locator("#analyse-claim"), page.locator("#analyse-report")
    expect(claim).to_contain_text("One code cannot hold a picture")
    upload(page, "analyse", picture)
    page.wait_for_selector("#analyse-picture img")
    set_effort(page, "0.02")
    page.click("#analyse-run")
    expect(report.locator(".finding")).to_contain_text("codes")
    expect(report.locator(".shown img")).to_have_count(6)
    expect(report.locator(".curve svg[role=img]")).to_have_count(1)
    expect(report.locator("tbody tr")).to_have_count(5)
    expect(status(page, "analyse")).to_contain_text("Done")
    for part in ("sheet", "table"):
        expect(page.locator(f"#analyse-{part}")).to_be_enabled()
    shoot(page, "13-analyse")
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    reload(page)
    open_tab(page, "Analyse")
    expect(report.locator(".shown img")).to_have_count(6)
    page.get_by_label("Effect").click()
    page.get_by_role("option", name="Composing layer").click()
    expect(claim).to_contain_text("Composing at a later layer")
    upload(page, "analyse", picture)
    page.wait_for_selector("#analyse-picture img")
    set_effort(page, "20")
    page.click("#analyse-run")
    expect(status(page, "analyse")).to_contain_text("step")
    page.click("#analyse-cancel")
    expect(status(page, "analyse")).to_contain_text("Cancelled")
