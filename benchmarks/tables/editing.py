"""Interpolation and manipulation of inverted codes (In-Domain, Zhu et al. 2020, table 2 and section 4.2)."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor

from benchmarks import semantics
from benchmarks.common import Column, clock_of, headline_edits, seeds_of
from benchmarks.tables.base import Bench, Job, Made, Table, share, weights_of
from benchmarks.tables.pictures import modules_of
from inversion.analysis.measures import Plausibility
from inversion.common.rows import Row
from inversion.common.settings import SettingValue
from inversion.editing.analysis import semantic_precision
from inversion.methods import METHODS, Method, parse_method
from inversion.metrics.sets import built_in_features, frechet
from inversion.model import Model, prior_of
from inversion.synthetic import HELD_OUT
from inversion.training.models import domain_of

REFERENCE = range(HELD_OUT + 10_000, HELD_OUT + 10_064)  # seeds of the renders that edited pictures are compared with
MODULES = ("benchmarks.semantics", "benchmarks.tables.editing", "inversion.analysis.measures", "inversion.methods.run")


class Editing(Table):
    """Codes of every method whose code is a style: halfway pictures, edits, and attributes that are read from them."""

    title: ClassVar[str] = "Interpolation and manipulation"
    text: ClassVar[str] = (
        "Pictures halfway between two inversions, and edits of strength -1 and 1. Fréchet distances are those of the "
        'built-in predictor\'s features to 64 renders. "truth" are the codes that the renders were drawn from: '
        "distances of few pictures are large, so compare them with that row."
    )
    own: ClassVar[Mapping[str, Column]] = {
        "psnr": Column("PSNR", 2),
        "halfway_frechet": Column("Fréchet halfway", 2),
        "halfway_loss": Column("Loss of plausibility halfway", 2),
        "edited_frechet": Column("Fréchet edited", 2),
        "ap_error": Column("1 - AP", 3),
        "ap_error_all": Column("1 - AP of all", 3),
        "leak": Column("Others / wanted", 3),
        "seconds": Column("Seconds", 1),
    }

    def jobs(self, bench: Bench) -> Iterator[Job]:
        n = share(bench.args.n)
        if bench.args.source == "photo" or n < 2 or not bench.model.directions or bench.model.predictor is None:
            return
        for key in bench.methods((semantics.TRUTH, *METHODS)):
            if key != semantics.TRUTH and not edits(parse_method(key)):
                continue
            label, settings, preset = bench.label(key), dict[str, SettingValue](), ""
            if key != semantics.TRUTH:
                method, preset = bench.configured(key)
                settings = method.settings()
            place: dict[str, str | int] = {"table": "editing", "task": "edit", "setting": "", "label": label}
            place |= {"preset": preset, "pictures": n}
            used = [key, settings, n, bench.args.source, weights_of(bench.model)]
            yield bench.job(
                place, used, [*MODULES, *modules_of(bench.model, key)], partial(_made, bench, key, settings, n)
            )


def edits(method: Method) -> bool:
    """Whether the method finds a code of the untouched generator that is a style for each picture."""
    return "prior" in method.needs and not method.leaves_domain and "discriminator" not in method.needs


def _made(bench: Bench, key: str, settings: Mapping[str, SettingValue], n: int) -> list[Made]:
    """The row of a method on the first n pictures."""
    model, seeds = bench.model, seeds_of(domain_of(bench.model), bench.args.source, n)
    domain = domain_of(model)
    drawn = domain.draw(seeds, model.resolution)
    clock = clock_of(model.device)
    begin = clock()
    ws, scores = semantics.invert_pictures(model, key, drawn, settings)
    seconds = (clock() - begin) / n
    truth = dict(zip(domain.names, drawn.factors.unbind(dim=1), strict=True))
    read = semantics.SemanticsRow(
        key,
        n,
        statistics.fmean(scores),
        semantic_precision(ws, truth, model.directions),
        semantics.edit_effects(model, ws),
    )
    edits = [name for name in read.edits if name in read.average_precision]
    figures: Row = {
        "psnr": round(read.psnr, 2),
        "seconds": round(seconds, 3),
        "ap_error": round(read.error(edits), 4) if edits else None,
        "ap_error_all": round(read.error(read.average_precision), 4) if read.average_precision else None,
        "leak": round(read.mean_effect.others / read.mean_effect.wanted, 4),
    }
    return [Made(bench.label(key), {**figures, **_distances(model, ws)})]


def _distances(model: Model, ws: Tensor) -> Row:
    """How far pictures halfway between neighbours, and edited ones, lie from renders; and what they lose halfway."""
    halfway = _rendered(model, (ws + ws.roll(1, dims=0)) / 2)
    steps = [sign * model.directions[name].step() for name in headline_edits(model) for sign in semantics.STRENGTHS]
    edited = torch.cat([_rendered(model, ws + step.to(ws)) for step in steps])
    reference = domain_of(model).draw(REFERENCE, model.resolution).picture.to(ws.device)
    known, *others = (built_in_features(x, model) for x in (reference, halfway, edited))
    row: Row = {}
    for name, found in zip(("halfway_frechet", "edited_frechet"), others, strict=True):
        row[name] = None if known is None or found is None else round(frechet(found, known), 3)
    if model.discriminator is not None:
        plausible = Plausibility(model)
        ends, middle = (statistics.fmean(plausible.scores(x)) for x in (_rendered(model, ws), halfway))
        row["halfway_loss"] = round(ends - middle, 3)
    return row


@torch.no_grad()
def _rendered(model: Model, ws: Tensor) -> Tensor:
    """Pictures (B, 3, R, R) in [-1, 1] of styles (B, num_ws, w_dim)."""
    return torch.cat([prior_of(model).synthesis(part).clamp(-1, 1) for part in ws.split(semantics.BATCH)])
