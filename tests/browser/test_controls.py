"""Masks, settings, models and crops."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from helpers.browser import (
    choose,
    choose_model,
    column,
    crop_by_hand,
    open_tab,
    reload,
    set_steps,
    shoot,
    status,
    take_example,
    upload,
)
from helpers.serving import Served
from helpers.waiting import until
from PIL import Image
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.browser


def test_a_mask_is_painted_on_the_picture_and_kept(visit: Callable[..., Page], site: Served, picture: Path) -> None:
    page = visit()
    page.get_by_role("tab", name="Inpaint").click()
    canvas = page.locator("#inpaint-picture canvas").first
    canvas.wait_for()
    expect(page.locator("#inpaint-picture")).to_contain_text("Drop a picture")  # Gradio's editor is ready now
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url) if request.url.endswith("/upload") else None)
    upload(page, "inpaint", picture)
    expect(page.locator("#inpaint-picture")).not_to_contain_text("Drop a picture")
    take_example(page, "inpaint")
    expect(page.locator("#inpaint-other")).to_be_empty()
    expect(page.locator("#inpaint-picture")).not_to_contain_text("Drop a picture")
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
    with page.expect_download() as saved:
        page.get_by_role("button", name="Save mask (png)").click()
    white = np.asarray(Image.open(saved.value.path())) == 255
    assert 0.005 < white.mean() < 0.5, "what was painted is saved"
    wait_until_quiet(page, sent)
    sent.clear()
    page.click("#inpaint-run")
    expect(status(page, "inpaint")).to_contain_text("Done")
    page.locator("#inpaint-measured img").wait_for(state="attached")
    wait_until_quiet(page, sent)
    assert len(sent) == 2, "a run needs the picture and the paint, once"
    shoot(page, "4-inpaint")
    key = site.session.submitted[-1]
    page.wait_for_function("localStorage['inversion-hub-form-inpaint']?.includes('\"ran\":true')")
    page.wait_for_function("window.hub.stored('inpaint')")
    reload(page)  # the example takes the place of the upload before it, and the painted mask comes as a file
    page.locator("#inpaint-mask img").wait_for()
    expect(page.locator("#inpaint-picture")).not_to_contain_text("Drop a picture")
    page.click("#inpaint-run")
    until(lambda: site.session.submitted[-1] != key)
    before, after = (site.session.history.requests(one)[0] for one in (key, site.session.submitted[-1]))
    assert (before.picture == after.picture).all() and (before.inputs["mask"] == after.inputs["mask"]).all()
    measured = site.session.snapshot(key).measured
    assert measured is not None and 0.005 < (measured == 128).all(axis=2).mean() < 0.5  # the hole shows as grey


def wait_until_quiet(page: Page, sent: list[str]) -> None:
    """Wait until a page sends nothing more."""
    count = -1
    while count != len(sent):
        count = len(sent)
        page.wait_for_timeout(700)


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
    expect(fields.get_by_label("W+: steps", exact=True)).not_to_have_value("3")
    stages = page.locator("#reconstruct-stages")
    stages.get_by_label("Optimise").select_option("wplus")
    stages.get_by_label("Refine").select_option("pti")
    expect(fields.last).to_contain_text("PTI")
    fields.last.get_by_label(re.compile("PTI: steps")).fill("2")
    open_tab(page, "Colourise")
    open_tab(page, "Reconstruct")
    expect(page.locator("#reconstruct-other-model")).to_be_empty()
    choose_model(page, "only-z")  # it has no W: neither the method nor the stage is offered, and Z is selected instead
    expect(page.locator("#reconstruct-other-model")).to_contain_text("These results belong to synthetic-faces.")
    expect(page.locator("body")).to_contain_text("offers no W codes")
    offered = [re.compile(name) for name in ("Z", "mGAN", "PULSE", "Deep Image Prior")]
    expect(page.locator("#reconstruct-methods label")).to_have_text(offered)
    expect(stages.get_by_label("Optimise")).to_have_value("")
    expect(fields).to_have_count(2)
    choose_model(page, "synthetic-faces")
    expect(page.locator("#reconstruct-other-model")).to_be_empty()
    choose(page, "reconstruct", {"W"})
    expect(fields.first.get_by_label("W: steps", exact=True)).to_have_value("3")
    expect(fields.last.get_by_label(re.compile("PTI: steps"))).to_have_value("2")
    page.click("#reconstruct-run")
    expect(status(page)).to_contain_text("Done", timeout=100_000)  # 300 steps of W+: half a minute on a slow machine
    rows = [run.row or {} for run in site.session.snapshot(site.session.submitted[-1]).runs]
    assert [row["settings"][name] for row, name in zip(rows, ("w.steps", "pti.steps"), strict=True)] == [3, 2]


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
    column(page, 0).get_by_role("button", name="Paste the result into my picture").click()
    page.locator("#reconstruct-pasted img").wait_for()
    shoot(page, "6-pasted")
    with page.expect_download() as whole:
        page.locator("#reconstruct-whole").click()
    whole.value.save_as(tmp_path / "whole.png")
    with Image.open(tmp_path / "whole.png") as image:
        assert image.size == (96, 96)
    page.reload()  # the photo is kept with the job
    expect(status(page)).to_contain_text("Done")
    column(page, 0).get_by_role("button", name="Paste the result into my picture").click()
    page.locator("#reconstruct-pasted img").wait_for()
