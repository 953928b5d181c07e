"""The square on an upload: it is shown before a run, moved on the picture, and used by the run."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from helpers.accessibility import faults
from helpers.browser import (
    at_rest,
    choose,
    drag,
    open_tab,
    rectangles,
    set_steps,
    shoot,
    square,
    status,
    still,
    take_example,
    touch,
    upload,
)
from helpers.serving import Served
from PIL import Image
from playwright.sync_api import Locator, Page, Route, expect

from inversion.align import Face
from inversion.checkpoints import detector
from inversion.editing.domain import DomainAnswer, DomainRequest, outside_methods
from inversion.synthetic import DOMAINS
from inversion.synthetic.base import KnownDomain

pytestmark = pytest.mark.browser

SCROLLED = "() => new Promise(done => { const y = scrollY; setTimeout(() => done(scrollY === y), 500); })"
# The square's middle is halfway across the picture.
BETWEEN_THE_EYES = """() => {
  const [layer, square] = ['.framing-layer', '.framing-square'].map(one => document.querySelector(one)
    .getBoundingClientRect());
  return Math.abs(square.x + square.width / 2 - layer.x - layer.width / 2) < 2;
}"""


@pytest.fixture
def faces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two faces in every picture, and a model that does not know any picture."""
    found = [
        Face((38, 40), (52, 42), (44, 48), (38, 55), (50, 56)),
        Face((70, 20), (78, 20), (74, 24), (71, 29), (77, 29)),
    ]
    monkeypatch.setattr(detector, "registered", lambda entries: lambda picture: found)
    known = KnownDomain("synthetic-faces", 99, "tests", "test model")
    monkeypatch.setitem(DOMAINS, "test", replace(DOMAINS["synthetic-faces"], known=known))
    answer = DomainAnswer(1.0, False, "This model knows tests.", None, outside_methods())
    monkeypatch.setattr(DomainRequest, "__call__", lambda self, model: answer)


def line(page: Page, key: str) -> Locator:
    return page.locator(f"#{key}-picture-framing .framing-line")


def middle(target: Locator) -> tuple[float, float]:
    box = target.bounding_box()
    assert box is not None
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def mark(page: Page, click: Callable[[float, float], None]) -> None:
    """Click the eyes and the mouth of a face in the middle of the picture."""
    for number, (u, v) in enumerate(((0.4, 0.4), (0.6, 0.4), (0.5, 0.6)), 1):
        expect(line(page, "reconstruct")).to_contain_text(f"{number} of 3")
        at_rest(page.locator(".framing-layer").filter(visible=True))  # the page may still be scrolling
        [layer] = rectangles(page, ".framing-layer")
        click(layer["x"] + u * layer["width"], layer["y"] + v * layer["height"])
    expect(line(page, "reconstruct")).to_contain_text("Your own square")


def crop_of_last_run(page: Page, site: Served, key: str) -> dict[str, object]:
    """Run W, and read the crop in the recipe."""
    choose(page, key, {"W"})
    set_steps(page, key, 2)
    page.click(f"#{key}-run")
    expect(status(page, key)).to_contain_text("Done")
    [run] = site.session.snapshot(site.session.submitted[-1]).runs
    assert run.row is not None
    return dict(run.row["crop"])


@pytest.mark.usefixtures("faces")
def test_the_square_is_shown_and_dragged_and_used(visit: Callable[..., Page], site: Served, picture: Path) -> None:
    page = visit(1440, 900)
    upload(page, "reconstruct", picture)
    own_square = square(page, "reconstruct")
    own_square.wait_for()
    shoot(page, "framing-desktop")
    before = drag(page, own_square, 15, 10)
    expect(line(page, "reconstruct")).to_contain_text("Your own square")
    after = middle(own_square)
    assert after == pytest.approx((before[0] + 15, before[1] + 10), abs=1.5)
    tools = page.locator("#reconstruct-picture-framing")
    own_square.focus()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("]")
    crop = crop_of_last_run(page, site, "reconstruct")
    (left, top), _, _, (right, upper) = crop["quad"]  # type: ignore[misc,attr-defined]
    assert crop["how"] == "hand" and upper > top and right > left  # turned clockwise
    tools.get_by_role("button", name="Reset").click()
    expect(line(page, "reconstruct")).not_to_contain_text("Your own square")


@pytest.mark.usefixtures("faces")
def test_a_finger_moves_and_scales_the_square_and_marks_the_face(visit: Callable[..., Page], picture: Path) -> None:
    page = visit(390, 844, has_touch=True, is_mobile=True)
    upload(page, "reconstruct", picture)
    own_square, text = square(page, "reconstruct"), line(page, "reconstruct")
    own_square.wait_for()
    expect(text).to_contain_text("Drag the square")
    shoot(page, "framing-phone")
    (x, y), where = at_rest(own_square), page.evaluate("scrollY")
    touch(page, (x, y), (x - 5, y + 5), (x - 10, y + 10))
    expect(text).to_contain_text("Your own square")
    assert middle(own_square) == pytest.approx((x - 10, y + 10), abs=1.5)
    before, (x, y) = rectangles(page, ".framing-square")[0]["width"], middle(own_square.locator("[data-grip=ne]"))
    touch(page, (x, y), (x - 6, y + 6), (x - 12, y + 12))
    assert rectangles(page, ".framing-square")[0]["width"] == pytest.approx(before - 12, abs=1.5)
    assert page.evaluate("scrollY") == where, "the page does not scroll with the square"
    [layer] = rectangles(page, ".framing-layer")
    beside = (layer["x"] - 60, layer["y"] + layer["height"] - 12)
    touch(page, *((beside[0], beside[1] - 15 * step) for step in range(9)))
    page.wait_for_function("where => scrollY > where + 40", arg=where)
    page.wait_for_function(SCROLLED)  # a tap while the page still scrolls is no click
    page.get_by_role("button", name="Click the eyes and the mouth").tap()
    mark(page, lambda x, y: touch(page, (x, y)))
    page.wait_for_function(BETWEEN_THE_EYES)


@pytest.mark.usefixtures("faces")
def test_arrows_go_from_face_to_face_and_three_clicks_make_a_square(
    visit: Callable[..., Page], site: Served, picture: Path
) -> None:
    page = visit()
    page.get_by_label("Model").first.fill("aligned")
    page.get_by_role("option", name=re.compile("aligned")).first.wait_for()
    page.keyboard.press("Enter")
    upload(page, "reconstruct", picture)
    tools, own_square = page.locator("#reconstruct-picture-framing"), square(page, "reconstruct")
    expect(tools).to_contain_text("1 of 2")
    first = middle(own_square)
    tools.get_by_role("button", name="Next face").press("Enter")
    expect(tools).to_contain_text("2 of 2")
    expect(tools.get_by_role("button", name="Next face")).to_be_focused()
    assert middle(own_square) != first
    tools.get_by_role("button", name="Click the eyes and the mouth").click()
    mark(page, page.mouse.click)
    page.wait_for_function(BETWEEN_THE_EYES)
    assert crop_of_last_run(page, site, "reconstruct")["how"] == "hand"


@pytest.mark.usefixtures("faces")
def test_one_click_ticks_the_methods_that_reach_the_picture(visit: Callable[..., Page], picture: Path) -> None:
    page = visit()
    choose(page, "reconstruct", {"W"})
    upload(page, "reconstruct", picture)
    domain_line = page.locator("#reconstruct-picture-framing .framing-domain")
    expect(domain_line).to_contain_text("This model knows tests.")
    still(page)
    assert faults(page) == []
    domain_line.get_by_role("button").click()
    selected = page.locator("#reconstruct-methods input:checked")
    expect(selected).to_have_count(len(outside_methods()))
    assert selected.evaluate_all("boxes => boxes.map(box => box.value)") == list(outside_methods())
    page.get_by_role("button", name="Remove Image").click()
    expect(page.locator("#reconstruct-picture-framing")).to_be_hidden()
    expect(square(page, "reconstruct")).to_be_hidden()


@pytest.mark.usefixtures("faces")
def test_a_suggestion_goes_with_its_picture(visit: Callable[..., Page], picture: Path, tmp_path: Path) -> None:
    page = visit()
    upload(page, "reconstruct", picture)
    domain_line = page.locator("#reconstruct-picture-framing .framing-domain")
    expect(domain_line).to_be_visible()
    held: list[Route] = []
    page.route("**/queue/join*", lambda route: held.append(route))  # the server does not answer yet
    other = tmp_path / "other.png"
    Image.new("RGB", (40, 30), "teal").save(other)
    upload(page, "reconstruct", other)
    expect(page.locator("#reconstruct-picture-framing .framing-line")).to_have_text("Looking at the picture.")
    expect(domain_line).to_be_hidden()
    page.unroute("**/queue/join*")  # which lets go on what was held
    assert held
    expect(domain_line).to_be_visible()


@pytest.mark.usefixtures("faces")
def test_a_picture_that_is_painted_on_is_shown_again_with_its_square(visit: Callable[..., Page], site: Served) -> None:
    page = visit()
    open_tab(page, "Inpaint")
    expect(page.locator("#inpaint-picture")).to_contain_text("Drop a picture")
    page.locator("#inpaint-hole").get_by_label("Centre").check()
    take_example(page, "inpaint")
    own_square = square(page, "inpaint")
    own_square.wait_for()
    drag(page, own_square.locator("[data-grip=se]"), -20, -20)
    expect(line(page, "inpaint")).to_contain_text("Your own square")
    assert crop_of_last_run(page, site, "inpaint")["how"] == "hand"
