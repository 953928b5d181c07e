"""`edit`: invert a picture, then move the result along directions."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from inversion import images
from inversion.checkpoints.codes import read_code
from inversion.checkpoints.registry import DEFAULT, registry
from inversion.cli.batch import Batch
from inversion.cli.codes import SUFFIXES
from inversion.cli.common import run_parser
from inversion.cli.outputs import Outputs, parse
from inversion.cli.own import check_directions, choose_model
from inversion.cli.runs import Added, Runs
from inversion.common.commands import Parser, UsageError, guarded, visible
from inversion.common.names import companion, numbered, reserve, settings_digits, write_whole
from inversion.common.rows import Row, RowView
from inversion.editing.animation import animated, path_of
from inversion.editing.local import region_of
from inversion.editing.requests import (
    DirectionsRequest,
    Edited,
    EditOptions,
    EditRequest,
    Inverted,
    check_moves,
    read_layers,
)
from inversion.editing.sheet import edit_tiles, read_parts
from inversion.editing.timeline import timeline
from inversion.images.sheets import Tile, sheet
from inversion.methods import SettingError
from inversion.metrics import METRICS
from inversion.serving.exports import OpenRequest
from inversion.serving.lane import Lane
from inversion.serving.runs import Finished, Request
from inversion.tasks import TASKS

SHOWN = 6  # number of attributes that are printed: those with the largest changes

SUMMARY = """Invert pictures, or open codes, and move the results along directions. With --mask FILE, only the white
part changes, with a soft edge (if the task has a mask of its own, as inpaint has, FILE is that one instead)."""

CODE_NAMES = ("{picture}_{task}.png", "{picture}_{task}_{model}_{settings}.png")  # of pictures of codes


def main(argv: list[str]) -> int:
    """Run the method, edit its result, print the figures, and save the pictures with --out."""
    parser = run_parser("edit", SUMMARY)
    parser.add_argument("--method", default="wplus", metavar="M", help="a method with a code, or stages joined by +")
    parser.add_argument(
        "--edit",
        action="append",
        default=[],
        metavar="NAME=STRENGTH",
        help="in standard deviations, as in smile=1.5; may be repeated",
    )
    parser.add_argument(
        "--sefa", action="append", default=[], metavar="N=STRENGTH", help="along the Nth direction of SeFa"
    )
    parser.add_argument(
        "--ganspace", action="append", default=[], metavar="N=STRENGTH", help="along the Nth direction of GANSpace"
    )
    parser.add_argument(
        "--layers", default="", metavar="A-B", help="first and last style to move, counted from 0 (default: all)"
    )
    parser.add_argument("--keep", default="", metavar="A,B", help="attributes to keep (conditional manipulation)")
    parser.add_argument(
        "--keep-identity",
        type=float,
        metavar="S",
        help="shrink the edit until the identity similarity to the unedited picture is at least S, from 0 to 1",
    )
    _add_series(parser)
    args = parse(parser, argv)

    def run() -> int:
        _check_pictures(args)
        choose_model(args)
        if args.images[0].suffix.lower() in SUFFIXES:
            codes = _EditedCodes(args)
            return _finished(codes.plan, codes.report())
        plan = _Plan(args)
        runs = Runs(args, [args.method], plan)
        plan.outputs = runs.batch.outputs
        return _finished(plan, runs.report(_write_changes))

    return guarded(parser.prog, run)


def _finished(plan: _Plan, status: int) -> int:
    """Write the sheet of all pictures, if it is wanted. Returns the exit status."""
    if plan.tiles:
        path = reserve(numbered(Path(plan.args.out) / "edits.png"), lambda found: plan.args.overwrite)
        write_whole(path, lambda part: sheet(plan.tiles, len(plan.parts)).save(part, "PNG"))
        sys.stderr.write(f"{path}\n")
    return status


def _add_series(parser: Parser) -> None:
    """Add the flags of a strip, a sheet and a moving picture."""
    parser.add_argument(
        "--strip", type=int, default=0, metavar="N", help="save a strip of N pictures, from no edit to the full edit"
    )
    parser.add_argument(
        "--parts",
        default="",
        metavar="P,P,...",
        help="parts of the edit for a labelled sheet of all pictures, as 0,0.5,1",
    )
    parser.add_argument(
        "--animate", action="store_true", help="save an animated WebP, from no edit to the full edit and back"
    )
    parser.add_argument("--mp4", action="store_true", help="save the animation as MP4 (VP9), too")
    parser.add_argument(
        "--key",
        action="append",
        default=[],
        metavar="NAME=STRENGTH,...",
        help="a key state of --animate, as in yaw=2,smile=-1, or an empty text for no edit; may be repeated",
    )
    parser.add_argument("--frames", type=int, default=31, metavar="N", help="of --animate (default: %(default)s)")


def _check_pictures(args: argparse.Namespace) -> None:
    """Refuse a strip or an animation that cannot be made, before the run. Raises UserError."""
    if args.strip < 0 or args.strip == 1:
        raise UsageError("--strip needs at least 2 pictures")
    wanted = next((name for name in ("strip", "animate", "parts") if getattr(args, name)), None)
    if wanted is not None and args.out is None:
        raise UsageError(f"--{wanted} needs a folder: add --out DIR")
    if args.parts and ("{" in args.out or Path(args.out).suffix):
        raise UsageError(f"--parts writes one sheet of all pictures into a folder, and {args.out} is none")
    if (args.key or args.mp4) and not args.animate:
        raise UsageError(f"--{'key' if args.key else 'mp4'} belongs to --animate: add --animate")
    timeline(path_of([{}] * max(1, len(args.key))), args.frames)


class _EditedCodes:
    """The edits of codes in files, of the model of the first one if none is chosen. Raises UserError."""

    def __init__(self, args: argparse.Namespace) -> None:
        code = read_code(args.images[0])
        if args.model == DEFAULT and code.model in registry():
            args.model = code.model
        args.task, args.names = "code", CODE_NAMES
        self.args, self.lane, self.batch = args, Lane(args.device, args.dtype), Batch(args)
        self.plan = _Plan(args)
        self.plan.outputs = self.batch.outputs

    def report(self) -> int:
        """Edit the codes and print the figures. Returns the exit status; raises UserError."""

        def show(rows: list[Row]) -> None:
            for row in rows:
                if row["error"]:
                    sys.stdout.write(visible(f"{row['picture']}: {row['error']}") + "\n")
                _write_changes(row)

        return self.batch.report(self.batch.one_row(self._row), show)

    def _row(self, path: Path) -> Row:
        """Edit a code, and save its picture, the edited one and the row."""
        args, outputs = self.args, self.batch.outputs
        result, picture, notes = self.lane.answer(OpenRequest(args.model, read_code(path)))
        sys.stderr.writelines(visible(note) + "\n" for note in notes)
        row: Row = {"picture": str(path), "task": args.task, "method": None, "model": args.model, "seed": args.seed}
        row |= {"code": str(path), "model_options": dict(result.options), "message": "", "error": ""}
        digits = settings_digits(self.plan.options.row())
        image = outputs.save({**row, "picture": path.stem, "method": "edit", "settings": digits}, picture)
        row["image"] = None if image is None else str(image)
        request = Request(args.task, "code", picture, args.model)
        row |= self.plan(self.lane, request, Finished(picture, row, {}, result.code, result.weights), image).fields
        outputs.record(row, image)
        return row


class _Plan:
    """The edit that the arguments describe. It is checked before the run, which takes longer."""

    outputs: Outputs

    def __init__(self, args: argparse.Namespace) -> None:
        self.args = args
        try:
            layers = read_layers(args.layers)
        except SettingError:
            raise UsageError(f"--layers needs A-B, as in 0-5, not {args.layers!r}") from None
        limit = args.keep_identity
        if limit is not None and not 0 <= limit <= 1:
            raise UsageError(f"--keep-identity must be from 0 to 1, not {limit:g}")
        own = TASKS.get(args.task)  # a task with a mask of its own uses the file
        self.mask: Path | None = None if own is not None and "mask" in own.__dataclass_fields__ else args.mask
        if self.mask is not None:
            images.decode_mask(self.mask)  # refuses a wrong file before the run
        moves = {
            **_strengths("--edit", args.edit, ""),
            **_strengths("--sefa", args.sefa, "sefa_"),
            **_strengths("--ganspace", args.ganspace, "ganspace_"),
        }
        keep = tuple(name for name in args.keep.split(",") if name)
        self.states = [_strengths("--key", [part for part in key.split(",") if part], "") for key in args.key]
        moves = moves or next((state for state in reversed(self.states) if state), {})
        self.options = EditOptions(moves, layers, keep, keep_identity=limit)
        self.parts = read_parts(args.parts) if args.parts else []
        self.tiles: list[Tile] = []
        lane = Lane(args.device, args.dtype)
        check_directions(args, lane.load(args.model))
        cards = lane.answer(DirectionsRequest(args.model, layers))
        self.labels = {card["name"]: card["label"] for card in cards}
        if not moves:
            ranges = [f"{card['name']} ({card['low']:g} to {card['high']:g})" for card in cards]
            choices = ", ".join(ranges) or f"{args.model} has none"
            raise UsageError(f"no direction is given: add --edit NAME=STRENGTH, one or more of {choices}")
        for state in (dict.fromkeys(keep, 0.0), moves, *self.states):
            check_moves(cards, state)

    def __call__(self, lane: Lane, request: Request, finished: Finished, image: Path | None) -> Added:
        """Edit a result whose picture lies in `image`: the fields for its row, and the edited picture."""
        result = Inverted(finished.code, finished.weights, finished.row["model_options"])
        options = replace(self.options, mask=self._region(request, finished))

        def move(wanted: EditOptions) -> Edited:
            return lane.answer(EditRequest(request.model, result, finished.image, wanted))

        edited = move(options)
        added: Row = {**options.row(), **edited.row(), "image": None}
        if image is not None:
            added["image"] = str(self.outputs.beside(image, "_edited.png", edited.picture))
            self.tiles += edit_tiles(move, options, self.parts, image.stem, self.labels)
            if self.args.strip:
                factors = np.linspace(0, edited.factor, self.args.strip).tolist()
                strip = np.concatenate([move(options.part(factor)).picture for factor in factors], axis=1)
                self.outputs.beside(image, "_edited_strip.png", strip)
            if self.args.animate:
                pictures = [*animated(move, options, path_of(self.states or [options.moves]), self.args.frames)]
                added |= self._films(image, pictures)
        return Added({"edit": added}, [edited.picture])

    def _films(self, image: Path, pictures: Sequence[np.ndarray]) -> Row:
        """Write an animation beside a picture; returns the fields of its files."""
        made: Row = {"animation": str(companion(image, "_edited.webp"))}
        write_whole(Path(made["animation"]), lambda part: images.write_webp(part, pictures))
        if self.args.mp4:
            made["video"] = str(companion(image, "_edited.mp4"))
            write_whole(Path(made["video"]), lambda part: images.write_mp4(part, pictures))
        return made

    def _region(self, request: Request, finished: Finished) -> np.ndarray | None:
        """The part of the result that --mask marks, uint8 (R, R). Raises BadImage and SettingError."""
        if self.mask is None:
            return None
        shape, invert = request.picture.shape[:2], self.args.invert_mask
        mask = images.decode_mask(self.mask, (shape[0], shape[1]), invert=invert)
        return region_of(mask.pixels, request.crop, finished.image.shape[0])


def _strengths(option: str, texts: Sequence[str], prefix: str) -> dict[str, float]:
    """Texts of the form NAME=STRENGTH as a dict. Raises UsageError for any other."""
    strengths = {}
    for text in texts:
        name, _, value = text.partition("=")
        if prefix and not name.isdecimal():
            raise UsageError(f"{option} needs a number, as in 1=2.0.")
        try:
            strengths[prefix + name] = float(value)
        except ValueError:
            raise UsageError(f"{option} needs {'N' if prefix else 'NAME'}=STRENGTH, not {text!r}") from None
    return strengths


def _write_changes(row: RowView) -> None:
    """Print the largest changes of attributes, the figures and the file of an edit, if the row has one."""
    if "edit" not in row:
        return
    edit = row["edit"]
    changes = {name: after - before for name, (before, after) in edit["attributes"].items()}
    most = sorted(changes, key=lambda name: -abs(changes[name]))[:SHOWN]
    if edit["factor"] < 1:
        sys.stdout.write(f"shrunk to {100 * edit['factor']:.0f} % to keep the identity\n")
    if most:
        sys.stdout.write("changed: " + ", ".join(f"{name} {changes[name]:+.2f}" for name in most) + "\n")
    for name, metric in METRICS.items():
        if edit.get(name) is not None:
            sys.stdout.write(f"{name.replace('_', ' ')} to the unedited picture: {edit[name]:.{metric.digits}f}\n")
    if edit["image"] is not None:
        sys.stdout.write(f"{edit['image']}\n")
