"""Downloads in the list of models."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from helpers import ada
from helpers.browser import choose_model, column, open_tab, reconstruct, shoot, status
from helpers.foreign import small, write_nvidia
from helpers.serving import Served
from playwright.sync_api import Page, expect
from safetensors.torch import save_file

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


def add_file(page: Page, path: Path) -> str:
    """Add a file in the Models tab; returns the name of its model."""
    page.locator("#models-file input[type=file]").set_input_files(path)
    expect(page.locator("#models-file")).to_contain_text(path.stem)
    page.click("#models-add-run")
    said = page.locator("#models-add-status")
    expect(said).to_contain_text(re.compile(rf"Added.*{path.stem}-"))
    found = re.search(rf"{path.stem}-[0-9a-f]{{8}}", said.inner_text())
    assert found is not None
    return found[0]


def test_a_file_is_added_used_and_removed(
    visit: Callable[..., Page], site: Served, picture: Path, tmp_path: Path
) -> None:
    page = visit()
    open_tab(page, "Models")
    page.locator("#models-add").get_by_role("button", name="Add a file").click()
    page.get_by_role("textbox", name="Domain").fill("cats")
    page.get_by_role("textbox", name="Licence").fill("CC0")
    name = add_file(page, write_nvidia(tmp_path / "mine.pkl", {"G_ema": ada.weights()}))
    row = page.locator(f"#model-{name}")
    expect(row).to_contain_text("cats")
    expect(row.locator(".state")).to_have_text("available")
    shoot(page, "7-models-added")
    save_file(
        {key: value.contiguous() for key, value in small("rosinality_g64").items()}, tmp_path / "other.safetensors"
    )
    other = add_file(page, tmp_path / "other.safetensors")
    torch.save({"weights": torch.zeros(3, 3)}, tmp_path / "none.pt")
    page.locator("#models-file input[type=file]").set_input_files(tmp_path / "none.pt")
    page.click("#models-add-run")
    expect(page.locator("#models-add-status .bad")).to_contain_text("none.pt: ")
    open_tab(page, "Reconstruct")
    choose_model(page, name)
    reconstruct(page, picture, {"W"}, 3)
    expect(status(page)).to_contain_text("Done")
    expect(column(page, 0)).to_contain_text("PSNR")
    expect(page.locator("#reconstruct-about")).to_contain_text("CC0")
    open_tab(page, "Models")
    page.on("dialog", lambda dialog: dialog.accept())
    for one in (name, other):
        page.locator(f"#model-{one}").get_by_role("button", name="Remove").click()
        expect(page.locator(f"#model-{one}")).to_have_count(0)
    open_tab(page, "Reconstruct")
    expect(page.get_by_label("Model").first).to_have_value(re.compile("synthetic-faces"))
