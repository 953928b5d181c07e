"""Uploads and examples, and what happens to their files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import gradio as gr
import numpy as np
import pytest
from gradio.components.image_editor import EditorData
from gradio.data_classes import FileData
from gradio.processing_utils import move_files_to_cache
from gradio.route_utils import delete_files_created_by_app
from PIL import Image

from inversion import images
from inversion.common.errors import UserError
from inversion.images import BadImage
from ui.parts.inputs import InputError
from ui.parts.inputs import picture as picture_of
from ui.parts.masks import MaskFile, chosen_mask, mask_note
from ui.parts.uploads import drawing_canvas, examples_strip, mask_editor, picture_field


def test_an_upload_that_is_gone_is_asked_for_again(tmp_path: Path) -> None:
    gone = str(tmp_path / "gone.png")
    painted = np.zeros((8, 8), np.uint8)
    with gr.Blocks():
        editor, drawing = mask_editor("x", "x"), drawing_canvas("y", "y", ["#000000"], 5)
    part = FileData(path=gone)
    sent = EditorData(background=part, layers=[], composite=part)
    readers: list[Callable[[], object]] = [
        lambda: picture_of(gone),
        lambda: chosen_mask("mask", painted, MaskFile(gone), 0),
    ]
    readers += [lambda: editor.preprocess(sent), lambda: drawing.preprocess(sent)]
    for reader in readers:
        with pytest.raises((InputError, gr.Error), match="Upload it again") as raised:
            reader()
        assert gone not in str(raised.value)


def test_an_example_that_was_taken_stays_when_uploads_are_deleted(
    picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    with gr.Blocks() as page:
        field, editor = picture_field("x", "x"), mask_editor("y", "y")
        for taker in (field, editor):
            examples_strip([picture], taker, f"{taker.elem_id}-examples")
    strips = [block for block in page.blocks.values() if isinstance(block, gr.Dataset)]
    for taker, shown in zip((field, editor), strips, strict=True):
        [full] = [path for path in shown.keep_in_cache if Path(path).name == picture.name]
        taken = taker.postprocess(full)
        move_files_to_cache(taken.model_dump(), taker, postprocess=True)  # type: ignore[union-attr]
    upload = tmp_path / "upload.png"
    upload.write_bytes(picture.read_bytes())
    field.temp_files.add(str(upload))
    delete_files_created_by_app(page, age=-1)
    assert not upload.exists()
    kept = [path for shown in strips for path in shown.keep_in_cache]
    assert len(kept) == 4 and all(Path(path).is_file() for path in kept)


@pytest.mark.parametrize("read", [picture_of, images.read_mask])
def test_a_file_that_is_no_picture_is_refused(read: Callable[[str], object], tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    path.write_bytes(b"no picture")
    with pytest.raises(UserError):
        read(str(path))


def test_a_mask_file_is_checked_and_explained_when_it_arrives(tmp_path: Path) -> None:
    path = str(tmp_path / "mask.png")
    layer = Image.new("RGBA", (40, 40))
    layer.paste((0, 0, 0, 255), (0, 0, 20, 10))
    layer.save(path)
    shown = mask_note(path, (40, 40), False)
    assert "painted layer" in shown and shown.endswith("marks 12 % of the picture.")
    assert "more than half" in mask_note(path, (80, 80), True) and "scaled" in mask_note(path, (80, 80), True)
    with pytest.raises(BadImage, match="proportions"):
        mask_note(path, (40, 80), False)
    file = MaskFile(path, True)
    mask = chosen_mask("mask", np.zeros((40, 40), np.uint8), file, 0)
    assert not mask[:10, :20].any() and mask[10:].all() and file.notes


def test_a_mask_outside_the_part_that_is_used_says_so() -> None:
    painted = np.zeros((40, 80), np.uint8)
    painted[:, :10] = 255
    with pytest.raises(InputError, match="outside the part"):
        chosen_mask("painted", painted, MaskFile(None), 0)


@pytest.mark.parametrize("colour", [(255, 255, 255, 255), (36, 150, 126, 255)])
def test_paint_of_any_colour_marks_the_picture(colour: tuple[int, ...], tmp_path: Path) -> None:
    with gr.Blocks():
        editor = mask_editor("x", "x")
    background, layer = tmp_path / "photo.png", tmp_path / "layer.png"
    Image.new("RGB", (40, 40), "navy").save(background)
    strokes = Image.new("RGBA", (40, 40))
    strokes.paste(colour, (5, 5, 15, 25))
    strokes.save(layer)
    sent = EditorData(background=FileData(path=str(background)), layers=[FileData(path=str(layer))], composite=None)
    painted = editor.preprocess(sent)
    assert painted is not None and painted.mask[5:25, 5:15].all() and (painted.mask > 0).mean() == 200 / 1600


def test_a_drawing_is_its_layers_on_white(tmp_path: Path) -> None:
    with gr.Blocks():
        drawing = drawing_canvas("x", "x", ["#000000"], 5)
    below, above = Image.new("RGBA", (40, 40)), Image.new("RGBA", (40, 40))
    below.paste((200, 0, 0, 255), (0, 0, 20, 40))
    above.paste((0, 0, 0, 128), (10, 0, 30, 40))
    parts = []
    for name, layer in {"below": below, "above": above}.items():
        layer.save(tmp_path / f"{name}.png")
        parts.append(FileData(path=str(tmp_path / f"{name}.png")))
    drawn = drawing.preprocess(EditorData(background=None, layers=parts, composite=None))
    assert drawn is not None and [tuple(drawn[5, x]) for x in (5, 35)] == [(200, 0, 0), (255, 255, 255)]
    assert np.abs(drawn[5, [15, 25]].astype(int) - [(100, 0, 0), (127, 127, 127)]).max() <= 1
    with_background = EditorData(background=parts[0], layers=parts[1:], composite=None)
    assert np.array_equal(drawing.preprocess(with_background), drawn)
    assert drawing.preprocess(EditorData(background=None, layers=[], composite=None)) is None
