"""Trains the encoders that the methods start from, for the embedded domain or for a user's own pictures.

One loop, one recipe for each paper: the recipes say which terms of the loss count. The generator stays as it is. Runs
are resumable: the folder holds the state, a JSON-lines log and, at the end, the encoder in half precision.
"""

from __future__ import annotations

import argparse
import itertools
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from accelerate import Accelerator
from safetensors.torch import save_file
from torch import Tensor, nn

from inversion import hub, images
from inversion.encoders import Encoder, Narrow, NarrowE4E
from inversion.encoders.narrow import WIDTHS
from inversion.generators import Discriminator, Prior
from inversion.hub import Model
from inversion.losses import LossWeights, Objective, gradient_penalty
from inversion.methods.embed import prior_of, spread
from inversion.metrics import psnr
from inversion.synthetic import HELD_OUT
from inversion.synthetic.factors import factors, latents
from inversion.synthetic.renderer import render
from inversion.tasks import Reconstruct
from inversion.training.export import halved
from inversion.training.faces import FaceFile
from inversion.training.generator import agreed, rate, share_gradients
from inversion.training.muon import Muon

EXAMINED = 32  # held-out pictures
RAMP = 0.03  # first part of a run, over which the rate grows
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")


@dataclass(frozen=True)
class Recipe:
    """Weights of the loss's terms; 0 leaves a term out. The defaults are pSp's for faces (Richardson et al. 2021).

    codes: squared error of the styles predicted for the generator's own samples, in units of their spread.
    norm: distance of the styles from the mean one. adversarial: against a discriminator that goes on learning
    (In-Domain). delta, latent: size of e4e's offsets, and its discriminator of styles. turns: passes of ReStyle.
    """

    pixel: float = 1.0
    perceptual: float = 0.8
    identity: float = 0.1
    norm: float = 0.0
    codes: float = 0.0
    adversarial: float = 0.0
    delta: float = 0.0
    latent: float = 0.0
    turns: int = 1
    rows: str = "pyramid"  # or "last" (naive W+), "single" (one style)

    @property
    def inputs(self) -> int:
        """Channels that the encoder reads: a picture, or (ReStyle) a picture and its reconstruction."""
        return 3 if self.turns == 1 else 6


RECIPES: dict[str, Recipe] = {
    "encoder": Recipe(pixel=0, perceptual=0, identity=0, codes=1, rows="single"),
    "indomain": Recipe(identity=0, adversarial=0.08),  # the paper's text has 0.1, its published script 0.08
    "psp": Recipe(),
    "e4e": Recipe(delta=2e-4, latent=0.1),
    "restyle": Recipe(turns=3),  # the paper has 5: a pass costs as much as another batch
}


@dataclass(frozen=True)
class Run:
    """Where and how long; everything about the loss is in the recipe."""

    out: Path
    faces: Path | None = None  # what `train faces` drew
    images: Path | None = None  # or a folder of pictures
    model: str = hub.DEFAULT
    count: int = 64_000  # faces in the file
    start: Path | None = None  # encoder.safetensors of another run whose trunk to go on from
    steps: int = 3000
    batch: int = 16  # over all processes
    lr: float = 1e-2
    decay: float = 0.5  # last part of the run, over which the rate falls to zero
    seed: int = 0
    minutes: float = 600.0


class Pictures:
    """A stream of pictures (B, 3, R, R) in [-1, 1] to train on, and others (n, 3, R, R) to be examined with."""

    def __init__(self, run: Run, resolution: int) -> None:
        if (run.faces is None) == (run.images is None):
            raise SystemExit("give --faces (what `train faces` drew) or --images (a folder of pictures)")
        if run.faces is not None:
            file = FaceFile(run.faces, run.count, resolution)
            self.count, self.take = run.count, lambda rows: file.batch(rows)[0]
            self.examined = render(factors(latents(range(HELD_OUT, HELD_OUT + EXAMINED))), resolution).picture
            return
        folder = run.images or Path()
        paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES)
        if len(paths) < 2:
            raise SystemExit(f"{folder} holds {len(paths)} pictures ({', '.join(SUFFIXES)}): two at least")
        kept = max(1, min(EXAMINED, len(paths) // 10))

        def read(chosen: list[Path]) -> Tensor:
            return torch.cat([images.to_tensor(images.fit(images.read(path), resolution)) for path in chosen])

        self.count, self.take = len(paths) - kept, lambda rows: read([paths[kept + i] for i in rows.tolist()])
        self.examined = read(paths[:kept])

    def batches(self, size: int, rng: torch.Generator) -> Iterator[Tensor]:
        """Random batches without end."""
        while True:
            yield self.take(torch.randint(0, self.count, (size,), generator=rng))


def build(prior: Prior, recipe: Recipe, offsets: bool) -> Narrow:
    """An encoder that reads the generator's pictures at 32 to 128 pixels, with the generator's mean style."""
    n = prior.num_ws
    pyramid = (3, 4, n - 7) if n > 7 else (1, 1, n - 2)  # pSp's coarse, middle and fine styles
    rows = {"pyramid": pyramid, "last": (n,), "single": (1,)}[recipe.rows]
    halvings = min(len(WIDTHS), max(3, prior.resolution.bit_length() - 3))
    encoder = (NarrowE4E if offsets else Narrow)(recipe.inputs, n, prior.w_dim, rows, WIDTHS[-halvings:])
    encoder.latent_avg.copy_(prior.w_avg)
    return encoder


class StyleJudge(nn.Module):
    """e4e's discriminator of styles (B, w_dim): logits (B,), large for mapped z (Tov et al. 2021, section 3.2)."""

    def __init__(self, w_dim: int, depth: int = 3) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for _ in range(depth):
            layers += [nn.Linear(w_dim, w_dim), nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(*layers, nn.Linear(w_dim, 1))

    def forward(self, w: Tensor) -> Tensor:
        """Logits (B,) of styles (B, w_dim)."""
        return self.layers(w)[:, 0]


class Opponent:
    """A discriminator in training: what it makes of fakes is a term of the encoder's loss."""

    def __init__(self, judge: nn.Module, lr: float, gamma: float, every: int = 16) -> None:
        self.judge, self.gamma, self.every = judge, gamma, every
        self.optimizer = torch.optim.Adam(judge.parameters(), lr=lr, betas=(0.0, 0.99))

    def fooled(self, fakes: Tensor) -> Tensor:
        """The non-saturating loss (B,) of fakes."""
        self.judge.requires_grad_(False)
        return F.softplus(-self.judge(fakes))

    def learn(self, real: Tensor, fakes: Tensor, step: int, accelerator: Accelerator) -> None:
        """One update, with R1 on the real ones every so many."""
        self.judge.requires_grad_(True)
        loss = F.softplus(self.judge(fakes.detach())).mean() + F.softplus(-self.judge(real)).mean()
        if step % self.every == 0:
            loss = loss + 0.5 * self.gamma * self.every * gradient_penalty(self.judge, real).mean()
        self.optimizer.zero_grad()
        loss.backward()
        share_gradients(self.judge, accelerator)
        self.optimizer.step()


class Trainer:
    """The encoder, its opponents and optimisers: all that a checkpoint holds; `step` makes one update."""

    def __init__(self, run: Run, recipe: Recipe, offsets: bool, model: Model, accelerator: Accelerator) -> None:
        self.run, self.recipe, self.model, self.prior = run, recipe, model, prior_of(model)
        self.accelerator = accelerator
        self.encoder = build(self.prior, recipe, offsets).to(accelerator.device)
        self.optimizer = Muon(
            self.encoder.parameters(),
            lr=run.lr,
            rank=accelerator.process_index,
            world=accelerator.num_processes,
            reduce=lambda x: accelerator.reduce(x, "sum"),
        )
        self.opponents: dict[str, Opponent] = {}
        if recipe.adversarial:
            judge = model.discriminator
            if judge is None:
                raise SystemExit(f"{model.name} has no discriminator to begin with: set adversarial=0")
            own = Discriminator.from_state_dict({k: v.clone() for k, v in judge.state_dict().items()}, group=1)
            self.opponents["adversarial"] = Opponent(own.to(accelerator.device), lr=1e-4, gamma=10.0)
        if recipe.latent:
            self.opponents["latent"] = Opponent(
                StyleJudge(self.prior.w_dim).to(accelerator.device), lr=2e-5, gamma=10.0
            )
        self.spread = spread(self.prior)
        self.done = 0

    def parts(self) -> dict[str, Any]:
        """Everything with a state of its own."""
        found: dict[str, Any] = {"encoder": self.encoder, "optimizer": self.optimizer}
        for name, opponent in self.opponents.items():
            found |= {f"{name}.judge": opponent.judge, f"{name}.optimizer": opponent.optimizer}
        return found

    def save(self, path: Path) -> None:
        """Write the checkpoint so that nobody ever sees half of it."""
        part = path.with_suffix(".part")
        torch.save({name: member.state_dict() for name, member in self.parts().items()} | {"done": self.done}, part)
        part.replace(path)

    def load(self, path: Path) -> None:
        """Go on from a checkpoint of the same recipe; KeyError or RuntimeError for one of another."""
        state = torch.load(path, map_location="cpu", weights_only=True)
        for name, member in self.parts().items():
            member.load_state_dict(state[name])
        self.done = state["done"]

    def stage(self) -> int | None:
        """How many of e4e's offsets take part: none at first, one more at a time over the first half of the run."""
        if not self.recipe.delta:
            return None
        return min(self.prior.num_ws - 1, int(self.done / (0.5 * self.run.steps) * self.prior.num_ws))

    def predict(self, x: Tensor) -> Tensor:
        """Offsets to the mean style (B, num_ws, w_dim) for what the encoder reads."""
        if isinstance(self.encoder, NarrowE4E):
            return self.encoder.offsets(x, self.stage())
        return self.encoder.offsets(x)

    def step(self, x: Tensor, rng: torch.Generator) -> dict[str, float]:
        """One update on pictures x (B, 3, R, R); returns means of the terms."""
        r, device = self.recipe, self.accelerator.device
        losses: dict[str, Tensor] = {}
        self.encoder.train()
        self.optimizer.zero_grad()
        if r.codes:
            with torch.no_grad():
                ws = self.prior.mapping(torch.randn(len(x), self.prior.z_dim, generator=rng).to(device))
                sample = self.prior.synthesis(ws)
            error = self.predict(self.encoder.fit(sample)) + self.encoder.latent_avg - ws
            losses["codes"] = (error / self.spread).square().mean()
            (r.codes * losses["codes"]).backward()
        if r.pixel or r.perceptual:
            losses |= self._pictures(x.to(device), rng)
        share_gradients(self.encoder, self.accelerator)
        progress = self.done / self.run.steps
        ramp = min(1.0, (self.done + 1) / (RAMP * self.run.steps))
        self.optimizer.param_groups[0]["lr"] = self.run.lr * rate(progress, self.run.decay) * ramp
        self.optimizer.step()
        self.done += 1
        return {name: float(value.detach()) for name, value in losses.items()}

    def _pictures(self, x: Tensor, rng: torch.Generator) -> dict[str, Tensor]:
        """Gradients of everything that looks at pictures, turn by turn: each starts from the last one's result."""
        objective = Objective(Reconstruct(), x, self.model, LossWeights(self.recipe.pixel, 0, self.recipe.perceptual))
        ws = self.encoder.latent_avg.expand(len(x), -1, -1)
        shown = self.prior.synthesis(ws[:1]).expand(len(x), -1, -1, -1) if self.recipe.turns > 1 else x
        terms: dict[str, Tensor] = {}
        for _ in range(self.recipe.turns):
            read = x if self.recipe.turns == 1 else torch.cat([x, shown], dim=1)
            ws = ws.detach() + self.predict(self.encoder.fit(read))
            image = self.prior.synthesis(ws)
            terms, others = objective(image), self._others(x, image, ws)
            total = terms.pop("total") + sum(getattr(self.recipe, k) * value for k, value in others.items())
            total.mean().backward()
            terms |= others
            shown = image.detach()
        if "adversarial" in self.opponents:
            self.opponents["adversarial"].learn(x, image, self.done, self.accelerator)
        if "latent" in self.opponents:
            mapped = self.prior.mapping(torch.randn(len(x), self.prior.z_dim, generator=rng).to(x))
            rows = torch.arange(len(x)), torch.randint(0, self.prior.num_ws, (len(x),), generator=rng)
            self.opponents["latent"].learn(mapped[rows], ws[rows], self.done, self.accelerator)
        return {name: value.mean() for name, value in terms.items()}

    def _others(self, x: Tensor, image: Tensor, ws: Tensor) -> dict[str, Tensor]:
        """Terms (B,) beyond those of an optimisation: identity, norms, and what opponents say."""
        r, found = self.recipe, dict[str, Tensor]()
        embed = self._embed()
        if r.identity and embed is not None:
            with torch.no_grad():
                truth = embed(x)
            found["identity"] = 1 - (embed(image) * truth).sum(dim=1)
        if r.norm:
            found["norm"] = (ws - self.encoder.latent_avg).flatten(1).norm(dim=1)
        if r.delta:
            found["delta"] = (ws[:, 1:] - ws[:, :1]).norm(dim=2).sum(dim=1)
        if "adversarial" in self.opponents:
            found["adversarial"] = self.opponents["adversarial"].fooled(image)
        if "latent" in self.opponents:
            logits = self.opponents["latent"].fooled(ws.flatten(0, 1))
            found["latent"] = logits.unflatten(0, ws.shape[:2]).mean(dim=1)
        return found

    def _embed(self) -> Callable[[Tensor], Tensor] | None:
        """What tells persons apart: ArcFace if the model has it, else the embedded predictor."""
        if self.model.identity is not None:
            return self.model.identity
        return None if self.model.predictor is None else self.model.predictor.embed


@torch.no_grad()
def examine(trainer: Trainer, x: Tensor) -> dict[str, float]:
    """Held-out figures of one pass (ReStyle: of every turn): mean PSNR in dB and identity."""
    encoder: Encoder = trainer.encoder.eval()
    embed, prior, x = trainer._embed(), trainer.prior, x.to(trainer.accelerator.device)
    ws = encoder.latent_avg.expand(len(x), -1, -1)
    shown = prior.synthesis(ws[:1]).expand(len(x), -1, -1, -1)
    row: dict[str, float] = {}
    for turn in range(1, trainer.recipe.turns + 1):
        read = x if trainer.recipe.turns == 1 else torch.cat([x, shown], dim=1)
        ws = ws + trainer.predict(encoder.fit(read))
        shown = torch.cat([prior.synthesis(part) for part in ws.split(8)])
        values = psnr(shown, x)
        row["psnr" if turn == trainer.recipe.turns else f"psnr_{turn}"] = sum(values) / len(values)
    if embed is not None:
        row["identity"] = float((embed(shown) * embed(x)).sum(dim=1).mean())
    return row


def train(name: str, run: Run, recipe: Recipe) -> None:
    """Run or resume; writes state.pt, log.jsonl and encoder.safetensors under `run.out`."""
    accelerator = Accelerator(cpu=not torch.cuda.is_available())
    device, world = accelerator.device, accelerator.num_processes
    torch.manual_seed(run.seed)
    model = hub.load(run.model, device=device.type)
    if model.prior is None or "w+" not in model.prior.spaces:
        raise SystemExit(f"{run.model} has no W+ space to encode into")
    trainer = Trainer(run, recipe, name == "e4e", model, accelerator)
    path = run.out / "state.pt"
    run.out.mkdir(parents=True, exist_ok=True)
    if path.exists():
        trainer.load(path)
    elif run.start is not None:
        adopt(trainer.encoder, run.start)
    pictures = Pictures(run, model.resolution)
    rng = torch.Generator().manual_seed(run.seed + 1000 * accelerator.process_index + trainer.done)
    begun = time.monotonic()
    for x in itertools.takewhile(lambda _: trainer.done < run.steps, pictures.batches(run.batch // world, rng)):
        losses = trainer.step(x, rng)
        over = agreed(accelerator, time.monotonic() - begun > run.minutes * 60)
        if (trainer.done % 200 == 0 or over or trainer.done == run.steps) and accelerator.is_main_process:
            row = {"step": trainer.done, "wall_s": time.monotonic() - begun, **losses}
            with (run.out / "log.jsonl").open("a") as log:
                log.write(json.dumps(row | examine(trainer, pictures.examined)) + "\n")
            trainer.save(path)
        if over:
            return
    if accelerator.is_main_process:
        tensors = {k: v for k, v in trainer.encoder.state_dict().items() if not k.endswith("num_batches_tracked")}
        save_file(halved(tensors), str(run.out / "encoder.safetensors"))


def adopt(encoder: Narrow, path: Path) -> None:
    """Take over the tensors of another encoder that have the same name and shape: its trunk, and more if it fits."""
    from safetensors.torch import load_file

    own = encoder.state_dict()
    fitting = {k: v for k, v in load_file(path).items() if k in own and own[k].shape == v.shape}
    encoder.load_state_dict(own | {k: v.to(own[k].dtype) for k, v in fitting.items()})


def main(argv: list[str] | None = None) -> None:
    """Teach an encoder to invert a generator; several processes by ``accelerate launch -m ...``."""
    parser = argparse.ArgumentParser(prog="python -m inversion train encoder", description=main.__doc__)
    parser.add_argument("--recipe", required=True, choices=list(RECIPES))
    parser.add_argument("--set", action="append", default=[], metavar="TERM=VALUE", help="change the recipe")
    for spec in fields(Run):
        default = None if spec.name == "out" else spec.default
        kind = Path if "Path" in str(spec.type) else type(default)
        parser.add_argument(f"--{spec.name}", type=kind, required=spec.name == "out", default=default)
    args = vars(parser.parse_args(argv))
    name, changes = args.pop("recipe"), args.pop("set")
    recipe = RECIPES[name]
    known = asdict(recipe)
    for text in changes:
        key, _, value = text.partition("=")
        if key not in known:
            parser.error(f"unknown term {key!r}: choose from {', '.join(known)}")
        recipe = replace(recipe, **{key: type(known[key])(value)})
    train(name, Run(**args), recipe)


if __name__ == "__main__":
    main()
