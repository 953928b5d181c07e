"""How inverted codes can be edited: In-Domain's semantic analysis (Zhu et al. 2020, section 4.2) of several methods.

``python -m benchmarks.semantics --json semantics.json`` inverts held-out pictures (or ``--source out-of-domain`` ones),
reads their attributes from the codes by the boundaries of `train directions`, and edits them. For each method it prints
PSNR, 1 - AP (average precision, mean over attributes; the factors of the renders are the truth), and how far an edit
moves its own attribute and the other attributes. The method "truth" uses the codes that the renders were drawn from: it
shows the side effects of the directions themselves.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor
from tqdm import tqdm

from benchmarks.common import (
    SOURCES,
    add_model,
    benchmark_parser,
    headline_edits,
    reconstructed,
    seeds_of,
    table_of,
    write_rows,
)
from inversion import metrics
from inversion.checkpoints import hub
from inversion.common.commands import guarded
from inversion.editing.analysis import semantic_precision, side_effects
from inversion.methods import parse_method
from inversion.model import Model, prior_of
from inversion.synthetic import Batch
from inversion.training.models import domain_of, networks_of

STRENGTHS = (-1.0, 1.0)  # of each edit, in deviations of random codes
BATCH = 8
TRUTH = "truth"


@dataclass(frozen=True)
class EditEffect:
    """Mean changes of attributes by an edit made in both directions, in units of their spread over the codes."""

    wanted: float  # of the edit's own attribute; negative if it moves the wrong way
    others: float  # of all other attributes


@dataclass(frozen=True)
class SemanticsRow:
    """All figures of one method."""

    method: str
    n: int
    psnr: float  # dB
    average_precision: Mapping[str, float]  # by attribute
    edits: Mapping[str, EditEffect]

    def error(self, names: Iterable[str]) -> float:
        """1 - AP, mean over the attributes among these."""
        return 1 - statistics.fmean(self.average_precision[name] for name in names if name in self.average_precision)

    @property
    def mean_effect(self) -> EditEffect:
        """Means over the edits."""
        effects = self.edits.values()
        wanted, others = (statistics.fmean(getattr(e, f.name) for e in effects) for f in fields(EditEffect))
        return EditEffect(wanted, others)


COLUMNS: dict[str, Callable[[SemanticsRow], object]] = {
    "Method": lambda row: row.method,
    "n": lambda row: row.n,
    "PSNR": lambda row: f"{row.psnr:.2f}",
    "1 - AP of the edits' attributes": lambda row: f"{row.error(row.edits):.3f}",
    "of all": lambda row: f"{row.error(row.average_precision):.3f}",
    "wanted": lambda row: f"{row.mean_effect.wanted:.3f}",
    "others": lambda row: f"{row.mean_effect.others:.3f}",
    "others / wanted": lambda row: f"{row.mean_effect.others / row.mean_effect.wanted:.3f}",
}


def invert_pictures(
    model: Model, method: str, drawn: Batch, settings: Mapping[str, object]
) -> tuple[Tensor, list[float]]:
    """Styles (B, num_ws, w_dim) of pictures, and their PSNR in dB."""
    pictures, prior = drawn.picture.to(model.device), prior_of(model)
    if method == TRUTH:
        with torch.no_grad():
            ws = prior.mapping(drawn.z.to(model.device))
            return ws, metrics.psnr(torch.cat([prior.synthesis(part) for part in ws.split(BATCH)]), pictures)
    chosen = parse_method(method)
    own = {key: value for key, value in settings.items() if key.partition(".")[0] in {s.key for s in chosen.stages}}
    codes, scores = [], []
    for part in tqdm(pictures.split(BATCH), desc=method, disable=None):
        result, code = reconstructed(model, part, chosen.configured(own))
        codes.append(code.ws(prior))
        scores += metrics.psnr(result.image, part)
    return torch.cat(codes), scores


@torch.no_grad()
def edit_effects(model: Model, ws: Tensor) -> dict[str, EditEffect]:
    """The effect of each headline edit on codes `ws` (B, num_ws, w_dim). Raises NoPredictor."""
    prior, predictor = networks_of(model)

    def read(styles: Tensor) -> Tensor:
        return torch.cat([predictor.heads(prior.synthesis(part).clamp(-1, 1))[0] for part in styles.split(BATCH)])

    before = read(ws)
    spread = before.std(dim=0)
    found = {}
    for name in headline_edits(model):
        wanted, others = [], []
        for strength in STRENGTHS:
            after = read(ws + strength * model.directions[name].step())
            own, rest = side_effects(before / spread, after / spread, predictor.names.index(name))
            wanted.append(own if strength > 0 else -own)
            others.append(rest)
        found[name] = EditEffect(torch.cat(wanted).mean().item(), torch.cat(others).mean().item())
    return found


def analyse(model: Model, method: str, settings: dict[str, str], seeds: range) -> SemanticsRow:
    """All figures of one method. Raises NoPredictor, or TrainingError if the model's domain has no renderer."""
    domain = domain_of(model)
    drawn = domain.draw(seeds, model.resolution)
    ws, scores = invert_pictures(model, method, drawn, settings)
    truth = dict(zip(domain.names, drawn.factors.unbind(dim=1), strict=True))
    precision = semantic_precision(ws, truth, model.directions)
    return SemanticsRow(method, len(seeds), statistics.fmean(scores), precision, edit_effects(model, ws))


def main(argv: Sequence[str] | None = None) -> int:
    """Analyse the methods and print a table."""
    parser = benchmark_parser("semantics", __doc__)
    add_model(parser, n=64)
    parser.add_argument("--methods", default="wplus,indomain", help=f"separated by commas; {TRUTH}: the true codes")
    parser.add_argument("--source", choices=list(SOURCES), default="held-out", help="the kind of test pictures")
    parser.add_argument("--set", action="append", default=[], dest="settings", metavar="stage.field=VALUE")
    args = parser.parse_args(argv)
    model = hub.load(args.model)
    settings = dict(text.split("=", 1) for text in args.settings)
    seeds = seeds_of(domain_of(model), args.source, args.n)
    rows: list[SemanticsRow] = []
    for method in args.methods.split(","):
        rows.append(analyse(model, method, settings, seeds))
        write_rows(args.json, rows)
    sys.stdout.write(table_of(COLUMNS, rows) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(guarded("python -m benchmarks.semantics", main))
