"""How inverted codes can be edited: In-Domain's semantic analysis (Zhu et al. 2020, section 4.2) of several methods.

``python -m benchmarks.semantics --json semantics.json`` inverts held-out faces (or ``--source strange`` ones), reads
their attributes off the codes by the boundaries of `train directions`, and edits them. For each method it prints PSNR,
1 - AP (average precision, mean over attributes; the faces' factors are the truth), and how far an edit moves its own
attribute and the others. The method "truth" stands for the codes that the renders were drawn from: the side effects of
the directions themselves.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from benchmarks.common import EDITS, SOURCES, add_model, benchmark_parser, reconstructed, table, write_rows
from inversion import metrics
from inversion.checkpoints import hub
from inversion.common.commands import guarded
from inversion.editing.analysis import semantic_precision, side_effects
from inversion.methods import parse_method
from inversion.model import Model, prior_of
from inversion.synthetic.faces import NAMES, Faces, draw_faces
from inversion.training.directions import networks_of

STRENGTHS = (-1.0, 1.0)  # of each edit, in deviations of random codes
BATCH = 8
TRUTH = "truth"


def invert_faces(model: Model, method: str, drawn: Faces, settings: dict[str, str]) -> tuple[Tensor, list[float]]:
    """Styles (B, num_ws, w_dim) of faces, and their PSNR in dB."""
    pictures = drawn.picture.to(model.device)
    if method == TRUTH and model.prior is not None:
        with torch.no_grad():
            ws = model.prior.mapping(drawn.z.to(model.device))
            return ws, metrics.psnr(torch.cat([model.prior.synthesis(part) for part in ws.split(BATCH)]), pictures)
    chosen = parse_method(method)
    own = {key: value for key, value in settings.items() if key.partition(".")[0] in {s.key for s in chosen.stages}}
    codes, scores = [], []
    for part in tqdm(pictures.split(BATCH), desc=method, disable=None):
        result, code = reconstructed(model, part, chosen.configured(own))
        codes.append(code.ws(prior_of(model)))
        scores += metrics.psnr(result.image, part)
    return torch.cat(codes), scores


@torch.no_grad()
def edit_effects(model: Model, ws: Tensor) -> dict[str, dict[str, float]]:
    """For each edit, made in both directions, the mean change of its attribute ("wanted") and of the others.

    Changes are in units of the attributes' spread over `ws` (B, num_ws, w_dim); "wanted" is negative if the attribute
    moves the wrong way. Raises NoPredictor.
    """
    prior, predictor = networks_of(model)

    def read(styles: Tensor) -> Tensor:
        return torch.cat([predictor.heads(prior.synthesis(part).clamp(-1, 1))[0] for part in styles.split(BATCH)])

    before = read(ws)
    spread = before.std(dim=0)
    found = {}
    for name in EDITS:
        wanted, others = [], []
        for strength in STRENGTHS:
            after = read(ws + strength * model.directions[name].step())
            own, rest = side_effects(before / spread, after / spread, NAMES.index(name))
            wanted.append(own if strength > 0 else -own)
            others.append(rest)
        found[name] = {"wanted": torch.cat(wanted).mean().item(), "others": torch.cat(others).mean().item()}
    return found


def analyse(model: Model, method: str, settings: dict[str, str], seeds: range) -> dict[str, Any]:
    """All figures of one method."""
    drawn = draw_faces(seeds, model.resolution)
    ws, scores = invert_faces(model, method, drawn, settings)
    truth = dict(zip(NAMES, drawn.factors.unbind(dim=1), strict=True))
    return {
        "method": method,
        "n": len(seeds),
        "psnr": statistics.fmean(scores),
        "average_precision": semantic_precision(ws, truth, model.directions),
        "edits": edit_effects(model, ws),
    }


def summary(rows: Sequence[dict[str, Any]]) -> str:
    """A table with a line for each method."""
    names = ("method", "n", "PSNR", "1 - AP of the edits' attributes", "of all", "wanted", "others", "others / wanted")
    body = []
    for row in rows:
        found = row["average_precision"]
        own, every = (1 - statistics.fmean(found[k] for k in keys if k in found) for keys in (EDITS, found))
        wanted, others = (statistics.fmean(e[key] for e in row["edits"].values()) for key in ("wanted", "others"))
        numbers = (own, every, wanted, others, others / wanted)
        figures = (f"{row['psnr']:.2f}", *(f"{number:.3f}" for number in numbers))
        body.append([row["method"], row["n"], *figures])
    return table(names, body)


def main(argv: Sequence[str] | None = None) -> int:
    """Analyse the methods and print a table."""
    parser = benchmark_parser("semantics", __doc__)
    add_model(parser, n=64)
    parser.add_argument("--methods", default="wplus,indomain", help=f"separated by commas; {TRUTH}: the true codes")
    parser.add_argument("--source", choices=list(SOURCES), default="held-out", help="strange: from outside the domain")
    parser.add_argument("--set", action="append", default=[], dest="settings", metavar="stage.field=VALUE")
    args = parser.parse_args(argv)
    model = hub.load(args.model)
    settings = dict(text.split("=", 1) for text in args.settings)
    rows: list[dict[str, Any]] = []
    for method in args.methods.split(","):
        first = SOURCES[args.source]
        rows.append(analyse(model, method, settings, range(first, first + args.n)))
        write_rows(args.json, rows)
    sys.stdout.write(summary(rows) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(guarded("python -m benchmarks.semantics", main))
