"""Laws of every event and component of the page, and how the page is served."""

from __future__ import annotations

import asyncio
import inspect
import os
import re
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr
import torch
from gradio.state_holder import SessionState
from helpers.page import ENDPOINTS, answer
from helpers.reports import report
from helpers.serving import Served, free_port

from inversion.metrics import METRICS
from inversion.serving.additions import MAX_BYTES
from inversion.serving.session import JobView, RunView
from inversion.tasks import TASKS
from ui import static
from ui.page import RESTS
from ui.parts.figures import not_computed, run_figures, table
from ui.parts.markup import job_status

ROOT = Path(__file__).resolve().parents[2]


def test_lpips_on_another_trunk_says_so_on_the_page() -> None:
    usual = run_figures(RunView("w", "W", row={"lpips": 0.12345, "lpips_vgg": None}))
    other = run_figures(RunView("w", "W", row={"lpips": None, "lpips_vgg": 0.12345}))
    assert "LPIPS</dt><dd>0.123" in usual and "VGG" not in usual and "LPIPS (VGG)</dt><dd>0.123" in other


def test_a_figure_that_cannot_be_computed_is_left_out() -> None:
    runs = [RunView("w", "W", row={"psnr": 20.0, "identity": None}), RunView("z", "Z", row={"psnr": None})]
    shown = table(runs)
    assert shown["headers"] == ["Method", "PSNR (dB)", "Seconds", "Steps", "State"]
    assert [line[1] for line in shown["data"]] == ["20.00", "\N{EM DASH}"]
    done, stopped = (run_figures(replace(runs[0], state=one, seconds=2.0)) for one in ("done", "cancelled"))
    assert "Seconds" not in done and "Seconds" in stopped, "the head of a column shows the time of a finished run"
    assert "Identity" not in run_figures(runs[0]) and "PSNR" not in run_figures(runs[1])


def test_the_status_says_when_a_job_starts_and_ends() -> None:
    run = RunView("w", "W", state="running", stage="W", step=3, total=300, remaining=98.2)
    job = JobView("key", "reconstruct", (run, RunView("pti", "PTI")), 0, 1, remaining=240.0)
    assert "about 98 s left for W, 4 min in all" in job_status(job)
    assert "about 1 s left for W, 3 h in all" in job_status(
        replace(job, runs=(replace(run, remaining=0.1), *job.runs[1:]), remaining=9800.0)
    )
    assert "about 98 s left<" in job_status(replace(job, runs=(run,), remaining=98.2))
    assert "left" not in job_status(replace(job, runs=(replace(run, remaining=None),), remaining=None))
    queued = replace(job, runs=(RunView("w", "W"),), position=2, wait=3.2)
    assert "In the queue" in job_status(queued) and "2 before you" in job_status(queued)
    assert "starts in about 3 s" in job_status(queued) and "starts" not in job_status(replace(queued, wait=None))


def test_the_page_is_built_without_slow_packages() -> None:
    program = """
import sys
from inversion.common.lazy import defer
defer("torch")
from inversion.serving import engines
from inversion.serving.session import Session
from ui import build
session = Session("cpu", lanes=engines.lanes("local", "cpu", "auto"))
build(session)
session.close()
print({"torch._C", "cv2", "skimage", "sklearn", "lpips", "pandas._libs"} & sys.modules.keys())
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "set()", done.stdout + done.stderr[-2000:]


def test_computing_events_are_generators_on_one_lane(site: Served) -> None:
    computing = [fn for fn in site.page.fns.values() if fn.concurrency_id == "device"]
    # Of tasks and Edit; of Analyse, Grid and two tabs for translations; two pictures combined, a sheet of edits.
    assert len(computing) == 5 * (len(TASKS) + 1 + 4) + 2 + len(ENDPOINTS)
    downloading = [fn for fn in site.page.fns.values() if fn.concurrency_id == "downloads"]
    assert len(downloading) == 3 and all(fn.api_visibility == "private" for fn in downloading)
    assert all(inspect.isgeneratorfunction(fn.fn) for fn in computing)
    assert len({fn.concurrency_limit for fn in computing}) == 1
    assert {f"/{fn.api_name}" for fn in site.page.fns.values() if fn.api_visibility != "private"} == set(ENDPOINTS)


def test_no_event_of_the_page_leaves_the_browser_components_to_update_after_every_message(site: Served) -> None:
    # Gradio's browser code updates all components of `show_progress_on`, or else all outputs, of all events so far.
    private = [fn for fn in site.page.fns.values() if fn.api_visibility == "private"]
    assert len(private) > 50 and all(fn.show_progress_on == [] for fn in private)


def test_gradio_rests_between_two_looks_at_its_queue(site: Served) -> None:
    usual, ours = vars(gr.Blocks().queue()._queue), vars(site.page._queue)
    assert all(ours[field] == max(seconds, usual[field]) for field, seconds in RESTS.items())


def test_outputs_that_stay_cost_nothing_and_the_others_are_as_of_gradio(site: Served) -> None:
    event = max(site.page.fns.values(), key=lambda one: len(one.outputs))
    texts = [output for output in event.outputs if isinstance(output, gr.HTML)]
    first, second = texts[:2]
    hidden = gr.update(visible=False)
    for update in ({first: "words"}, {first: hidden}, {first: "words", second: gr.skip()}, {second: None}):
        ours, theirs = SessionState(site.page), SessionState(site.page)
        sent = asyncio.run(site.page.postprocess_data(event, update, ours))
        expected = asyncio.run(gr.Blocks.postprocess_data(site.page, event, update, theirs))
        for output, value, wanted in zip(event.outputs, sent, expected, strict=True):
            if update.get(output, gr.skip()) != gr.skip():
                assert value == wanted
            elif not output.stateful:
                assert value == gr.skip() and output in ours.blocks_config.blocks.values()


def test_an_event_without_the_queue_has_no_messages(site: Served) -> None:
    # Gradio shows no notes and no errors of events that do not go through its queue.
    quiet = [inspect.unwrap(fn.fn) for fn in site.page.fns.values() if fn.fn is not None and not fn.queue]
    written = [inspect.getsource(one) for one in quiet if inspect.isroutine(one)]
    assert len(written) > 20 and not [one for one in written if "gr.Info(" in one or "errors_as_messages" in one]


def test_a_condition_of_a_style_has_no_comma() -> None:
    # Gradio puts a prefix after every comma of a selector, also inside `:has()`, where nothing matches it.
    found = [name for name in static.styles() if re.search(r":has\((?:[^()]|\([^()]*\))*,", static.style(name))]
    assert not found


def test_pictures_are_lossless_and_uploads_undecoded(site: Served) -> None:
    for block in site.page.blocks.values():
        if isinstance(block, gr.Image | gr.ImageSlider | gr.ImageEditor | gr.Gallery):
            assert block.format == "png", block
        if isinstance(block, gr.Image) and block.interactive is not False and block.type == "filepath":
            assert block.image_mode is None or block.label == "sheet"
        if isinstance(block, gr.State):
            assert block.value is None  # keys only


def test_fields_for_numbers_have_a_value_and_seeds_a_button(site: Served) -> None:
    config = site.page.config  # type: ignore[attr-defined]
    shown = shown_in(config["layout"])
    fields = [one["props"] for one in config["components"] if one["type"] == "number" and one["id"] in shown]
    empty = [field["label"] for field in fields if field.get("value") is None]
    assert fields and not empty, "Gradio shows an empty one as 0, and sends that once it has been shown"
    seeds = [field for field in fields if field["label"] == "Seed"]
    assert len(seeds) > len(TASKS) and all(len(field["buttons"]) == 1 for field in seeds)


def shown_in(layout: dict[str, Any]) -> set[int]:
    """Numbers of all components that a page lays out."""
    return {layout["id"]}.union(*map(shown_in, layout.get("children") or ()))


def test_foreign_large_and_direct_requests_are_refused(site: Served) -> None:
    upload = f"{site.url}gradio_api/upload"
    for origin in ("https://evil.example", "null", "http://127.0.0.1:1"):
        assert answer(upload, b"x", Origin=origin) == 403
    assert answer(upload, b"x", Origin=site.url.rstrip("/")) != 403
    for address, size in ((upload, MAX_BYTES + 10**8), (f"{site.url}gradio_api/queue/join", 10**8)):
        assert answer(address, b"x", **{"Content-Length": str(size)}) == 413
    for name in ENDPOINTS:
        assert answer(f"{site.url}gradio_api/run{name}", b'{"data": []}', **{"Content-Type": "application/json"}) == 404
    for path in ("monitoring", "monitoring/summary", "gradio_api/file=/etc/passwd"):
        assert answer(site.url + path) in (403, 404)


# Runs app.py, and prints every name that is looked up and every address that is bound or connected to.
OBSERVED = """
import runpy, sys
def note(event, given):
    if event in ("socket.bind", "socket.connect"):
        print(event, given[1][0] if isinstance(given[1], tuple) else "local")
    elif event == "socket.getaddrinfo":
        print(event, given[0])
sys.addaudithook(note)
sys.argv = ["app.py", *sys.argv[1:]]
runpy.run_path("app.py", run_name="__main__")
"""
HERE = {"127.0.0.1", "localhost", "local", "None"}


def test_the_entry_point_serves_on_this_machine_only(tmp_path: Path) -> None:
    """`python app.py` answers; with nothing else running that takes 5 s (the bound here is for a busy machine).

    It binds and connects to addresses of this machine only.
    """
    port = free_port()
    environment = {**os.environ, "GRADIO_TEMP_DIR": str(tmp_path)}
    process = subprocess.Popen(
        [sys.executable, "-c", OBSERVED, "--port", str(port), "--device", "cpu", "--auth", "anna:secret"],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        deadline = time.monotonic() + 90
        while True:
            try:
                assert answer(f"http://127.0.0.1:{port}/") == 200
                break
            except OSError:
                assert process.poll() is None and time.monotonic() < deadline
                time.sleep(0.1)
        assert answer(f"http://127.0.0.1:{port}/config") == 401 and answer(f"http://127.0.0.1:{port}/healthz") == 200
    finally:
        process.terminate()
        output, _ = process.communicate(timeout=30)
    assert "http://127.0.0.1" in output and "gradio.live" not in output
    places = set(re.findall(r"^socket\.\w+ (\S+)$", output, flags=re.M))
    report("python app.py with no other flags", f"places that it binds, connects to or looks up: {places}")
    assert "127.0.0.1" in places and places <= HERE


def test_nothing_is_left_of_a_run_in_torch(site: Served) -> None:
    assert torch.is_grad_enabled() and site.session.status().running == ()


def test_metrics_without_a_network_are_named_once() -> None:
    row = {"psnr": 30.0, "ssim": 0.9, "lpips": None, "lpips_vgg": 0.1, "identity": None, "synthetic_identity": 0.9}
    line = not_computed([RunView("w", "W", "done", row=row)])
    assert METRICS["identity"].label in line and METRICS["lpips"].label + "," not in line
    assert not_computed([RunView("w", "W", "done", row=dict.fromkeys(METRICS))]) == ""
    assert not_computed([RunView("w", "W")]) == ""
