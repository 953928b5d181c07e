"""Times whole runs instead of steps, for `benchmarks.speed`: opening, starting, the app, comparisons, quick presets.

Every function returns the seconds of each form of one thing; the first form is the one that others are compared with.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

import numpy as np
import torch
from torch import Tensor

from benchmarks.load import page
from inversion import images
from inversion.checkpoints import hub
from inversion.methods import METHODS, Result, Step, parse_method
from inversion.methods.beginnings import Beginnings
from inversion.methods.run import RunOptions, invert
from inversion.model import Model, prior_of
from inversion.serving.lane import Lane
from inversion.serving.runs import Request
from inversion.serving.session import Session
from inversion.synthetic import HELD_OUT
from inversion.tasks import Reconstruct
from inversion.training.models import domain_of

Clock = Callable[[], float]
Seconds = Mapping[str, float]  # form -> seconds
DEFAULT, QUICK, MISSED = "default", "quick preset", "quick preset, further away"
COMPARED = ("hybrid", "wplus", "mganprior", "pti")
APP = "wplus"  # the method that runs in the app and alone


class WholeRuns:
    """Times whole runs on a picture that `model`, on a device, has not seen. clock: seconds."""

    def __init__(self, model: Model, device: str, clock: Clock) -> None:
        self.model, self.device, self.clock = model, device, clock
        self._y = target(model)

    def opening(self) -> Seconds:
        """Opening the model, whose files are on the disk, and opening it again while it is in memory."""
        hub.models.clear()
        name = self.model.name
        return {form: self._timed(lambda: hub.load(name, self.device)) for form in ("first", "again")}

    def app_cost(self) -> Seconds:
        """A method alone, and in a session of the app, which also reads, crops, previews, measures and stores."""
        picture = images.to_array(self._y)
        session = Session(self.device, lanes=[Lane(self.device)])

        def in_app(picture: np.ndarray) -> None:
            request = Request("reconstruct", APP, picture, self.model.name, METHODS[APP].preset("quick"))
            for view in session.follow(session.submit([request])):
                failed = [run.message for run in view.runs if run.state == "failed"]
                if failed:
                    raise RuntimeError(failed[0])

        try:
            in_app(picture[:, ::-1].copy())  # loads and warms up; a run on the same picture would be taken from it
            alone = self._timed(lambda: self._finish(APP))
            return {"method alone": alone, "in the app": self._timed(partial(in_app, picture))}
        finally:
            session.close()

    def comparison(self, methods: Sequence[str]) -> Seconds:
        """Quick methods, each on its own, and as one comparison, which shares their beginnings."""
        usable = [key for key in methods if not METHODS[key].unavailable(self.model)]
        self._finish(usable[0])  # warms up
        alone, together, shared = 0.0, 0.0, Beginnings()
        for key in usable:
            alone += self._timed(partial(self._finish, key))
            together += self._timed(partial(self._finish, key, shared))
        return {"each alone": alone, "together": together}

    def to_quality(self, key: str) -> Seconds:
        """A method with its default settings, and its quick preset until it is as close to the measured pixels.

        If the preset ends further away, the form is called `MISSED` and has the time of the whole preset.
        """
        last = METHODS[key].stages[-1].key
        begin = self.clock()
        *_, result = self._run(key, "")
        seconds = self.clock() - begin
        wanted = min(result.curves[f"{last}.pixel"]) if isinstance(result, Result) else 0.0
        begin = self.clock()
        for event in self._run(key, "quick"):
            if isinstance(event, Step) and event.stage == last and event.losses.get("pixel", math.inf) <= wanted:
                return {DEFAULT: seconds, QUICK: self.clock() - begin}
        return {DEFAULT: seconds, MISSED: self.clock() - begin}

    def _run(self, key: str, preset: str, shared: Beginnings | None = None) -> Iterator[Step | Result]:
        options = RunOptions(budget=None, preview_every=1e9, beginnings=shared)
        return invert(self.model, Reconstruct(), self._y, parse_method(key, preset), options=options)

    def _finish(self, key: str, shared: Beginnings | None = None) -> None:
        for _ in self._run(key, "quick", shared):
            pass

    def _timed(self, call: Callable[[], object]) -> float:
        begin = self.clock()
        call()
        return self.clock() - begin


def app_start() -> Seconds:
    """Wall-clock seconds from the start of the app to its page, and until its default model is loaded."""
    found = {}
    for form, path in (("page answers", "/"), ("model loaded", "/readyz")):
        begin = time.perf_counter()
        with page("local", None, path):
            found[form] = time.perf_counter() - begin
    return found


def with_quick_preset(model: Model) -> list[str]:
    """The methods that the model can run and that have a quick preset."""
    return [key for key, method in METHODS.items() if method.quick and not method.unavailable(model)]


def target(model: Model) -> Tensor:
    """A held-out picture (1, 3, R, R) of the model's domain; a picture of the generator if the domain has none."""
    if model.domain:
        return domain_of(model).draw([HELD_OUT], model.resolution).picture.to(model.device)
    with torch.no_grad():
        return prior_of(model)(torch.ones(1, prior_of(model).z_dim, device=model.device))
