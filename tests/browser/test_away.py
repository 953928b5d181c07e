"""A page in the background: its connection ends, its job is paused, and goes on when the page is shown again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from helpers.browser import RELOADING, reconstruct, shoot, status
from helpers.network import Network, network
from helpers.serving import Served
from helpers.waiting import until
from playwright.sync_api import Page, expect

from inversion.serving.session import Status

pytestmark = pytest.mark.browser

SHOW = """hidden => {
  Object.defineProperty(document, 'hidden', {value: hidden, configurable: true});
  document.dispatchEvent(new Event('visibilitychange'));
}"""
NOTHING = Status((), (), ())
LATER = "() => { const now = Date.now; Date.now = () => now() + 20_000; }"  # by the page's clock


@pytest.fixture
def hasty(site: Served, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    """The site, where a job is paused soon after its page has gone."""
    monkeypatch.setattr("inversion.serving.worker.PRUNE_EVERY", 0.05)
    limits = site.session.limits
    before = limits.grace, limits.abandoned
    limits.grace = 1.5
    yield site
    limits.grace, limits.abandoned = before


@pytest.fixture
def wire(site: Served) -> Iterator[Network]:
    """The network between the page and the site."""
    with network(urlsplit(site.url).port or 0) as made:
        yield made


def test_a_page_that_comes_back_follows_its_job_again(
    wire: Network, visit: Callable[..., Page], hasty: Served, picture: Path
) -> None:
    page, session = visit(390, 844, f"http://127.0.0.1:{wire.port}"), hasty.session

    def be_away(until_then: Callable[[], bool]) -> None:
        """Put the page into the background without a network, and show it again when something has happened."""
        page.evaluate(SHOW, True)
        wire.cut()
        until(until_then)
        wire.mend()
        page.evaluate(LATER)
        page.evaluate(SHOW, False)

    RELOADING.append(page)  # errors about the lost connection do not count
    reconstruct(page, picture, {"W"}, 10_000)
    expect(status(page)).to_contain_text("step")
    key = session.submitted[-1]
    be_away(lambda: session.status().running == ())
    until(lambda: session.status().running == (key,))
    seen = status(page).inner_text()
    expect(status(page)).not_to_have_text(seen)
    page.wait_for_selector("#reconstruct-column-0 img")
    shoot(page, "away-back")

    session.limits.abandoned = 3.0
    be_away(lambda: session.status() == NOTHING)
    expect(status(page)).to_contain_text("Stopped because this page was inactive")
    shoot(page, "away-ended")
    session.limits.abandoned = 900.0
    page.get_by_role("button", name="Run again").click()
    expect(status(page)).to_contain_text("step")
    assert session.submitted[-1] != key
    page.click("#reconstruct-cancel")
    expect(status(page)).to_contain_text("Cancelled")
    RELOADING.remove(page)
