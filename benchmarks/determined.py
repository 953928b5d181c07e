"""Measures how much of every factor a drawing determines: a network trained on drawings alone reads the factors.

``python -m benchmarks.determined --pairs FOLDER --json FILE`` trains one such reader on the line drawings and one on
the label maps that ``train pairs`` drew. For each factor it prints the share of the variance that the reader explains
on held-out pictures, and how often the reader gets the sign right, divided by how often the predictor does on the
picture itself. A translation can only keep factors that can be read. Lines show colours and light too, since the
renderer's lines are fainter where colours differ less; hand-drawn lines do not (`Domain.unseen`).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.common import add_model, benchmark_parser, write_rows
from benchmarks.translations import explained, sign_accuracy
from inversion.checkpoints import hub
from inversion.common.commands import guarded, positive
from inversion.model import Model
from inversion.perception.predictor import Predictor
from inversion.synthetic import DOMAINS, HELD_OUT, latents
from inversion.training.loop import decay_factor, ramp_factor
from inversion.training.models import domain_of, networks_of
from inversion.training.muon import Muon
from inversion.training.pairs import PairFile, Pairs, draw_pairs
from inversion.translations import input_of

BATCH, LR, DECAY = 32, 1e-2, 0.6


def lines(pairs: Pairs, _: int) -> Tensor:
    """Line drawings (B, 1, R, R) in [-1, 1]."""
    return pairs.sketch[:, None].float() / 127.5 - 1


def parts(pairs: Pairs, classes: int) -> Tensor:
    """Label maps, one-hot (B, classes, R, R)."""
    return F.one_hot(pairs.classes.long(), classes).permute(0, 3, 1, 2).float()


# Translation -> its clean input: (pairs, classes) -> (B, channels, R, R).
KINDS: dict[str, Callable[[Pairs, int], Tensor]] = {"sketch": lines, "map": parts}


@dataclass(frozen=True)
class FactorReading:
    """How well a factor can be read from a drawing."""

    explained: float  # share of its variance, at most 1
    sign_ratio: float  # rate of right signs, divided by the predictor's on the picture itself


@dataclass(frozen=True)
class ReaderRow:
    """The readings of all factors from one kind of drawing, best first."""

    kind: str
    n: int
    factors: Mapping[str, FactorReading]


def train_reader(kind: str, file: PairFile, steps: int) -> Predictor:
    """Train a network like the predictor to read the factors from the drawings of a file."""
    domain = DOMAINS[file.domain]
    classes = len(domain.classes)
    torch.manual_seed(0)
    net = Predictor(domain.names).train()
    net.stem = nn.Conv2d(input_of(kind).channels(classes), net.stem.out_channels, 5, stride=2, padding=2)
    optimizer, rng = Muon(net.parameters(), lr=LR), torch.Generator().manual_seed(0)
    for step in range(steps):
        rows = torch.randint(0, file.drawn, (BATCH,), generator=rng)
        with torch.autocast("cpu", torch.bfloat16):
            predicted = net.heads(KINDS[kind](file.batch(rows), classes))[0].float()
        loss = F.mse_loss(predicted, domain.factors(latents(rows.tolist())))
        optimizer.zero_grad()
        loss.backward()
        optimizer.param_groups[0]["lr"] = LR * ramp_factor(step, 100) * decay_factor(step / steps, DECAY)
        optimizer.step()
    return net.eval()


@torch.no_grad()
def figures(kind: str, reader: Predictor, model: Model, n: int) -> ReaderRow:
    """The row of one kind of drawing, on held-out pictures of the model's domain. Raises NoPredictor."""
    _, predictor = networks_of(model)
    domain, seeds = domain_of(model), range(HELD_OUT, HELD_OUT + n)
    truth = domain.factors(latents(seeds))
    read, best = [], []
    for start in range(0, n, BATCH):
        pairs = draw_pairs(seeds[start : start + BATCH], model.resolution, model.domain)
        read.append(reader.heads(KINDS[kind](pairs, len(domain.classes)))[0])
        best.append(predictor.heads(pairs.picture.float() / 127.5 - 1)[0])
    shares = explained(torch.cat(read), truth).tolist()
    ratios = (sign_accuracy(torch.cat(read), truth) / sign_accuracy(torch.cat(best), truth)).tolist()
    found = {
        name: FactorReading(round(share, 2), round(ratio, 2))
        for name, share, ratio in zip(domain.names, shares, ratios, strict=True)
    }
    return ReaderRow(kind, n, dict(sorted(found.items(), key=lambda item: -item[1].explained)))


def main(argv: Sequence[str] | None = None) -> int:
    """Train a reader for each kind of drawing and print its figures; --json keeps them."""
    parser = benchmark_parser("determined", main.__doc__, require_json=False)
    add_model(parser, n=256)
    parser.add_argument("--pairs", type=Path, required=True, help="folder that `train pairs` filled")
    parser.add_argument("--count", type=positive, default=12_000, help="pairs in the folder's file")
    parser.add_argument("--kinds", default=",".join(KINDS), help="separated by commas")
    parser.add_argument("--steps", type=positive, default=1600, help="steps of each reader")
    args = parser.parse_args(argv)
    model = hub.load(args.model)
    networks_of(model), domain_of(model)  # before the readers are trained, which takes minutes
    file = PairFile(args.pairs, args.count, model.resolution, model.domain)
    rows = []
    for kind in args.kinds.split(","):
        rows.append(figures(kind, train_reader(kind, file, args.steps), model, args.n))
        sys.stdout.write(json.dumps(asdict(rows[-1]), indent=1) + "\n")
    write_rows(args.json, rows)
    return 0


if __name__ == "__main__":
    raise SystemExit(guarded("python -m benchmarks.determined", main))
