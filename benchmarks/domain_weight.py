"""In-Domain's weight of the domain, lambda_dom (Zhu et al. 2020, section 4.5): closeness against the effect of edits.

``python -m benchmarks.domain_weight --json weight.json`` inverts held-out faces, faces with strange objects, houses and
a photo with every weight, and edits the codes along the headline directions of the domain. It prints PSNR, 1 - AP
(average precision of the attributes read off the codes, where the truth is known), the change of the wanted attribute,
and the change of the others for each unit of it, in the spread of random samples. ``--steps 10,100`` stops the
optimisation early; ``--methods psp+indomain`` starts it elsewhere; ``truth`` are the codes that renders come from.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from benchmarks.cases import photo
from benchmarks.common import SOURCES, add_model, benchmark_parser, reconstructed, seeds_of, table_of, write_rows
from inversion import images, metrics
from inversion.analysis.measures import Edits
from inversion.checkpoints import hub
from inversion.common.commands import UsageError, guarded
from inversion.editing.analysis import semantic_precision
from inversion.methods import Code, WPlus, parse_method
from inversion.model import Model, prior_of
from inversion.synthetic import DOMAINS, HELD_OUT, Batch
from inversion.training.models import domain_of

OTHER, PHOTO, TRUTH = "other domain", "photo", "truth"
Given = tuple[str, Tensor, Batch | None]  # a source, its pictures (B, 3, R, R), and their truth
Settings = Mapping[str, object]
WEIGHT, STEPS = "indomain.domain_weight", "indomain.steps"


@dataclass(frozen=True)
class WeightRow:
    """Means over n pictures. weight, steps: None for methods without In-Domain's optimisation."""

    source: str
    method: str
    weight: float | None
    steps: int | None
    n: int
    psnr: float  # dB
    error: float | None  # 1 - AP of the headline attributes; None if the truth is not known
    wanted: float  # mean change of the attribute of an edit
    leak: float  # changes of other attributes for each unit of it


COLUMNS: dict[str, Callable[[WeightRow], object]] = {
    "Pictures": lambda row: row.source,
    "Method": lambda row: row.method,
    "Weight": lambda row: "-" if row.weight is None else f"{row.weight:g}",
    "Steps": lambda row: "-" if row.steps is None else row.steps,
    "n": lambda row: row.n,
    "PSNR": lambda row: f"{row.psnr:.2f}",
    "1 - AP": lambda row: "-" if row.error is None else f"{row.error:.3f}",
    "wanted": lambda row: f"{row.wanted:.3f}",
    "others / wanted": lambda row: f"{row.leak:.3f}",
}


def pictures_of(model: Model, source: str, n: int) -> tuple[Tensor, Batch | None]:
    """Pictures (B, 3, R, R) of a source, and the batch with their truth if they are renders of the model's domain.

    Raises UsageError if there are no such pictures.
    """
    side = model.resolution
    if source == PHOTO:
        return images.to_tensor(photo(side)).to(model.device), None
    if source == OTHER:
        domain = next(one for name, one in DOMAINS.items() if name != model.domain)
        drawn = domain.draw(range(HELD_OUT, HELD_OUT + n), side)
        return drawn.picture.to(model.device), None
    if source not in SOURCES:
        raise UsageError(f"There are no pictures {source!r}. Choose from: {', '.join((*SOURCES, OTHER, PHOTO))}.")
    drawn = domain_of(model).draw(seeds_of(domain_of(model), source, n), side)
    return drawn.picture.to(model.device), drawn


def codes_of(model: Model, x: Tensor, drawn: Batch | None, method: str, settings: Settings) -> tuple[Code, Tensor]:
    """The codes of pictures x (B, 3, R, R), and their renders (B, 3, R, R). Raises UsageError."""
    if method != TRUTH:
        result, code = reconstructed(model, x, parse_method(method).configured(settings))
        return code, result.image
    if drawn is None:
        raise UsageError("The true codes are known for renders of the model's own domain only.")
    prior = prior_of(model)
    with torch.no_grad():
        code = WPlus(prior.mapping(drawn.z.to(model.device)))
        return code, code.render(prior)


def measured(model: Model, given: Given, method: str, settings: Settings) -> WeightRow:
    """The row of a method with its settings on pictures of a source."""
    (source, x, drawn), prior = given, prior_of(model)
    code, image = codes_of(model, x, drawn, method, settings)
    ws, edits = code.ws(prior), Edits(model)
    effects = [edits.effect(WPlus(one)) for one in ws.split(1)]
    wanted, others = (statistics.fmean(values) for values in zip(*effects, strict=True))
    error = None
    if drawn is not None:
        truth = dict(zip(domain_of(model).names, drawn.factors.unbind(dim=1), strict=True))
        precision = semantic_precision(ws, {name: truth[name] for name in edits.names}, model.directions)
        error = 1 - statistics.fmean(precision.values())
    weight, steps = settings.get(WEIGHT), settings.get(STEPS)
    psnr = statistics.fmean(metrics.psnr(image, x))
    return WeightRow(
        source,
        method,
        None if weight is None else float(str(weight)),
        None if steps is None else int(str(steps)),
        len(x),
        psnr,
        error,
        wanted,
        others / wanted,
    )


def settings_of(method: str, weights: str, steps: str) -> Iterator[Settings]:
    """Settings of every run of a method: each weight with each number of steps, or none without In-Domain."""
    stages = [] if method == TRUTH else [stage.key for stage in parse_method(method).stages]
    if "indomain" not in stages:
        yield {}
        return
    for count in steps.split(","):
        yield from ({WEIGHT: float(weight), STEPS: int(count)} for weight in weights.split(","))


def main(argv: Sequence[str] | None = None) -> int:
    """Measure the weights and print a table."""
    parser = benchmark_parser("domain_weight", __doc__)
    add_model(parser, n=16)
    sources = ",".join((*SOURCES, OTHER, PHOTO))
    parser.add_argument("--sources", default=sources, help="separated by commas; default: %(default)s")
    parser.add_argument("--weights", default="0,0.5,2,8,20", help="separated by commas; default: %(default)s")
    parser.add_argument("--steps", default="100", help="separated by commas; default: %(default)s")
    parser.add_argument("--methods", default="indomain", help=f"separated by commas; {TRUTH}: the true codes")
    args = parser.parse_args(argv)
    model = hub.load(args.model)
    rows: list[WeightRow] = []
    for source in args.sources.split(","):
        given = (source, *pictures_of(model, source, args.n))
        for method in args.methods.split(","):
            for settings in settings_of(method, args.weights, args.steps):
                rows.append(measured(model, given, method, settings))
                write_rows(args.json, rows)
                sys.stderr.write(f"{rows[-1]}\n")
    sys.stdout.write(table_of(COLUMNS, rows) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(guarded("python -m benchmarks.domain_weight", main))
