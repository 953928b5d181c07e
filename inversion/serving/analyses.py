"""An analysis as the run of a job: its steps and reports as events of plain data."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Generator
from contextlib import closing
from typing import TYPE_CHECKING

import numpy as np

from inversion import images
from inversion.analysis import Analysis, Case, Report
from inversion.common.rows import Row
from inversion.methods.run import RunOptions, versions
from inversion.serving.plans import analysis_in
from inversion.serving.runs import Event, Finished, LaneError, Progress, Ready, Request

if TYPE_CHECKING:
    from torch import Tensor

    from inversion.methods.beginnings import Beginnings
    from inversion.model import Model

STOPPED = "Stopped on request. These are the results so far."
OUT_OF_TIME = "Stopped after the time budget of {budget:g} s. These are the results so far."


def analysed(
    request: Request, model: Model, picture: Tensor, beginnings: Beginnings
) -> Generator[Event, bool | None, None]:
    """The events of an analysis of a picture (1, 3, R, R): `Ready`, `Progress`, `Finished` last, which has the report.

    If True is sent, or after the budget of the request, it ends with the report so far. Raises LaneError if the model
    lacks a part.
    """
    analysis = analysis_in(request)
    reason = analysis.unavailable(model)
    if reason is not None:
        raise LaneError(f"{analysis.label} cannot run on {request.model}: {reason}.")
    shown = images.to_array(picture)
    yield Ready(shown, shown)
    report, message, done, total, computed = Report(), "", 0, analysis.steps, 0.0
    with closing(analysis(Case(model, picture, request.seed, RunOptions(beginnings=beginnings)))) as events:
        while True:
            resumed = time.perf_counter()
            event = next(events, None)
            computed += time.perf_counter() - resumed
            if event is None:
                break
            if isinstance(event, Report):
                report = event
                stop = yield Progress(analysis.label, min(done, total), total, computed, report=report)
            else:
                done += 1
                stop = yield Progress(analysis.label, min(done, total), total, computed)
            if stop or computed >= request.budget:
                message = STOPPED if stop else OUT_OF_TIME.format(budget=request.budget)
                break
    yield Finished(shown, _row(request, analysis, model, computed, report), {}, None, None, message, report)


def _row(request: Request, analysis: Analysis, model: Model, seconds: float, report: Report) -> Row:
    """The report and everything that is needed to repeat it, as plain JSON."""
    return {
        "task": request.task,
        "method": request.analysis,
        "analysis": request.analysis,
        "model": request.model,
        "seed": request.seed,
        "settings": analysis.settings(),
        "seconds": round(seconds, 3),
        "picture": hashlib.sha256(np.ascontiguousarray(request.picture).tobytes()).hexdigest()[:16],
        "crop": {"how": request.crop.how, "quad": request.crop.quad, "note": request.crop.note},
        "paper": analysis.paper,
        "sha256": model.sha256,
        "domain": model.domain,
        "licence": model.licence,
        "versions": versions(),
        **report.row(),
    }
