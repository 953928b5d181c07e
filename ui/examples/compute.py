"""Computes the comparisons of the example pictures again: `python -m ui.examples.compute [EXAMPLE ...]`.

With `--task TASK` it computes those of one task. With `--check` it compares what it computes with what is stored, and
writes nothing.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from inversion import images, metrics
from inversion.checkpoints.registry import DEFAULT, registry
from inversion.common.errors import UserError
from inversion.common.rows import Row, RowView
from inversion.images.drawn import drawn_mask
from inversion.methods import parse_method
from inversion.serving import catalogue
from inversion.serving.session import JobView, Request, RunView, Session
from ui.examples import FOLDER
from ui.examples.precomputed import INDEX, NAMES, SEED, SOURCE, comparison, file_of, index
from ui.parts.export import has_own_input
from ui.parts.fields import DEFAULT_PRESET
from ui.parts.values import Options, Value
from ui.tabs import TaskTab, all_tabs

QUALITY = 88  # of the pictures' files
DIGITS = 4  # after the decimal point, of figures
BUDGET = 3600.0  # seconds of one run: no run ends early on a busy machine
POINTS = 40  # of a run's track, at most
CLOSE = 0.05  # dB between two computations of one run
SIMILAR = 32.0  # dB between a picture and its stored file
COMMAND = "python -m ui.examples.compute"


@dataclass(frozen=True)
class Work:
    """The stored runs of one task: all methods that are selected at first in any of its tabs."""

    task: str
    methods: tuple[str, ...]


def works(task: str = "") -> list[Work]:
    """The tasks whose tabs have examples, with the methods of all their tabs; or only the one named."""
    methods: dict[str, dict[str, None]] = {}
    for tab in all_tabs().values():
        if issubclass(tab, TaskTab):
            methods.setdefault(tab.task, {}).update(dict.fromkeys(tab.words.methods))
    return [Work(name, tuple(selected)) for name, selected in methods.items() if task in ("", name)]


def weights() -> dict[str, str | None]:
    """Hashes of the default model's files, by entry."""
    return {
        name: entry.sha256
        for name, entry in registry().items()
        if entry.file is not None and DEFAULT in (name, entry.generator)
    }


def requests(work: Work, example: str, session: Session) -> list[Request]:
    """The requests of Run for an example in a tab with its first settings; a mask is the square in the middle."""
    with Image.open(FOLDER / f"{example}.png") as picture:
        pixels = np.asarray(picture.convert("RGB"))
    masks = [field.name for field in catalogue.task(work.task).fields if field.kind == "mask"]
    inputs = dict.fromkeys(masks, drawn_mask(SOURCE, pixels.shape[:2], SEED))
    crop = session.crop(pixels, DEFAULT)
    common: Options = {"inputs": inputs, "seed": SEED, "crop": crop, "budget": BUDGET}
    return [
        Request(work.task, key, pixels, DEFAULT, parse_method(key).preset(DEFAULT_PRESET), **common)
        for key in work.methods
    ]


def computed(session: Session, examples: Sequence[str], task: str = "") -> Iterator[tuple[str, JobView]]:
    """The finished view of every work on every example. task: only this one."""
    for example in examples:
        for work in works(task):
            key = session.submit(requests(work, example, session))
            view = next(view for view in session.follow(key) if view.over)
            failed = [run.message for run in view.runs if run.state != "done"]
            if failed:
                raise UserError(f"{example}, {work.task}: {failed[0]}")
            sys.stderr.write(f"{example} {work.task}: {', '.join(f'{run.seconds:.1f} s' for run in view.runs)}\n")
            yield example, view


def write(session: Session, examples: Sequence[str], task: str = "") -> None:
    """Compute the comparisons of the examples, and write them after each task. task: only this one."""
    runs = index()["runs"] if INDEX.is_file() and index()["weights"] == weights() else {}
    for example, view in computed(session, examples, task):
        parts = {"truth": view.truth, **{run.method: run.image for run in view.runs}}
        if has_own_input(view):
            parts["measured"] = view.measured
        for part, picture in parts.items():
            assert picture is not None  # noqa: S101 - every run is done
            Image.fromarray(picture).save(file_of(example, view.task, part), quality=QUALITY, method=6)
        stored = {run.method: _stored(run.label, run.row or {}, run.track) for run in view.runs}
        runs.setdefault(example, {})[view.task] = stored
        text = json.dumps({"model": DEFAULT, "weights": weights(), "runs": runs}, indent=0, allow_nan=False)
        INDEX.write_text(text + "\n", encoding="utf-8")


def differences(session: Session, examples: Sequence[str], task: str = "") -> list[str]:
    """Differences between the stored comparisons of the examples and those that are computed now."""
    return [
        f"{example}, {view.task}, {run.label}: {difference}"
        for example, view in computed(session, examples, task)
        for run in view.runs
        if (difference := _difference(example, view, run))
    ]


def _difference(example: str, view: JobView, run: RunView) -> str:
    stored = comparison(view.task, (run.method,), example, view.model)
    if stored is None or run.row is None or run.image is None:
        return "not stored"
    [old] = stored.view.runs
    apart = abs((old.row or {})["psnr"] - run.row["psnr"])
    if apart > CLOSE:
        return f"{apart:.2f} dB apart"
    shown = _psnr(old.image, run.image)
    return "" if shown > SIMILAR else f"the stored picture is another one ({shown:.1f} dB)"


def _psnr(a: np.ndarray | None, b: np.ndarray) -> float:
    [value] = metrics.psnr(images.to_tensor(np.asarray(a)), images.to_tensor(b))
    return value


def _stored(label: str, row: RowView, track: Sequence[tuple[float, float]]) -> Row:
    thinned = list(track[:: max(1, len(track) // POINTS)])
    thinned += [] if not track or thinned[-1] == track[-1] else [track[-1]]
    return {"label": label, "row": _rounded(dict(row)), "track": [[round(v, 2) for v in point] for point in thinned]}


def _rounded(value: Value) -> Value:
    if isinstance(value, dict):
        return {key: _rounded(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(one) for one in value]
    return round(value, DIGITS) if isinstance(value, float) else value


def main(argv: Sequence[str] | None = None) -> int:
    """Write comparisons, or check them. Returns the exit status, 1 for a difference."""
    parser = argparse.ArgumentParser(prog=COMMAND, description=__doc__)
    parser.add_argument("examples", nargs="*", metavar="EXAMPLE", help=f"default: {' '.join(NAMES)}")
    parser.add_argument("--task", default="", choices=[work.task for work in works()], help="default: all tasks")
    parser.add_argument("--check", action="store_true", help="compare with what is stored, and write nothing")
    args = parser.parse_args(argv)
    examples = args.examples or NAMES
    for name in examples:
        if name not in NAMES:
            parser.error(f"there is no example {name!r}")
    session = Session("cpu", budget=BUDGET)
    try:
        if not args.check:
            write(session, examples, args.task)
            return 0
        wrong = differences(session, examples, args.task)
    finally:
        session.close()
    sys.stdout.write("\n".join(wrong or ["Everything is the same."]) + "\n")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
