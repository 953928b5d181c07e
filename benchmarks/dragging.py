"""Counts how often the pictures of the Edit tab change while a slider is dragged.

``python -m benchmarks.dragging`` starts the hub on the built-in model, inverts an example by three encoders in Chromium
and drags a slider to and fro. It prints, for each column, the pictures that were shown in a second, and the seconds
from the last movement to the edited pictures in full quality. Needs requirements-dev.txt and Debian's ``chromium``.
"""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from benchmarks.screenshots import PATIENCE, SIZE, hub
from inversion.common.commands import Parser, guarded

if TYPE_CHECKING:
    from playwright.sync_api import Page

METHODS = ("psp", "e4e", "restyle")
SLIDER = "#edit-sliders input[type=range][name=yaw]"
# Times in ms at which the result of each column was shown in another state.
WATCH = """() => {
  window.shown = [[], [], []];
  document.addEventListener('load', ({target}) => {
    const column = /^edit-column-(\\d)$/.exec(target.closest?.('[id^=edit-column-]')?.id ?? '');
    if (column && [...target.closest('.card').querySelectorAll('img')].indexOf(target) === 1) {
      window.shown[column[1]].push(performance.now());
    }
  }, true);
}"""

# Every column shows its edited picture as it can be downloaded. In a drag, the pictures are JPEG.
AT_REST = """() => [0, 1, 2].every(i => [...document.querySelectorAll(`#edit-column-${i} img`)].at(-1).src
  .endsWith('.png'))"""


def invert(page: Page) -> None:
    """Invert an example by the encoders."""
    page.get_by_role("tab", name="Edit").click()
    page.locator("#edit-examples button").nth(1).click()
    page.wait_for_selector("#edit-picture img")
    page.locator("#edit-methods input[value=psp]").wait_for()
    for box in page.locator("#edit-methods input").all():
        box.set_checked(box.get_attribute("value") in METHODS)
    page.click("#edit-run")
    done = "id => document.getElementById(id).innerText.startsWith('Done')"
    page.wait_for_function(done, arg="edit-status", timeout=1000 * PATIENCE)


def drag(page: Page, seconds: float) -> list[list[float]]:
    """Drag the slider from side to side, once in two seconds, 60 movements a second.

    Returns for each column the times at which it showed another picture, in seconds since the drag began.
    """
    slider = page.locator(SLIDER)
    slider.scroll_into_view_if_needed()
    box = slider.bounding_box()
    assert box is not None  # noqa: S101 - it is visible
    left, width, y = box["x"], box["width"], box["y"] + box["height"] / 2
    page.mouse.move(left + width / 2, y)
    page.mouse.down()
    page.evaluate("() => { window.shown.forEach(one => { one.length = 0; }); window.began = performance.now(); }")
    began = time.monotonic()
    while (passed := time.monotonic() - began) < seconds:
        swing = abs((passed / 2 + 0.5) % 1 * 2 - 1)
        page.mouse.move(left + width * (0.1 + 0.8 * swing), y)
        time.sleep(1 / 60)
    times: list[list[float]] = page.evaluate("() => window.shown.map(one => one.map(at => (at - window.began) / 1000))")
    page.mouse.up()
    return times


def main(argv: Sequence[str] | None = None) -> int:
    """Measure. Returns the exit status."""
    parser = Parser(prog="python -m benchmarks.dragging", description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0, help="of one drag; default: 3")
    parser.add_argument("--times", type=int, default=3, help="how many drags; default: 3")
    args = parser.parse_args(argv)
    from playwright.sync_api import sync_playwright

    with hub() as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": SIZE[0], "height": SIZE[1]})
        page.goto(address)
        page.wait_for_selector("#reconstruct-run", timeout=1000 * PATIENCE)
        invert(page)
        page.evaluate(WATCH)
        for _ in range(args.times):
            times = drag(page, args.seconds)
            rates = [sum(at <= args.seconds for at in column) / args.seconds for column in times]
            gaps = [b - a for column in times for a, b in zip([0.0, *column], column, strict=False)]
            longest = f"{max(gaps):.2f} s" if gaps else "none"
            rested = time.monotonic()
            page.wait_for_function(AT_REST, timeout=1000 * PATIENCE)
            each = ", ".join(f"{rate:.1f}" for rate in rates)
            rest = time.monotonic() - rested
            sys.stdout.write(f"pictures a second: {each}; longest wait {longest}; at rest after {rest:.1f} s\n")
        browser.close()
    return 0


if __name__ == "__main__":
    raise SystemExit(guarded("python -m benchmarks.dragging", main))
