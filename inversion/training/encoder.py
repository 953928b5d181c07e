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
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from accelerate import Accelerator
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from inversion import images
from inversion.checkpoints import hub
from inversion.encoders import Encoder, Narrow, NarrowE4E
from inversion.encoders.narrow import WIDTHS
from inversion.generators import Discriminator, Prior
from inversion.generators.statistics import principal_axes, spread
from inversion.losses import LossWeights, Objective, gradient_penalty
from inversion.metrics import psnr
from inversion.model import Model, prior_of
from inversion.synthetic import DOMAINS, HELD_OUT, Domain, latents
from inversion.synthetic.faces.factors import FACTORS, INDEX
from inversion.tasks import Reconstruct
from inversion.training.examples import DEGRADED, TRANSLATED, Example, example
from inversion.training.export import halved
from inversion.training.faces import FaceFile
from inversion.training.generator import agreed, rate, share_gradients
from inversion.training.muon import Muon
from inversion.training.pairs import PairFile, draw

EXAMINED = 32  # held-out pictures
HELD = 0.999  # of W's variance, on the axes that codes are compared along
RAMP = 0.03  # first part of a run, over which the rate grows
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")


@dataclass(frozen=True)
class Recipe:
    """Weights of the loss's terms; 0 leaves a term out. The defaults are pSp's for faces (Richardson et al. 2021).

    codes: squared error of the styles: those predicted for the generator's own samples or, with `reads`, for renders,
    whose codes are known; compared entry by entry in units of their spread, or along the principal axes of W, each in
    its own, so that what moves a style little (the nose, the gaze) counts as much as the pose. norm: distance of the
    styles from the mean one, 1 for a random code. adversarial: against a discriminator that goes on learning
    (In-Domain). delta, latent: size of e4e's offsets, and its discriminator of styles. turns: passes of ReStyle.
    reads: what the encoder sees in place of the picture. warm: first part of a run in which known codes are all that
    counts: without pictures a step takes a third.
    """

    pixel: float = 1.0
    perceptual: float = 0.8
    identity: float = 0.1
    norm: float = 0.0
    codes: float = 0.0
    compared: str = "entries"  # or "axes"
    adversarial: float = 0.0
    delta: float = 0.0
    latent: float = 0.0
    turns: int = 1
    rows: str = "pyramid"  # or "last" (naive W+), "single" (one style)
    reads: str = ""  # or a key of DEGRADED or TRANSLATED
    warm: float = 0.0

    def inputs(self, classes: int) -> int:
        """Channels that the encoder reads: of `reads`, a picture, or (ReStyle) a picture and its reconstruction."""
        if self.reads in TRANSLATED:
            return TRANSLATED[self.reads](classes)
        return 3 if self.turns == 1 else 6


# pSp's weights for its other tasks: no identity where the input shows no person, and a pull to the mean style. Its
# 0.005 is per unit of FFHQ's styles, where a random code lies about 40 from the mean: 0.2 here. We pull less, and teach
# the codes as well: renders have exact ones, which photographs have not.
_CONDITIONAL = Recipe(identity=0, norm=0.05, codes=0.3, compared="axes", warm=0.9)
RECIPES: dict[str, Recipe] = {
    "encoder": Recipe(pixel=0, perceptual=0, identity=0, codes=1),
    "indomain": Recipe(identity=0, adversarial=0.08),  # the paper's text has 0.1, its published script 0.08
    "psp": Recipe(),
    "e4e": Recipe(delta=2e-4, latent=0.1),
    "restyle": Recipe(turns=3),  # the paper has 5: a pass costs as much as another batch
    "sketch": replace(_CONDITIONAL, reads="sketch"),
    "map": replace(_CONDITIONAL, reads="map"),
    # The paper has no picture of the front, so it all but drops the pixels (0.001) and trusts identity (1).
    "frontalize": Recipe(identity=1, norm=0.05, codes=0.3, compared="axes", reads="turned", warm=0.85),
    "superres": Recipe(norm=0.05, codes=0.1, reads="shrunk", warm=0.2),
    "inpaint": Recipe(norm=0.05, codes=0.1, reads="holed", warm=0.2),
    # Not the paper's, which has an encoder for each of these tasks: one that reads whole pictures as well.
    "restore": Recipe(norm=0.01, codes=0.1, compared="axes", warm=0.65, reads="damaged"),
}


@dataclass(frozen=True)
class Run:
    """Where and how long; everything about the loss is in the recipe."""

    out: Path
    faces: Path | None = None  # what `train faces` drew of the model's domain
    images: Path | None = None  # or a folder of pictures
    pairs: Path | None = None  # what `train pairs` drew, for translations; without it they are drawn on the fly
    model: str = hub.DEFAULT
    count: int = 64_000  # faces, or pairs, in the file
    start: Path | None = None  # encoder.safetensors of another run whose trunk to go on from
    steps: int = 3000
    batch: int = 16  # over all processes
    lr: float = 1e-2
    decay: float = 0.5  # last part of the run, over which the rate falls to zero
    seed: int = 0
    minutes: float = 600.0


class Pictures:
    """A stream of pictures (B, 3, R, R) in [-1, 1] to train on, and others (n, 3, R, R) to be examined with."""

    def __init__(self, run: Run, recipe: Recipe, encoder: Encoder, model: Model) -> None:
        if (run.faces is None) == (run.images is None):
            raise SystemExit("give --faces (what `train faces` drew) or --images (a folder of pictures)")
        self.degrade, self.encoder = DEGRADED.get(recipe.reads, lambda x, rng: x), encoder
        self.rendered = run.faces is not None
        if run.faces is not None:
            domain = rendered_domain(model)
            file = FaceFile(run.faces, run.count, model.resolution, domain=model.domain)
            self.count, self.take = run.count, lambda rows: file.batch(rows)[0]
            examined = domain.draw(range(HELD_OUT, HELD_OUT + EXAMINED), model.resolution).picture
        else:
            self.count, self.take, examined = _folder(run.images or Path(), model.resolution)
        self.examined = self._example(examined, None, torch.Generator().manual_seed(0))

    def batches(self, size: int, rng: torch.Generator) -> Iterator[Example]:
        """Random batches without end."""
        while True:
            rows = torch.randint(0, self.count, (size,), generator=rng)
            yield self._example(self.take(rows), latents(rows.tolist()) if self.rendered else None, rng)

    def _example(self, x: Tensor, z: Tensor | None, rng: torch.Generator) -> Example:
        return Example(x, self.encoder.fit(self.degrade(x, rng)), z)


def _folder(folder: Path, resolution: int) -> tuple[int, Callable[[Tensor], Tensor], Tensor]:
    """A folder's pictures: how many to train on, what reads them by number, and others to be examined with."""
    paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES)
    if len(paths) < 2:
        raise SystemExit(f"{folder} holds {len(paths)} pictures ({', '.join(SUFFIXES)}): two at least")
    kept = max(1, min(EXAMINED, len(paths) // 10))

    def read(chosen: list[Path]) -> Tensor:
        return torch.cat([images.to_tensor(images.fit(images.read(path), resolution)) for path in chosen])

    return len(paths) - kept, lambda rows: read([paths[kept + i] for i in rows.tolist()]), read(paths[:kept])


class Translations:
    """A stream of what a translation learns from, out of a file of pairs or drawn on the fly."""

    def __init__(self, run: Run, recipe: Recipe, encoder: Encoder, model: Model) -> None:
        self.reads, self.encoder, self.domain = recipe.reads, encoder, rendered_domain(model)
        self.count, self.take = HELD_OUT, lambda rows: draw(rows.tolist(), model.resolution, model.domain)
        if run.pairs is not None:
            file = PairFile(run.pairs, run.count, model.resolution, model.domain)
            if not file.drawn:
                raise SystemExit(f"{file.path} holds no pairs yet: draw them by `train pairs`, or leave --pairs out")
            self.count, self.take = file.drawn, file.batch
        held_out = draw(range(HELD_OUT, HELD_OUT + EXAMINED), model.resolution, model.domain)
        if self.reads == "turned" and not held_out.front.shape[1]:
            raise SystemExit(f"{model.name}: its domain has no view from the front")
        self.examined = example(self.reads, held_out, self.domain, encoder, None, None)

    def batches(self, size: int, rng: torch.Generator) -> Iterator[Example]:
        """Random batches without end."""
        while True:
            rows = torch.randint(0, self.count, (size,), generator=rng)
            yield example(self.reads, self.take(rows), self.domain, self.encoder, latents(rows.tolist()), rng)


def rendered_domain(model: Model) -> Domain:
    """What draws the pictures of the model's domain."""
    if model.domain not in DOMAINS:
        raise SystemExit(f"{model.name}: nothing draws its domain: give --images (a folder of pictures)")
    return DOMAINS[model.domain]


def build(prior: Prior, recipe: Recipe, offsets: bool, classes: int = 0) -> Narrow:
    """An encoder that reads the generator's pictures at 32 to 128 pixels, with the generator's mean style.

    classes: of label maps, for a recipe that reads them.
    """
    n = prior.num_ws
    pyramid = (3, 4, n - 7) if n > 7 else (1, 1, n - 2)  # pSp's coarse, middle and fine styles
    rows = {"pyramid": pyramid, "last": (n,), "single": (1,)}[recipe.rows]
    halvings = min(len(WIDTHS), max(3, prior.resolution.bit_length() - 3))
    encoder = (NarrowE4E if offsets else Narrow)(recipe.inputs(classes), n, prior.w_dim, rows, WIDTHS[:halvings])
    encoder.latent_avg.copy_(prior.w_avg)
    return encoder


@torch.no_grad()
def units(prior: Prior, compared: str) -> Tensor:
    """What a difference of styles is multiplied by, (w_dim, k), so that a random style has variance 1 a column.

    "entries" keeps every entry, all in one unit; "axes" turns to the principal axes that hold HELD of W's variance.
    """
    if compared == "entries":
        return torch.eye(prior.w_dim) / spread(prior)
    axes, variance = principal_axes(prior)
    kept = variance.cumsum(dim=0) > (1 - HELD) * variance.sum()  # all but the smallest
    return axes[:, kept] / variance[kept].sqrt()


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
        classes = len(rendered_domain(model).classes) if recipe.reads in TRANSLATED else 0
        self.encoder = build(self.prior, recipe, offsets, classes).to(accelerator.device)
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
            if self.prior.compute_dtype is torch.bfloat16:
                own.compute_dtype = torch.bfloat16
            self.opponents["adversarial"] = Opponent(own.to(accelerator.device), lr=1e-4, gamma=10.0)
        if recipe.latent:
            self.opponents["latent"] = Opponent(
                StyleJudge(self.prior.w_dim).to(accelerator.device), lr=2e-5, gamma=10.0
            )
        self.units = units(self.prior, recipe.compared).to(accelerator.device)
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
        x = x.contiguous(memory_format=torch.channels_last)
        with self.half():
            if isinstance(self.encoder, NarrowE4E):
                return self.encoder.offsets(x, self.stage()).float()
            return self.encoder.offsets(x).float()

    def half(self) -> AbstractContextManager[Any]:
        """Autocast where the generator computes in bfloat16: the encoder and the judges take half of the time."""
        wanted = self.prior.compute_dtype is torch.bfloat16
        return torch.autocast(self.accelerator.device.type, torch.bfloat16, enabled=wanted)

    def step(self, given: Example, rng: torch.Generator) -> dict[str, float]:
        """One update; returns means of the terms."""
        r, device = self.recipe, self.accelerator.device
        losses: dict[str, Tensor] = {}
        self.encoder.train()
        self.optimizer.zero_grad()
        if r.codes and not r.reads:
            with torch.no_grad():
                z = torch.randn(len(given.target), self.prior.z_dim, generator=rng)
                sample = self.prior(z.to(device))
            predicted = self.predict(self.encoder.fit(sample)) + self.encoder.latent_avg
            losses["codes"] = self._codes(predicted, z.to(device)).mean()
            (r.codes * losses["codes"]).backward()
        given = given.to(device)
        if r.codes and r.reads and given.z is not None and self.done < r.warm * self.run.steps:
            losses["codes"] = self._codes(self.encoder.latent_avg + self.predict(given.read), given.z).mean()
            losses["codes"].backward()
        elif r.pixel or r.perceptual:
            losses |= self._pictures(given, rng)
        share_gradients(self.encoder, self.accelerator)
        progress = self.done / self.run.steps
        ramp = min(1.0, (self.done + 1) / (RAMP * self.run.steps))
        self.optimizer.param_groups[0]["lr"] = self.run.lr * rate(progress, self.run.decay) * ramp
        self.optimizer.step()
        self.done += 1
        return {name: float(value.detach()) for name, value in losses.items()}

    def _pictures(self, given: Example, rng: torch.Generator) -> dict[str, Tensor]:
        """Gradients of everything that looks at pictures, turn by turn: each starts from the last one's result."""
        x = given.target
        objective = Objective(Reconstruct(), x, self.model, LossWeights(self.recipe.pixel, 0, self.recipe.perceptual))
        ws = self.encoder.latent_avg.expand(len(x), -1, -1)
        shown = self.prior.synthesis(ws[:1]).expand(len(x), -1, -1, -1) if self.recipe.turns > 1 else x
        terms: dict[str, Tensor] = {}
        for _ in range(self.recipe.turns):
            read = given.read if self.recipe.turns == 1 else self.encoder.fit(torch.cat([x, shown], dim=1))
            ws = ws.detach() + self.predict(read)
            image = self.prior.synthesis(ws)
            with self.half():
                terms, others = objective(image), self._others(given, image, ws)
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

    def _others(self, given: Example, image: Tensor, ws: Tensor) -> dict[str, Tensor]:
        """Terms (B,) beyond those of an optimisation: identity, codes, norms, and what opponents say."""
        r, found = self.recipe, dict[str, Tensor]()
        embed = self._embed()
        if r.identity and embed is not None:
            with torch.no_grad():
                truth = embed(given.target)
            found["identity"] = 1 - (embed(image) * truth).sum(dim=1)
        if r.codes and r.reads and given.z is not None:
            found["codes"] = self._codes(ws, given.z)
        if r.norm:
            offsets = (ws - self.encoder.latent_avg).flatten(1)
            found["norm"] = offsets.norm(dim=1) / (self.spread * offsets.shape[1] ** 0.5)
        if r.delta:
            found["delta"] = (ws[:, 1:] - ws[:, :1]).norm(dim=2).sum(dim=1)
        if "adversarial" in self.opponents:
            found["adversarial"] = self.opponents["adversarial"].fooled(image)
        if "latent" in self.opponents:
            logits = self.opponents["latent"].fooled(ws.flatten(0, 1))
            found["latent"] = logits.unflatten(0, ws.shape[:2]).mean(dim=1)
        return found

    def _codes(self, ws: Tensor, z: Tensor) -> Tensor:
        """Squared error (B,) of styles (B, num_ws, w_dim) against those of z (B, z_dim), in the recipe's units."""
        with torch.no_grad():
            truth = self.prior.mapping(z)
        return ((ws - truth) @ self.units).square().mean(dim=(1, 2))

    def _embed(self) -> Callable[[Tensor], Tensor] | None:
        """What tells persons apart: ArcFace if the model has it, else the embedded predictor."""
        if self.model.identity is not None:
            return self.model.identity
        return None if self.model.predictor is None else self.model.predictor.embed


@torch.no_grad()
def examine(trainer: Trainer, given: Example) -> dict[str, float]:
    """Held-out figures of one pass (ReStyle: of every turn): mean PSNR in dB, identity, and yaw's mean error."""
    encoder: Encoder = trainer.encoder.eval()
    device, judge = trainer.accelerator.device, trainer.model.predictor
    embed, prior, x = trainer._embed(), trainer.prior, given.target.to(device)
    ws = encoder.latent_avg.expand(len(x), -1, -1)
    shown = prior.synthesis(ws[:1]).expand(len(x), -1, -1, -1)
    row: dict[str, float] = {}
    for turn in range(1, trainer.recipe.turns + 1):
        read = given.read.to(device) if trainer.recipe.turns == 1 else encoder.fit(torch.cat([x, shown], dim=1))
        ws = ws + trainer.predict(read)
        shown = torch.cat([prior.synthesis(part) for part in ws.split(8)])
        values = psnr(shown, x)
        row["psnr" if turn == trainer.recipe.turns else f"psnr_{turn}"] = sum(values) / len(values)
    if embed is not None:
        row["identity"] = float((embed(shown) * embed(x)).sum(dim=1).mean())
    if judge is not None:
        yaw = FACTORS[INDEX["yaw"]]
        error = (judge.attributes(shown)["yaw"] - judge.attributes(x)["yaw"]).abs().mean()
        row["yaw_degrees"] = float(error) * (yaw.high - yaw.low) / 2
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
    stream = Translations if recipe.reads in TRANSLATED else Pictures
    pictures = stream(run, recipe, trainer.encoder, model)
    rng = torch.Generator().manual_seed(run.seed + 1000 * accelerator.process_index + trainer.done)
    begun = time.monotonic()
    for given in itertools.takewhile(lambda _: trainer.done < run.steps, pictures.batches(run.batch // world, rng)):
        losses = trainer.step(given, rng)
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
    """Take over the tensors of another encoder that have the same name and shape: its trunk, and more if it fits.

    What else the stem reads (ReStyle) counts for nothing at first, and so do e4e's offsets.
    """
    own = encoder.state_dict()
    for name, tensor in load_file(path).items():
        if name == "stem.weight" and own[name].shape[1] == 2 * tensor.shape[1]:
            tensor = torch.cat([tensor, torch.zeros_like(tensor)], dim=1)
        if name in own and own[name].shape == tensor.shape:
            own[name] = tensor.to(own[name].dtype)
    encoder.load_state_dict(own)
    if isinstance(encoder, NarrowE4E):
        encoder.forget_offsets()


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
