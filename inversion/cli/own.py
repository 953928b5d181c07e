"""The arguments that choose a model: a registered one, or the user's own files with their facts."""

from __future__ import annotations

import argparse
import sys
from dataclasses import fields
from pathlib import Path

from inversion.checkpoints import own
from inversion.checkpoints.registry import CROPS, DEFAULT, registry
from inversion.common.commands import UsageError, visible
from inversion.common.settings import SettingValue
from inversion.model import Model, ModelOptions
from inversion.serving.additions import roles


def add_model(parser: argparse.ArgumentParser) -> None:
    """Add --model, and the flags of the files that go with it."""
    parser.add_argument(
        "--model", default=DEFAULT, metavar="NAME|FILE", help="the generator: a name, see `models`, or a file of yours"
    )
    parser.add_argument("--encoder", type=Path, metavar="FILE", help="a file with an encoder of this generator")
    parser.add_argument(
        "--role",
        choices=[*roles()],
        help="for an --encoder FILE: what it is used for (default: by its architecture and its input)",
    )
    parser.add_argument(
        "--direction",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="a file with a direction of this generator; may be repeated",
    )
    parser.add_argument("--domain", metavar="TEXT", help="for a FILE: what its pictures show")
    parser.add_argument("--crop", choices=CROPS, help="for a FILE: how pictures are cropped for it (default none)")
    parser.add_argument("--licence", metavar="TEXT", help="for a FILE: its licence, which stands beside the results")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add a flag for each field of `ModelOptions`."""
    for spec in fields(ModelOptions):
        text = spec.metadata["help"].rstrip(".")
        parser.add_argument(f"--{spec.name}", type=int, metavar="N", help=text[:1].lower() + text[1:])


def choose_model(args: argparse.Namespace) -> None:
    """Add the files among the arguments, and set `args.model` to a name. Raises HubError or UsageError."""
    facts = own.Facts(args.domain, args.crop, args.licence)
    args.own_files = [*filter(None, [args.encoder]), *args.direction]  # results never replace them
    if args.model not in registry() and (own.looks_like_file(args.model) or Path(args.model).is_file()):
        path = Path(args.model)
        args.own_files.append(path)
        args.model = own.add_file(path, facts=facts)
        sys.stderr.write(f"{visible(path.name)}: used as the model {args.model}\n")
        _say_notes(args.model)
    elif facts.given() and args.model not in own.own():
        raise UsageError(f"--{next(iter(facts.given()))} is only for a file of yours: give it with --model FILE")
    elif facts.given():
        own.change(args.model, facts)
    if args.encoder is not None:
        name = own.add_file(args.encoder, "encoder", args.model, own.Facts(role=args.role))
        said = f"used as the encoder of {args.model} (--role {registry()[name].role}), in later runs, too, until"
        sys.stderr.write(f"{visible(args.encoder.name)}: {said} `python -m inversion models --remove {name}`\n")
        _say_notes(name)
    elif args.role is not None:
        raise UsageError("--role is only for an encoder of yours: give it with --encoder FILE")
    args.own_directions = {path: own.add_file(path, "directions", args.model) for path in args.direction}
    _say_notes(*args.own_directions.values())
    args.encoder, args.role, args.direction = None, None, []


def _say_notes(*names: str) -> None:
    """Write what was noticed when files were converted. names: of their entries."""
    notes = (registry()[name].note for name in names)
    sys.stderr.writelines(f"{note}\n" for note in notes if note)


def check_directions(args: argparse.Namespace, model: Model) -> None:
    """Raises UsageError if a direction among the arguments does not fit the model."""
    for path, name in args.own_directions.items():
        if name in model.absent:
            raise UsageError(f"--direction {path} does not fit {model.name}: {model.absent[name]}")


def options_of(args: argparse.Namespace) -> dict[str, SettingValue]:
    """The fields of `ModelOptions` that were given."""
    values = {spec.name: getattr(args, spec.name) for spec in fields(ModelOptions)}
    return {name: value for name, value in values.items() if value is not None}
