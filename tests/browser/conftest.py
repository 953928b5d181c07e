"""One running page and one browser. A test fails on console errors and on requests that leave this machine.

Screenshots go to the folder that SCREENSHOTS names, if it is set.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from helpers.browser import RELOADING
from helpers.serving import Served, site
from PIL import Image
from playwright.sync_api import Browser, Page, expect, sync_playwright
from torch import Tensor

from inversion import images

__all__ = ["site"]  # a fixture

CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
WAIT = 40_000  # milliseconds; tests wait for conditions, so only a failure takes that long

# Errors of Chromium when a page is left while results stream in.
LEAVING = ("AbortError", "Connection errored out", "Failed to fetch", "network error")

expect.set_options(timeout=WAIT)


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Chromium."""
    if not Path(CHROMIUM).exists():
        pytest.skip("no Chromium: apt-get install chromium")
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--use-fake-device-for-media-stream"]  # a camera that films a green clock
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield opened
        opened.close()


@pytest.fixture
def visit(site: Served, browser: Browser) -> Iterator[Callable[..., Page]]:
    """Opens the page at a size; afterwards fails the test for console errors and foreign requests."""
    wrong: list[str] = []
    contexts = []

    def note(text: str) -> None:
        if not RELOADING and not any(known in text for known in LEAVING):
            wrong.append(text)

    def open_page(width: int = 1440, height: int = 1000, url: str = site.url, **options: object) -> Page:
        context = browser.new_context(viewport={"width": width, "height": height}, **options)  # type: ignore[arg-type]
        context.set_default_timeout(WAIT)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: note(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: note(str(error)))
        page.on("request", lambda request: wrong.append(request.url) if foreign(request.url) else None)
        page.goto(url)
        page.locator("button[id$=-run]:visible").first.wait_for()  # of the tab that the address opens
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not wrong


@pytest.fixture(scope="package")
def picture(pictures: Tensor, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An upload."""
    path = tmp_path_factory.mktemp("uploads") / "upload.png"
    Image.fromarray(images.to_array(pictures[0])).resize((96, 96)).save(path)
    return path


def foreign(url: str) -> bool:
    """Whether a request leaves this machine."""
    return not re.match(r"(http://127\.0\.0\.1[:/]|data:|blob:)", url)
