"""The page in Chromium, as a person uses it. Fails on console errors and on any request that leaves this machine.

Screenshots go to the folder that SCREENSHOTS names, if it is set.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright
from serving import Served, served
from torch import Tensor

from inversion import images
from inversion.model import Model

CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
OVER = re.compile("Done|Cancelled|done")
WAIT = 40_000  # milliseconds; conditions are waited for, so only a failure takes that long

# What Chromium says when a page is left while results stream in.
LEAVING = ("AbortError", "Connection errored out", "Failed to fetch", "network error")

RELOADING: list[Page] = []

pytestmark = pytest.mark.browser
expect.set_options(timeout=WAIT)


@pytest.fixture(scope="module")
def site(model: Model, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(model, tmp_path_factory.mktemp("gradio")) as running:
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if not Path(CHROMIUM).exists():
        pytest.skip("no Chromium: apt-get install chromium")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture
def visit(site: Served, browser: Browser) -> Iterator[Callable[..., Page]]:
    """Opens the page; afterwards fails the test for console errors and foreign requests."""
    wrong: list[str] = []
    contexts = []

    def note(text: str) -> None:
        if not RELOADING and not any(known in text for known in LEAVING):
            wrong.append(text)

    def open_page(width: int = 1440, height: int = 1000, **options: object) -> Page:
        context = browser.new_context(viewport={"width": width, "height": height}, **options)  # type: ignore[arg-type]
        context.set_default_timeout(WAIT)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: note(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: note(str(error)))
        page.on("request", lambda request: wrong.append(request.url) if foreign(request.url) else None)
        page.goto(site.url)
        page.wait_for_selector("#reconstruct-run")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not wrong


@pytest.fixture(scope="module")
def picture(pictures: Tensor, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("uploads") / "upload.png"
    Image.fromarray(images.to_array(pictures[0])).resize((96, 96)).save(path)
    return path


def foreign(url: str) -> bool:
    return not re.match(r"(http://127\.0\.0\.1[:/]|data:|blob:)", url)


def shoot(page: Page, name: str) -> None:
    folder = os.environ.get("SCREENSHOTS")
    if folder:
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)


def choose(page: Page, key: str, methods: set[str]) -> None:
    """Tick these methods and no others."""
    # Until then the list may still lose those that the model cannot serve, or lack those that it can.
    page.get_by_text("Not with this model").filter(visible=True).first.wait_for()
    for name in methods:
        page.locator(f"#{key}-methods").get_by_label(name, exact=True).wait_for()
    for box in page.locator(f"#{key}-methods label").all():
        box.locator("input").set_checked(box.inner_text().strip() in methods)


def set_steps(page: Page, key: str, steps: int) -> None:
    """Fill every visible field for a number of steps in the advanced fold."""
    fold = page.locator(f"#{key}-advanced")
    if not fold.get_by_label(re.compile("steps", re.I)).first.is_visible():
        fold.get_by_role("button", name="Advanced").click()
    fold.get_by_label(re.compile("steps", re.I)).first.wait_for()
    for field in fold.get_by_label(re.compile("steps", re.I)).all():
        field.fill(str(steps))
        field.blur()


def open_tab(page: Page, name: str) -> None:
    """Open a tab, on a narrow page by the menu of those that do not fit."""
    more = page.locator(".overflow-menu > button").first
    expect(page.get_by_role("tab", name=name).or_(more).filter(visible=True).first).to_be_visible()
    if page.get_by_role("tab", name=name).filter(visible=True).count() == 0:
        more.click()
        page.locator(".overflow-dropdown button").get_by_text(name).click()
    else:
        page.get_by_role("tab", name=name).click()


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


def reload(page: Page) -> None:
    """Reload. The page that is left complains about its broken streams, which counts for nothing."""
    RELOADING.append(page)
    page.reload()
    RELOADING.remove(page)


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
    expect(column(page, 1)).to_contain_text("before it began")
    reload(page)
    expect(status(page)).to_contain_text("Cancelled")
    column(page, 0).locator("img").nth(1).wait_for(state="attached")


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
    expect(toast).to_contain_text("Give a picture first")
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
    bad.write_bytes(b"this is no picture")
    choose(page, "reconstruct", {"W"})
    page.locator("#reconstruct-picture").get_by_label("Remove Image").click()
    upload(page, "reconstruct", bad)
    page.wait_for_selector("#reconstruct-picture img", state="attached")
    page.click("#reconstruct-run")
    expect(page.locator("body")).to_contain_text("not a PNG, JPEG or WebP")
    assert column(page, 0).locator("img").count() == 2, "the result before is still there"


def test_a_mask_is_painted_on_the_picture(visit: Callable[..., Page], site: Served) -> None:
    page = visit()
    page.get_by_role("tab", name="Inpaint").click()
    canvas = page.locator("#inpaint-picture canvas").first
    canvas.wait_for()
    expect(page.locator("#inpaint-picture")).to_contain_text("Upload an image")  # Gradio's editor is ready now
    take_example(page, "inpaint")
    expect(page.locator("#inpaint-picture")).not_to_contain_text("Upload an image")
    choose(page, "inpaint", {"W"})
    set_steps(page, "inpaint", 3)
    page.click("#inpaint-run")
    expect(page.locator("body")).to_contain_text("The mask is empty")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x - 30, y)
    page.mouse.down()
    page.mouse.move(x + 30, y, steps=6)
    page.mouse.up()
    page.click("#inpaint-run")
    expect(status(page, "inpaint")).to_contain_text("Done")
    page.locator("#inpaint-measured img").wait_for(state="attached")
    shoot(page, "4-inpaint")
    key = site.session.submitted[-1]
    measured = site.session.snapshot(key).measured
    assert measured is not None and 0.005 < (measured == 128).all(axis=2).mean() < 0.5  # the hole shows as grey


def choose_model(page: Page, name: str) -> None:
    """By keyboard: a list that has opened stays where it was when a picture above it comes late and moves the page."""
    menu = page.get_by_label("Model").first
    menu.fill(name)
    expect(page.get_by_role("option", name=re.compile(name)).first).to_be_attached()
    menu.press("Enter")
    expect(menu).to_have_value(re.compile(name))


def test_typed_fields_stay_with_their_method(visit: Callable[..., Page], site: Served, picture: Path) -> None:
    page = visit()
    upload(page, "reconstruct", picture)
    page.wait_for_selector("#reconstruct-picture img")
    choose(page, "reconstruct", {"W"})
    set_steps(page, "reconstruct", 3)
    fields = page.locator("#reconstruct-fields section")
    expect(fields).to_have_count(1)
    choose(page, "reconstruct", {"W+"})
    expect(fields).to_contain_text("W+")
    expect(fields.get_by_label("Steps", exact=True)).not_to_have_value("3")
    stages = page.locator("#reconstruct-stages")
    stages.get_by_label("Optimise").select_option("wplus")
    stages.get_by_label("Refine").select_option("pti")
    expect(fields.last).to_contain_text("PTI")
    fields.last.get_by_label(re.compile("PTI: steps")).fill("2")
    open_tab(page, "Colourise")
    open_tab(page, "Reconstruct")
    choose_model(page, "only-z")  # it has no W: neither the method nor the stage is offered
    expect(stages.get_by_label("Optimise")).to_have_value("")
    expect(fields).to_have_count(1)
    choose_model(page, "synthetic-faces")
    choose(page, "reconstruct", {"W"})
    expect(fields.first.get_by_label("Steps", exact=True)).to_have_value("3")
    expect(fields.last.get_by_label(re.compile("PTI: steps"))).to_have_value("2")
    page.click("#reconstruct-run")
    expect(status(page)).to_contain_text("Done")
    rows = [run.row or {} for run in site.session.snapshot(site.session.submitted[-1]).runs]
    assert [row["settings"][name] for row, name in zip(rows, ("w.steps", "pti.steps"), strict=True)] == [3, 2]


def test_a_model_offers_what_it_can_serve(visit: Callable[..., Page]) -> None:
    page = visit()
    choose_model(page, "only-z")
    expect(page.locator("body")).to_contain_text("offers no W codes")
    expect(page.locator("#reconstruct-methods label")).to_have_text(
        [re.compile("Z"), re.compile("mGAN"), re.compile("PULSE"), re.compile("Deep Image Prior")]
    )


def crop_by_hand(page: Page, key: str) -> None:
    """Choose a part of the picture with the sliders, and look at it."""
    page.locator(f"#{key}-crop").get_by_role("button", name="Crop").click()
    page.locator(f"#{key}-crop").get_by_label("By hand").check()
    turn = page.locator(f"#{key}-crop").get_by_label(re.compile("number input for Turned"))
    turn.fill("20")
    turn.blur()
    page.click(f"#{key}-look")
    page.locator(f"#{key}-crop-preview img").wait_for()


def test_a_part_of_the_picture_is_pasted_back(
    visit: Callable[..., Page], site: Served, picture: Path, tmp_path: Path
) -> None:
    page = visit()
    upload(page, "reconstruct", picture)
    page.wait_for_selector("#reconstruct-picture img")
    crop_by_hand(page, "reconstruct")
    choose(page, "reconstruct", {"W"})
    set_steps(page, "reconstruct", 3)
    page.click("#reconstruct-run")
    expect(status(page)).to_contain_text("Done")
    expect(page.locator("#reconstruct-about")).to_contain_text("licence: MIT")
    column(page, 0).get_by_role("button", name="Paste into my picture").click()
    page.locator("#reconstruct-pasted img").wait_for()
    shoot(page, "6-pasted")
    with page.expect_download() as whole:
        page.locator("#reconstruct-whole").click()
    whole.value.save_as(tmp_path / "whole.png")
    with Image.open(tmp_path / "whole.png") as image:
        assert image.size == (96, 96)
    page.reload()  # the photo is kept with the job
    expect(status(page)).to_contain_text("Done")
    column(page, 0).get_by_role("button", name="Paste into my picture").click()
    page.locator("#reconstruct-pasted img").wait_for()


def test_a_model_is_downloaded_cancelled_and_listed(visit: Callable[..., Page], site: Served) -> None:
    site.remote.reset()
    page = visit(1280)
    open_tab(page, "Models")
    row = page.locator("#model-remote")
    expect(page.locator("#model-synthetic-faces")).to_contain_text("here, built in")
    expect(row.locator(".state")).to_have_text("not here")
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
    expect(other.locator("#model-remote .state")).to_have_text("here")
    page.click("#models-refresh")
    expect(row.locator(".state")).to_have_text("here")
    expect(row.get_by_role("button", name="Download")).to_be_hidden()
    by_hand = page.locator("#model-by-hand")
    by_hand.get_by_text("Source and notes").click()
    expect(by_hand.locator("code")).to_have_text("python -m inversion convert FILE --as by-hand")


def test_a_failed_download_and_a_model_that_is_not_here_are_explained(visit: Callable[..., Page], site: Served) -> None:
    site.remote.reset()
    site.remote.problem = "its server does not answer"
    page = visit(390, 844, device_scale_factor=2)
    choose_model(page, "remote")
    expect(status(page)).to_contain_text("is not here yet")
    open_tab(page, "Models")
    row = page.locator("#model-remote")
    row.get_by_role("button", name="Download").click()
    expect(row.locator(".state")).to_have_text("remote: its server does not answer")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    shoot(page, "8-models-phone")


def test_every_tab_fits_a_phone(visit: Callable[..., Page], picture: Path) -> None:
    page = visit(390, 844, color_scheme="dark", device_scale_factor=2)
    reconstruct(page, picture, {"W", "W+"}, 3)
    expect(status(page)).to_contain_text("Done")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    shoot(page, "5-phone-dark")


def shown(page: Page, index: int, key: str) -> str:
    """Address of the picture at the right of a column's slider."""
    return column(page, index, key).locator("img").nth(1).get_attribute("src") or ""


def invert_to_edit(page: Page, picture: Path) -> None:
    """Invert by two methods in the Edit tab, in three steps each."""
    open_tab(page, "Edit")
    upload(page, "edit", picture)
    page.wait_for_selector("#edit-picture img")
    set_steps(page, "edit", 3)
    page.click("#edit-run")
    expect(status(page, "edit")).to_contain_text("Done")


def test_a_slider_of_the_edit_tab_moves_every_result(visit: Callable[..., Page], picture: Path, tmp_path: Path) -> None:
    page = visit(1280)
    invert_to_edit(page, picture)
    slider = page.locator("#edit-sliders").get_by_role("slider", name="Yaw")
    expect(slider).to_be_visible()
    before = [shown(page, index, "edit") for index in (0, 1)]
    slider.fill("2")
    for index in (0, 1):
        expect(column(page, index, "edit").locator(".head span")).to_have_text("inverted | edited")
        expect(column(page, index, "edit").locator("img").nth(1)).not_to_have_attribute("src", before[index])
    expect(page.locator("#edit-sliders").get_by_label("Yaw, strength")).to_have_value("2")
    shoot(page, "9-edit")
    with page.expect_download() as edited:
        column(page, 0, "edit").get_by_role("button", name="Download (png)").click()
    edited.value.save_as(tmp_path / "edited.png")
    with Image.open(tmp_path / "edited.png") as image:
        assert '"yaw": 2.0' in image.info["inversion"]
    page.locator("#edit-sliders").get_by_text("Reset all").click()
    expect(column(page, 0, "edit").locator(".head span")).to_have_text(re.compile(r"^\d+\.\d s$"))
    expect(slider).to_have_value("0")


def test_a_second_picture_joins_in(visit: Callable[..., Page], picture: Path) -> None:
    page = visit(1280)
    invert_to_edit(page, picture)
    fold = page.locator("#edit-pair")
    fold.get_by_role("button", name="With a second picture").click()
    page.click("#edit-pair-run")
    expect(page.locator("body")).to_contain_text("Give a second picture first")
    page.locator("#edit-second-examples button").first.click()
    page.wait_for_selector("#edit-second-picture img")
    page.click("#edit-pair-run")
    gallery = page.locator("#edit-pair-gallery img")
    expect(gallery).to_have_count(2)
    before = gallery.first.get_attribute("src") or ""
    fold.get_by_label("Mix styles").check()
    page.click("#edit-pair-run")
    expect(gallery.first).not_to_have_attribute("src", before)
    fold.get_by_label("Put a region in").check()
    page.click("#edit-take")
    canvas = page.locator("#edit-region canvas").first
    expect(page.locator("#edit-region")).not_to_contain_text("Upload an image")
    stroke(page, canvas)
    before = gallery.first.get_attribute("src") or ""
    page.click("#edit-pair-run")
    expect(gallery.first).not_to_have_attribute("src", before)
    expect(gallery).to_have_count(2)
    shoot(page, "10-pair")


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


def test_a_drawing_on_the_canvas_becomes_pictures(visit: Callable[..., Page]) -> None:
    page = visit(1280)
    open_tab(page, "Sketch to face")
    canvas = page.locator("#sketch-lines canvas").first
    canvas.wait_for()
    expect(page.locator("#sketch-missing")).to_contain_text("Cartoon needs another model")
    page.click("#sketch-run")
    expect(page.locator("body")).to_contain_text("The canvas is empty")
    page.locator("#sketch-lines").get_by_label("Brush", exact=True).click()
    stroke(page, canvas, 160)
    page.click("#sketch-run")
    expect(status(page, "sketch")).to_contain_text("Done")
    pictures = page.locator("#sketch-gallery .grid-container img, #sketch-gallery .thumbnail-item img")
    expect(pictures).to_have_count(5)
    page.set_viewport_size({"width": 390, "height": 844})
    page.wait_for_function(
        """() => [...document.querySelectorAll('#sketch-gallery img')].every(
        image => image.getBoundingClientRect().width && image.getBoundingClientRect().right <= window.innerWidth)"""
    )
    page.set_viewport_size({"width": 1280, "height": 1000})
    drawn = pictures.first.get_attribute("src")
    shoot(page, "11-sketch")
    page.get_by_label("Map to face").check()
    expect(page.locator("#sketch-legend")).to_contain_text("brows")
    page.locator("#sketch-map-examples button").first.click()
    page.click("#sketch-run")
    expect(pictures.first).not_to_have_attribute("src", drawn or "")
    shoot(page, "12-map")
