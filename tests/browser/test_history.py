"""Runs and fields come back: after a reload, by a link, from the list of runs, and from a result that is dropped."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.browser import column, open_tab, reconstruct, reload, shoot, status
from helpers.serving import Served
from playwright.sync_api import Locator, Page, expect

pytestmark = pytest.mark.browser

DROP = """([name, data]) => {
  const files = new DataTransfer();
  files.items.add(new File([new Uint8Array(data)], name));
  document.querySelector('#masthead').dispatchEvent(
    new DragEvent('drop', {bubbles: true, cancelable: true, dataTransfer: files}));
}"""


def ticked(page: Page) -> Locator:
    """The selected methods of the first tab."""
    return page.locator("#reconstruct-methods label:has(input:checked) b")


def expect_settings(page: Page) -> None:
    """The fields of the first tab are those of the run."""
    expect(ticked(page)).to_have_text(["W"])
    expect(page.get_by_role("spinbutton", name="Seed").first).to_have_value("7")
    page.locator("#reconstruct-advanced").get_by_role("button", name="Advanced").click()
    steps = page.locator("#reconstruct-fields .field[data-field='w.steps'] input[type=number]")
    expect(steps).to_have_value("3")


def run(page: Page, picture: Path, tmp_path: Path) -> Path:
    """Run W with three steps and seed 7; returns the result's file."""
    page.get_by_role("spinbutton", name="Seed").first.fill("7")
    reconstruct(page, picture, {"W"}, 3)
    expect(status(page)).to_contain_text("Done")
    with page.expect_download() as result:
        column(page, 0).get_by_role("button", name="Download").click()
    result.value.save_as(tmp_path / "result.png")
    return tmp_path / "result.png"


def test_a_run_comes_back_by_reload_link_and_file(
    visit: Callable[..., Page], site: Served, picture: Path, tmp_path: Path
) -> None:
    page = visit()
    result = run(page, picture, tmp_path)
    page.wait_for_function("localStorage['inversion-hub-form-reconstruct']?.includes('\"seed\":7')")
    page.wait_for_function("window.hub.stored('reconstruct')")
    reload(page)
    page.locator("#reconstruct-picture img").wait_for()
    expect(status(page)).to_contain_text("Done")
    expect_settings(page)
    expect(page.locator("#reconstruct-other")).to_be_hidden()

    open_tab(page, "History")
    entry = page.locator(".past").first
    expect(entry).to_contain_text("Reconstruct")
    expect(entry.locator("img")).to_have_count(2)
    shoot(page, "history")

    other = visit(390, 844, f"{site.url}?run={entry.get_attribute('data-key')}", color_scheme="dark")
    expect(status(other)).to_contain_text("Done")
    other.locator("#reconstruct-picture img").wait_for()
    expect(ticked(other)).to_have_text(["W"])
    assert "run=" not in other.url and other.evaluate("document.documentElement.scrollWidth") <= 390
    other.get_by_role("spinbutton", name="Seed").first.fill("8")
    other.evaluate(DROP, ["result.png", list(result.read_bytes())])
    expect(other.locator("#hub-reader")).to_contain_text("It belongs to upload.png (sha256 of its pixels: ")
    expect_settings(other)


def test_past_runs_are_run_again_and_deleted(visit: Callable[..., Page], picture: Path, tmp_path: Path) -> None:
    page = visit(390, 844)
    result = run(page, picture, tmp_path)
    open_tab(page, "History")
    entries = page.locator(".past")
    entries.first.get_by_role("button", name="Run again").click()
    expect(status(page)).to_contain_text("Done")
    open_tab(page, "History")
    expect(entries).to_have_count(2)
    entries.first.get_by_label("Run with another model or method").select_option("method:wplus")
    expect(column(page, 0).locator(".head b")).to_have_text("W+")
    page.click("#reconstruct-cancel")
    expect(status(page)).to_contain_text(re.compile("Done|Cancelled"))
    expect(ticked(page)).to_have_text(["W+"])
    figures = tmp_path / "figures.json"
    figures.write_text(json.dumps([{"no": "recipe"}]))
    page.evaluate(DROP, ["figures.json", list(figures.read_bytes())])
    expect(page.get_by_test_id("toast-body")).to_contain_text("holds no settings of a run")
    page.evaluate(DROP, ["result.png", list(result.read_bytes())])
    expect(page.locator("#hub-reader")).to_contain_text("It is one of your runs on upload.png")
    expect(ticked(page)).to_have_text(["W"])
    open_tab(page, "History")
    expect(entries).to_have_count(3)
    shoot(page, "history-phone")
    entries.first.get_by_role("button", name="Delete").click()  # Playwright answers no
    page.on("dialog", lambda dialog: dialog.accept())
    expect(entries).to_have_count(3)
    entries.first.get_by_role("button", name="Delete").click()
    expect(entries).to_have_count(2)
    page.get_by_role("button", name="Delete all").click()
    expect(page.locator("#history-list")).to_contain_text("No runs yet")
