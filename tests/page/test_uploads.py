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
from helpers.serving import Served

from inversion import images
from inversion.common.errors import UserError
from ui.parts.inputs import InputError
from ui.parts.inputs import picture as picture_of
from ui.parts.masks import MaskFile, chosen_mask
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


def test_every_upload_is_checked_when_it_arrives(site: Served) -> None:
    """Every field for a file has an event at its upload, and one that empties it if the file is refused."""
    listened = {target for fn in site.page.fns.values() for target, event in fn.targets if event == "upload"}
    shown = {
        block.elem_id: key in listened
        for key, block in site.page.blocks.items()
        if isinstance(block, gr.Image | gr.ImageEditor) and block.sources and block.interactive is not False
        if block.elem_id and not block.elem_id.startswith("api-")
    }
    assert len(shown) > 8 and all(shown.values()), shown


@pytest.mark.parametrize("read", [picture_of, images.read_mask])
def test_a_file_that_is_no_picture_is_refused(read: Callable[[str], object], tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    path.write_bytes(b"no picture")
    with pytest.raises(UserError):
        read(str(path))
