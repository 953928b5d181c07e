"""Measures how much tuning changes the generator's other pictures: Clone against PTI, stopped at the same PSNR.

``python -m benchmarks.tuning --json tuning.json`` writes a row for each picture and method and prints the means.
`moved` is the distance of samples of random codes from those of the untouched generator; `edits` is the share of an
edit's effect on its attribute, as the predictor reads it, that remains on the tuned generator (1: all of it).
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor
from tqdm import tqdm

from benchmarks.common import EDITS, add_model, benchmark_parser, reconstructed, table, write_rows
from benchmarks.quality import cases
from inversion import images, metrics
from inversion.checkpoints import hub
from inversion.common.commands import guarded
from inversion.generators import Prior
from inversion.losses import Objective
from inversion.methods import Code, Outcome, Stage, parse_method, tuned
from inversion.methods.base import Problem
from inversion.methods.clone import Clone
from inversion.methods.pti import PTI
from inversion.model import Model
from inversion.tasks import Reconstruct
from inversion.training.directions import networks_of

SAMPLES = 32
STRENGTH = 1.0  # of each edit, in deviations of random codes


class TuningScore:
    """Compares tuned generators with the untouched one. Raises NoPredictor."""

    def __init__(self, model: Model, seed: int) -> None:
        self.model, (self.prior, self.predictor) = model, networks_of(model)
        rng = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            self.ws = self.prior.mapping(torch.randn(SAMPLES, self.prior.z_dim, generator=rng).to(model.device))
            self.samples = self.prior.synthesis(self.ws)

    @torch.no_grad()
    def moved(self, generator: Prior) -> dict[str, float | None]:
        """Means over samples: RMSE in 8-bit units, and the predictor's perceptual distance, None if there is none."""
        now = generator.synthesis(self.ws)
        error = (images.quantise(now).float() - images.quantise(self.samples).float()).square()
        distance = metrics.synthetic_perceptual(now, self.samples, self.model)
        return {
            "moved_rmse": error.flatten(1).mean(dim=1).sqrt().mean().item(),
            "moved_perceptual": None if distance is None else statistics.fmean(distance),
        }

    @torch.no_grad()
    def effects(self, generator: Prior, code: Code) -> dict[str, float]:
        """The change of each edit's own attribute."""

        def read(shown: Code) -> dict[str, Tensor]:
            return self.predictor.attributes(shown.render(generator).clamp(-1, 1))

        before = read(code)
        found = {}
        for name in EDITS:
            step = self.model.directions[name].step()
            found[name] = (read(code.shifted(self.prior, STRENGTH * step))[name] - before[name]).item()
        return found


def refined(stage: Stage, model: Model, x: Tensor, code: Code, seed: int) -> Outcome:
    """The outcome of a refine stage that starts from a code of the picture x (1, 3, R, R)."""
    problem = Problem(model, Reconstruct(), x, Objective(Reconstruct(), x, model))
    *_, outcome = stage(problem, code, torch.Generator().manual_seed(seed))
    return cast("Outcome", outcome)


def compare(score: TuningScore, picture: Tensor, seed: int) -> list[dict[str, Any]]:
    """Rows of W+, of Clone from its code, and of PTI from its code until it is as close as Clone."""
    model = score.model
    pivot, code = reconstructed(model, picture, parse_method("wplus"), seed)
    rows: list[dict[str, Any]] = [{"method": "wplus", "psnr": metrics.psnr(pivot.image, picture)[0]}]
    effects = score.effects(score.prior, code)
    for name in ("clone", "pti"):
        stage = Clone() if name == "clone" else PTI(locality="off", stop_psnr=rows[1]["psnr"])
        outcome = refined(stage, model, picture, code, seed)
        generator = tuned(score.prior, outcome.weights or {})
        after = score.effects(generator, code)
        row: dict[str, Any] = {
            "method": name,
            "psnr": metrics.psnr(outcome.image, picture)[0],
            **score.moved(generator),
        }
        row["edits"] = {key: after[key] for key in EDITS}
        row["untuned"] = effects
        rows.append(row)
    return rows


def summary(rows: Sequence[dict[str, Any]]) -> str:
    """A table of means over pictures: PSNR, movement, and the ratios of the mean effects of edits."""
    body = []
    for name in ("wplus", "clone", "pti"):
        mine = [row for row in rows if row["method"] == name]
        if not mine:
            continue
        cells = [f"{statistics.fmean(row['psnr'] for row in mine):.2f}"]
        if name != "wplus":
            cells += [
                f"{statistics.fmean(row[key] for row in mine):.{d}f}"
                for key, d in (("moved_rmse", 2), ("moved_perceptual", 5))
            ]
            for key in EDITS:
                was = statistics.fmean(row["untuned"][key] for row in mine)
                cells.append(f"{statistics.fmean(row['edits'][key] for row in mine) / was:.2f}")
        body.append([name, len(mine), *cells])
    return table(("method", "n", "psnr", "moved RMSE", "moved perceptual", *EDITS), body)


def main(argv: Sequence[str] | None = None) -> int:
    """Compare the tuned generators and print the means."""
    parser = benchmark_parser("tuning", __doc__)
    add_model(parser, n=8)
    parser.add_argument("--source", default="held-out", choices=("held-out", "strange", "photo"))
    parser.add_argument("--seed", type=int, default=0, help="seed of the samples and the methods")
    args = parser.parse_args(argv)
    model = hub.load(args.model)
    score = TuningScore(model, args.seed)
    rows: list[dict[str, Any]] = []
    for case in tqdm(list(cases(args.source, args.n, model.resolution)), disable=None):
        found = compare(score, images.to_tensor(case.picture).to(model.device), args.seed)
        rows += [{"picture": case.name, "source": args.source, **row} for row in found]
        write_rows(args.json, rows)
    sys.stdout.write(summary(rows) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(guarded("python -m benchmarks.tuning", main))
