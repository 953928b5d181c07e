"""The adversarial stage: regression against the known renders goes on, a discriminator adds the detail it blurs."""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from accelerate import Accelerator
from torch import Tensor

from inversion.generators.stylegan2 import Discriminator
from inversion.losses import gradient_penalty
from inversion.synthetic import latents
from inversion.training.faces import FaceFile
from inversion.training.generator import Judge, agreed, build, distance, follow, rate, share_gradients
from inversion.training.muon import Muon

WIDTHS: dict[int, int] = {4: 160, 8: 160, 16: 160, 32: 128, 64: 64, 128: 32, 256: 32}


@dataclass(frozen=True)
class Recipe:
    """What a run is made with."""

    faces: Path
    out: Path
    distilled: Path  # state.pt of the regression stage
    count: int = 80_000
    resolution: int = 128
    batch: int = 16  # over all processes
    kimg: float = 20.0
    decay: float = 0.5
    lr: float = 1e-3  # generator; Adam, betas (0, 0.99)
    lr_discriminator: float = 1e-2  # Muon: Adam needs some ten times the steps to tell anything
    adversarial: float = 0.05  # weight of the non-saturating loss against the regression
    alone_kimg: float = 4.0  # the discriminator starts from scratch: until here it learns alone
    ramp_kimg: float = 4.0  # over which the adversarial weight then grows from zero
    gamma: float = 0.2  # R1; Karras et al. 2020 (ADA) give 0.0002 * resolution^2 / batch
    r1_every: int = 16
    detail: float = 4.0
    ema_kimg: float = 2.0
    seed: int = 0
    minutes: float = 600.0


class Game:
    """Both networks, their optimisers and the averaged generator: all that a checkpoint holds."""

    def __init__(self, recipe: Recipe, accelerator: Accelerator) -> None:
        device = accelerator.device
        self.prior = build(recipe.resolution, torch.bfloat16).to(device)
        self.average = build(recipe.resolution, torch.bfloat16).to(device).requires_grad_(False)
        table = {side: width for side, width in WIDTHS.items() if side <= recipe.resolution}
        # Groups of one: tuning shows it one picture at a time, where a deviation within the batch means nothing.
        self.judge = Discriminator(recipe.resolution, table, group=1, compute_dtype=torch.bfloat16).to(device)
        self.prior_optimizer = torch.optim.Adam(self.prior.parameters(), lr=recipe.lr, betas=(0.0, 0.99))
        self.judge_optimizer = Muon(
            self.judge.parameters(),
            lr=recipe.lr_discriminator,
            rank=accelerator.process_index,
            world=accelerator.num_processes,
            reduce=lambda x: accelerator.reduce(x, "sum"),
        )
        self.shown, self.step = 0, 0
        path = recipe.out / "state.pt"
        if path.exists():
            self.load(torch.load(path, map_location="cpu", weights_only=True))
        else:
            weights = torch.load(recipe.distilled, map_location="cpu", weights_only=True)["average"]
            self.prior.load_state_dict(weights)
            self.average.load_state_dict(weights)

    def parts(self) -> dict[str, Any]:
        return {
            "prior": self.prior,
            "average": self.average,
            "judge": self.judge,
            "prior_optimizer": self.prior_optimizer,
            "judge_optimizer": self.judge_optimizer,
        }

    def load(self, state: dict[str, Any]) -> None:
        for name, part in self.parts().items():
            part.load_state_dict(state[name])
        self.shown, self.step = state["shown"], state["step"]

    def save(self, path: Path) -> None:
        part = path.with_suffix(".part")
        state: dict[str, Any] = {name: member.state_dict() for name, member in self.parts().items()}
        torch.save(state | {"shown": self.shown, "step": self.step}, part)
        part.replace(path)


def precise_penalty(judge: Discriminator, real: Tensor) -> Tensor:
    """Mean R1 penalty at real pictures (B, 3, R, R), in float32."""
    dtype, judge.compute_dtype = judge.compute_dtype, torch.float32
    penalty = gradient_penalty(judge, real).mean()
    judge.compute_dtype = dtype
    return penalty


def play(recipe: Recipe) -> None:
    """Run or resume the stage; writes ``state.pt`` and ``log.jsonl`` in ``recipe.out``."""
    accelerator = Accelerator(cpu=not torch.cuda.is_available())
    device, world = accelerator.device, accelerator.num_processes
    torch.manual_seed(recipe.seed)
    game = Game(recipe, accelerator)
    file = FaceFile(recipe.faces, recipe.count, recipe.resolution)
    judge = Judge(recipe.resolution, device) if accelerator.is_main_process else None
    rng = torch.Generator().manual_seed(recipe.seed + 1000 * accelerator.process_index + game.step)
    share, start = recipe.batch // world, time.monotonic()
    recipe.out.mkdir(parents=True, exist_ok=True)
    while game.shown < recipe.kimg * 1000:
        speed = rate(game.shown / (recipe.kimg * 1000), recipe.decay)
        game.prior_optimizer.param_groups[0]["lr"] = recipe.lr * speed
        game.judge_optimizer.param_groups[0]["lr"] = recipe.lr_discriminator * speed
        losses = _move(recipe, game, file, torch.randint(0, recipe.count, (share,), generator=rng), accelerator)
        game.step, game.shown = game.step + 1, game.shown + recipe.batch
        follow(game.average, game.prior, 0.5 ** (recipe.batch / (1000 * recipe.ema_kimg)))
        over = agreed(accelerator, time.monotonic() - start > recipe.minutes * 60)
        if judge is not None and (game.step % 100 == 0 or over or game.shown >= recipe.kimg * 1000):
            row = {"step": game.step, "kimg": game.shown / 1000, "wall_s": time.monotonic() - start, **losses}
            with (recipe.out / "log.jsonl").open("a") as log:
                log.write(json.dumps(row | judge(game.average, recipe.resolution)) + "\n")
            game.save(recipe.out / "state.pt")
        if over:
            return


def _move(recipe: Recipe, game: Game, file: FaceFile, rows: Tensor, accelerator: Accelerator) -> dict[str, float]:
    """One step of the generator (once its time has come) and one of the discriminator; "told" is its accuracy."""
    z = latents(rows.tolist()).to(accelerator.device)
    losses: dict[str, float] = {}
    if game.shown < recipe.alone_kimg * 1000:
        with torch.no_grad():
            fake = game.prior(z)
    else:
        real, detail = (t.to(accelerator.device) for t in file.batch(rows))
        fake = game.prior(z)
        game.judge.requires_grad_(False)
        weight = recipe.adversarial * min(1.0, (game.shown / 1000 - recipe.alone_kimg) / recipe.ramp_kimg)
        regression = distance(fake, real, 1 + recipe.detail * detail)
        fooled = F.softplus(-game.judge(fake)).mean()
        game.prior_optimizer.zero_grad()
        (regression + weight * fooled).backward()
        share_gradients(game.prior, accelerator)
        game.prior_optimizer.step()
        losses = {"regression": float(regression.detach()), "fooled": float(fooled.detach())}

    game.judge.requires_grad_(True)
    # The discriminator sees other real pictures than the ones the fakes imitate: pairs would let it compare.
    other = file.batch((rows + file.count // 2) % file.count)[0].to(accelerator.device)
    false, true = game.judge(fake.detach()), game.judge(other)
    seen = F.softplus(false).mean() + F.softplus(-true).mean()
    loss = seen
    if game.step % recipe.r1_every == 0:
        loss = loss + 0.5 * recipe.gamma * recipe.r1_every * precise_penalty(game.judge, other)
    game.judge_optimizer.zero_grad()
    loss.backward()
    share_gradients(game.judge, accelerator)
    game.judge_optimizer.step()
    told = 0.5 * (false < 0).float().mean() + 0.5 * (true > 0).float().mean()
    return losses | {"seen": float(seen.detach()), "told": float(told)}


def main(argv: list[str] | None = None) -> None:
    """Sharpen a distilled generator against a discriminator, and keep that discriminator."""
    parser = argparse.ArgumentParser(prog="python -m inversion train adversarial", description=main.__doc__)
    for name, value in asdict(Recipe(Path(), Path(), Path())).items():
        path = isinstance(value, Path)
        parser.add_argument(
            f"--{name.replace('_', '-')}",
            type=type(value) if not path else Path,
            required=path,
            default=None if path else value,
        )
    play(Recipe(**vars(parser.parse_args(argv))))


if __name__ == "__main__":
    main()
