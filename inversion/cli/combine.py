"""`combine`: a path between two pictures, a mixture of their layers, or a region of one in the other."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from inversion import images
from inversion.checkpoints.codes import read_code
from inversion.cli.codes import SUFFIXES
from inversion.cli.common import PRESET_HELP, write_notes
from inversion.cli.interrupt import StopRequest
from inversion.cli.outputs import STDOUT, Outputs, add_outputs, parse
from inversion.cli.own import add_model, add_options, choose_model, options_of
from inversion.cli.records import dumps
from inversion.cli.runs import follow, settings_of
from inversion.common.commands import Parser, UsageError, add_device, guarded
from inversion.common.names import settings_digits
from inversion.common.rows import Row
from inversion.editing import DIFFUSION
from inversion.editing.requests import MAX_FRAMES, MIN_FRAMES, InterpolateRequest, Inverted, MixRequest
from inversion.methods import PRESETS
from inversion.serving.exports import OpenRequest
from inversion.serving.lane import Lane
from inversion.serving.measurement import AUTOMATIC_CROPS, crop
from inversion.serving.runs import CroppedPicture, Request, TaskInput
from inversion.tasks import DEFAULT_TASK

NAMES = ("{picture}_{task}.png", "{picture}_{task}_{method}_{model}_{settings}_s{seed}.png")


def main(argv: list[str]) -> int:
    """Combine two pictures, and save the pictures with --out."""
    parser = Parser(
        prog="python -m inversion combine",
        description="Combine two pictures, or two codes in files.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="kinds:\n" + "".join(f"  {name}: {kind.text}\n" for name, kind in KINDS.items()),
        allow_abbrev=False,
    )
    parser.add_argument("first", type=Path, metavar="FIRST", help="a picture or a code")
    parser.add_argument("second", type=Path, metavar="SECOND", help="a picture or a code")
    parser.add_argument("--kind", choices=list(KINDS), default="interpolate", help="see below (default: %(default)s)")
    parser.add_argument("--method", metavar="M", help=f"inverts both (default: wplus; diffuse: {DIFFUSION.method})")
    parser.add_argument("--pictures", type=int, default=7, metavar="N", help="of interpolate (default: 7)")
    parser.add_argument("--layer", type=int, default=7, metavar="N", help="first layer of SECOND in mix (default: 7)")
    parser.add_argument("--mask", type=Path, metavar="FILE", help="of diffuse: white marks the region of FIRST")
    add_model(parser)
    add_options(parser)
    parser.add_argument("--preset", default="quick", choices=list(PRESETS), help=PRESET_HELP)
    parser.add_argument("--set", action="append", default=[], dest="settings", metavar="stage.field=VALUE")
    parser.add_argument("--align", default="auto", choices=AUTOMATIC_CROPS, help="the part of a picture that is used")
    parser.add_argument("--seed", type=int, default=0, help="random seed (default 0)")
    parser.add_argument("--budget", type=float, default=3600.0, metavar="SECONDS", help="time limit of a method")
    add_device(parser)
    add_outputs(parser, NAMES)
    parser.set_defaults(recursive=False)
    args = parse(parser, argv)

    def run() -> int:
        args.images, args.task = [args.first, args.second], args.kind
        args.method = args.method or (DIFFUSION.method if args.kind == "diffuse" else "wplus")
        choose_model(args)
        return _Combination(args).report()

    return guarded(parser.prog, run)


class _Combination:
    """The combination that the arguments describe. Raises UserError for wrong ones."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args, self.stop, self.printed = args, StopRequest(), set[str]()
        if args.kind == "interpolate" and not MIN_FRAMES <= args.pictures <= MAX_FRAMES:
            raise UsageError(f"--pictures must be from {MIN_FRAMES} to {MAX_FRAMES}, not {args.pictures}")
        if (args.kind == "diffuse") != (args.mask is not None):
            raise UsageError("--mask FILE marks the region for diffuse, and only for it")
        self.settings = settings_of(args, [args.method])[args.method]
        if args.kind == "diffuse" and args.method == DIFFUSION.method:
            self.settings = {**DIFFUSION.settings, **self.settings}
        self.lane = Lane(args.device, args.dtype)
        self.outputs = Outputs(args, args.images, several=False)
        self.rows: dict[str, Mapping[str, object]] = {}  # of the runs, by file

    def report(self) -> int:
        """Combine, save and print. Returns the exit status; raises UserError."""
        args = self.args
        with self.stop:
            parts = KINDS[args.kind].make(self)
            picture = np.concatenate(parts, axis=1)
            row: Row = {"picture": str(args.first), "second": str(args.second), "task": args.kind, "error": ""}
            row |= {"method": args.method, "model": args.model, "seed": args.seed, "pictures": len(parts)}
            row |= {"settings": self.settings, "runs": self.rows, "interrupted": self.stop.signal is not None}
            digits = settings_digits({**row, "layer": args.layer, "mask": str(args.mask)})
            image = self.outputs.save({**row, "picture": args.first.stem, "settings": digits}, picture)
            row["image"] = None if image is None else str(image)
            self.outputs.record(row, image)
        if args.json == STDOUT:
            sys.stdout.write(dumps(row) + "\n")
        else:
            sys.stdout.write(f"{image}\n" if image is not None else "No picture was saved: add --out DIR to save it.\n")
        return self.stop.status

    def inverted(self, path: Path) -> Inverted:
        """The result of the method for a picture, or the code of a file. Raises UserError."""
        args = self.args
        if path.suffix.lower() in SUFFIXES:
            result, _, notes = self.lane.answer(OpenRequest(args.model, read_code(path)))
            write_notes(notes, self.printed)
            return result
        request = self._request(DEFAULT_TASK, self.read(path), {})
        _, done = follow(self.lane, request, self.stop, lambda notes: write_notes(notes, self.printed))
        self.rows[str(path)] = done.row
        return Inverted(done.code, done.weights, done.row["model_options"])

    def interpolated(self) -> list[np.ndarray]:
        """Pictures uint8 (R, R, 3) from the first to the second."""
        first, second = (self.inverted(path) for path in self.args.images)
        return self.lane.answer(InterpolateRequest(self.args.model, first, second, self.args.pictures))

    def mixed(self) -> list[np.ndarray]:
        """The mixture uint8 (R, R, 3)."""
        first, second = (self.inverted(path) for path in self.args.images)
        return [self.lane.answer(MixRequest(self.args.model, first, second, self.args.layer))]

    def diffused(self) -> list[np.ndarray]:
        """The second picture with the region of the first one, uint8 (R, R, 3)."""
        first, second = (self.read(path) for path in self.args.images)
        mask = images.decode_mask(self.args.mask, first.pixels.shape[:2])
        write_notes(mask.notes, self.printed)
        request = self._request(DIFFUSION.task, first, {"mask": mask.pixels, "context": second})
        _, done = follow(self.lane, request, self.stop, lambda notes: write_notes(notes, self.printed))
        self.rows[str(self.args.first)] = done.row
        return [done.image]

    def read(self, path: Path) -> CroppedPicture:
        """A picture and the part of it that is used. Raises UserError."""
        if path.suffix.lower() in SUFFIXES:
            raise UsageError(f"diffuse needs two pictures, and {path} is a code")
        decoded = images.decode(path)
        pixels = np.asarray(decoded.picture)
        part = crop(pixels, self.args.model, self.args.align)
        write_notes([*decoded.notes, *([part.note] if part.note else [])], self.printed)
        return CroppedPicture(pixels, part)

    def _request(self, task: str, picture: CroppedPicture, inputs: Mapping[str, TaskInput]) -> Request:
        """A checked request. Raises UserError."""
        args = self.args
        request = Request(
            task=task,
            method=args.method,
            picture=picture.pixels,
            model=args.model,
            settings=self.settings,
            seed=args.seed,
            budget=args.budget,
            options=options_of(args),
            crop=picture.crop,
            inputs=inputs,
        )
        self.lane.check(request)
        return request


class Kind(NamedTuple):
    """A way to combine two pictures. make: the pictures uint8 (R, R, 3) that are saved side by side."""

    text: str
    make: Callable[[_Combination], list[np.ndarray]]


KINDS: dict[str, Kind] = {
    "interpolate": Kind("pictures on the way from FIRST to SECOND", _Combination.interpolated),
    "mix": Kind("coarse layers of FIRST, fine layers of SECOND", _Combination.mixed),
    "diffuse": Kind("the region of FIRST that --mask marks, blended into SECOND", _Combination.diffused),
}
