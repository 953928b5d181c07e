"""Where the results of a command go: pictures under names of their own, and rows that are added to files."""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from inversion import images
from inversion.cli import sources
from inversion.cli.records import add_rows, check_writable
from inversion.common.commands import Parser, UsageError, make_folder
from inversion.common.names import ENDINGS, FIELDS, NamePattern, companion, numbered, reserve, safe_name, write_whole
from inversion.common.rows import Row

# Names of the results in a folder, in the order of preference.
DEFAULT = ("{picture}_{task}_{method}.png", "{picture}_{task}_{method}_{model}_{settings}_s{seed}.png")
NUMBERED = ("{picture}_{task}_{n}.png",)
STDOUT = "-"


def add_outputs(parser: Parser, names: Sequence[str] = DEFAULT) -> None:
    """Add the flags of results: --out, --overwrite, --json and --csv. names: patterns of the names in a folder."""
    fields = ", ".join(f"{{{name}}} ({text})" for name, text in FIELDS.items())
    parser.add_argument(
        "--out",
        metavar="DIR|FILE.png|PATTERN",
        help=f"save the results in this folder, file or pattern of names. Names in a folder: {', then '.join(names)}. "
        f"Fields of a pattern: {fields}. A file that exists is kept; the new one gets a number, as in FILE-2.png",
    )
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="replace pictures that have the name of a new one, with the files that belong to them",
    )
    add_row_flags(parser)
    parser.set_defaults(names=names)


def add_row_flags(parser: Parser) -> None:
    """Add the flags of rows: --json and --csv."""
    parser.add_argument(
        "--json",
        nargs="?",
        const=STDOUT,
        type=_rows_file(".json"),
        metavar="FILE.json",
        help="print only JSON on stdout; with FILE.json, add the rows to this file instead",
    )
    parser.add_argument("--csv", type=_rows_file(".csv"), metavar="FILE.csv", help="add the rows to this table")


def parse(parser: Parser, argv: Sequence[str]) -> argparse.Namespace:
    """The arguments. What follows --json is its file if it ends in .json, and otherwise an argument of its own."""
    texts = [
        f"--json={STDOUT}" if text == "--json" and not "".join(argv[i + 1 : i + 2]).lower().endswith(".json") else text
        for i, text in enumerate(argv)
    ]
    return parser.parse_intermixed_args(texts)


class Outputs:
    """The files of a command's results. Without --out, pictures are not saved.

    inputs: files that are never replaced. several: whether there is more than one result.
    Raises UsageError for an --out, --json or --csv that cannot be used.
    """

    def __init__(self, args: argparse.Namespace, inputs: Sequence[Path], several: bool) -> None:
        self.overwrite = args.overwrite
        self.files = [Path(name) for name in (args.json, args.csv) if name not in (None, STDOUT)]
        self.folder: Path | None = None
        self.patterns: list[NamePattern] = []  # in the order of preference
        others = (value if isinstance(value, list) else [value] for value in vars(args).values())
        given = [Path(one) for one in itertools.chain(*others) if isinstance(one, Path)]  # masks, codes, checkpoints
        self._inputs = (*inputs, *given)
        self._written: set[Path] = set()  # by this command
        self._moved: set[Path] = set()  # files of rows whose other name was reported
        if args.out is not None:
            self._choose(args, several)
        for path in self.files:
            make_folder(path.parent)
            if path.is_dir():
                raise UsageError(f"{path} is a folder. Choose another file for the rows.")
            check_writable(path)

    def save(self, values: Mapping[str, object], picture: np.ndarray) -> Path | None:
        """Write a result, uint8 (H, W, 3), under a name of its own. Returns its path, None if nothing is saved.

        values: those of the fields of a pattern. Raises OSError.
        """
        if not self.patterns:
            return None
        *first, last = (pattern.paths(values) for pattern in self.patterns)
        return self._save(itertools.chain((next(paths) for paths in first), last), picture)

    def beside(self, result: Path, ending: str, picture: np.ndarray) -> Path:
        """Write a picture that belongs to a result: NAME.png -> NAME and the ending. Raises OSError."""
        path = companion(result, ending)
        write_whole(path, lambda part: images.write_png(part, picture))
        return path

    def sheet(self, picture: Path, task: str, parts: Sequence[np.ndarray]) -> Path | None:
        """Write pictures of one height side by side, if results go to a folder. Raises OSError."""
        if self.folder is None or not parts:
            return None
        path = self.folder / f"{safe_name(picture.stem)}_{safe_name(task)}_sheet.png"
        return self._save(numbered(path), np.concatenate(parts, axis=1), say=False)

    def record(self, row: Row, result: Path | None, *, shared: bool = True) -> None:
        """Add a row to --json and --csv, and, if `shared`, to the JSON file of its picture. Raises OSError."""
        files = list(self.files)
        if shared and self.folder is not None:
            stem, task = safe_name(Path(row["picture"]).stem), safe_name(str(row["task"]))
            files.append(self.folder / f"{stem}_{task}.json")
        elif shared and result is not None:
            files.append(companion(result, ".json"))
        for path in files:
            found = add_rows(path, [row])
            if found != path and path not in self._moved:
                self._moved.add(path)
                _say(f"{path} holds no rows, or another program uses it. It is kept, and the rows are in {found}.")

    def _choose(self, args: argparse.Namespace, several: bool) -> None:
        """Read --out. Raises UsageError and PatternError."""
        out = args.out
        path = Path(out)
        _check_place(path, [one for one in args.images if one.is_dir()], args.recursive)
        if "{" in out and not path.is_dir():
            _check_ending(path)
            self.patterns = [NamePattern(out if path.suffix.lower() == ".png" else f"{out}.png")]
        elif sources.is_picture(path) and not path.is_dir() and not out.endswith("/"):
            _check_ending(path)
            if several:
                advice = "Choose a folder, or a pattern such as {picture}_{method}.png"
                raise UsageError(f"--out {out} is one file for several results. {advice}.")
            self.patterns = [NamePattern(_literal(path))]
        else:
            make_folder(path)
            self.folder = path
            self.patterns = [NamePattern(f"{_literal(path)}/{name}") for name in args.names]

    def _save(self, paths: Iterable[Path], picture: np.ndarray, *, say: bool = True) -> Path:
        """Write a picture under the first name that is free. say: tell the user if a file has the preferred name."""
        paths = iter(paths)
        first = next(paths)
        existed = first.exists() and first.absolute() not in self._written
        path = reserve(itertools.chain([first], paths), self._may_replace)
        write_whole(path, lambda part: images.write_png(part, picture))
        for old in (companion(path, ending) for ending in ENDINGS):
            if old != path:  # of the picture that was replaced: its code, its tuned generator, ...
                old.unlink(missing_ok=True)
        self._written.add(path.absolute())
        if say and existed and path != first and path.name.startswith(first.stem):  # not if the names are counted
            advice = "" if self._has_input(first) else " (--overwrite replaces it)"
            _say(f"{first} exists{advice}. The new picture is {path}.")
        return path

    def _may_replace(self, path: Path) -> bool:
        return self.overwrite and path.absolute() not in self._written and not self._has_input(path)

    def _has_input(self, path: Path) -> bool:
        """Whether a picture, or a file that belongs to it, is an input."""
        files = [one for one in (path, *(companion(path, ending) for ending in ENDINGS)) if one.exists()]
        return any(file.samefile(one) for file in files for one in self._inputs if one.exists())


def _rows_file(ending: str) -> Callable[[str], str]:
    """The type of a flag for a file of rows."""

    def read(text: str) -> str:
        if text != STDOUT and not text.lower().endswith(ending):
            raise argparse.ArgumentTypeError(f"the name of the file must end in {ending}, not {text!r}")
        return text

    return read


def _check_ending(path: Path) -> None:
    """Raises UsageError for the name of a picture that is no PNG file."""
    if sources.is_picture(path) and path.suffix.lower() != ".png":
        raise UsageError(f"Results are PNG files. Let --out {path} end in .png.")


def _check_place(out: Path, folders: Iterable[Path], recursive: bool) -> None:
    """Raises UsageError if results would lie among the pictures of a folder: the next run would read them."""
    fixed = Path(*itertools.takewhile(lambda part: "{" not in part, out.parts)) if not out.is_dir() else out
    place = (fixed.parent if sources.is_picture(fixed) and not fixed.is_dir() else fixed).resolve()
    for folder in folders:
        if place == folder.resolve() or (recursive and folder.resolve() in place.parents):
            raise UsageError(f"--out {out} lies among the pictures of {folder}. Choose another folder for the results.")


def _literal(path: Path) -> str:
    """The path as a pattern without fields."""
    return str(path).replace("{", "{{").replace("}", "}}")


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
