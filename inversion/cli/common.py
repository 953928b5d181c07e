"""Shared by the commands: arguments of a run, tables, JSON."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import MISSING, Field, fields
from pathlib import Path
from typing import Any, get_args

import numpy as np

from inversion import images
from inversion.cli.batch import add_images
from inversion.cli.codes import add_nvidia, add_start
from inversion.cli.outputs import add_outputs
from inversion.cli.own import add_model, add_options
from inversion.cli.records import dumps
from inversion.cli.sources import matching
from inversion.common.commands import Parser, UsageError, add_device, visible
from inversion.common.rows import Row
from inversion.common.settings import Kind, SettingError, checked, kind_of
from inversion.methods import PRESETS
from inversion.metrics import METRICS
from inversion.serving.measurement import AUTOMATIC_CROPS, crop
from inversion.serving.runs import CroppedPicture, TaskInput
from inversion.tasks import DEFAULT_TASK, TASKS, TaskError, task_class, task_fields

PRESET_HELP = "few steps, measured to be as good, or steps and rates of the paper; --set changes single settings"


def run_parser(command: str, description: str) -> Parser:
    """A parser with the arguments of a run, except the method."""
    parser = Parser(prog=f"python -m inversion {command}", description=description, allow_abbrev=False)
    add_images(parser, "the input pictures")
    add_run(parser)
    add_nvidia(parser)
    add_outputs(parser)
    return parser


def add_run(parser: Parser) -> None:
    """Add the flags of a run, except the method."""
    parser.add_argument("--task", default=DEFAULT_TASK, choices=list(TASKS), help="default: %(default)s")
    add_model(parser)
    add_options(parser)
    parser.add_argument("--preset", default="quick", choices=list(PRESETS), help=PRESET_HELP)
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        dest="settings",
        metavar="stage.field=VALUE",
        help="a setting of a stage; may be repeated",
    )
    add_task_inputs(parser)
    add_start(parser)
    parser.add_argument(
        "--align",
        default="auto",
        choices=AUTOMATIC_CROPS,
        help="the part of IMAGE to use; auto: the face for models of aligned faces, otherwise the central square",
    )
    parser.add_argument("--face", type=int, default=1, metavar="N", help="which face; 1 is the largest (default)")
    parser.add_argument("--measured", action="store_true", help="IMAGE is the measurement, not the original")
    parser.add_argument("--seed", type=int, default=0, help="random seed (default 0)")
    parser.add_argument("--budget", type=float, default=3600.0, metavar="SECONDS", help="time limit of a method")
    add_device(parser)


def add_task_inputs(
    parser: argparse.ArgumentParser, kinds: Collection[Kind] = get_args(Kind), **defaults: object
) -> None:
    """Add a flag for each field of a task that is of one of these kinds. `defaults` replace those of the tasks."""
    try:
        known = task_fields()
    except TaskError as error:
        parser.error(str(error))
    for name, (spec, owners) in known.items():
        if kind_of(spec) not in kinds:
            continue
        numeric = kind_of(spec) == "number"
        text = f"for {', '.join(owners)}: {sentence_part(spec.metadata['help'])}"
        if kind_of(spec) == "mask":
            parser.add_argument(
                f"--invert-{flag_of(name)}",
                action="store_true",
                help=f"for {', '.join(owners)}: mark the other part of the {spec.metadata['label'].lower()}",
            )
        parser.add_argument(
            f"--{flag_of(name)}",
            type=reader(spec) if numeric else Path,
            default=defaults.get(name),
            metavar=metavar(spec) if numeric else "FILE",
            help=(
                f"{text} (default {spec.default})" if numeric else f"{text}; or a folder with a file for each IMAGE"
            ).replace("%", "%%"),
        )


def reader(spec: Field[Any]) -> Callable[[str], bool | int | float | str]:
    """The type of a flag for a field: it converts and checks the value like every other way to set the field."""

    def read(text: str) -> bool | int | float | str:
        try:
            return checked("the value", spec, text)
        except SettingError as error:
            raise argparse.ArgumentTypeError(str(error).rstrip(".")) from None

    return read


def metavar(spec: Field[Any]) -> str | None:
    """The placeholder in the help for the value of a field's flag; None: its name."""
    return "true|false" if isinstance(spec.default, bool) else None


def sentence_part(text: str) -> str:
    """A sentence as it follows a colon: with a small first letter, without a full stop."""
    return text[:1].lower() + text[1:].rstrip(".")


def task_inputs(
    args: argparse.Namespace, path: Path, picture: images.Decoded, notes: list[str]
) -> dict[str, TaskInput]:
    """Values of the task's fields from the flags; files are read, and facts about them are added to `notes`.

    path: the input. picture: its content. If a part of it was erased, that is the mask if no file is given.
    """
    inputs: dict[str, TaskInput] = {}
    for spec in fields(task_class(args.task)):
        value: Any = getattr(args, spec.name, None)
        if isinstance(value, Path):
            value = matching(value, path)
        if value is not None and kind_of(spec) == "mask":
            invert = getattr(args, f"invert_{spec.name}")
            width, height = picture.picture.size
            mask = images.decode_mask(value, (height, width), invert=invert)
            value = mask.pixels
            notes += mask.notes
        elif kind_of(spec) == "mask" and picture.erased is not None:
            value = 255 - picture.erased if getattr(args, f"invert_{spec.name}") else picture.erased
        elif value is not None and kind_of(spec) == "picture":
            decoded = images.decode(value)
            second = np.asarray(decoded.picture)
            value = CroppedPicture(second, crop(second, args.model, args.align))
            notes += decoded.notes
        if kind_of(spec) == "mask" and value is not None and images.is_unknown(picture.erased, value):
            notes.append(images.ERASED)
        if value is not None:
            inputs[spec.name] = value
    return inputs


def require_inputs(task: str, inputs: Mapping[str, TaskInput], written: str) -> None:
    """Check that the inputs hold every field of the task without a default.

    written: how the value of a field is given, as "--{} FILE". Raises UsageError that says so.
    """
    kind = task_class(task)
    for spec in fields(kind):
        if spec.default is MISSING and spec.name not in inputs:
            way = written.format(flag_of(spec.name))
            other = ", or erase the part of the picture, so that it is transparent" if kind_of(spec) == "mask" else ""
            raise UsageError(f"{kind.label} needs a {spec.metadata['label'].lower()}: give it with {way}{other}")


def flag_of(name: str) -> str:
    """A field's name as it stands in its flag."""
    return name.replace("_", "-")


def write_json(value: object) -> None:
    """Print one JSON document on stdout."""
    sys.stdout.write(dumps(value) + "\n")


def write_table(rows: Sequence[Mapping[str, object]], columns: Sequence[str]) -> None:
    """Print rows as aligned columns on stdout. A missing value is a dash."""
    sys.stdout.writelines(f"{line}\n" for line in table_lines(rows, columns))


def table_lines(rows: Sequence[Mapping[str, object]], columns: Sequence[str]) -> list[str]:
    """Rows as aligned columns: a line with the names of the columns, and a line for each row."""
    cells = [list(columns), *([_cell(row.get(c)) for c in columns] for row in rows)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(columns))]
    return ["  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)).rstrip() for line in cells]


def write_notes(notes: Sequence[str], printed: set[str]) -> None:
    """Print the notes that are not in `printed` on stderr, and add them to it."""
    for note in dict.fromkeys(notes):
        if note not in printed:
            sys.stderr.write(f"{note}\n")
    printed.update(notes)


def write_rows(rows: Sequence[Row], args: argparse.Namespace) -> None:
    """Print the figures of runs as a table on stdout, and what is to say about them."""
    known = [name for name in METRICS if any(row.get(name) is not None for row in rows)]
    several = len({row["picture"] for row in rows}) > 1
    write_table(rows, [*(["picture"] if several else []), "method", *known, "seconds", "image"])
    for row in rows:
        if text := row["error"] or row["message"]:
            names = [row["picture"] if several else None, row["method"]]
            sys.stdout.write(visible(f"{', '.join(name for name in names if name)}: {text}") + "\n")
    if args.out is None:
        sys.stdout.write("No pictures were saved: add --out DIR to save them.\n")


def _cell(value: object) -> str:
    if value is None or value == "":
        return "-"
    return f"{value:.3f}" if isinstance(value, float) else visible(str(value))
