"""`edit`: invert a picture, then move the result along directions."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import numpy as np

from inversion import images
from inversion.checkpoints.codes import SavedCode, read_code
from inversion.checkpoints.registry import DEFAULT, registry
from inversion.cli.codes import SUFFIXES
from inversion.cli.common import dumps, run_methods, run_parser, write_json, write_rows
from inversion.cli.own import choose_model
from inversion.common.commands import UsageError, guarded, make_folder
from inversion.common.rows import Row, RowView
from inversion.editing.requests import DirectionsRequest, EditRequest, Inverted, check_moves, read_layers
from inversion.methods import SettingError
from inversion.metrics import METRICS
from inversion.serving.exports import OpenRequest
from inversion.serving.lane import Finished, Lane, Request

SHOWN = 6  # number of attributes that are printed: those with the largest changes


def main(argv: list[str]) -> int:
    """Run the method, edit its result, print the figures, and save the pictures with --out."""
    parser = run_parser("edit", "Invert a picture, or open a code, and move the result along directions.")
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
        "--strip", type=int, default=0, metavar="N", help="save a strip of N pictures, from no edit to the full edit"
    )
    args = parser.parse_args(argv)

    def run() -> None:
        if args.strip < 0 or args.strip == 1:
            raise UsageError("--strip needs at least 2 pictures")
        if args.strip and args.out is None:
            raise UsageError("--strip needs a folder: add --out DIR")
        choose_model(args)
        code = read_code(args.image) if args.image.suffix.lower() in SUFFIXES else None
        if code is not None and args.model == DEFAULT and code.model in registry():
            args.model = code.model  # the user has chosen none
        plan = _Plan(args)
        rows = list(run_methods(args, [args.method], plan)) if code is None else [_edit_code(args, code, plan)]
        if args.json:
            write_json(rows[0])
        else:
            if code is None:
                write_rows(rows, args)
            _write_changes(rows[0]["edit"])

    return guarded(parser.prog, run)


def _edit_code(args: argparse.Namespace, code: SavedCode, plan: _Plan) -> Row:
    """The row of an edit of a code. With --out, saves the edited picture and the row as JSON."""
    lane = Lane(args.device, args.dtype)
    result, picture = lane.answer(OpenRequest(args.model, code))
    if args.out is not None:
        make_folder(args.out)
    row: Row = {"model": args.model, "code": str(args.image), "model_options": dict(result.options), "message": ""}
    request = Request("reconstruct", "code", picture, args.model)
    added, _ = plan(lane, request, Finished(picture, row, {}, result.code, result.weights))
    row |= added
    if args.out is not None:
        (args.out / f"{args.image.stem}_code.json").write_text(dumps(row) + "\n", encoding="utf-8")
    return row


class _Plan:
    """The edit that the arguments describe. It is checked before the run, which takes longer."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args = args
        try:
            self.layers = read_layers(args.layers)
        except SettingError:
            raise UsageError(f"--layers needs A-B, as in 0-5, not {args.layers!r}") from None
        self.keep = tuple(name for name in args.keep.split(",") if name)
        self.moves = {
            **_strengths("--edit", args.edit, ""),
            **_strengths("--sefa", args.sefa, "sefa_"),
            **_strengths("--ganspace", args.ganspace, "ganspace_"),
        }
        cards = Lane(args.device, args.dtype).answer(DirectionsRequest(args.model, self.layers))
        if not self.moves:
            ranges = [f"{card['name']} ({card['low']:g} to {card['high']:g})" for card in cards]
            choices = ", ".join(ranges) or f"{args.model} has none"
            raise UsageError(f"no direction is given: add --edit NAME=STRENGTH, one or more of {choices}")
        check_moves(cards, {**dict.fromkeys(self.keep, 0.0), **self.moves})

    def __call__(self, lane: Lane, request: Request, finished: Finished) -> tuple[Row, list[np.ndarray]]:
        """Edit a result. Returns the fields for its row, and the edited picture."""
        result = Inverted(finished.code, finished.weights, finished.row["model_options"])

        def ask(part: float) -> EditRequest:
            moves = {name: part * strength for name, strength in self.moves.items()}
            return EditRequest(request.model, result, finished.image, moves, self.layers, self.keep)

        edited = lane.answer(ask(1.0))
        added: Row = {
            "moves": self.moves,
            "layers": self.layers,
            "keep": list(self.keep),
            **edited.row(),
            "image": None,
        }
        if self.args.out is not None:
            path = self.args.out / f"{self.args.image.stem}_{request.task}_{request.method}_edited.png"
            images.write_png(path, edited.picture)
            added["image"] = str(path)
            if self.args.strip:
                parts = [lane.answer(ask(t)).picture for t in np.linspace(0, 1, self.args.strip).tolist()]
                images.write_png(path.with_stem(f"{path.stem}_strip"), np.concatenate(parts, axis=1))
        return {"edit": added}, [edited.picture]


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


def _write_changes(edit: RowView) -> None:
    """Print the largest changes of attributes, the figures and the file."""
    changes = {name: after - before for name, (before, after) in edit["attributes"].items()}
    most = sorted(changes, key=lambda name: -abs(changes[name]))[:SHOWN]
    if most:
        sys.stdout.write("changed: " + ", ".join(f"{name} {changes[name]:+.2f}" for name in most) + "\n")
    for name, metric in METRICS.items():
        if edit.get(name) is not None:
            sys.stdout.write(f"{name.replace('_', ' ')} to the unedited picture: {edit[name]:.{metric.digits}f}\n")
    if edit["image"] is not None:
        sys.stdout.write(f"{edit['image']}\n")
