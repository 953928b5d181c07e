"""`translate`: turn a sketch, a label map or a turned face into pictures."""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import asdict, fields
from pathlib import Path

import numpy as np
from PIL import Image

from inversion import images
from inversion.align import Quad, paste, used_square
from inversion.cli.batch import Batch, add_images
from inversion.cli.common import metavar, reader, sentence_part, write_notes
from inversion.cli.outputs import NUMBERED, add_outputs, parse
from inversion.cli.own import add_model, choose_model
from inversion.common.commands import Parser, add_device, guarded, visible
from inversion.common.names import settings_digits
from inversion.common.rows import Row
from inversion.serving.lane import Lane
from inversion.serving.measurement import AUTOMATIC_CROPS, crop
from inversion.translations import TRANSLATIONS, TranslationOptions, input_of
from inversion.translations.requests import TranslatedPictures, TranslateRequest

NOT_SAVED = "no pictures saved: add --out DIR"


def main(argv: list[str]) -> int:
    """Translate every IMAGE, print the time that it took, and save the pictures with --out."""
    parser = Parser(
        prog="python -m inversion translate",
        description="Translate a drawing or a picture, in one pass of an encoder and a generator.",
        allow_abbrev=False,
    )
    add_images(parser, "sketches, label maps, or pictures")
    parser.add_argument("--to", required=True, choices=list(TRANSLATIONS), metavar="|".join(TRANSLATIONS))
    add_model(parser)
    for spec in fields(TranslationOptions):
        flag = spec.name.replace("_", "-")
        text = (
            f"{sentence_part(spec.metadata['label'])}: {sentence_part(spec.metadata['help'])} (default {spec.default})"
        )
        parser.add_argument(
            f"--{flag}", dest=spec.name, type=reader(spec), default=spec.default, metavar=metavar(spec), help=text
        )
    parser.add_argument(
        "--align",
        default="auto",
        choices=AUTOMATIC_CROPS,
        help="the part of a picture to use, as for `invert`; of a drawing, always the central square",
    )
    parser.add_argument("--face", type=int, default=1, metavar="N", help="which face; 1 is the largest (default)")
    add_device(parser)
    add_outputs(parser, NUMBERED)
    args = parse(parser, argv)

    def run() -> int:
        choose_model(args)
        args.task = args.to  # the field of names of files
        return _Translations(args).report()

    return guarded(parser.prog, run)


class _Translations:
    """The translations of the pictures of the command."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args = args
        names = [spec.name for spec in fields(TranslationOptions)]
        self.options = TranslationOptions(**{name: getattr(args, name) for name in names})
        self.lane = Lane(args.device, args.dtype)
        self.batch = Batch(args)

    def report(self) -> int:
        """Translate the pictures and print the rows. Returns the exit status; raises UserError."""

        def show(rows: list[Row]) -> None:
            for row in rows:
                name = self.args.to if self.batch.single else row["picture"]
                sys.stdout.write(visible(f"{name}: {self._summary(row)}") + "\n")

        return self.batch.report(self.batch.one_row(self._row), show)

    def _summary(self, row: Row) -> str:
        """A result in a few words."""
        if row["error"]:
            return str(row["error"])
        count = len(row["images"])
        pictures = f"{count} picture{'s' * (count != 1)} in {self.args.out}" if self.args.out else NOT_SAVED
        return f"{row['seconds']:.2f} s, {pictures}"

    def _row(self, path: Path) -> Row:
        """Translate a picture, and save the pictures, a sheet of them and the row."""
        args = self.args
        decoded = input_of(args.to).decode(path)
        picture, drawn = np.asarray(decoded.picture), input_of(args.to).drawn
        write_notes(decoded.notes, set())
        part = crop(picture, args.model, "centre" if drawn else args.align, args.face)
        if part.note and not drawn:
            sys.stderr.write(f"{part.note}\n")
        model = self.lane.load(args.model)
        begun = time.perf_counter()
        made: TranslatedPictures = self.lane.answer(TranslateRequest(args.model, args.to, picture, self.options, part))
        row: Row = {
            "picture": str(path),
            "task": args.to,
            "translation": args.to,
            "model": args.model,
            **asdict(self.options),
            "seconds": round(time.perf_counter() - begun, 3),
            "images": [],
            "sheet": None,
            "sha256": model.sha256,
            "domain": model.domain,
            "licence": model.licence,
            "crop": {"how": part.how, "quad": part.quad, "note": part.note},
            "notes": list(decoded.notes),
            "error": "",
        }
        self._save(path, made, picture, None if drawn else used_square(picture, part), row)
        return row

    def _save(self, path: Path, made: TranslatedPictures, picture: np.ndarray, square: Quad | None, row: Row) -> None:
        """Save the pictures, the sheet and the row, which gets the names of the files.

        square: the part of a photo that was used, None for all of it and for drawings.
        """
        outputs = self.batch.outputs
        values = {**row, "picture": path.stem, "method": row["translation"]}
        values["settings"] = settings_digits({"settings": asdict(self.options), "crop": row["crop"]})
        saved = [outputs.save(values, image) for image in made.pictures]
        found = [one for one in saved if one is not None]
        row["images"] = [str(one) for one in found]
        for one, image in zip(found, made.pictures, strict=False):
            if square is not None:
                outputs.beside(one, "_pasted.png", paste(picture, square, image))
        seen = np.asarray(images.fit(Image.fromarray(made.read), made.pictures[0].shape[0]))
        sheet = outputs.sheet(path, row["translation"], [seen, *made.pictures])
        row["sheet"] = None if sheet is None else str(sheet)
        outputs.record(row, found[0] if found else None)
