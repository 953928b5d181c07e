"""Takes the README's pictures of the page: a comparison, an edit and a sketch.

``python -m benchmarks.screenshots`` starts the hub on the built-in model, does in Chromium what a visitor would do, and
writes docs/images/*.webp, each below 150 KB. Needs requirements-dev.txt and Debian's ``chromium``.
"""

from __future__ import annotations

import io
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from inversion.checkpoints.registry import DEFAULT, registry
from inversion.common.commands import Parser, UsageError, guarded
from inversion.synthetic import DOMAINS

if TYPE_CHECKING:
    from playwright.sync_api import Page

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "docs" / "images"
SIZE = (1760, 1000)  # of the window
LARGEST = 150_000  # bytes of a picture
PATIENCE = 300.0  # seconds until the hub is ready, or a run is done


@contextmanager
def hub() -> Iterator[str]:
    """The address of a hub that runs until the end."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "app.py", "--port", str(port), "--device", "cpu"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)  # noqa: S603 - our own command
    try:
        wait_until_ready(f"http://127.0.0.1:{port}/readyz")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def wait_until_ready(address: str) -> None:
    """Raises UsageError if the server is not ready in time."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(address, timeout=5):  # noqa: S310 - this machine
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.5)
    raise UsageError("The hub did not become ready. Start it with `python app.py` to see why.")


def comparison(page: Page) -> None:
    """An example, with its stored results of the default methods."""
    page.locator("#reconstruct-examples button").nth(1).click()
    page.wait_for_selector("#reconstruct-picture img")
    page.locator("#reconstruct-column-2 img").first.wait_for()
    page.wait_for_timeout(3000)  # the line about the face


def edit(page: Page) -> None:
    """Invert an example by two encoders, and move two sliders."""
    page.get_by_role("tab", name="Edit").click()
    page.locator("#edit-examples button").nth(1).click()
    page.wait_for_selector("#edit-picture img")
    for box in page.locator("#edit-methods input").all():
        box.set_checked(box.get_attribute("value") in ("psp", "e4e"))
    page.click("#edit-run")
    done = "id => document.getElementById(id).innerText.startsWith('Done')"
    page.wait_for_function(done, arg="edit-status", timeout=1000 * PATIENCE)
    for name, value in (("smile", "2.5"), ("yaw", "2")):
        page.locator(f"#edit-sliders input[type=range][name={name}]").fill(value)
    for column in (0, 1):
        page.locator(f"#edit-column-{column}").get_by_text(DOMAINS[registry()[DEFAULT].domain].labels["yaw"]).wait_for()
    page.evaluate("window.scrollTo(0, 0)")


def sketch(page: Page) -> None:
    """Turn an example of a drawing into faces."""
    page.get_by_role("tab", name="Sketch").click()
    page.locator("[id^=sketch][id$=-examples] button").filter(visible=True).first.click()
    page.wait_for_timeout(2000)
    page.get_by_label("number input for Pictures").fill("4")
    page.get_by_label("number input for Pictures").blur()
    page.click("#sketch-run")
    page.locator("#sketch-gallery img").nth(4).wait_for(timeout=1000 * PATIENCE)
    page.wait_for_timeout(2000)
    page.evaluate("window.scrollTo(0, 0)")


SCENES: dict[str, Callable[[Page], None]] = {"comparison": comparison, "edit": edit, "sketch": sketch}


def save(png: bytes, path: Path) -> None:
    """Write a picture as WebP with at most LARGEST bytes."""
    picture = Image.open(io.BytesIO(png)).convert("RGB")
    for quality in range(90, 40, -5):
        picture.save(path, quality=quality, method=6)
        if path.stat().st_size <= LARGEST:
            return
    raise UsageError(f"{path.name} is larger than {LARGEST // 1000} KB.")


def main(argv: Sequence[str] | None = None) -> int:
    """Take all pictures. Returns the exit status."""
    parser = Parser(prog="python -m benchmarks.screenshots", description=__doc__)
    parser.add_argument("--out", type=Path, default=FOLDER, help="default: docs/images")
    args = parser.parse_args(argv)
    from playwright.sync_api import sync_playwright

    args.out.mkdir(parents=True, exist_ok=True)
    with hub() as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for name, scene in SCENES.items():
            page = browser.new_page(viewport={"width": SIZE[0], "height": SIZE[1]}, color_scheme="light")
            page.goto(address)
            page.wait_for_selector("#reconstruct-run", timeout=1000 * PATIENCE)
            scene(page)
            page.wait_for_timeout(1000)  # movements end
            save(page.screenshot(), args.out / f"{name}.webp")
            page.close()
        browser.close()
    return 0


if __name__ == "__main__":
    raise SystemExit(guarded("python -m benchmarks.screenshots", main))
