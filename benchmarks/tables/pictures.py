"""Tables with a row for each picture and method: the inversion, and the restoration tasks."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import ClassVar

import numpy as np

from benchmarks.cases import HOLES, Case
from benchmarks.common import Column
from benchmarks.tables.base import MEASURED, PSEUDO, Bench, Job, Made, Table, share, weights_of
from inversion import images, metrics
from inversion.analysis.colours import area, colour_curve
from inversion.common.rows import Row
from inversion.methods import METHODS, parse_method
from inversion.metrics.sets import ms_ssim
from inversion.model import Model
from inversion.serving.lane import Lane
from inversion.serving.measurement import measurement
from inversion.serving.runs import Finished, Request, picture_digest
from inversion.tasks import task_class

BUDGET = 3600.0  # seconds of one run
MODULES = ("benchmarks.cases", "benchmarks.tables.pictures", "inversion.metrics", "inversion.methods.run")
RESTORING = (MEASURED, "psp", "z", "w", "wplus", "mganprior", "pti", "pulse", "features", "dip")


@dataclass(frozen=True)
class Variation:
    """A task with the values of its own fields. setting: in words, "" if the task has no fields."""

    task: str
    setting: str = ""
    inputs: Mapping[str, object] = field(default_factory=dict)


class Pictures(Table):
    """Every method on every picture of some variations of tasks."""

    own: ClassVar[Mapping[str, Column]] = {
        "detail_psnr": Column("Detail PSNR", metrics.METRICS["psnr"].digits),
        "ms_ssim": Column("MS-SSIM", 3),
        "auc": Column("AuC %", 1),
        "seconds": Column("Seconds", 1),
        "steps": Column("Steps", 0),
    }
    methods: ClassVar[Sequence[str]]

    @property
    def columns(self) -> Mapping[str, Column]:
        return {**{name: Column(one.label, one.digits) for name, one in metrics.METRICS.items()}, **self.own}

    @abstractmethod
    def variations(self, bench: Bench) -> Iterator[Variation]:
        """What is asked of every picture."""

    def asked(self, model: Model) -> Sequence[str]:
        """The methods, if the call names none."""
        return self.methods

    def count(self, bench: Bench) -> int:
        """The number of pictures."""
        return bench.args.n

    def jobs(self, bench: Bench) -> Iterator[Job]:
        methods = bench.methods(self.asked(bench.model))
        weights = {key: weights_of(bench.model, key) for key in methods}
        for variation in self.variations(bench):
            for case in bench.cases(self.count(bench)):
                for key in methods:
                    yield self._job(bench, variation, case, key, weights[key])

    def _job(self, bench: Bench, variation: Variation, case: Case, key: str, weights: Sequence[str]) -> Job:
        """The job of one picture."""
        settings, preset = {}, ""
        modules = [*MODULES, task_class(variation.task).__module__, *modules_of(bench.model, key)]
        if key != MEASURED:
            method, preset = bench.configured(key)
            settings = method.settings()
        request = Request(
            task=variation.task,
            method=key,
            picture=case.picture,
            model=bench.args.model,
            settings=settings,
            inputs=variation.inputs,  # type: ignore[arg-type]
            seed=bench.args.seed,
            budget=BUDGET,
        )
        label = bench.label(key)
        place = {"table": type(self).__name__.lower(), "task": variation.task, "setting": variation.setting}
        place |= {"label": label, "preset": preset, "pictures": case.name}
        inputs = {name: _plain(value) for name, value in variation.inputs.items()}
        used = [variation.task, key, settings, inputs, bench.args.seed, weights, _plain(case.picture)]
        return bench.job(place, used, modules, partial(_made, bench.lane, request, case, label))


class Inversion(Pictures):
    """The reconstruction of whole pictures by all methods."""

    title: ClassVar[str] = "Inversion"
    text: ClassVar[str] = "Whole pictures are reconstructed."
    methods: ClassVar[Sequence[str]] = (*METHODS, "features")

    def asked(self, model: Model) -> Sequence[str]:
        styles = model.prior is None or "w+" in model.prior.spaces
        return self.methods if styles else [*self.methods, "encoder+z"]  # mGANprior's hybrid (Gu et al. 2020, table 1)

    def variations(self, bench: Bench) -> Iterator[Variation]:
        yield Variation("reconstruct")


class Restoration(Pictures):
    """Colours, enlargement, holes and noise."""

    title: ClassVar[str] = "Restoration"
    text: ClassVar[str] = (
        'Parts of the pictures are restored. "nothing" is the input without a method: the grey picture, the bicubic '
        "enlargement, the picture with its hole, the noisy picture."
    )
    methods: ClassVar[Sequence[str]] = RESTORING

    def count(self, bench: Bench) -> int:
        return share(bench.args.n)

    def variations(self, bench: Bench) -> Iterator[Variation]:
        args, side = bench.args, bench.model.resolution
        every = [
            Variation("colorize"),
            *(Variation("superres", f"x{factor}", {"factor": factor}) for factor in args.factors),
            *(Variation("inpaint", hole, {"mask": HOLES[hole](side)}) for hole in args.holes),
            *(Variation("denoise", f"{sigma:g}", {"sigma": sigma}) for sigma in args.sigmas),
        ]
        yield from (one for one in every if args.tasks is None or one.task in args.tasks.split(","))


def modules_of(model: Model, key: str) -> set[str]:
    """Modules of a method's stages and of the networks of the model."""
    stages = [] if key in PSEUDO else parse_method(key).stages
    networks = [model.prior, model.predictor, model.perceptual, *model.encoders.values()]
    return {type(one).__module__ for one in [*stages, *networks] if one is not None} - {"builtins"}


def _plain(value: object) -> object:
    """A value of an input as JSON can hold it."""
    return picture_digest(value) if isinstance(value, np.ndarray) else value


def _made(lane: Lane, request: Request, case: Case, label: str) -> list[Made]:
    """The row and the picture of a method on a picture."""
    row, image = measured_row(lane, request) if request.method == MEASURED else method_row(lane, request)
    result, truth = images.to_tensor(image), images.to_tensor(case.picture)
    row["detail_psnr"] = None if case.details is None else metrics.psnr(result, truth, case.details)[0]
    row["ms_ssim"] = round(ms_ssim(result, truth)[0], 4)
    if request.task == "colorize":
        row["auc"] = round(area(colour_curve(result, truth)), 2)
    return [Made(label, row, image)]


def method_row(lane: Lane, request: Request) -> tuple[Row, np.ndarray]:
    """Figures and picture of a method's result."""
    for event in lane(request):
        if isinstance(event, Finished):
            return {key: event.row.get(key) for key in ("seconds", "steps", *metrics.METRICS)}, event.image
    raise RuntimeError(f"{request.method} ended without a result")


def measured_row(lane: Lane, request: Request) -> tuple[Row, np.ndarray]:
    """Figures and picture of the measurement, without a method."""
    model = lane.load(request.model)
    task, truth, y, _ = measurement(request, model)
    alone = task.without_method(y)
    return {"seconds": 0.0, "steps": 0, **metrics.scores(alone, truth, model)}, images.to_array(alone)
