"""Downloads in the list of models."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from helpers.browser import choose_model, open_tab, shoot, status
from helpers.serving import Served
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.browser


def test_a_model_is_downloaded_cancelled_and_listed(visit: Callable[..., Page], site: Served) -> None:
    site.remote.reset()
    page = visit(1280)
    open_tab(page, "Models")
    row = page.locator("#model-remote")
    expect(page.locator("#model-synthetic-faces")).to_contain_text("built in")
    expect(row.locator(".state")).to_have_text("not downloaded")
    row.get_by_role("button", name="Download").click()
    expect(row.locator(".state")).to_contain_text("20 MB of 40 MB")
    shoot(page, "7-models")
    other = visit()  # another visitor sees it go on, and may join
    open_tab(other, "Models")
    other.locator("#model-remote").get_by_role("button", name="Download").click()
    expect(other.locator("#model-remote .state")).to_contain_text("20 MB of 40 MB")
    row.get_by_role("button", name="Cancel").click()
    expect(row.get_by_role("button", name="Download")).to_be_visible()
    expect(other.locator("#model-remote .state")).to_contain_text("downloading")
    site.remote.gate.set()
    expect(other.locator("#model-remote .state")).to_have_text("available")
    page.click("#models-refresh")
    expect(row.locator(".state")).to_have_text("available")
    expect(row.get_by_role("button", name="Download")).to_be_hidden()
    by_hand = page.locator("#model-by-hand")
    by_hand.get_by_text("Source and notes").click()
    expect(by_hand.locator("code")).to_have_text("python -m inversion convert FILE --as by-hand")


def test_a_failed_download_and_a_model_that_is_not_here_are_explained(visit: Callable[..., Page], site: Served) -> None:
    site.remote.reset()
    site.remote.problem = "its server does not answer"
    page = visit(390, 844, device_scale_factor=2)
    choose_model(page, "remote")
    expect(status(page)).to_contain_text("is not downloaded yet")
    open_tab(page, "Models")
    row = page.locator("#model-remote")
    row.get_by_role("button", name="Download").click()
    expect(row.locator(".state")).to_have_text("remote: its server does not answer")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    shoot(page, "8-models-phone")
