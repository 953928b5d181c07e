"""Shared parts of all command lines: errors in one line, exit statuses, and common arguments."""

from __future__ import annotations

import argparse
import os
import sys
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from inversion.common.errors import UserError

DEVICES = ("auto", "cpu", "cuda", "mps")
DTYPES = ("float32", "bfloat16", "float16")  # of the generator's computation; "auto" chooses one for the device


class UsageError(UserError):
    """An argument of the command line is wrong or missing."""


class Parser(argparse.ArgumentParser):
    """A parser that reports an error in one line, without the usage text."""

    def error(self, message: str) -> NoReturn:
        """Print the message on stderr and exit with status 2."""
        self.exit(2, f"{self.prog}: {visible(message)}\n")


def guarded(command: str, run: Callable[[], object]) -> int:
    """Run a command. Returns its exit status: the number that `run` returns, 0 if it returns none, 2 after an error,
    and 130 after Ctrl-C. These two are one line on stderr.
    """
    try:
        status = run()
    except (UserError, OSError) as error:
        sys.stderr.write(f"{command}: {reason_of(error)}\n")
        return 2
    except KeyboardInterrupt:
        sys.stderr.write(f"\n{command}: interrupted\n")
        return 130
    return status if isinstance(status, int) else 0


def reason_of(error: Exception) -> str:
    """An error in one line, for the user. Control characters, as in names of files, are replaced."""
    reason = str(error)
    if isinstance(error, OSError):
        reason = str(error.strerror or error) + (f": {error.filename}" if error.filename is not None else "")
    return visible(reason)


def visible(text: str) -> str:
    """The text in one line, without characters that control a terminal."""
    return "".join("?" if unicodedata.category(c) == "Cc" else c for c in " ".join(text.splitlines()))


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
