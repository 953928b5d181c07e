"""Downloads of models, and jobs that wait for them."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import gradio as gr
import httpx
import numpy as np
import pytest
from gradio_client import Client, handle_file
from helpers.page import W, call
from helpers.serving import MODELS, SIZE, Remote, Served
from helpers.waiting import until
from PIL import Image

from inversion.serving import catalogue
from inversion.synthetic import DEFAULT
from inversion.tasks import TASKS
from ui import admission
from ui.admission import refusal
from ui.examples.precomputed import OPENING, comparison, index
from ui.page import PRIVATE_LIMITS
from ui.parts.export import KINDS, PictureFiles, has_own_input
from ui.parts.results import Panel
from ui.tabs.models import describe


def test_a_run_waits_for_its_model_beside_the_device(
    site: Served, client: Client, picture: Path, remote: Remote
) -> None:
    given = {**W, "api_name": "/reconstruct"}
    waiting = client.submit(picture=handle_file(picture), model="remote", **given)
    until(lambda: [site.session.snapshot(k).download for k in site.session.status().downloading] == [(SIZE // 2, SIZE)])
    rows, _, _ = call(client, "/reconstruct", picture, **W)  # others go on computing
    assert rows[0]["state"] == "done" and remote.fetched >= 1 and not waiting.done()
    remote.gate.set()
    rows, _, _ = waiting.result(timeout=60)
    assert rows[0]["state"] == "done" and rows[0]["model"] == "remote"
    assert site.session.files.card("remote").cached


def test_a_download_that_fails_is_explained_and_can_be_tried_again(
    client: Client, picture: Path, remote: Remote
) -> None:
    remote.problem = "its server does not answer"
    rows, _, _ = call(client, "/reconstruct", picture, model="remote")
    assert all(row["state"] == "failed" and "does not answer" in row["message"] for row in rows)
    remote.problem = None
    remote.gate.set()
    rows, _, _ = call(client, "/reconstruct", picture, model="remote")
    assert all(row["state"] == "done" for row in rows)


def test_a_download_is_shared_and_ends_when_nobody_wants_it(site: Served, remote: Remote) -> None:
    before = remote.fetched
    for visitor in ("ann", "bob"):
        site.session.files.download("remote", visitor)
    until(lambda: getattr(site.session.files.card("remote").download, "done", 0) == SIZE // 2)
    assert remote.fetched == before + 1
    site.session.files.cancel("remote", "ann")
    assert not site.session.files.card("remote", "ann").wanted and site.session.files.card("remote", "bob").wanted
    assert getattr(site.session.files.card("remote").download, "state", "") == "running"
    site.session.files.cancel("remote", "bob")
    until(lambda: getattr(site.session.files.card("remote").download, "state", "") == "cancelled")
    assert not site.session.files.card("remote").cached


def test_the_list_of_models_says_where_each_one_is(site: Served, remote: Remote) -> None:
    listed = {card.entry.name: card for card in site.session.files.cards()}
    assert [name for name, card in listed.items() if card.embedded] == [*MODELS, "aligned"]
    assert listed["by-hand"].entry.by_hand and not listed["by-hand"].cached and not listed["remote"].entry.by_hand
    assert "python -m inversion convert FILE --as by-hand" in describe(listed["by-hand"])
    assert "not downloaded" in describe(listed["remote"]) and "40 MB" in describe(listed["remote"])
    entry = replace(listed["remote"].entry, note="<script>", licence="<b>", source='https://x"><script>')
    hostile = replace(listed["remote"], entry=entry)
    assert "<script>" not in describe(hostile) and "<b>" not in describe(hostile).replace("<b>remote</b>", "")
    menus = [block for block in site.page.blocks.values() if isinstance(block, gr.Dropdown) and block.label == "Model"]
    assert len(menus) > len(TASKS) and all("by-hand" not in [value for _, value in menu.choices] for menu in menus)


def test_a_full_queue_refuses_the_rest_at_once(
    site: Served, picture: Path, remote: Remote, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The jobs wait for a download, so none of them costs anything."""
    few = replace(PRIVATE_LIMITS, events=8)
    monkeypatch.setattr(admission, "refusal", lambda fn, address, events, _: refusal(fn, address, events, few))
    index = next(index for index, fn in site.page.fns.items() if fn.api_name == "reconstruct")
    with httpx.Client(base_url=f"{site.url}gradio_api", timeout=30) as http:
        stored = http.post("/upload", files={"files": picture.read_bytes()}).json()[0]
        given = [
            {"path": stored, "meta": {"_type": "gradio.FileData"}},
            ["w"],
            "remote",
            0,
            W["settings"],
            60,
            -1,
            "auto",
            None,
            "quick",
        ]

        def join(user: int) -> httpx.Response:
            return http.post("/queue/join", json={"data": given, "fn_index": index, "session_hash": f"r23-{user}"})

        running = few.events
        taken = [join(user) for user in range(running)]
        assert {answer.status_code for answer in taken} == {200}, taken[-1].text
        until(lambda: len(site.session.status().downloading) == running)
        began = time.monotonic()
        answers = [join(user) for user in range(running, running + 8)]
        assert time.monotonic() - began < len(answers)  # each within a second
        assert [answer.status_code for answer in answers] == [503] * 8
        assert "busy" in answers[-1].text and "try again" in answers[-1].text
        remote.problem = "gone"  # the rest ends as it begins
        for key in site.session.status().downloading:
            site.session.cancel(key)
        until(lambda: http.get("/queue/status").json()["queue_size"] == 0 and not site.session.status().downloading)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "jpeg"])  # which is for the moment of a drag
def test_a_picture_that_is_shown_has_every_pixel(kind: str, tmp_path: Path) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (37, 41, 3), np.uint8)
    path = PictureFiles(str(tmp_path), kind).path("result", picture)
    with Image.open(str(path)) as shown:
        assert np.array_equal(np.asarray(shown.convert("RGB")), picture)


def test_a_smaller_copy_of_a_picture_is_a_light_file_with_its_own_ending(tmp_path: Path) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (400, 400, 3), np.uint8)
    files = PictureFiles(str(tmp_path), "webp")
    whole, small = (Path(str(files.path(name, picture, largest))) for name, largest in (("a", 400), ("b", 200)))
    assert (whole.suffix, small.suffix) == (".webp", ".jpeg")
    with Image.open(small) as shown:
        assert shown.format == "JPEG" and shown.size == (200, 200)
    assert small.stat().st_size < whole.stat().st_size / 4


@pytest.mark.parametrize("task", ["reconstruct", "colorize"])
def test_a_browser_gets_each_picture_once_whatever_it_is_compared_with(task: str, tmp_path: Path) -> None:
    stored = comparison(task, tuple(index()["runs"][OPENING][task]), OPENING, DEFAULT)
    assert stored is not None
    view = stored.view
    with gr.Blocks():
        panel = Panel(task, catalogue.models())
    files = PictureFiles(str(tmp_path), "webp")  # as in `Panel.updates`
    pictures = {"measured": view.measured, "truth": view.truth} if has_own_input(view) else {"truth": view.truth}
    cards = {Path(str(files.path(*one))).name for one in pictures.items()}
    shown: set[str] = set()
    for left in ("truth", "measured"):
        for update in panel.compare(view, left):
            shown |= {Path(one).name for pair in update.values() for one in pair}  # type: ignore[attr-defined]
    assert cards <= shown and len(shown) == len(cards) + len(view.runs)
