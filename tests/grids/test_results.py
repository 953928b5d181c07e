"""Requests of a grid, its figures, its sheet and its files."""

from __future__ import annotations

import csv
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from helpers.lanes import StubLane, finish, stub_request
from PIL import Image
from torch import Tensor

from inversion import images
from inversion.checkpoints.registry import DEFAULT
from inversion.common.errors import UserError
from inversion.grids import (
    GridPlan,
    Layout,
    Materials,
    best_cells,
    grid_requests,
    originals,
    pack_grid,
    parameters,
    plan_grid,
    sheet,
    summary,
    write_grid,
)
from inversion.grids.figures import caption, rows
from inversion.images import Decoded
from inversion.serving.jobs import RunView
from inversion.serving.lane import Lane
from inversion.serving.session import Limits, Session, UnknownJob

FEW = "w.steps=2"
GREY = np.full((32, 32, 3), 128, np.uint8)


@pytest.fixture
def materials(pictures: Tensor) -> Materials:
    """Two pictures and a mask."""
    found = {name: Decoded(Image.fromarray(images.to_array(pictures[i]))) for i, name in enumerate(("a", "b"))}
    mask = np.zeros((32, 32), np.uint8)
    mask[4:9, 4:9] = 255
    return Materials(found, {"hole": images.packed_png(mask)})


def planned(*axes: tuple[str, str], model: str = DEFAULT, **base: object) -> GridPlan:
    """A plan on the pictures of `materials`."""
    known = parameters(["a", "b"], ["hole"])
    common = {"task": "reconstruct", "method": "w", "model": model, "picture": "a", "align": "centre"}
    return plan_grid(known, {**common, **base}, axes)  # type: ignore[dict-item]


def done(index: int, psnr: float | None = None, **changes: object) -> RunView:
    """A finished run with a picture."""
    row = {"seed": index, "psnr": psnr, "ssim": 0.5, "method": "w"}
    facts = {"state": "done", "seconds": 1.0, "image": GREY, "row": row}
    return RunView("w", "W", **{**facts, **changes})  # type: ignore[arg-type]


def test_requests_share_pictures_and_have_their_own_inputs(materials: Materials) -> None:
    plan = planned(("picture", ""), ("mask", "centre, random, hole"), task="inpaint", seed=3)
    requests = grid_requests(plan.setups, materials)
    assert len({id(request.picture) for request in requests}) == 2 and len(requests) == 6
    shares = [(np.asarray(request.inputs["mask"]) > 0).mean() for request in requests[:3]]
    assert shares[2] == 25 / 1024 and len(set(shares)) == 3
    assert all(request.seed == 3 and request.name in ("a", "b") for request in requests)
    cut = originals(requests)
    assert [name for name, _ in cut.pictures] == ["a", "b"] and cut.of_runs == [0, 0, 0, 1, 1, 1]
    assert originals(grid_requests(planned(("seed", "1"), measured=True).setups, materials)) == ([], [None])


def test_a_grid_is_one_job_whose_cells_equal_single_runs(
    lane: Lane, opened: Callable[..., Session], materials: Materials
) -> None:
    plan = planned(("method", "w, wplus"), ("seed", "1, 2"), model="tiny", steps=2)
    requests = grid_requests(plan.setups, materials)
    session = opened(lane)
    runs = finish(session, session.submit(requests)).runs
    assert [run.state for run in runs] == ["done"] * 4
    alone = finish(session, session.submit([requests[2]])).runs[0]
    assert alone.image is not None and runs[2].image is not None and np.array_equal(alone.image, runs[2].image)
    narrow = opened(lane, limits=Limits(runs=3))
    with pytest.raises(UserError, match="These are 4 runs, and one job may have 3"):
        narrow.submit(requests)


def test_a_grid_pushes_out_no_result_of_another_visitor(opened: Callable[..., Session]) -> None:
    session = opened(StubLane(), limits=Limits(finished=8, finished_runs=20, tuned=64))
    session.address = lambda: "10.0.0.1"
    first = session.submit([stub_request(1)])
    finish(session, first)
    session.address = lambda: "10.0.0.2"
    grids = [session.submit([stub_request(seed) for seed in range(15)]) for _ in range(2)]
    assert all(run.state == "done" for key in grids for run in finish(session, key).runs)
    assert session.stored_result(first, 0).weights == {"w": 1}
    session.submit([stub_request(2)])
    with pytest.raises(UnknownJob):  # 31 runs are more than 20
        session.snapshot(grids[0])
    assert session.snapshot(first).over and session.snapshot(grids[1]).over


def test_short_runs_and_metrics_teach_the_estimate(opened: Callable[..., Session]) -> None:
    session = opened(StubLane())
    model = stub_request().model
    assert session.expected(model, {"psp": {}}) == {}
    finish(session, session.submit([stub_request(method="psp")]))
    assert session.expected(model, {"psp": {}, "pti": {}}) == {"psp": pytest.approx(9.0, abs=0.5)}


def test_best_is_named_for_equal_problems_only() -> None:
    plan = planned(("method", "w, z"), ("picture", "a, b"), ("seed", "1, 2"))
    values = {(method, picture): 20.0 + 5 * (method == "z") + (picture == "b") for method in "wz" for picture in "ab"}
    runs = [done(i, values[setup.method, setup.picture]) for i, setup in enumerate(plan.setups)]
    assert summary(plan.layout, runs)[:2] == [
        "Picture a: best PSNR 25.00 dB: Method Single Z code.",
        "Picture b: best PSNR 26.00 dB: Method Single Z code.",
    ], "the seeds are equally good, so none is named"
    assert {len(cells) for cells in best_cells(plan.layout, runs, "psnr").values()} == {2}
    alone = planned(("picture", "a, b"))
    assert not summary(alone.layout, [done(0, 20.0), done(1, 30.0)]), "other pictures cannot be compared"
    queued = [RunView("w", "W"), done(1, 30.0)]
    assert not summary(planned(("seed", "1, 2")).layout, queued)


def test_the_files_hold_every_cell_once(tmp_path: Path) -> None:
    plan = planned(("method", "w, psp"), ("steps", "5, 6"))
    failed = RunView("psp", "pSp", state="failed", message="psp cannot run")
    runs = [done(0, 21.0), done(1, 22.0), failed]
    files = write_grid(tmp_path / "grid", plan.layout, runs, "A title", [("a", GREY)])
    lines = list(csv.DictReader(files.table.read_text("utf-8").splitlines()))
    assert [(line["Method"], line["Steps"], line["psnr"], line["state"]) for line in lines] == [
        ("W", "5", "21.0", "done"),
        ("pSp", "5", "", "failed"),
        ("W", "6", "22.0", "done"),
        ("pSp", "6", "", "failed"),
    ]
    assert [line["run"] for line in lines] == ["1", "3", "2", "3"] and lines[1]["message"] == "psp cannot run"
    assert json.loads(files.rows.read_text("utf-8")) == json.loads(
        json.dumps(rows(plan.layout, runs, {run: path.name for run, path in files.pictures.items()}))
    )
    with zipfile.ZipFile(pack_grid(files)) as packed:
        names = packed.namelist()
    assert names == ["01_W_5.png", "03_W_6.png", "grid.png", "grid.csv", "grid.json"]
    assert json.loads(Image.open(files.pictures[0]).info["inversion"])["psnr"] == 21.0


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_the_sheet_has_a_picture_for_every_cell(axes: int) -> None:
    given = [("seed", "1-8"), ("method", "w, wplus"), ("task", "reconstruct, colorize")][:axes]
    layout: Layout = planned(*given).layout
    image = np.zeros((32, 32, 3), np.uint8)
    image[..., 0] = 255
    runs = [done(i, 20.0, image=image) for i in range(max(layout.runs) + 1)]
    page = np.asarray(sheet(layout, runs, "title", [("a", GREY)]))
    red = (page == (255, 0, 0)).all(axis=2).sum()
    assert red == len(layout.runs) * 128 * 128, "small pictures are enlarged to 128 pixels"
    assert page.shape[0] < 2**12 and page.shape[1] < 2**12


def test_a_cell_says_its_figure_or_its_state() -> None:
    assert caption(done(0, 21.234)) == "21.23 dB, 1.0 s"
    assert caption(done(0, None, row={}, state="cancelled")) == "1.0 s, partial"
    assert caption(RunView("w", "W")) == "queued"
