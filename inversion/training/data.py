"""Training data of the encoders: rendered pictures, a folder of pictures, or rendered pairs for translations."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from inversion import images
from inversion.encoders import Encoder
from inversion.model import Model
from inversion.synthetic import DOMAINS, HELD_OUT, latents
from inversion.training.examples import DEGRADED, Example, translation_example
from inversion.training.models import domain_of
from inversion.training.options import EncoderOptions, TrainingError
from inversion.training.pairs import PairFile, Pairs, draw_pairs
from inversion.training.pictures import PictureFile
from inversion.training.recipes import EncoderRecipe

HELD_OUT_PICTURES = 32  # at most
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")


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
            self.count, self._read, held_out = _folder(options.images or Path(), model.resolution)
        self.held_out = self._example(held_out, None, torch.Generator().manual_seed(0))

    def examples(self, rows: Tensor, rng: torch.Generator) -> Example:
        """The training pictures of these numbers (B,), degraded with rng; renders come with their codes."""
        return self._example(self._read(rows), latents(rows.tolist()) if self.rendered else None, rng)

    def _example(self, x: Tensor, z: Tensor | None, rng: torch.Generator) -> Example:
        return Example(x, self.encoder.fit(self._degrade(x, rng)), z)


def _folder(folder: Path, resolution: int) -> tuple[int, Callable[[Tensor], Tensor], Tensor]:
    """A folder's pictures: the number of training pictures, their reader by number, and the held-out pictures."""
    paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES)
    if len(paths) < 2:
        raise TrainingError(f"{folder} holds {len(paths)} pictures ({', '.join(SUFFIXES)}). At least two are needed.")
    held_out = max(1, min(HELD_OUT_PICTURES, len(paths) // 10))

    def read(chosen: list[Path]) -> Tensor:
        return torch.cat([images.to_tensor(images.fit(images.read(path), resolution)) for path in chosen])

    def by_number(rows: Tensor) -> Tensor:
        return read([paths[held_out + i] for i in rows.tolist()])

    return len(paths) - held_out, by_number, read(paths[:held_out])


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


def example_source(options: EncoderOptions, recipe: EncoderRecipe, encoder: Encoder, model: Model) -> ExampleSource:
    """The data of a run. Raises TrainingError if the options do not name usable data."""
    return (TranslationPairs if recipe.translates else Pictures)(options, recipe, encoder, model)
