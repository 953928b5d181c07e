"""Measures the attribute sliders: the effect of each over its range, and its side effects.

``python -m benchmarks.sliders --n 32 --json sliders.json`` edits two codes of every held-out face, pSp's and the style
of its true z, with every slider at POSITIONS strengths from its low to its high end. For each slider it prints

- `monotone`: the share of codes whose attribute, as the predictor reads it, never falls below an earlier position's by
  more than FALL_TOLERANCE of the slider's mean change, and ends higher than it began. The predictor misses most
  factors of a true render by more than that, so smaller falls mean nothing;
- `mean`: whether the mean over codes never falls from one position to the next. It stays once all codes have reached
  the end of their reach. A reading beyond a factor's ends counts as the end;
- `wanted` and `others`: the change of the slider's own attribute from end to end, in units of the deviation of its
  readings over PERSONS held-out faces, and the mean change of all other attributes in units of their own;
- `identity`: the synthetic identity between the unedited picture and those at the low and the high end, as mean and
  worst, and the share of codes that stay closer to themselves than different persons are at every position. That level
  is the STRANGER_QUANTILE of the identity between different held-out faces;
- `clipped`: the share of pixel values at both ends that leave [-1, 1] by more than one grey level.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from benchmarks.common import add_model, benchmark_parser, table, write_rows
from inversion.checkpoints import hub
from inversion.common.commands import UsageError, guarded
from inversion.editing.analysis import side_effects
from inversion.editing.edit import edited
from inversion.editing.unsupervised import FIRST
from inversion.generators.base import Prior
from inversion.methods.codes import WPlus
from inversion.model import Model
from inversion.perception.predictor import Predictor
from inversion.synthetic import HELD_OUT
from inversion.synthetic.faces import NAMES, draw_faces
from inversion.training.directions import POSITIONS, STRANGER_QUANTILE, networks_of, rises

ROUNDING = 1e-4  # by which a constant mean may fall
PERSONS = 128  # held-out faces that measure how different persons are
GREY_LEVEL = 2 / 255  # of 8 bits, in pictures in [-1, 1]
BATCH = 16


@dataclass(frozen=True)
class Reading:
    """The predictor's readings of pictures, and the share of their values that a file cannot hold."""

    attributes: Tensor  # (B, K)
    persons: Tensor  # (B, D), unit length
    clipped: Tensor  # (B,)


@torch.no_grad()
def read(prior: Prior, predictor: Predictor, ws: Tensor) -> Reading:
    """Read the pictures of styles (B, num_ws, w_dim)."""
    parts = []
    for part in ws.split(BATCH):
        x = prior.synthesis(part)
        attributes, persons = predictor.heads(x.clamp(-1, 1))
        parts.append((attributes.clamp(-1, 1), persons, (x.abs() > 1 + GREY_LEVEL).float().mean(dim=(1, 2, 3))))
    return Reading(*(torch.cat(column).cpu() for column in zip(*parts, strict=True)))


def rising_share(values: Tensor) -> float:
    """Share of codes whose values (P, B) rise over the positions, apart from small falls."""
    return float((rises(values) & (values[-1] > values[0])).float().mean())


@dataclass(frozen=True)
class Scale:
    """Units of the figures, from PERSONS held-out renders."""

    spread: Tensor  # (K,) deviations of the attributes' readings
    stranger: float  # STRANGER_QUANTILE of the synthetic identity between different faces


@torch.no_grad()
def scale(model: Model) -> Scale:
    """The scale of a model's domain. Raises NoPredictor."""
    prior, predictor = networks_of(model)
    drawn = draw_faces(range(HELD_OUT, HELD_OUT + PERSONS), model.resolution).picture.to(prior.w_avg)
    parts = zip(*(predictor.heads(part) for part in drawn.split(BATCH)), strict=True)
    attributes, persons = (torch.cat(part).cpu() for part in parts)
    different = torch.ones(PERSONS, PERSONS).triu(1).bool()
    return Scale(attributes.std(dim=0), float((persons @ persons.t())[different].quantile(STRANGER_QUANTILE)))


def figures(name: str, sweep: Sequence[Reading], before: Reading, scale: Scale) -> dict[str, Any]:
    """The row of one slider from the readings at its positions, low end first, and of the unedited codes."""
    column, spread = NAMES.index(name), scale.spread
    values = torch.stack([at.attributes[:, column] for at in sweep])  # (P, B)
    wanted, others = side_effects(sweep[0].attributes / spread, sweep[-1].attributes / spread, column)
    change = ((sweep[-1].attributes - sweep[0].attributes).abs() / spread).mean(dim=0)
    change[column] = 0
    same = torch.stack([(at.persons * before.persons).sum(dim=1) for at in sweep])  # (P, B)
    return {
        "slider": name,
        "monotone": rising_share(values),
        "mean_monotone": bool((values.mean(dim=1).diff() > -ROUNDING).all()),
        "mean": [round(value, 4) for value in values.mean(dim=1).tolist()],
        "wanted": wanted.mean().item(),
        "others": others.mean().item(),
        "dragged": [NAMES[int(change.argmax())], change.max().item()],
        "identity": [same[0].mean().item(), same[-1].mean().item()],
        "identity_worst": [same[0].min().item(), same[-1].min().item()],
        "same_person": (same.min(dim=0).values > scale.stranger).float().mean().item(),
        "stranger": scale.stranger,
        "clipped": torch.cat([sweep[0].clipped, sweep[-1].clipped]).mean().item(),
        "clipped_before": before.clipped.mean().item(),
    }


def slide(model: Model, kind: str, ws: Tensor, names: Sequence[str], scale: Scale) -> list[dict[str, Any]]:
    """The rows of the named sliders on codes (B, num_ws, w_dim) of one kind."""
    prior, predictor = networks_of(model)
    before, code, rows = read(prior, predictor, ws), WPlus(ws), []
    for name in tqdm(names, desc=kind, disable=None):
        direction, sweep = model.directions[name], []
        for strength in torch.linspace(direction.low, direction.high, POSITIONS).tolist():
            sweep.append(read(prior, predictor, edited(code, prior, model.directions, {name: strength}).ws(prior)))
        ends = {"codes": kind, "n": len(ws), "low": direction.low, "high": direction.high}
        rows.append({**ends, **figures(name, sweep, before, scale)})
    return rows


def summary(rows: Sequence[dict[str, Any]]) -> str:
    """A line for each slider and kind of codes, then the means of each kind."""
    names = ["slider", "range", "codes", "n", "monotone", "mean", "wanted", "others / wanted", "most dragged along"]
    names += ["identity low, high", "worst", "same person", "clipped"]
    body = []
    for row in rows:
        (other, change), worst = row["dragged"], row["identity_worst"]
        cells = [
            *(row["slider"], f"{row['low']:.2f} to {row['high']:.2f}", row["codes"], row["n"]),
            *(f"{row['monotone']:.0%}", "yes" if row["mean_monotone"] else "no", f"{row['wanted']:.2f}"),
            *(f"{row['others'] / row['wanted']:.3f}", f"{other} {change / row['wanted']:.2f}"),
            *(", ".join(f"{value:.2f}" for value in ends) for ends in (row["identity"], worst)),
            *(f"{row['same_person']:.0%}", f"{row['clipped']:.2%}"),
        ]
        body.append(cells)
    lines = [table(names, body)]
    for kind in dict.fromkeys(row["codes"] for row in rows):
        own = [row for row in rows if row["codes"] == kind]
        monotone, same = (statistics.fmean(row[key] for row in own) for key in ("monotone", "same_person"))
        ratio = statistics.fmean(row["others"] / row["wanted"] for row in own)
        lines.append(f"\n{kind}: {monotone:.1%} monotone, others / wanted {ratio:.3f}, {same:.1%} the same person")
    return "\n".join(lines)


@torch.no_grad()
def codes(model: Model, n: int) -> dict[str, Tensor]:
    """Codes (n, num_ws, w_dim) of held-out faces by kind: pSp's of their pictures, and the styles of their true z."""
    prior, _ = networks_of(model)
    drawn = draw_faces(range(HELD_OUT, HELD_OUT + n), model.resolution)
    found = {"w": prior.mapping(drawn.z.to(prior.w_avg))}
    if "psp" in model.encoders:
        encoder = model.encoders["psp"]
        x = drawn.picture.to(prior.w_avg)
        found = {"psp": torch.cat([encoder(encoder.fit(part)) for part in x.split(BATCH)]), **found}
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """Move every slider and print a table."""
    parser = benchmark_parser("sliders", main.__doc__)
    add_model(parser, n=32)
    parser.add_argument("--names", help="separated by commas, or all (default: those that the page shows first)")
    args = parser.parse_args(argv)
    model = hub.load(args.model)
    if args.names is None:
        names = [name for name in FIRST if name in model.directions]
    else:
        names = list(model.directions) if args.names == "all" else args.names.split(",")
    unknown = [name for name in names if name not in model.directions]
    if unknown:
        raise UsageError(f"--names: {args.model} has no slider for {', '.join(unknown)}")
    measure = scale(model)
    rows: list[dict[str, Any]] = []
    for kind, ws in codes(model, args.n).items():
        rows += slide(model, kind, ws, names, measure)
        write_rows(args.json, rows)
    sys.stdout.write(summary(rows) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(guarded("python -m benchmarks.sliders", main))
