"""How pictures come in: several at once, from the clipboard, from the camera."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.browser import shoot
from PIL import Image
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.browser

COPY = """async () => {
  const canvas = new OffscreenCanvas(40, 30);
  canvas.getContext('2d').fillRect(0, 0, 40, 30);
  await navigator.clipboard.write([new ClipboardItem({'image/png': await canvas.convertToBlob()})]);
}"""

# Presses "capture photo" once, as soon as it exists: most often before the camera has a frame.
EAGER = """() => new MutationObserver((_, observer) => {
  const button = document.querySelector('#reconstruct-picture [aria-label="capture photo"]');
  if (!button) return;
  observer.disconnect();
  button.click();
}).observe(document.body, {childList: true, subtree: true, attributes: true})"""


# Opens a tab with an editor, and drops a PNG on it as soon as it takes files. Returns whether it had a canvas then.
DROP = """async content => {
  document.querySelector('[role=tab][data-tab-id=inpaint]').click();
  let input = null;
  while (!(input = document.querySelector('#inpaint-picture input[type=file]'))) {
    await new Promise(requestAnimationFrame);
  }
  const dataTransfer = new DataTransfer(), bytes = Uint8Array.from(atob(content), one => one.charCodeAt(0));
  dataTransfer.items.add(new File([bytes], 'dropped.png', {type: 'image/png'}));
  const painted = Boolean(document.querySelector('#inpaint-picture canvas'));
  input.parentElement.dispatchEvent(new DragEvent('drop', {dataTransfer, bubbles: true, cancelable: true}));
  return painted;
}"""

# Fields for one picture on the open tab.
FIELDS = """() => [...document.querySelectorAll('.block:has(input[type=file]):has(canvas, [data-testid=image])')]
  .filter(one => one.checkVisibility()).map(one => one.id)"""


def test_several_pictures_a_copied_one_and_the_camera_fill_the_upload(
    visit: Callable[..., Page], tmp_path: Path
) -> None:
    page = visit(permissions=["camera", "clipboard-read", "clipboard-write"])
    paths = [tmp_path / f"{number}.png" for number in range(3)]
    for number, path in enumerate(paths):
        Image.new("RGB", (20 + number, 20)).save(path)
    field, shown = page.locator("#reconstruct-picture"), page.locator("#reconstruct-picture .image-frame img")
    with page.expect_file_chooser() as chooser:
        field.get_by_role("button", name="Upload", exact=False).first.click()
    chooser.value.set_files(paths)
    strip = page.get_by_role("group", name="Your pictures").get_by_role("button")
    expect(strip).to_have_count(3)
    has_width(page, 20)
    shoot(page, "inputs-several")
    strip.nth(2).click()
    has_width(page, 22)
    expect(strip.nth(2)).to_have_attribute("aria-pressed", "true")
    page.evaluate(COPY)
    page.keyboard.press("Control+v")
    has_width(page, 40)
    expect(page.locator("#reconstruct-offer .strip [aria-pressed=true]")).to_have_count(0)  # it is none of them
    field.get_by_role("button", name="Remove Image").click()
    expect(shown).to_have_count(0)
    field.get_by_role("button", name="Capture from camera").click()
    page.evaluate(EAGER)
    field.get_by_text("Click to Access Webcam").click()
    page.wait_for_function("document.querySelector('#reconstruct-picture .image-frame img')?.naturalWidth > 40")


def test_an_editor_that_is_being_made_takes_a_picture(visit: Callable[..., Page], picture: Path) -> None:
    page = visit()
    content = base64.b64encode(picture.read_bytes()).decode()
    assert page.evaluate(DROP, content) is False, "the drop comes before the canvas"
    filled(page, "inpaint-picture", 96)


def test_every_field_keeps_its_picture_when_a_file_is_refused(visit: Callable[..., Page], tmp_path: Path) -> None:
    page = visit()
    bad, tiny, scan = tmp_path / "bad.png", tmp_path / "tiny.png", tmp_path / "scan.tif"
    bad.write_bytes(b"this is not a picture")
    Image.new("RGB", (40, 30), "teal").save(scan)
    Image.new("RGB", (4, 4), "teal").save(tiny)  # the browser shows it, and the server refuses it
    found: dict[str, bool] = {}  # id of a field -> whether it is an editor
    for key in ("reconstruct", "inpaint", "edit", "grid"):
        page.locator(f"[role=tab][data-tab-id={key}]").click()
        page.locator(f"#{key}-picture {'canvas' if key == 'inpaint' else 'button'}").first.wait_for()
        expect(page.locator(f"#{key}-picture")).to_contain_text("Drop")  # Gradio's editor is ready now
        for field in set(page.evaluate(FIELDS)) - set(found):
            block = page.locator(f"#{field}")
            given, note = block.locator("input[type=file]").first, block.locator("+ .refused")
            paints = block.locator("canvas").count() > 0
            full = paints not in found.values()  # one of each kind has a picture before
            if full:
                given.set_input_files(scan)
                filled(page, field)
                expect(note).to_have_count(0)
            given.set_input_files(bad)
            expect(note).to_have_text("The file is a text. Export the picture as JPEG or PNG.")
            if full:
                filled(page, field)
                given.set_input_files(tiny)
                expect(note).to_contain_text("4x4")
                filled(page, field)
            found[field] = paints
    assert len(found) >= 4 and len(set(found.values())) == 2, found


def filled(page: Page, field: str, width: int = 40) -> None:
    """Wait until a field shows a picture; an image, one of so many pixels."""
    page.wait_for_function(
        """([id, width]) => {
          const block = document.getElementById(id), image = block.querySelector('.image-frame img');
          return image ? image.naturalWidth === width : block.querySelector('canvas')
            && !block.querySelector('.empty')?.checkVisibility();
        }""",
        arg=[field, width],
    )


def has_width(page: Page, width: int) -> None:
    """Wait until the upload shows a picture of so many pixels."""
    script = "width => document.querySelector('#reconstruct-picture .image-frame img')?.naturalWidth === width"
    page.wait_for_function(script, arg=width)
