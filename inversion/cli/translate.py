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
from inversion.align import paste
from inversion.cli.common import dumps, metavar, reader, sentence_part, write_json, write_notes
from inversion.cli.own import add_model, choose_model
from inversion.common.commands import Parser, add_device, guarded, make_folder
from inversion.common.rows import Row
from inversion.serving.lane import AUTOMATIC_CROPS, Lane, crop
from inversion.translations import TRANSLATIONS, TranslationOptions, input_of
from inversion.translations.requests import TranslatedPictures, TranslateRequest


def main(argv: list[str]) -> int:
    """Translate IMAGE, print the time that it took, and save the pictures with --out."""
    parser = Parser(
        prog="python -m inversion translate",
        description="Translate a drawing or a picture, in one pass of an encoder and a generator.",
        allow_abbrev=False,
    )
    parser.add_argument("image", type=Path, metavar="IMAGE", help="a sketch, a label map, or a picture")
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
    parser.add_argument("--out", type=Path, metavar="DIR", help="save pictures and figures in this folder")
    parser.add_argument("--json", action="store_true", help="print only JSON on stdout")
    args = parser.parse_args(argv)

    def run() -> None:
        row = _run(args)
        if args.json:
            write_json(row)
        else:
            made = f"{len(row['images'])} pictures in {args.out}" if args.out else "no pictures saved: add --out DIR"
            sys.stdout.write(f"{args.to}: {row['seconds']:.2f} s, {made}\n")

    return guarded(parser.prog, run)


def _run(args: argparse.Namespace) -> Row:
    """The row of a translation. With --out, saves the pictures, a sheet of them, and the row as JSON."""
    choose_model(args)
    options = TranslationOptions(**{spec.name: getattr(args, spec.name) for spec in fields(TranslationOptions)})
    decoded = input_of(args.to).decode(args.image)
    picture, drawn = np.asarray(decoded.picture), input_of(args.to).drawn
    write_notes(decoded.notes, set())
    part = crop(picture, args.model, "centre" if drawn else args.align, args.face)
    if part.note and not drawn:
        sys.stderr.write(f"{part.note}\n")
    lane = Lane(args.device, args.dtype)
    model = lane.load(args.model)
    begun = time.perf_counter()
    made: TranslatedPictures = lane.answer(TranslateRequest(args.model, args.to, picture, options, part))
    row: Row = {
        "translation": args.to,
        "model": args.model,
        **asdict(options),
        "seconds": round(time.perf_counter() - begun, 3),
        "picture": str(args.image),
        "images": [],
        "sheet": None,
        "sha256": model.sha256,
        "domain": model.domain,
        "licence": model.licence,
        "crop": {"how": part.how, "quad": part.quad, "note": part.note},
        "notes": list(decoded.notes),
    }
    if args.out is not None:
        _save(args, made, picture, row)
    return row


def _save(args: argparse.Namespace, made: TranslatedPictures, picture: np.ndarray, row: Row) -> None:
    """Save the pictures, the sheet and the row, which gets the names of the files."""
    make_folder(args.out)
    stem = args.out / f"{args.image.stem}_{args.to}"
    for i, image in enumerate(made.pictures):
        path = Path(f"{stem}_{i + 1}.png")
        images.write_png(path, image)
        row["images"].append(str(path))
        if row["crop"]["quad"] is not None:
            images.write_png(path.with_stem(f"{path.stem}_pasted"), paste(picture, row["crop"]["quad"], image))
    side = made.pictures[0].shape[0]
    seen = np.asarray(images.fit(Image.fromarray(made.read), side))
    row["sheet"] = f"{stem}_sheet.png"
    images.write_png(row["sheet"], np.concatenate([seen, *made.pictures], axis=1))
    Path(f"{stem}.json").write_text(dumps(row) + "\n", encoding="utf-8")
