"""Codes on the page: downloads of a job's codes and tuned generators, and uploads to start from."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import gradio as gr
import numpy as np
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from helpers.checkpoints import in_process
from helpers.page import call, laid_out, opened
from helpers.serving import Served

from inversion.checkpoints import own
from inversion.checkpoints.codes import SavedCode, read_code
from ui.parts.codes import check, code_request, pack
from ui.parts.inputs import InputError
from ui.tabs.edit import Edit

__all__ = ["in_process"]  # a fixture
RUNS = {"methods": ["wplus", "pti"], "settings": {"wplus.steps": 2, "pti.steps": 2}}


@pytest.fixture(scope="module")
def archive(site: Served, client: Client, picture: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The unpacked archive of a job of two methods."""
    call(client, "/reconstruct", picture, **RUNS)
    key, folder = site.session.submitted[-1], tmp_path_factory.mktemp("codes")
    with zipfile.ZipFile(pack(site.session.snapshot(key), site.session, folder)) as packed:
        packed.extractall(folder)
    return folder


def code_of(archive: Path, method: str) -> Path:
    """The file of a method's code."""
    return next(archive.glob(f"reconstruct-{method}-*.npz"))


def test_the_archive_has_every_code_and_tuned_generator(site: Served, archive: Path) -> None:
    both = (".npz", "-styles.npy")
    tuned = (*both, ".safetensors", "-nvidia.pt")
    for method, endings in (("wplus", both), ("pti", tuned)):
        stem = code_of(archive, method).stem
        assert {path.name for path in archive.glob(f"{stem}*")} == {stem + ending for ending in endings}
    code = read_code(code_of(archive, "wplus"))
    assert isinstance(code, SavedCode) and (code.model, code.sha256) == ("synthetic-faces", "0" * 64)
    styles = next(archive.glob("reconstruct-wplus-*-styles.npy"))
    assert np.array_equal(np.load(styles), code.ws.numpy())


def test_results_without_a_code_say_so(site: Served, client: Client, picture: Path, tmp_path: Path) -> None:
    call(client, "/reconstruct", picture, methods=["dip"], settings={"dip.steps": 2})
    with pytest.raises(InputError, match="have no code"):
        pack(site.session.snapshot(site.session.submitted[-1]), site.session, tmp_path)


def test_a_script_starts_from_a_code(site: Served, client: Client, picture: Path, archive: Path) -> None:
    settings = {"methods": ["wplus"], "settings": {"wplus.steps": 1, "wplus.lr": 0.0001}}
    start = code_of(archive, "wplus")
    rows, pictures, _ = call(client, "/reconstruct", picture, **settings, start=handle_file(start))
    assert rows[0]["start"] == read_code(start).digest
    from_mean, _, _ = call(client, "/reconstruct", picture, **settings)
    assert rows[0]["psnr"] > from_mean[0]["psnr"] and from_mean[0]["start"] is None
    shown = np.asarray(opened(pictures[0]["image"]), int)
    assert shown.shape == (32, 32, 3)
    edited, _, _ = call(client, "/edit", picture, **settings, start=handle_file(start), moves={"yaw": 1})
    assert edited[0]["start"] == rows[0]["start"] and edited[0]["edit"]["moves"] == {"yaw": 1.0}


def test_a_start_that_does_not_fit_is_refused(client: Client, picture: Path, archive: Path, tmp_path: Path) -> None:
    code = handle_file(code_of(archive, "wplus"))
    rows, _, _ = call(client, "/reconstruct", picture, methods=["w"], settings={}, start=code)
    assert rows[0]["state"] == "failed" and "W cannot start from a code in W+. Choose one of" in rows[0]["message"]
    with pytest.raises(AppError, match="has no code, so it cannot start from one"):
        call(client, "/reconstruct", picture, methods=["dip"], settings={}, start=code)
    np.save(tmp_path / "nan.npy", np.full(32, np.nan))
    with pytest.raises(AppError, match=r"Nan.npy|nan.npy: its code holds values that are not finite"):
        call(client, "/reconstruct", picture, methods=["wplus"], start=handle_file(tmp_path / "nan.npy"))


def test_a_start_of_any_ending_is_named(client: Client, picture: Path, tmp_path: Path) -> None:
    for name, data, says in (
        ("code.mat", b"MATLAB 5.0 MAT-file" + bytes(200), "a MATLAB file"),
        ("w.txt", b"0.1 0.2", "a text"),
    ):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(AppError, match=f"{name}: it is {says}"):
            client.predict(
                picture=handle_file(picture), methods=["w"], start=handle_file(tmp_path / name), api_name="/reconstruct"
            )


def test_an_upload_is_checked_at_once(archive: Path, tmp_path: Path) -> None:
    check(None)
    check(str(code_of(archive, "wplus")))
    (tmp_path / "page.npz").write_text("<html>")
    with pytest.raises(gr.Error, match="web page"):
        check(str(tmp_path / "page.npz"))
    with pytest.raises(gr.Error, match="expired"):
        check(str(tmp_path / "gone.npz"))
    buffer = io.BytesIO()
    np.save(buffer, np.ones((5, 18, 512), np.float32))
    (tmp_path / "five.npy").write_bytes(buffer.getvalue())
    with pytest.raises(gr.Error, match="5 codes"):
        check(str(tmp_path / "five.npy"))


def test_a_code_without_a_picture_is_edited_as_it_is(
    site: Served, client: Client, picture: Path, archive: Path, tmp_path: Path
) -> None:
    """Download, upload, edit: the picture is that of the edited result."""
    moves = {"moves": {"yaw": 1}}
    _, pictures, _ = call(client, "/edit", picture, methods=["wplus"], settings={"wplus.steps": 2}, **moves)
    key = site.session.submitted[-1]
    with zipfile.ZipFile(pack(site.session.snapshot(key), site.session, tmp_path)) as packed:
        packed.extractall(tmp_path)
    rows, again, _ = call(client, "/edit", None, start=handle_file(code_of(tmp_path, "wplus")), **moves)
    assert [row["method"] for row in rows] == ["keep"] and rows[0]["edit"]["moves"] == {"yaw": 1.0}
    one, other = (np.asarray(opened(shown[0]["image"]), int) for shown in (pictures, again))
    assert np.abs(one - other).max() <= 1
    tab = laid_out(Edit, site)
    values = {part: getattr(part, "value", None) for part in (*tab.settings.inputs(), tab.upload.component)}
    values[tab.settings.start.file] = str(code_of(tmp_path, "wplus"))
    assert [request.method for request in tab.requests(values)] == ["keep"]


def test_a_tuned_generator_comes_back_to_the_page(
    site: Served, client: Client, picture: Path, tmp_path: Path, in_process: list[str]
) -> None:
    """Download, add the generator, open the code with it in Edit: the picture is that of the result."""
    settings = {"methods": ["pti"], "settings": {"pti.steps": 2, "wplus.steps": 2}}
    _, pictures, _ = call(client, "/reconstruct", picture, **settings)
    with zipfile.ZipFile(pack(site.session.snapshot(site.session.submitted[-1]), site.session, tmp_path)) as packed:
        packed.extractall(tmp_path)
    code = code_of(tmp_path, "pti")
    for generator, start in ((".safetensors", ".npz"), ("-nvidia.pt", "-styles.npy")):
        name = own.add_file(code.with_name(f"{code.stem}{generator}"))
        try:
            request = code_request(site.session, name, read_code(code.with_name(f"{code.stem}{start}")))
        finally:
            own.remove_file(name)
        assert np.abs(np.asarray(opened(pictures[0]["image"]), int) - request.picture).max() <= 1
