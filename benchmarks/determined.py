"""Measures how much of every factor a drawing determines: a network trained on drawings alone reads the factors.

``python -m benchmarks.determined --pairs FOLDER --json FILE`` trains one such reader on the line drawings and one on
the label maps that ``train pairs`` drew. For each factor it prints the share of the variance that the reader explains
on held-out faces, and how often the reader gets the sign right, divided by how often the predictor does on the picture
itself. A translation can only keep factors that can be read. Lines show colours and light too, since the renderer's
are fainter where colours differ less; hand-drawn lines do not, so `benchmarks.translations` expects neither.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.common import benchmark_parser, write_rows
from benchmarks.translations import explained, sign_accuracy
from inversion.checkpoints import hub
from inversion.common.commands import UsageError, guarded
from inversion.perception.predictor import Predictor
from inversion.synthetic import HELD_OUT, latents
from inversion.synthetic.faces import CLASSES, NAMES
from inversion.synthetic.faces.factors import factors_of
from inversion.training.loop import decay_factor, ramp_factor
from inversion.training.muon import Muon
from inversion.training.pairs import PairFile, Pairs, draw

BATCH, LR, DECAY = 32, 1e-2, 0.6


def lines(pairs: Pairs) -> Tensor:
    """Line drawings (B, 1, R, R) in [-1, 1]."""
    return pairs.sketch[:, None].float() / 127.5 - 1


def parts(pairs: Pairs) -> Tensor:
    """Label maps, one-hot (B, len(CLASSES), R, R)."""
    return F.one_hot(pairs.classes.long(), len(CLASSES)).permute(0, 3, 1, 2).float()


KINDS: dict[str, tuple[int, Callable[[Pairs], Tensor]]] = {"sketch": (1, lines), "map": (len(CLASSES), parts)}


def train_reader(kind: str, file: PairFile, steps: int) -> Predictor:
    """Train a network like the predictor to read factors off the drawings of a file."""
    channels, reads = KINDS[kind]
    torch.manual_seed(0)
    net = Predictor().train()
    net.stem = nn.Conv2d(channels, net.stem.out_channels, 5, stride=2, padding=2)
    optimizer, rng = Muon(net.parameters(), lr=LR), torch.Generator().manual_seed(0)
    for step in range(steps):
        rows = torch.randint(0, file.drawn, (BATCH,), generator=rng)
        with torch.autocast("cpu", torch.bfloat16):
            predicted = net.heads(reads(file.batch(rows)))[0].float()
        loss = F.mse_loss(predicted, factors_of(latents(rows.tolist())))
        optimizer.zero_grad()
        loss.backward()
        optimizer.param_groups[0]["lr"] = LR * ramp_factor(step, 100) * decay_factor(step / steps, DECAY)
        optimizer.step()
    return net.eval()


@torch.no_grad()
def figures(kind: str, reader: Predictor, predictor: Predictor, n: int, resolution: int) -> dict[str, object]:
    """The row of one kind of drawing: for each factor (share explained, ratio of sign accuracies to the predictor)."""
    seeds = range(HELD_OUT, HELD_OUT + n)
    truth = factors_of(latents(seeds))
    read, best = [], []
    for start in range(0, n, BATCH):
        pairs = draw(seeds[start : start + BATCH], resolution)
        read.append(reader.heads(KINDS[kind][1](pairs))[0])
        best.append(predictor.heads(pairs.picture.float() / 127.5 - 1)[0])
    share = explained(torch.cat(read), truth).tolist()
    ratio = (sign_accuracy(torch.cat(read), truth) / sign_accuracy(torch.cat(best), truth)).tolist()
    rows = {name: (round(share[i], 2), round(ratio[i], 2)) for i, name in enumerate(NAMES)}
    return {"kind": kind, "n": n, "factors": dict(sorted(rows.items(), key=lambda item: -item[1][0]))}


def main(argv: Sequence[str] | None = None) -> int:
    """Train a reader for each kind of drawing and print its figures; --json keeps them."""
    parser = benchmark_parser("determined", main.__doc__, require_json=False)
    parser.add_argument("--pairs", type=Path, required=True, help="folder that `train pairs` filled")
    parser.add_argument("--count", type=int, default=12_000, help="pairs in the folder's file")
    parser.add_argument("--kinds", default=",".join(KINDS), help="separated by commas")
    parser.add_argument("--steps", type=int, default=1600, help="steps of each reader")
    parser.add_argument("--n", type=int, default=256, help="held-out faces")
    args = parser.parse_args(argv)
    model = hub.load(hub.DEFAULT)
    file = PairFile(args.pairs, args.count, model.resolution)
    if model.predictor is None:
        raise UsageError(f"{model.name} has no predictor")
    rows = []
    for kind in args.kinds.split(","):
        rows.append(figures(kind, train_reader(kind, file, args.steps), model.predictor, args.n, model.resolution))
        sys.stdout.write(json.dumps(rows[-1], indent=1) + "\n")
    write_rows(args.json, rows)
    return 0


if __name__ == "__main__":
    raise SystemExit(guarded("python -m benchmarks.determined", main))
