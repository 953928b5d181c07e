"""Actions of a user on the page, and locators of its parts."""

from __future__ import annotations

import os
import re
from pathlib import Path

from playwright.sync_api import Error, Locator, Page, expect

RELOADING: list[Page] = []  # pages whose errors do not count
# The middle of an element in the middle of the window, after 400 ms without a move or a cover, or 40 s.
AT_REST = """async element => {
  const start = performance.now();
  let since = start, before = '';
  for (;;) {
    element.scrollIntoView({block: 'center', behavior: 'instant'});
    const box = element.getBoundingClientRect(), [x, y] = [box.x + box.width / 2, box.y + box.height / 2];
    const now = performance.now(), hit = document.elementFromPoint(x, y), place = `${x} ${y} ${box.width}`;
    if (place !== before || !element.contains(hit)) [before, since] = [place, now];
    if (now - since > 400 || now - start > 40000) return [x, y];
    await new Promise(requestAnimationFrame);
  }
}"""

# The settings of exactly the selected methods are shown.
FIELDS_SHOWN = """key => {
  const names = selector => [...document.querySelectorAll(selector)].map(one => one.textContent.trim()).sort().join();
  return names(`#${key}-fields section > .note > b`) === names(`#${key}-methods label:has(input:checked) b`);
}"""
# After two frames, in which a change of the page starts its transitions, until they have ended.
STILL = """async () => {
  for (let frame = 0; frame < 2; frame++) await new Promise(requestAnimationFrame);
  const ending = document.getAnimations().filter(one => one.effect.getComputedTiming().endTime < Infinity);
  await Promise.allSettled(ending.map(one => one.finished));
}"""


def shoot(page: Page, name: str) -> None:
    folder = os.environ.get("SCREENSHOTS")
    if folder:
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)


def choose(page: Page, key: str, methods: set[str]) -> None:
    """Tick these methods and no others."""
    # Before this text appears, the list of methods may still change with the model.
    page.get_by_text("Not available with this model").filter(visible=True).first.wait_for()
    for name in methods:
        page.locator(f"#{key}-methods").get_by_label(name, exact=True).wait_for()
    for box in page.locator(f"#{key}-methods label").all():
        wanted = box.locator("b").inner_text().strip() in methods
        try:
            box.locator("input").set_checked(wanted)
        except Error:  # the list is written a moment after the text, and a click in that moment is lost
            box.locator("input").set_checked(wanted)


def rectangles(page: Page, *selectors: str) -> list[dict[str, float]]:
    """Where the first match of each selector is, all at one moment, because the page may be scrolling."""
    script = "selectors => selectors.map(one => document.querySelector(one).getBoundingClientRect().toJSON())"
    found: list[dict[str, float]] = page.evaluate(script, list(selectors))
    return found


def set_steps(page: Page, key: str, steps: int) -> None:
    """Fill every visible field for a number of steps in the advanced fold."""
    fold = page.locator(f"#{key}-advanced")
    if not fold.get_by_label(re.compile("steps", re.I)).first.is_visible():
        fold.get_by_role("button", name="Advanced").click()
    fold.locator("[data-listens]").filter(has=page.get_by_label(re.compile("steps", re.I))).first.wait_for()
    page.wait_for_function(FIELDS_SHOWN, arg=key)  # they follow the choice of methods a moment later
    for field in fold.get_by_label(re.compile("steps", re.I)).all():
        field.fill(str(steps))
        field.blur()


def open_tab(page: Page, name: str) -> None:
    """Open a tab."""
    page.get_by_role("tab", name=name).click()


def unfold(page: Page) -> None:
    """Open all folds of the tab."""
    closed = page.locator("button.label-wrap:not(.open)").filter(visible=True)
    for _ in range(closed.count()):
        closed.first.click()
    expect(closed).to_have_count(0)


def upload(page: Page, key: str, path: Path) -> None:
    page.locator(f"#{key}-picture input[type=file]").first.set_input_files(path)


def reconstruct(page: Page, path: Path, methods: set[str], steps: int) -> None:
    """Upload a picture and let these methods, and no others, take so many steps each."""
    upload(page, "reconstruct", path)
    page.wait_for_selector("#reconstruct-picture img")
    choose(page, "reconstruct", methods)
    set_steps(page, "reconstruct", steps)
    page.click("#reconstruct-run")


def take_example(page: Page, key: str) -> None:
    page.locator(f"#{key}-examples button").last.click()


def status(page: Page, key: str = "reconstruct") -> Locator:
    return page.locator(f"#{key}-status")


def column(page: Page, index: int, key: str = "reconstruct") -> Locator:
    return page.locator(f"#{key}-column-{index}")


def reload(page: Page) -> None:
    """Reload the page. Errors of the old page about its broken streams are ignored."""
    RELOADING.append(page)
    page.reload()
    RELOADING.remove(page)


def choose_model(page: Page, name: str) -> None:
    """Choose a model by keyboard, because an open list does not move with the page when a picture above it loads."""
    menu = page.get_by_label("Model").first
    menu.fill(name)
    expect(page.get_by_role("option", name=re.compile(name)).first).to_be_attached()
    menu.press("Enter")
    expect(menu).to_have_value(re.compile(name))


def square(page: Page, key: str) -> Locator:
    """The square on the picture of a tab."""
    return page.locator(f":is(#{key}-picture, #{key}-picture-framing) .framing-square")


def drag(page: Page, target: Locator, across: float, down: float) -> tuple[float, float]:
    """Drag the middle of something by so many pixels. Returns where it was."""
    x, y = at_rest(target)
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + across, y + down, steps=4)
    page.mouse.up()
    return x, y


def still(page: Page) -> None:
    """Wait until colours have faded in."""
    page.evaluate(STILL)


def at_rest(target: Locator) -> tuple[float, float]:
    """Bring something to the middle of the window, and give its middle once it does not move and nothing covers it."""
    x, y = target.evaluate(AT_REST)
    return x, y


def touch(page: Page, *points: tuple[float, float]) -> None:
    """Put a finger down at the first point, move it over the others, and lift it at the last one."""
    fingers = page.context.new_cdp_session(page)
    for index, (x, y) in enumerate(points):
        kind = "touchMove" if index else "touchStart"
        fingers.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x, "y": y}]})
    fingers.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})


def crop_by_hand(page: Page, key: str) -> None:
    """Turn the square on the picture."""
    square(page, key).wait_for()
    drag(page, square(page, key).locator("[data-grip=turn]"), 12, 0)
    expect(page.locator(f"#{key}-picture-framing .framing-line")).to_contain_text("Your own square")


def shown(page: Page, index: int, key: str) -> str:
    """Address of the picture at the right of a column's slider."""
    return column(page, index, key).locator("img").nth(1).get_attribute("src") or ""


def invert_to_edit(page: Page, picture: Path, *methods: str) -> None:
    """Invert by some methods, or by W and W+, in the Edit tab, in three steps each."""
    open_tab(page, "Edit")
    upload(page, "edit", picture)
    page.wait_for_selector("#edit-picture img")
    choose(page, "edit", set(methods) or {"W", "W+"})
    set_steps(page, "edit", 3)
    page.click("#edit-run")
    expect(status(page, "edit")).to_contain_text("Done")


def stroke(page: Page, canvas: Locator, across: float = 60) -> None:
    """Draw a line through the middle of a canvas."""
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x - across / 2, y - across / 2)
    page.mouse.down()
    page.mouse.move(x + across / 2, y + across / 2, steps=8)
    page.mouse.up()
