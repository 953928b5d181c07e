"""Measures the attribute sliders: the effect of each over its range, and its side effects.

``python -m benchmarks.sliders --n 32 --json sliders.json`` edits two codes of every held-out picture, pSp's and
the style of its true z, with every slider at POSITIONS strengths from its low to its high end. It prints per slider:

- `monotone`: the share of codes whose attribute, as the predictor reads it, never falls below an earlier position's by
  more than FALL_TOLERANCE of the slider's mean change, and ends higher than it began. The predictor's own errors are
  larger for most factors, so smaller falls do not count;
- `mean`: whether the mean over codes never falls from one position to the next. Where all codes have reached the end
  of their reach, it is constant. Readings are clamped to the factor's range;
- `wanted` and `others`: the change of the slider's own attribute from end to end, in units of the deviation of its
  readings over PERSONS held-out pictures, and the mean change of all other attributes in units of their own;
- `identity`: the synthetic identity between the unedited picture and those at the low and the high end, as mean and
  worst. `same_person`: the share of codes that at every position score higher than different persons, that is, than
  the STRANGER_QUANTILE of the identity between different held-out pictures;
- `clipped`: the share of pixel values at both ends that leave [-1, 1] by more than one grey level.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from tqdm import tqdm

from benchmarks.common import add_model, benchmark_parser, table_of, write_rows
from inversion.checkpoints import hub
from inversion.common.commands import UsageError, guarded
from inversion.directions import Direction
from inversion.editing.analysis import side_effects
from inversion.editing.edit import edited
from inversion.generators.base import Prior
from inversion.methods.codes import WPlus
from inversion.model import Model
from inversion.perception.predictor import Predictor
from inversion.synthetic import HELD_OUT
from inversion.training.directions import POSITIONS, STRANGER_QUANTILE, rises
from inversion.training.models import domain_of, networks_of

ROUNDING = 1e-4  # largest fall of a mean that counts as constant
PERSONS = 128  # held-out pictures that measure how different persons are
GREY_LEVEL = 2 / 255  # one step of 8 bits, for pictures in [-1, 1]
BATCH = 16


@dataclass(frozen=True)
class Ends:
    """A figure at the low and at the high end of a slider."""

    low: float
    high: float

    @property
    def text(self) -> str:
        """Both figures."""
        return f"{self.low:.2f}, {self.high:.2f}"


@dataclass(frozen=True)
class SliderRow:
    """The figures of one slider on codes of one kind; see the module for what they mean."""

    codes: str
    n: int
    slider: str
    range: Ends  # strengths
    monotone: float
    mean_monotone: bool
    means: list[float]  # of the attribute at each position
    wanted: float
    others: float
    most_dragged: str  # the other attribute that changes most
    dragged: float  # its mean change
    identity: Ends
    identity_worst: Ends
    same_person: float
    stranger: float
    clipped: float
    clipped_before: float


COLUMNS: dict[str, Callable[[SliderRow], object]] = {
    "Slider": lambda row: row.slider,
    "Range": lambda row: f"{row.range.low:.2f} to {row.range.high:.2f}",
    "Codes": lambda row: row.codes,
    "n": lambda row: row.n,
    "Monotone": lambda row: f"{row.monotone:.0%}",
    "Mean": lambda row: "yes" if row.mean_monotone else "no",
    "Wanted": lambda row: f"{row.wanted:.2f}",
    "Others / wanted": lambda row: f"{row.others / row.wanted:.3f}",
    "Largest side effect": lambda row: f"{row.most_dragged} {row.dragged / row.wanted:.2f}",
    "Identity low, high": lambda row: row.identity.text,
    "Worst": lambda row: row.identity_worst.text,
    "Same person": lambda row: f"{row.same_person:.0%}",
    "Clipped": lambda row: f"{row.clipped:.2%}",
}


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
    """The scale of a model's domain. Raises NoPredictor, or TrainingError if the domain has no renderer."""
    prior, predictor = networks_of(model)
    drawn = domain_of(model).draw(range(HELD_OUT, HELD_OUT + PERSONS), model.resolution).picture.to(prior.w_avg)
    parts = zip(*(predictor.heads(part) for part in drawn.split(BATCH)), strict=True)
    attributes, persons = (torch.cat(part).cpu() for part in parts)
    different = torch.ones(PERSONS, PERSONS).triu(1).bool()
    return Scale(attributes.std(dim=0), float((persons @ persons.t())[different].quantile(STRANGER_QUANTILE)))


@dataclass(frozen=True)
class Slide:
    """A slider with the readings at its positions, low end first, and of the unedited codes."""

    direction: Direction
    sweep: Sequence[Reading]
    before: Reading


def figures(kind: str, slid: Slide, names: Sequence[str], scale: Scale) -> SliderRow:
    """The row of one slider. kind: of the codes. names: of the predictor's attributes."""
    before, sweep, spread = slid.before, slid.sweep, scale.spread
    low, high, column = sweep[0], sweep[-1], names.index(slid.direction.name)
    values = torch.stack([at.attributes[:, column] for at in sweep])  # (P, B)
    wanted, others = side_effects(low.attributes / spread, high.attributes / spread, column)
    change = ((high.attributes - low.attributes).abs() / spread).mean(dim=0)
    change[column] = 0
    same = torch.stack([(at.persons * before.persons).sum(dim=1) for at in sweep])  # (P, B)
    return SliderRow(
        codes=kind,
        n=len(before.attributes),
        slider=slid.direction.name,
        range=Ends(slid.direction.low, slid.direction.high),
        monotone=rising_share(values),
        mean_monotone=bool((values.mean(dim=1).diff() > -ROUNDING).all()),
        means=[round(value, 4) for value in values.mean(dim=1).tolist()],
        wanted=wanted.mean().item(),
        others=others.mean().item(),
        most_dragged=names[int(change.argmax())],
        dragged=change.max().item(),
        identity=Ends(same[0].mean().item(), same[-1].mean().item()),
        identity_worst=Ends(same[0].min().item(), same[-1].min().item()),
        same_person=(same.min(dim=0).values > scale.stranger).float().mean().item(),
        stranger=scale.stranger,
        clipped=torch.cat([low.clipped, high.clipped]).mean().item(),
        clipped_before=before.clipped.mean().item(),
    )


def slide(model: Model, kind: str, ws: Tensor, names: Sequence[str], scale: Scale) -> list[SliderRow]:
    """The rows of the named sliders on codes (B, num_ws, w_dim) of one kind."""
    prior, predictor = networks_of(model)
    before, code, rows = read(prior, predictor, ws), WPlus(ws), []
    for name in tqdm(names, desc=kind, disable=None):
        direction, sweep = model.directions[name], []
        for strength in torch.linspace(direction.low, direction.high, POSITIONS).tolist():
            sweep.append(read(prior, predictor, edited(code, prior, model.directions, {name: strength}).ws(prior)))
        rows.append(figures(kind, Slide(direction, sweep, before), predictor.names, scale))
    return rows


def summary(rows: Sequence[SliderRow]) -> str:
    """A line for each slider and kind of codes, then the means of each kind."""
    lines = [table_of(COLUMNS, rows)]
    for kind in dict.fromkeys(row.codes for row in rows):
        own = [row for row in rows if row.codes == kind]
        monotone, same = (
            statistics.fmean(values) for values in ([r.monotone for r in own], [r.same_person for r in own])
        )
        ratio = statistics.fmean(row.others / row.wanted for row in own)
        lines.append(f"\n{kind}: {monotone:.1%} monotone, others / wanted {ratio:.3f}, {same:.1%} the same person")
    return "\n".join(lines)


@torch.no_grad()
def codes(model: Model, n: int) -> dict[str, Tensor]:
    """Codes (n, num_ws, w_dim) of held-out pictures by kind: those of pSp, and the styles of their true z."""
    prior, _ = networks_of(model)
    drawn = domain_of(model).draw(range(HELD_OUT, HELD_OUT + n), model.resolution)
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
        names = [name for name in domain_of(model).sliders if name in model.directions]
    else:
        names = list(model.directions) if args.names == "all" else args.names.split(",")
    unknown = [name for name in names if name not in model.directions]
    if unknown:
        raise UsageError(f"--names: {args.model} has no slider for {', '.join(unknown)}")
    measure = scale(model)
    rows: list[SliderRow] = []
    for kind, ws in codes(model, args.n).items():
        rows += slide(model, kind, ws, names, measure)
        write_rows(args.json, rows)
    sys.stdout.write(summary(rows) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(guarded("python -m benchmarks.sliders", main))
