"""The line of this browser's jobs, and a new Run instead of the job before."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.browser import reconstruct, reload, shoot, status
from helpers.serving import Served
from helpers.waiting import until
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.browser


def test_my_jobs_are_named_replaced_and_cancelled(visit: Callable[..., Page], site: Served, picture: Path) -> None:
    page, jobs = visit(1440), "#my-jobs .job"
    expect(page.locator("#my-jobs")).to_be_hidden()
    reconstruct(page, picture, {"W", "PTI"}, 9000)
    expect(page.locator(jobs)).to_contain_text("Reconstruct")
    expect(page.locator(jobs)).to_contain_text("W is running")
    shoot(page, "jobs-1440")
    page.set_viewport_size({"width": 390, "height": 844})
    shoot(page, "jobs-390")
    expect(status(page)).to_contain_text("of 9000")
    before = site.session.submitted[-1]
    page.click("#reconstruct-run")
    expect(page.locator("#my-jobs .job")).to_have_count(1)
    until(lambda: site.session.snapshot(before).over)
    assert site.session.submitted[-1] != before
    expect(status(page)).to_contain_text("of 9000")
    reload(page)
    page.evaluate("document.addEventListener('hub:over', () => { window.over = true; })")
    page.get_by_role("button", name="Cancel Reconstruct").click()
    expect(status(page)).to_contain_text("Cancelled")
    page.wait_for_function("window.over")  # so the line asks at once
    expect(page.locator("#my-jobs")).to_be_hidden()
    with page.expect_request("**/run/predict*"):  # its timer rests now
        page.evaluate("document.dispatchEvent(new Event('hub:over'))")
