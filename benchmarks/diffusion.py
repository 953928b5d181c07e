"""What semantic diffusion (In-Domain, Zhu et al. 2020, section 4.3) keeps of both pictures, by the context's weight.

``python -m benchmarks.diffusion --json diffusion.json`` puts the centre of held-out pictures into others, with the
settings of `editing.DIFFUSION`, and prints the mean squared errors (pictures in [-1, 1]) outside the region to the
context and to the target, inside it to the target, and the discriminator's mean output, which is higher for more
plausible pictures.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from benchmarks.common import add_model, benchmark_parser, table_of, write_rows
from inversion.checkpoints import hub
from inversion.common.commands import guarded
from inversion.editing import DIFFUSION
from inversion.images.drawn import drawn_mask
from inversion.methods import Method, Result, parse_method
from inversion.methods.run import RunOptions, invert
from inversion.model import Model
from inversion.synthetic import HELD_OUT
from inversion.tasks.diffuse import Diffuse
from inversion.training.models import domain_of


@dataclass(frozen=True)
class DiffusionRow:
    """Mean squared errors with one weight of the context."""

    weight: float
    outside: float  # of the context
    outside_to_target: float
    nearer_to_target: int  # number of pictures whose outside is nearer to the target
    inside: float  # of the target
    plausible: float | None  # the discriminator's mean output


COLUMNS: dict[str, Callable[[DiffusionRow], object]] = {
    "Weight of the context": lambda row: row.weight,
    "Outside": lambda row: f"{row.outside:.4f}",
    "to target": lambda row: f"{row.outside_to_target:.4f}",
    "nearer to target": lambda row: row.nearer_to_target,
    "Inside": lambda row: f"{row.inside:.4f}",
    "Discriminator": lambda row: "-" if row.plausible is None else f"{row.plausible:.2f}",
}


def error(x: Tensor, y: Tensor, part: Tensor) -> Tensor:
    """Mean squared error (B,) of pictures (B, 3, R, R) where the part (1, 1, R, R) is 1."""
    return ((x - y).square() * part).flatten(1).sum(dim=1) / (3 * part.sum())


def measured(model: Model, task: Diffuse, target: Tensor, method: Method) -> DiffusionRow:
    """The figures of one weight on targets (B, 3, R, R)."""
    *_, result = invert(model, task, task.A(target), method, options=RunOptions(budget=3600.0))
    if not isinstance(result, Result) or result.image is None:
        raise RuntimeError("the run ended without a result")
    x, region = result.image.clamp(-1, 1), task.mask.to(target)
    outside, other = error(x, task.context.to(x), 1 - region), error(x, target, 1 - region)
    with torch.no_grad():
        judged = None if model.discriminator is None else model.discriminator(x).mean().item()
    inside, nearer = error(x, target, region).mean().item(), int((other < outside).sum())
    return DiffusionRow(task.context_weight, outside.mean().item(), other.mean().item(), nearer, inside, judged)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure the weights and print a table."""
    parser = benchmark_parser("diffusion", __doc__, require_json=False)
    add_model(parser, n=8)
    parser.add_argument("--weights", default="0,0.1,0.3,1", help="separated by commas")
    parser.add_argument("--method", default=DIFFUSION.method, help="default: %(default)s")
    parser.add_argument("--set", action="append", default=[], dest="settings", metavar="stage.field=VALUE")
    args = parser.parse_args(argv)
    model = hub.load(args.model)
    drawn = domain_of(model).draw(range(HELD_OUT, HELD_OUT + 2 * args.n), model.resolution).picture.to(model.device)
    target, context = drawn[: args.n], drawn[args.n :]
    side = model.resolution
    mask = torch.from_numpy(drawn_mask("centre", (side, side), 0) > 0).float()[None, None]
    published = DIFFUSION.settings if args.method == DIFFUSION.method else {}
    given = dict(text.split("=", 1) for text in args.settings)
    method = parse_method(args.method).configured({**published, **given})
    rows: list[DiffusionRow] = []
    for weight in args.weights.split(","):
        task = Diffuse(mask=mask, context=context, context_weight=float(weight))
        rows.append(measured(model, task, target, method))
        write_rows(args.json, rows)
    sys.stdout.write(table_of(COLUMNS, rows) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(guarded("python -m benchmarks.diffusion", main))
