"""Options of the training commands: the fields of a command's dataclass are its flags, its docstring is the help.

This module is light, so that `--help` and wrong arguments are answered without torch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import MISSING, Field, asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, NoReturn, TypeVar, get_args, get_type_hints

from inversion.checkpoints import registry
from inversion.common.commands import Parser, UsageError, positive
from inversion.common.errors import UserError
from inversion.generators import GENERATORS
from inversion.synthetic import DEFAULT, DOMAINS
from inversion.training.recipes import RECIPES, EncoderRecipe

NETWORKS = ("narrow", "psp")  # that `networks.py` builds
# Help of the options that several commands have, by field.
HELP = {
    "batch": "pictures per step, over all processes",
    "count": "number of pictures in the file",
    "decay": "fraction of the run in which the learning rate decays",
    "detail": "extra weight of small parts, such as eyes, mouth and glasses",
    "domain": "domain of the pictures",
    "ema_kimg": "half-life of the averaged weights, in thousands of pictures",
    "pictures": "folder with the pictures that `train pictures` drew",
    "folder": "folder for the file",
    "kimg": "length of the run, in thousands of pictures",
    "lr": "peak of the learning rate",
    "model": "model whose generator is used",
    "minutes": "stop after this many minutes; the same command resumes the run",
    "resolution": "side of the pictures in pixels",
    "seed": "seed of all random draws",
    "steps": "length of the run",
}


class TrainingError(UserError):
    """A training command that cannot be carried out as given."""


def option(
    default: Any = MISSING,  # noqa: ANN401 - the field's own type
    help: str = "",
    *,
    choices: Callable[[], Sequence[str]] | None = None,
    count: bool = False,
) -> Any:  # noqa: ANN401 - stands for the default in a dataclass body
    """Declare a field and its flag; it is required if it has no default. The annotation is the type.

    help: default HELP. choices: asked for when the parser is built. count: a whole number of at least 1.
    """
    metadata = {"help": help, "choices": choices, "count": count}
    if isinstance(default, list):
        return field(default_factory=default.copy, metadata=metadata)
    return field(default=default, metadata=metadata)


def domain_names() -> list[str]:
    """The embedded domains."""
    return list(DOMAINS)


@dataclass(frozen=True, kw_only=True)
class Options:
    """Options of a command."""


@dataclass(frozen=True, kw_only=True)
class DrawOptions(Options):
    """Options of a file of renders."""

    domain: str = option(DEFAULT, choices=domain_names)
    folder: Path = option()
    resolution: int | None = option(None, "side in pixels (default: the domain's)", count=True)


@dataclass(frozen=True, kw_only=True)
class PictureFileOptions(DrawOptions):
    """Draw a file of pictures of a domain; several processes share the work with --part and --parts."""

    count: int = option(100_000, count=True)
    same_individual: bool = option(False, "draw other pictures of the same individuals")
    part: int = option(0, "number of this process, from 0")
    parts: int = option(1, "number of processes", count=True)
    no_compile: bool = option(False, "do not compile the renderer")


@dataclass(frozen=True, kw_only=True)
class PairFileOptions(DrawOptions):
    """Draw a file of training pairs for the translations."""

    count: int = option(12_000, "number of pairs", count=True)


@dataclass(frozen=True, kw_only=True)
class TrainOptions(Options):
    """Options of every training run."""

    out: Path = option(help="folder for the checkpoint, the log and the results")
    seed: int = option(0)
    minutes: float = option(600.0)


@dataclass(frozen=True, kw_only=True)
class RenderOptions(TrainOptions):
    """Options of a generator that is trained on rendered pictures."""

    pictures: Path = option()
    count: int = option(80_000, count=True)
    resolution: int = option(128, count=True)
    batch: int = option(16, count=True)
    detail: float = option(4.0)


@dataclass(frozen=True, kw_only=True)
class DistillationOptions(RenderOptions):
    """Train a generator on rendered pictures; several processes by ``accelerate launch -m inversion train ...``."""

    domain: str = option(DEFAULT, choices=domain_names)
    architecture: str = option("stylegan2", "generator", choices=lambda: list(GENERATORS))
    width: float = option(1.0, "multiplies the channels of all layers")
    kimg: float = option(400.0)
    kimg_32: float = option(60.0, "pictures are 32 pixels wide until here (StyleGAN2)")
    kimg_64: float = option(130.0, "pictures are 64 pixels wide until here (StyleGAN2)")
    decay: float = option(0.35)
    lr: float = option(1e-2)
    ema_kimg: float = option(4.0)


@dataclass(frozen=True, kw_only=True)
class AdversarialOptions(RenderOptions):
    """Train a distilled generator against a discriminator, so that it regains the detail that regression blurs.

    With --alone-kimg as long as --kimg, only the discriminator is trained.
    """

    distilled: Path | None = option(None, "state.pt of `train generator` (default: the weights of --model)")
    model: str = option(registry.DEFAULT, "model of the domain of the pictures; its generator, without --distilled")
    kimg: float = option(20.0)
    decay: float = option(0.5)
    lr: float = option(1e-3, "peak of the generator's learning rate (Adam)")
    lr_discriminator: float = option(1e-2, "peak of the discriminator's rate (Muon; Adam is ten times slower)")
    adversarial: float = option(0.05, "weight of the non-saturating loss; the regression has weight 1")
    alone_kimg: float = option(4.0, "only the discriminator is trained until here")
    ramp_kimg: float = option(4.0, "the adversarial weight then grows from 0 over this many thousand pictures")
    gamma: float = option(0.2, "weight of R1")  # Karras et al. 2020 (ADA): 0.0002 * resolution^2 / batch
    r1_every: int = option(16, "steps between two R1 penalties", count=True)
    ema_kimg: float = option(2.0)


@dataclass(frozen=True, kw_only=True)
class NeglectedOptions(TrainOptions):
    """Train a finished generator on factors that it neglects; `train export` writes its weights."""

    model: str = option(registry.DEFAULT)
    factors: str = option(help="neglected factors, separated by commas")
    mapping_steps: int = option(16_000, "steps of the mapping", count=True)
    steps: int = option(3000, "steps of the synthesis", count=True)
    pairs: int = option(8, "pairs per step of the synthesis", count=True)
    lr: float = option(1e-3)
    decay: float = option(0.8)
    difference: float = option(0.02, "weight of the missing share of a pair's difference")
    detail: float = option(4.0)


@dataclass(frozen=True, kw_only=True)
class PredictorOptions(TrainOptions):
    """Train the predictor of attributes and identity on rendered pictures; writes ``predictor.safetensors``."""

    pictures: Path = option(help="folder that `train pictures` filled, with and without --same-individual")
    domain: str = option(DEFAULT, choices=lambda: [key for key, domain in DOMAINS.items() if domain.identity])
    minutes: float = option(math.inf)
    count: int = option(80_000, "number of pictures in the main file", count=True)
    pairs: int = option(24_000, "number of pictures in the file of the same individuals", count=True)
    steps: int = option(5000, count=True)
    batch: int = option(32, "pairs per step", count=True)
    lr: float = option(1e-2)


@dataclass(frozen=True, kw_only=True)
class EncoderOptions(TrainOptions):
    """Data and length of an encoder's run; the recipe holds everything about the loss."""

    pictures: Path | None = option(None, "folder that `train pictures` filled with the model's domain")
    images: Path | None = option(None, "folder of your own pictures, instead of --pictures; sketches are their edges")
    pairs: Path | None = option(
        None,
        "folder that `train pairs` filled, or your own with the folders inputs and targets, whose files have the same "
        "names; without it, translations draw their pairs",
    )
    model: str = option(registry.DEFAULT, "model whose generator is inverted")
    count: int = option(64_000, "number of pictures, or pairs, in the file", count=True)
    network: str = option(
        "narrow", "small, or pSp's of full size (IR-SE-50, 256 pixels)", choices=lambda: list(NETWORKS)
    )
    start: Path | None = option(None, "encoder.safetensors of another run, or ArcFace's file, to start from")
    steps: int = option(3000, count=True)
    batch: int = option(16, count=True)
    lr: float = option(1e-2)
    decay: float = option(0.5)


@dataclass(frozen=True, kw_only=True)
class EncoderCommandOptions(EncoderOptions):
    """Train an encoder to invert a generator; several processes by ``accelerate launch -m inversion train encoder``."""

    recipe: str = option(help="paper or task", choices=lambda: list(RECIPES))
    set: list[str] = option([], "a change TERM=VALUE of the recipe; may be repeated")

    def changed_recipe(self) -> EncoderRecipe:
        """The recipe with the changes. Raises TrainingError for an unknown term or a wrong value."""
        recipe, known = RECIPES[self.recipe], asdict(EncoderRecipe())
        for text in self.set:
            name, _, value = text.partition("=")
            if name not in known:
                raise TrainingError(f"--set {text}: unknown term {name!r}. Choose from {', '.join(known)}.")
            kind = type(known[name])
            try:
                recipe = replace(recipe, **{name: kind(value)})
            except ValueError:
                wanted = "a whole number" if kind is int else "a number"
                raise TrainingError(f"--set {text}: {name} must be {wanted}.") from None
        return recipe


@dataclass(frozen=True, kw_only=True)
class DirectionsOptions(Options):
    """Fit editing directions to the predictor's readings of a generator's own pictures."""

    model: str = option(registry.DEFAULT, "a generator whose domain has a predictor")
    count: int = option(8000, "number of random codes", count=True)
    seed: int = option(0)
    out: Path = option(help="safetensors file to write")


@dataclass(frozen=True, kw_only=True)
class AxesOptions(Options):
    """Find the axes of W along which few steps are enough."""

    model: str = option(registry.DEFAULT, "a generator with styles")
    count: int = option(256, "number of random codes", count=True)
    seed: int = option(1)
    out: Path = option(help="safetensors file to write")


@dataclass(frozen=True, kw_only=True)
class FramingOptions(Options):
    """Fit the weights that frame faces without a network."""

    out: Path = option(help="safetensors file to write")
    count: int = option(3000, "number of renders", count=True)


@dataclass(frozen=True, kw_only=True)
class ExportOptions(Options):
    """Write the networks of a run's ``state.pt``; prints bytes and sha256 for checkpoints.yaml."""

    state: Path = option(help="state.pt of a run of `train generator`, `adversarial` or `neglected`")
    out: Path = option(help="folder for the safetensors files")
    domain: str = option(DEFAULT, "first part of the files' names", choices=domain_names)


AnyOptions = TypeVar("AnyOptions", bound=Options)


class TrainParser(Parser):
    """The arguments of ``python -m inversion train COMMAND``. Raises UsageError for arguments that do not fit."""

    def __init__(self, command: str, options: type[Options]) -> None:
        super().__init__(prog=f"python -m inversion train {command}", description=options.__doc__)
        types = get_type_hints(options)
        for spec in fields(options):
            self._add(spec, types[spec.name])

    def error(self, message: str) -> NoReturn:
        """Leave the report to `guarded`."""
        raise UsageError(message)

    def _add(self, spec: Field[Any], kind: type) -> None:
        """Add the flag of a field."""
        flag, text = f"--{spec.name.replace('_', '-')}", spec.metadata["help"] or HELP[spec.name]
        if kind is bool:
            self.add_argument(flag, action="store_true", help=text)
        elif spec.default_factory is not MISSING:
            self.add_argument(flag, action="append", default=[], metavar="TEXT", help=text)
        else:
            required, choices = spec.default is MISSING, spec.metadata["choices"]
            plain = (get_args(kind) or (kind,))[0]  # the first of `Path | None`
            self.add_argument(
                flag,
                type=positive if spec.metadata["count"] else plain,
                choices=None if choices is None else choices(),
                required=required,
                default=None if required else spec.default,
                help=text if required or spec.default is None else f"{text} (default: {spec.default})",
            )


def parse(command: str, options: type[AnyOptions], argv: Sequence[str]) -> AnyOptions:
    """The options in a command line. Raises UsageError if they do not fit."""
    return options(**vars(TrainParser(command, options).parse_args(argv)))
