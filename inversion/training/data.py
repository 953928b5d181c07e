"""Training data of the encoders: pictures, or pairs for translations, rendered or from your own folders."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from inversion import images
from inversion.common.errors import UserError
from inversion.encoders import Encoder
from inversion.model import Model
from inversion.synthetic import DOMAINS, HELD_OUT, latents
from inversion.training.examples import DEGRADED, Example, translation_example
from inversion.training.models import domain_of
from inversion.training.options import EncoderOptions, TrainingError
from inversion.training.pairs import PairFile, Pairs, draw_pairs
from inversion.training.pictures import PictureFile
from inversion.training.recipes import EncoderRecipe
from inversion.translations import input_of
from inversion.translations.drawings import DrawingError, edges, lines

HELD_OUT_PICTURES = 32  # at most
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
INPUTS, TARGETS = "inputs", "targets"  # folders of your own pairs
EDGES = 256  # side in pixels at which edges of pictures are drawn


class ExampleSource(ABC):
    """Examples for an encoder: `count` of them to train on, and a held-out batch."""

    count: int
    held_out: Example

    def batch(self, size: int, rng: torch.Generator) -> Example:
        """A random batch of training examples."""
        return self.examples(torch.randint(0, self.count, (size,), generator=rng), rng)

    @abstractmethod
    def examples(self, rows: Tensor, rng: torch.Generator) -> Example:
        """The training examples of these numbers (B,), from 0 to `count` - 1, augmented with rng."""


class Pictures(ExampleSource):
    """Pictures to reconstruct, rendered or from a folder; the encoder reads them as the recipe degrades them.

    Raises TrainingError unless exactly one of --pictures and --images is given, and if the folder has too few pictures.
    """

    def __init__(self, options: EncoderOptions, recipe: EncoderRecipe, encoder: Encoder, model: Model) -> None:
        if (options.pictures is None) == (options.images is None):
            raise TrainingError("Give --pictures (a folder of `train pictures`) or --images (a folder of your own).")
        if options.pictures is not None and model.domain not in DOMAINS:
            raise TrainingError(f"{model.name}: its domain has no renderer. Give --images (a folder of pictures).")
        self.encoder, self.rendered = encoder, options.pictures is not None
        self._degrade = DEGRADED.get(recipe.reads, lambda x, rng: x)
        self._read: Callable[[Tensor], Tensor]  # row numbers (B,) -> pictures (B, 3, R, R) in [-1, 1]
        if options.pictures is not None:
            domain = domain_of(model)
            file = PictureFile(options.pictures, options.count, model.resolution, domain=model.domain)
            self.count, self._read = options.count, lambda rows: file.batch(rows)[0]
            held_out = domain.draw(range(HELD_OUT, HELD_OUT + HELD_OUT_PICTURES), model.resolution).picture
        else:
            folder = _Folder(options.images or Path())
            self.count = folder.count
            self._read = lambda rows: _pictures(folder.chosen(rows), model.resolution)
            held_out = _pictures(folder.chosen(None), model.resolution)
        self.held_out = self._example(held_out, None, torch.Generator().manual_seed(0))

    def examples(self, rows: Tensor, rng: torch.Generator) -> Example:
        """The training pictures of these numbers (B,), degraded with rng; renders come with their codes."""
        return self._example(self._read(rows), latents(rows.tolist()) if self.rendered else None, rng)

    def _example(self, x: Tensor, z: Tensor | None, rng: torch.Generator) -> Example:
        return Example(x, self.encoder.fit(self._degrade(x, rng)), z)


class _Folder:
    """Pictures of a folder by number, the first tenth held out. Raises TrainingError if there are fewer than two."""

    def __init__(self, folder: Path) -> None:
        self.root = folder
        self.paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES)
        if len(self.paths) < 2:
            raise TrainingError(
                f"{folder} holds {len(self.paths)} pictures ({', '.join(SUFFIXES)}). At least two are needed."
            )
        self.held_out = max(1, min(HELD_OUT_PICTURES, len(self.paths) // 10))
        self.count = len(self.paths) - self.held_out

    def chosen(self, rows: Tensor | None) -> list[Path]:
        """The training pictures of these numbers (B,); None: the held-out ones."""
        if rows is None:
            return self.paths[: self.held_out]
        return [self.paths[self.held_out + i] for i in rows.tolist()]


def _pictures(paths: Sequence[Path], resolution: int) -> Tensor:
    """The central squares of files as pictures (B, 3, R, R) in [-1, 1]. Raises BadImage."""
    return torch.cat([images.to_tensor(images.fit(images.read(path), resolution)) for path in paths])


class TranslationPairs(ExampleSource):
    """Rendered pairs for a translation, from a file or drawn on the fly.

    Raises TrainingError if the file holds no pairs, or if the domain has no renderer or no target of the translation.
    """

    def __init__(self, options: EncoderOptions, recipe: EncoderRecipe, encoder: Encoder, model: Model) -> None:
        self.reads, self.encoder, self.domain = recipe.reads, encoder, domain_of(model)
        self._read: Callable[[Tensor], Pairs] = lambda rows: draw_pairs(rows.tolist(), model.resolution, model.domain)
        self.count = HELD_OUT
        if options.pairs is not None:
            file = PairFile(options.pairs, options.count, model.resolution, model.domain)
            self.count, self._read = file.drawn, file.batch
        held_out = draw_pairs(range(HELD_OUT, HELD_OUT + HELD_OUT_PICTURES), model.resolution, model.domain)
        self.held_out = translation_example(self.reads, held_out, self.domain, encoder)

    def examples(self, rows: Tensor, rng: torch.Generator) -> Example:
        """The training pairs of these numbers (B,), augmented with rng."""
        z = latents(rows.tolist())
        return translation_example(self.reads, self._read(rows), self.domain, self.encoder, z, rng)


class OwnPairs(ExampleSource):
    """Pairs for a translation from your own files; their codes are unknown.

    --pairs DIR: the inputs in DIR/inputs and the pictures in DIR/targets, under the same names. --images DIR, for
    sketches only: each picture with a drawing of its edges. Raises TrainingError if files are missing.
    """

    def __init__(self, options: EncoderOptions, recipe: EncoderRecipe, encoder: Encoder, model: Model) -> None:
        self.kind, self.encoder, self.resolution = input_of(recipe.reads), encoder, model.resolution
        self._inputs: dict[str, Path] = {}
        if options.images is not None and recipe.reads != "sketch":
            raise TrainingError(
                f"--recipe {recipe.reads} needs pairs. Give --pairs DIR with the folders inputs and targets, "
                "or leave out --images to learn from rendered pairs."
            )
        self._folder = _Folder(options.images if options.images is not None else (options.pairs or Path()) / TARGETS)
        if options.images is None:
            given = (options.pairs or Path()) / INPUTS
            self._inputs = {_name(path, given): path for path in given.rglob("*") if path.suffix.lower() in SUFFIXES}
            missing = [path.name for path in self._folder.paths if self._name(path) not in self._inputs]
            if missing:
                raise TrainingError(f"{given} has no input for {len(missing)} pictures, such as {missing[0]}.")
        self.count = self._folder.count
        self.held_out = self._examples(self._folder.chosen(None), None)

    def examples(self, rows: Tensor, rng: torch.Generator) -> Example:
        """The training pairs of these numbers (B,)."""
        return self._examples(self._folder.chosen(rows), rng)

    def _name(self, path: Path) -> str:
        return _name(path, self._folder.root)

    def _examples(self, paths: list[Path], rng: torch.Generator | None) -> Example:
        read = [self._input(path, rng) for path in paths]
        return Example(_pictures(paths, self.resolution), torch.cat(read))

    def _input(self, path: Path, rng: torch.Generator | None) -> Tensor:
        """The encoder's input for a picture (1, inputs, size, size). Raises TrainingError that names the file."""
        inputs, size = self.encoder.inputs, self.encoder.size
        if not self._inputs:
            blur = 1.5 if rng is None else float(1 + 2 * torch.rand((), generator=rng))
            drawing = edges(np.asarray(images.fit(images.read(path), EDGES).convert("L")), blur)
            try:
                return torch.from_numpy(lines(drawing, size))[None, None]
            except DrawingError:
                return torch.ones(1, 1, size, size)  # an even picture: empty paper
        file = self._inputs[self._name(path)]
        try:
            return self.kind.read(np.asarray(self.kind.decode(file).picture.convert("RGB")), inputs, size)
        except UserError as error:
            raise TrainingError(f"{file}: {error}") from error


def _name(path: Path, root: Path) -> str:
    """The name of a file in a folder, without its suffix."""
    return path.relative_to(root).with_suffix("").as_posix()


def example_source(options: EncoderOptions, recipe: EncoderRecipe, encoder: Encoder, model: Model) -> ExampleSource:
    """The data of a run. Raises TrainingError if the options do not name usable data."""
    if not recipe.translates:
        return Pictures(options, recipe, encoder, model)
    own = options.images is not None or (options.pairs is not None and (options.pairs / TARGETS).is_dir())
    return (OwnPairs if own else TranslationPairs)(options, recipe, encoder, model)
