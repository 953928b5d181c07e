"""Trains the predictor on renders: attributes by regression, identity by telling one person's pictures from others'."""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor

from inversion.perception.predictor import Predictor
from inversion.synthetic import HELD_OUT, latents
from inversion.synthetic.faces.factors import INDEX, factors_of, mates
from inversion.synthetic.faces.renderer import render
from inversion.training.export import halved
from inversion.training.faces import FaceFile
from inversion.training.generator import rate
from inversion.training.muon import Muon

EXAMINED = 128  # held-out persons
DECAY = 0.6  # last part of the run, over which the rate falls to zero


def worn(x: Tensor, rng: torch.Generator) -> Tensor:
    """Blur some pictures and add noise, so that a generator's softness does not read as another face."""
    blurred = F.avg_pool2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
    amount = torch.rand(len(x), 1, 1, 1, generator=rng)
    noise = torch.randn(x.shape, generator=rng) * 0.06 * torch.rand(len(x), 1, 1, 1, generator=rng)
    return torch.lerp(x, blurred, amount) + noise


def contrast(a: Tensor, b: Tensor, temperature: float = 0.1) -> Tensor:
    """InfoNCE of embeddings a, b (B, D): row i of a belongs to row i of b and to no other."""
    logits = a @ b.t() / temperature
    labels = torch.arange(len(a), device=a.device)
    return 0.5 * (F.cross_entropy(logits, labels) + F.cross_entropy(logits.t(), labels))


class Examination:
    """Held-out figures: correlation of each attribute, and how often the nearest embedding is the same person."""

    def __init__(self, n: int) -> None:
        seeds = list(range(HELD_OUT, HELD_OUT + n))
        self.u = factors_of(latents(seeds))
        self.x = render(self.u).picture
        self.y = render(mates(self.u, seeds)).picture

    @torch.no_grad()
    def __call__(self, net: Predictor) -> dict[str, float]:
        net.eval()
        guess, a = net.heads(self.x)
        b = net.embed(self.y)
        net.train()
        error = (guess - self.u).square().mean(0) / self.u.var(0)
        hits = ((a @ b.t()).argmax(1) == torch.arange(len(a))).float().mean()
        named = {name: round(1 - float(error[INDEX[name]]), 3) for name in ("yaw", "age", "smile", "glasses", "beard")}
        return {"r2": 1 - float(error.mean()), "identity_top1": float(hits)} | named


def train(faces: Path, out: Path, count: int, pairs: int, steps: int, batch: int, lr: float, seed: int) -> None:
    """Train (or resume) and write ``predictor.safetensors`` in half precision under ``out``."""
    torch.manual_seed(seed)
    out.mkdir(parents=True, exist_ok=True)
    net = Predictor().train().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = Muon(net.parameters(), lr=lr)
    step, path = 0, out / "state.pt"
    if path.exists():
        state = torch.load(path, weights_only=True)
        net.load_state_dict(state["net"])
        optimizer.load_state_dict(state["optimizer"])
        step = state["step"]
    first, second = FaceFile(faces, count, 128), FaceFile(faces, pairs, 128, mate=True)
    rng = torch.Generator().manual_seed(seed + step)
    examine, start = Examination(EXAMINED), time.monotonic()
    while step < steps:
        rows = torch.randperm(pairs, generator=rng)[:batch]
        u = factors_of(latents(rows.tolist()))
        v = mates(u, rows.tolist())
        x = torch.cat([first.batch(rows)[0], second.batch(rows)[0]])
        with torch.autocast("cpu", torch.bfloat16):
            guess, embedding = net.heads(worn(x, rng))
        a, b = embedding.float().chunk(2)
        loss = F.mse_loss(guess.float(), torch.cat([u, v])) + 0.1 * contrast(a, b)
        optimizer.zero_grad()
        loss.backward()
        optimizer.param_groups[0]["lr"] = lr * min(1.0, (step + 1) / 100) * rate(step / steps, DECAY)
        optimizer.step()
        step += 1
        if step % 200 == 0 or step == steps:
            row = {"step": step, "loss": float(loss.detach()), "wall_s": time.monotonic() - start, **examine(net)}
            with (out / "log.jsonl").open("a") as log:
                log.write(json.dumps(row) + "\n")
            torch.save(
                {
                    "net": net.state_dict(),
                    "optimizer": optimizer.state_dict(),
                    "step": step,
                },
                path,
            )
    save_file(halved(net.state_dict()), str(out / "predictor.safetensors"))


def main(argv: list[str] | None = None) -> None:
    """Teach the predictor attributes and identity from rendered faces."""
    parser = argparse.ArgumentParser(prog="python -m inversion train predictor", description=main.__doc__)
    parser.add_argument("--faces", type=Path, required=True, help="folder that `train faces` filled")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--count", type=int, default=80_000, help="faces in the folder's main file")
    parser.add_argument("--pairs", type=int, default=24_000, help="faces in the folder's file of mates")
    parser.add_argument("--steps", type=int, default=5000)
    parser.add_argument("--batch", type=int, default=32, help="pairs a step")
    parser.add_argument("--lr", type=float, default=1e-2)
    parser.add_argument("--seed", type=int, default=0)
    train(**vars(parser.parse_args(argv)))


if __name__ == "__main__":
    main()
