"""What tuning does to the other pictures of a generator: Clone against PTI."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping
from functools import partial
from typing import ClassVar

from benchmarks import tuning
from benchmarks.cases import Case
from benchmarks.common import Column
from benchmarks.tables.base import Bench, Job, Made, Table, share, weights_of
from benchmarks.tables.pictures import modules_of
from inversion.methods import METHODS
from inversion.serving.runs import picture_digest

MODULES = ("benchmarks.tuning", "benchmarks.tables.tuned", "inversion.metrics")
COMPARED = ("wplus", "pti", "clone")


class Tuning(Table):
    """PTI, stopped when it fits as well as Clone, against Clone, both from W+'s code; see `benchmarks.tuning`."""

    title: ClassVar[str] = "Tuning"
    text: ClassVar[str] = (
        "PTI, stopped when it fits as well as Clone, against Clone, at the methods' defaults. Moved: the change of 32 "
        "random samples. Effect kept: the share of an edit's effect that remains on the tuned generator."
    )
    own: ClassVar[Mapping[str, Column]] = {
        "psnr": Column("PSNR", 2),
        **{key: column for key, column in tuning.MEANS.items() if key != "psnr"},
        "kept": Column("Effect kept", 2),
    }

    def jobs(self, bench: Bench) -> Iterator[Job]:
        model = bench.model
        if any(METHODS[key].unavailable(model) for key in COMPARED):
            return
        modules = [*MODULES, *set[str]().union(*(modules_of(model, key) for key in COMPARED))]
        for case in bench.cases(share(bench.args.n)):
            place = {"table": "tuning", "task": "tune", "setting": "", "label": "", "preset": "", "pictures": case.name}
            pixels = picture_digest(case.picture)
            used = [bench.args.seed, weights_of(model), pixels, *(METHODS[key].settings() for key in COMPARED)]
            yield bench.job(place, used, modules, partial(_made, bench, case))


def _made(bench: Bench, case: Case) -> list[Made]:
    """The rows of W+, Clone and PTI on a picture."""
    rows = tuning.compare(tuning.TuningScore(bench.model, bench.args.seed), case, bench.args.source, bench.args.seed)
    return [Made(row.method, {**{key: getattr(row, key) for key in tuning.MEANS}, "kept": _kept(row)}) for row in rows]


def _kept(row: tuning.TuningRow) -> float | None:
    """The effect of all edits on the tuned generator, as a part of that on the untouched one."""
    before = statistics.fmean(row.untuned.values()) if row.untuned else 0.0
    return round(statistics.fmean(row.edits.values()) / before, 4) if before else None
