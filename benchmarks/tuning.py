"""Measures how much tuning changes the generator's other pictures: Clone against PTI, stopped at the same PSNR.

``python -m benchmarks.tuning --json tuning.json`` writes a row for each picture and method and prints the means.
`moved` is the distance of samples of random codes from those of the untouched generator; `edits` is the share of an
edit's effect on its attribute, as the predictor reads it, that remains on the tuned generator (1: all of it). A model
without a predictor or directions, such as that of houses, has no edits here.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

import torch
from torch import Tensor
from tqdm import tqdm

from benchmarks.cases import Case, cases
from benchmarks.common import (
    SOURCES,
    Column,
    add_model,
    benchmark_parser,
    headline_edits,
    reconstructed,
    table,
    write_rows,
)
from inversion import images, metrics
from inversion.checkpoints import hub
from inversion.common.commands import guarded
from inversion.generators import Prior
from inversion.losses import Objective
from inversion.methods import Code, Outcome, Stage, parse_method, tuned
from inversion.methods.base import Problem
from inversion.methods.clone import Clone
from inversion.methods.pti import PTI
from inversion.model import Model, prior_of
from inversion.tasks import Reconstruct

SAMPLES = 32
STRENGTH = 1.0  # of each edit, in deviations of random codes


@dataclass(frozen=True)
class TuningRow:
    """Figures of one method on one picture. W+ tunes nothing, so it has the PSNR only."""

    picture: str
    source: str
    method: str
    psnr: float  # dB
    moved_rmse: float | None = None  # 8-bit units
    moved_perceptual: float | None = None
    edits: Mapping[str, float] = field(default_factory=dict)  # effect of each edit on its own attribute
    untuned: Mapping[str, float] = field(default_factory=dict)  # the same on the untouched generator


MEANS = {
    "psnr": Column("PSNR", 2),
    "moved_rmse": Column("Moved RMSE", 2),
    "moved_perceptual": Column("Moved perceptual", 5),
}


class TuningScore:
    """Compares tuned generators with the untouched one."""

    def __init__(self, model: Model, seed: int) -> None:
        self.model, self.prior, self.predictor = model, prior_of(model), model.predictor
        self.edits = headline_edits(model) if self.predictor is not None and model.directions else ()
        rng = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            self.ws = self.prior.mapping(torch.randn(SAMPLES, self.prior.z_dim, generator=rng).to(model.device))
            self.samples = self.prior.synthesis(self.ws)

    @torch.no_grad()
    def moved_rmse(self, generator: Prior) -> float:
        """Mean over samples of the RMSE in 8-bit units."""
        now = generator.synthesis(self.ws)
        error = (images.quantise(now).float() - images.quantise(self.samples).float()).square()
        return error.flatten(1).mean(dim=1).sqrt().mean().item()

    @torch.no_grad()
    def moved_perceptual(self, generator: Prior) -> float | None:
        """Mean over samples of the predictor's perceptual distance, None without a predictor."""
        distance = metrics.synthetic_perceptual(generator.synthesis(self.ws), self.samples, self.model)
        return None if distance is None else statistics.fmean(distance)

    @torch.no_grad()
    def effects(self, generator: Prior, code: Code) -> dict[str, float]:
        """The change of each edit's own attribute."""
        predictor = self.predictor
        if predictor is None:
            return {}

        def read(shown: Code) -> dict[str, Tensor]:
            return predictor.attributes(shown.render(generator).clamp(-1, 1))

        before = read(code)
        found = {}
        for name in self.edits:
            step = self.model.directions[name].step()
            found[name] = (read(code.shifted(self.prior, STRENGTH * step))[name] - before[name]).item()
        return found


def refined(stage: Stage, model: Model, x: Tensor, code: Code, seed: int) -> Outcome:
    """The outcome of a refine stage that starts from a code of the picture x (1, 3, R, R)."""
    problem = Problem(model, Reconstruct(), x, Objective(Reconstruct(), x, model))
    *_, outcome = stage(problem, code, torch.Generator().manual_seed(seed))
    return cast("Outcome", outcome)


def compare(score: TuningScore, case: Case, source: str, seed: int) -> list[TuningRow]:
    """Rows of W+, of Clone from its code, and of PTI from its code until it is as close as Clone.

    source: of the case, see `cases`.
    """
    model, picture = score.model, images.to_tensor(case.picture).to(score.model.device)
    pivot, code = reconstructed(model, picture, parse_method("wplus"), seed)
    untuned = score.effects(score.prior, code)

    def row(method: str, stage: Stage) -> TuningRow:
        outcome = refined(stage, model, picture, code, seed)
        generator = tuned(score.prior, outcome.weights or {})
        return TuningRow(
            case.name,
            source,
            method,
            psnr=metrics.psnr(outcome.image, picture)[0],
            moved_rmse=score.moved_rmse(generator),
            moved_perceptual=score.moved_perceptual(generator),
            edits=score.effects(generator, code),
            untuned=untuned,
        )

    clone = row("clone", Clone())
    pti = row("pti", PTI(locality="off", stop_psnr=clone.psnr))
    return [TuningRow(case.name, source, "wplus", metrics.psnr(pivot.image, picture)[0]), clone, pti]


def summary(rows: Sequence[TuningRow], edits: Sequence[str]) -> str:
    """A table of means over pictures: PSNR, movement, and the ratios of the mean effects of edits."""
    body = []
    for method in dict.fromkeys(row.method for row in rows):
        own_rows = [row for row in rows if row.method == method]
        cells = [column.text(_mean(getattr(row, key) for row in own_rows)) for key, column in MEANS.items()]
        for name in edits:
            after, before = (_mean(found.get(name) for found in group) for group in _effects(own_rows))
            cells.append("-" if after is None or before is None else f"{after / before:.2f}")
        body.append([method, len(own_rows), *cells])
    return table(("Method", "n", *(column.label for column in MEANS.values()), *edits), body)


def _effects(rows: Sequence[TuningRow]) -> tuple[list[Mapping[str, float]], list[Mapping[str, float]]]:
    return [row.edits for row in rows], [row.untuned for row in rows]


def _mean(values: Iterable[float | None]) -> float | None:
    found = [value for value in values if value is not None]
    return statistics.fmean(found) if found else None


def main(argv: Sequence[str] | None = None) -> int:
    """Compare the tuned generators and print the means."""
    parser = benchmark_parser("tuning", __doc__)
    add_model(parser, n=8)
    parser.add_argument("--source", default="held-out", choices=(*SOURCES, "photo"))
    parser.add_argument("--seed", type=int, default=0, help="seed of the samples and the methods")
    args = parser.parse_args(argv)
    model = hub.load(args.model)
    score = TuningScore(model, args.seed)
    rows: list[TuningRow] = []
    for case in tqdm(list(cases(model, args.source, args.n)), disable=None):
        rows += compare(score, case, args.source, args.seed)
        write_rows(args.json, rows)
    sys.stdout.write(summary(rows, score.edits) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(guarded("python -m benchmarks.tuning", main))
