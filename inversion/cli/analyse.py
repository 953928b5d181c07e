"""`analyse`: check an effect that a paper describes on pictures."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

from inversion import images
from inversion.analysis import ANALYSES, analysis_of
from inversion.analysis.export import write
from inversion.cli.batch import Batch, add_images
from inversion.cli.common import write_notes
from inversion.cli.outputs import DEFAULT, add_row_flags, parse
from inversion.cli.own import add_model, add_options, choose_model, options_of
from inversion.cli.runs import follow
from inversion.common.commands import Parser, UsageError, add_device, guarded, visible
from inversion.common.names import safe_name
from inversion.common.rows import Row
from inversion.common.settings import default_of
from inversion.serving.lane import Lane
from inversion.serving.measurement import AUTOMATIC_CROPS, crop
from inversion.serving.runs import Finished, Request
from inversion.tasks import DEFAULT_TASK


def main(argv: list[str]) -> int:
    """Analyse every IMAGE, print the finding and the table, and save pictures, plots and figures with --out."""
    parser = Parser(
        prog="python -m inversion analyse",
        description="Check an effect that a paper describes, on your own picture.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=_catalogue(),
        allow_abbrev=False,
    )
    parser.add_argument("kind", choices=list(ANALYSES), metavar="KIND", help="one of those below")
    add_images(parser, "the pictures")
    add_model(parser)
    add_options(parser)
    parser.add_argument(
        "--set", action="append", default=[], dest="settings", metavar="FIELD=VALUE", help="a setting of the analysis"
    )
    parser.add_argument("--align", default="auto", choices=AUTOMATIC_CROPS, help="the part of IMAGE to use")
    parser.add_argument("--face", type=int, default=1, metavar="N", help="which face; 1 is the largest (default)")
    parser.add_argument("--seed", type=int, default=0, help="random seed (default 0)")
    parser.add_argument("--budget", type=float, default=3600.0, metavar="SECONDS", help="time limit of an analysis")
    add_device(parser)
    parser.add_argument(
        "--out",
        metavar="DIR",
        help="save the pictures, plots, table and figures in this folder. A file that exists is kept; the new one gets "
        "a number",
    )
    parser.set_defaults(names=DEFAULT, overwrite=False)
    add_row_flags(parser)
    args = parse(parser, argv)

    def run() -> int:
        choose_model(args)
        args.task = f"analyse-{args.kind}"  # in names of files
        return _Analyses(args).report()

    return guarded(parser.prog, run)


class _Analyses:
    """The analyses of the pictures of the command. Raises UsageError, or SettingError for a wrong setting."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args, self.settings = args, _settings(args.settings)
        analysis_of(args.kind).configured(self.settings)
        self.lane, self.batch = Lane(args.device, args.dtype), Batch(args)
        if args.out is not None and self.batch.outputs.folder is None:
            raise UsageError(f"An analysis has several files. Let --out {args.out} be a folder.")

    def report(self) -> int:
        """Do the analyses and print them. Returns the exit status; raises UserError."""

        def show(rows: list[Row]) -> None:
            for row in rows:
                if row["error"]:
                    sys.stdout.write(visible(f"{row['picture']}: {row['error']}") + "\n")

        return self.batch.report(self.batch.one_row(self._row), show)

    def _row(self, path: Path) -> Row:
        """Analyse a picture and save its files."""
        args, outputs = self.args, self.batch.outputs
        decoded = images.decode(path)
        picture = np.asarray(decoded.picture)
        part = crop(picture, args.model, args.align, args.face)
        write_notes([*decoded.notes, *([part.note] if part.note else [])], set())
        request = Request(
            task=DEFAULT_TASK,
            method=args.kind,
            picture=picture,
            model=args.model,
            settings=self.settings,
            seed=args.seed,
            budget=args.budget,
            crop=part,
            notes=decoded.notes,
            options=options_of(args),
            analysis=args.kind,
        )
        self.lane.check(request)
        with self.batch.stop.postponed():
            _, finished = follow(self.lane, request, self.batch.stop, lambda notes: None)
        row: Row = {**finished.row, "picture": str(path), "message": finished.message, "error": "", "image": None}
        if not self.batch.json:
            _print(args.kind, finished)
        if outputs.folder is not None and finished.report is not None:
            files = write(finished.report, row, outputs.folder, safe_name(f"{path.stem}_{args.task}"))
            row["image"] = None if files.sheet is None else str(files.sheet)
            shown = [file for file in (files.sheet, files.table, files.figures, *files.plots) if file is not None]
            sys.stderr.writelines(f"{file}\n" for file in shown)
        outputs.record({**row, "table": len(row["table"])}, None, shared=False)
        return row


def _settings(texts: list[str]) -> dict[str, object]:
    """Texts of the form FIELD=VALUE as a dict. Raises UsageError for any other."""
    values: dict[str, object] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not (name and equals):
            raise UsageError(f"--set needs FIELD=VALUE, not {text!r}")
        values[name] = value
    return values


def _print(kind: str, finished: Finished) -> None:
    """Print the three sentences, the table and the finding."""
    analysis, report = analysis_of(kind), finished.report
    sentences = {"Claim": analysis.claim, "Look at": analysis.look, "In the paper": analysis.where}
    sys.stdout.writelines(f"{name}: {text}\n" for name, text in sentences.items())
    if report is None:
        return
    table = [[column.label for column in report.table.columns], *report.table.rows_as_text()]
    widths = [max(map(len, cells)) for cells in zip(*table, strict=True)]
    for line in table if report.table.rows else ():
        cells = [cell.rjust(n) for cell, n in zip(line, widths, strict=True)]
        sys.stdout.write("  ".join([line[0].ljust(widths[0]), *cells[1:]]) + "\n")
    sys.stdout.writelines(f"{text}\n" for text in (report.finding, finished.message) if text)


def _catalogue() -> str:
    """Every analysis with its claim and its settings."""
    lines = []
    for key, kind in ANALYSES.items():
        lines.append(f"  {key}: {kind.label} ({kind.paper})\n    {kind.claim}")
        specs = catalogue_fields(key)
        if specs:
            lines.append(f"    settings: {specs}")
    return "kinds:\n" + "\n".join(lines)


def catalogue_fields(key: str) -> str:
    """The settings of an analysis with their defaults, in one line."""
    from dataclasses import fields

    return ", ".join(f"{spec.name}={default_of(spec)}" for spec in fields(ANALYSES[key]))
