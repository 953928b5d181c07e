"""The translations, one row each."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping
from functools import partial
from typing import ClassVar

from benchmarks import translations
from benchmarks.common import Column
from benchmarks.tables.base import Bench, Job, Made, Table, weights_of
from inversion.synthetic import DOMAINS, HELD_OUT
from inversion.training.models import domain_of
from inversion.translations import TRANSLATIONS
from inversion.translations.translate import unavailable

KEPT = 0.8  # an attribute counts if it is recognised at least this much as often as in the true render
MODULES = ("benchmarks.translations", "benchmarks.tables.translated", "inversion.translations.translate")


class Translations(Table):
    """Drawings, label maps and turned faces; see `benchmarks.translations`."""

    title: ClassVar[str] = "Translations"
    text: ClassVar[str] = (
        "One pass of an encoder. IoU: of the parts of the result with the true ones. Attributes: the share of the "
        f"visible ones that are recognised at least {KEPT} times as often as in the true render. Own face: how often "
        "it is the nearest one."
    )
    own: ClassVar[Mapping[str, Column]] = {
        "yaw_degrees": Column("Yaw error, degrees", 2),
        "iou": Column("IoU", 3),
        "iou_of_reconstruction": Column("IoU of pSp", 3),
        "attributes": Column("Attributes", 2),
        "rank1": Column("Own face", 2),
        "seconds": Column("Seconds", 2),
        "seconds_10": Column("Seconds of ten", 2),
    }

    def jobs(self, bench: Bench) -> Iterator[Job]:
        model = bench.model
        if bench.args.source != "held-out" or model.domain not in DOMAINS or "psp" not in model.encoders:
            return
        for name in TRANSLATIONS:
            if unavailable(model, name) is None:
                place = {"table": "translations", "task": "translate", "setting": name, "label": name, "preset": ""}
                place |= {"pictures": bench.args.n}
                used = [name, bench.args.n, weights_of(model)]
                modules = [*MODULES, *(type(one).__module__ for one in model.encoders.values())]
                yield bench.job(place, used, modules, partial(_made, bench, name))


def _made(bench: Bench, name: str) -> list[Made]:
    """The row of one translation."""
    model, domain = bench.model, domain_of(bench.model)
    drawn = domain.draw(range(HELD_OUT, HELD_OUT + bench.args.n), model.resolution)
    row = translations.figures(model, name, drawn, bench.segmenter)
    found = {
        key: getattr(row, key)
        for key in ("yaw_degrees", "iou", "iou_of_reconstruction", "rank1", "seconds", "seconds_10")
    }
    if row.attributes:
        found["attributes"] = round(statistics.fmean(ratio >= KEPT for ratio in row.attributes.values()), 3)
    return [Made(name, found)]
