"""Runs of methods, their results, and what a reload finds."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.browser import choose, column, reconstruct, reload, set_steps, shoot, status, take_example, unfold, upload
from helpers.serving import Served
from helpers.waiting import until
from PIL import Image
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.browser


def test_two_methods_grow_side_by_side(visit: Callable[..., Page], picture: Path, tmp_path: Path) -> None:
    page = visit()
    shoot(page, "1-open")
    reconstruct(page, picture, {"W", "W+"}, 60)
    for index, label in enumerate(("W", "W+")):
        expect(column(page, index).locator(".head b")).to_have_text(label)
        column(page, index).locator("img").nth(1).wait_for(state="attached")
    expect(status(page)).to_contain_text("Done")
    for index in (0, 1):
        expect(column(page, index).locator("dd").first).to_have_text(re.compile(r"^\d+\.\d\d$"))
    expect(column(page, 2)).to_be_hidden()
    expect(page.locator("#reconstruct-table")).to_contain_text("done")
    assert page.locator("#reconstruct-plot polyline").count() == 2
    shoot(page, "2-done")
    with page.expect_download() as sheet:
        page.locator("#reconstruct-sheet").click()
    sheet.value.save_as(tmp_path / "sheet.png")
    with Image.open(tmp_path / "sheet.png") as image:
        assert image.format == "PNG" and image.width > 500
    with page.expect_download() as codes:
        page.locator("#reconstruct-codes").click()
    codes.value.save_as(tmp_path / "codes.zip")
    with zipfile.ZipFile(tmp_path / "codes.zip") as archive:
        code = next(name for name in archive.namelist() if re.match(r"reconstruct-w-.*\.npz", name))
        archive.extract(code, tmp_path)
    unfold(page)
    start = page.locator("#reconstruct-start")
    (tmp_path / "page.npz").write_text("<html>")
    start.locator("input[type=file]").set_input_files(tmp_path / "page.npz")
    expect(page.get_by_test_id("toast-body")).to_contain_text("it is a web page")
    start.locator("input[type=file]").wait_for(state="attached")  # the refused file is gone
    start.locator("input[type=file]").set_input_files(tmp_path / code)
    expect(start).to_contain_text("reconstruct-w")
    page.locator("#reconstruct-run").click()
    expect(status(page)).to_contain_text("of 60")
    expect(status(page)).to_contain_text("Done")
    shoot(page, "2-started")


def test_cancel_keeps_what_was_reached_and_a_reload_finds_it(visit: Callable[..., Page], picture: Path) -> None:
    page = visit(color_scheme="dark")
    reconstruct(page, picture, {"W", "PTI"}, 9000)
    column(page, 0).locator("img").nth(1).wait_for(state="attached")
    expect(status(page)).to_contain_text("of 9000")
    shoot(page, "3-running-dark")
    reload(page)  # the run goes on meanwhile
    expect(status(page)).to_contain_text("of 9000")
    page.click("#reconstruct-cancel")
    expect(status(page)).to_contain_text("Cancelled")
    assert column(page, 0).locator("img").count() == 2
    expect(column(page, 0)).to_contain_text("best picture so far")
    expect(column(page, 1)).to_contain_text("before it started")
    reload(page)
    expect(status(page)).to_contain_text("Cancelled")
    column(page, 0).locator("img").nth(1).wait_for(state="attached")


def test_a_cancel_before_the_servers_answer_ends_the_run(
    visit: Callable[..., Page], site: Served, picture: Path
) -> None:
    page = visit()
    reconstruct(page, picture, {"W"}, 9000)
    for text in ("of 9000", "Cancelled"):  # a run that replaces another one, and a run after one
        expect(status(page)).to_contain_text(text)
        site.session.submitted.clear()
        page.evaluate("for (const it of ['run', 'cancel']) document.getElementById(`reconstruct-${it}`).click()")
        until(lambda: bool(site.session.submitted))
        until(lambda: site.session.snapshot(site.session.submitted[-1]).over)
        expect(status(page)).to_contain_text("Cancelled")


def test_a_run_after_a_reload_shows_nothing_of_the_one_before(
    visit: Callable[..., Page], site: Served, picture: Path
) -> None:
    page = visit()
    reconstruct(page, picture, {"W", "PTI"}, 9000)
    expect(status(page)).to_contain_text("of 9000")
    before = site.session.submitted[-1]
    reload(page)  # the page follows that job again
    expect(status(page)).to_contain_text("of 9000")
    reconstruct(page, picture, {"W+"}, 3)
    expect(status(page)).not_to_contain_text("of 9000")
    expect(column(page, 1)).to_be_hidden()
    site.session.cancel(before)  # which ends with pictures and words for two columns
    expect(status(page)).to_contain_text("Done")
    page.wait_for_timeout(1500)  # for what the older stream might still send
    expect(column(page, 0).locator(".head b")).to_have_text("W+")
    expect(column(page, 1)).to_be_hidden()
    expect(status(page)).to_contain_text("Done")


def test_bad_input_is_explained_and_costs_nothing(visit: Callable[..., Page], tmp_path: Path) -> None:
    page = visit()
    toast = page.locator(".toast-body, .toast-wrap").first
    page.click("#reconstruct-run")
    expect(toast).to_contain_text("Upload a picture first")
    take_example(page, "reconstruct")
    page.wait_for_selector("#reconstruct-picture img")
    choose(page, "reconstruct", {"W"})
    set_steps(page, "reconstruct", 3)
    page.click("#reconstruct-run")
    expect(status(page)).to_contain_text("Done")
    choose(page, "reconstruct", set())
    page.click("#reconstruct-run")
    expect(page.locator("body")).to_contain_text("Choose at least one method")
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"this is not a picture")
    choose(page, "reconstruct", {"W"})
    page.locator("#reconstruct-picture").get_by_label("Remove Image").click()
    upload(page, "reconstruct", bad)
    expect(page.locator("body")).to_contain_text("The file is a text")
    expect(page.locator("#reconstruct-picture img")).to_have_count(0)
    assert column(page, 0).locator("img").count() == 2, "the result before is still there"
