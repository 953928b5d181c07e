"""Shared parts of all command lines: errors in one line, exit statuses, and common arguments."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from inversion.common.errors import UserError

DEVICES = ("auto", "cpu", "cuda")
DTYPES = ("float32", "bfloat16", "float16")  # of the generator's computation; "auto" chooses one for the device


class UsageError(UserError):
    """An argument of the command line is wrong or missing."""


class Parser(argparse.ArgumentParser):
    """A parser that reports an error in one line, without the usage text."""

    def error(self, message: str) -> NoReturn:
        """Print the message on stderr and exit with status 2."""
        self.exit(2, f"{self.prog}: {message}\n")


def guarded(command: str, run: Callable[[], object]) -> int:
    """Run a command. Returns its exit status: 0, or 2 after an error, with one line on stderr."""
    try:
        run()
    except UserError as error:
        reason = str(error)
    except OSError as error:
        reason = " ".join(str(error.strerror or error).split())
        if error.filename is not None:
            reason += f": {error.filename}"
    else:
        return 0
    sys.stderr.write(f"{command}: {reason}\n")
    return 2


def add_device(parser: argparse.ArgumentParser, default: str = "auto", *, dtype: bool = True) -> None:
    """Add --device and, unless `dtype` is False, --dtype."""
    parser.add_argument("--device", default=default, choices=DEVICES, help=f"default: {default}")
    if dtype:
        parser.add_argument("--dtype", default="auto", choices=("auto", *DTYPES), help="default: auto")


def zero_gpu() -> bool:
    """Whether this is a Space on ZeroGPU, where processes get a GPU for a limited time."""
    return os.environ.get("SPACES_ZERO_GPU", "").lower() in ("1", "t", "true")


def positive(text: str) -> int:
    """A whole number of at least 1, as argparse's type of an argument. Raises argparse.ArgumentTypeError."""
    number = int(text) if text.isdecimal() else 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number of at least 1, not {text!r}")
    return number


def make_folder(path: Path) -> None:
    """Create a folder for results, with its parents. Raises UsageError if that is impossible."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"The folder {path} cannot be created ({error.strerror}). Choose another one.") from None
