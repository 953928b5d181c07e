"""Compares quick presets with the methods' defaults: steps, PSNR and processor time of the same pictures in one run.

``python -m benchmarks.presets --json presets.json`` inverts held-out pictures with the defaults (for W+, mGANprior, PTI
and Clone 300 steps from the mean, and as many of tuning) and with each preset, and prints the means and the ratio of
the times. Rows that the file already has for the same settings are kept, so an interrupted run can be continued. Set
OMP_NUM_THREADS=1 on a busy machine: processor time of one thread depends little on other work.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor
from tqdm import tqdm

from benchmarks.common import add_model, benchmark_parser, plain, seeds_of, table
from inversion import images, metrics
from inversion.checkpoints import hub
from inversion.common.commands import add_device, guarded
from inversion.common.memory import keep_freed_memory
from inversion.common.names import settings_digits
from inversion.common.rows import Row, RowView
from inversion.methods import Result, parse_method
from inversion.methods.run import RunOptions, invert
from inversion.model import Model
from inversion.tasks import Reconstruct
from inversion.training.models import domain_of

METHODS = ("hybrid", "wplus", "projector", "indomain", "mganprior", "pti", "clone")
DEFAULT = ""  # stands for the defaults among the presets
COLUMNS = ("method", "preset", "n", "steps", "PSNR dB", "seconds", "of the default's time")


@dataclass(frozen=True)
class PresetRow:
    """One run on one picture. seconds: processor time of all threads."""

    method: str
    preset: str
    settings: str  # digits of all settings, see `settings_digits`
    picture: str
    steps: int
    psnr: float
    seconds: float


def measured(model: Model, key: str, preset: str, picture: str, x: Tensor) -> PresetRow:
    """Invert a picture x (1, 3, R, R) with a preset."""
    method = parse_method(key, preset)
    digits = settings_digits({"settings": method.settings()})
    start = time.process_time()
    *_, result = invert(model, Reconstruct(), x, method, options=RunOptions(preview_every=1e9))
    seconds = time.process_time() - start
    assert isinstance(result, Result)  # noqa: S101 - the last event of a run
    [value] = metrics.psnr(images.to_tensor(images.to_array(result.image)), x)
    return PresetRow(key, preset, digits, picture, result.steps, value, seconds)


def means(rows: Sequence[RowView]) -> list[list[object]]:
    """A line for each method and preset, with means over the pictures."""
    groups: dict[tuple[str, str], list[RowView]] = {}
    for row in rows:
        groups.setdefault((row["method"], row["preset"]), []).append(row)
    seconds = {key: statistics.fmean(row["seconds"] for row in group) for key, group in groups.items()}
    lines: list[list[object]] = []
    for (method, preset), group in groups.items():
        reference = seconds.get((method, DEFAULT))
        share = f"{seconds[method, preset] / reference:.3f}" if reference else "-"
        quality = statistics.fmean(row["psnr"] for row in group)
        steps = f"{statistics.fmean(row['steps'] for row in group):.0f}"
        cells = [len(group), steps, f"{quality:.2f}", f"{seconds[method, preset]:.2f}", share]
        lines.append([method, preset or "default", *cells])
    return lines


def main(argv: Sequence[str] | None = None) -> int:
    """Measure the missing rows and print the table."""
    parser = benchmark_parser("presets", __doc__)
    add_model(parser, n=8)
    parser.add_argument("--methods", default=",".join(METHODS), help="separated by commas")
    parser.add_argument("--presets", default=f"{DEFAULT},quick", help="separated by commas; the empty one: defaults")
    add_device(parser)
    args = parser.parse_args(argv)
    keep_freed_memory()
    model = hub.load(args.model, args.device, args.dtype)
    domain = domain_of(model)
    rows: list[Row] = args.json.rows()
    wanted: list[Row] = []
    for seed in tqdm(seeds_of(domain, "held-out", args.n)):
        x = images.to_tensor(images.to_array(domain.draw([seed], model.resolution).picture)).to(model.device)
        for key in args.methods.split(","):
            for preset in args.presets.split(","):
                digits = settings_digits({"settings": parse_method(key, preset).settings()})
                names = {
                    "benchmark": "presets",
                    "method": key,
                    "preset": preset,
                    "settings": digits,
                    "picture": str(seed),
                }
                known = next((row for row in rows if names.items() <= row.items()), None)
                if known is None:
                    known = {**names, **plain(measured(model, key, preset, str(seed), x))}
                    args.json.add(known)
                wanted.append(known)
    sys.stdout.write(table(COLUMNS, means(wanted)) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(guarded("python -m benchmarks.presets", main))
