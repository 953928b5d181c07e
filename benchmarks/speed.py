"""Measures ratios of speed, timed in one run: seconds alone mean little on shared, noisy machines.

``python -m benchmarks.speed --json speed.json`` times a synthesis and a step (in W+, PGGAN in Z) of official-size
generators (random weights, pixel loss) and the steps of methods on a model. Each row has the usual form of public
code in float32 (`benchmarks.usual`), ours in float32 and ours in bfloat16. The three take turns. The rate of a large
convolution, measured in the same run, is the limit. Then come whole runs: opening a model, the start of the app, what
the app costs, methods together and alone, and the time that quick presets need to the quality of the defaults.
``--parts whole`` times only these.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks import public, whole
from benchmarks.common import benchmark_parser, table, write_rows
from benchmarks.peaks import peak_of
from benchmarks.usual import usual
from inversion.checkpoints import hub, registry
from inversion.common.commands import add_device, guarded, positive
from inversion.common.memory import keep_freed_memory
from inversion.generators import GENERATORS, Prior
from inversion.generators.modulated import StyledConv
from inversion.generators.plain import PlainConv
from inversion.methods import parse_method
from inversion.methods.run import RunOptions, invert
from inversion.model import Model, prior_of
from inversion.tasks import Reconstruct

USUAL, PRECISE, FAST = "usual float32", "float32", "bfloat16"
DTYPES = {USUAL: torch.float32, PRECISE: torch.float32, FAST: torch.bfloat16}
STEPS: Mapping[str, Mapping[str, object]] = {  # label -> settings of the method, whose name is the first word
    "wplus": {},
    "indomain": {},
    "mganprior 1 code": {"multicode.codes": 1},
    "mganprior 10 codes": {"multicode.codes": 10},
    "mganprior 20 codes": {"multicode.codes": 20},
    "pti": {},
    "clone": {"clone.probability": 1.0},  # so that all steps cost the same, but for the adversarial ones
}

PARTS = ("steps", "whole")

Call = Callable[[], object]


@dataclass(frozen=True)
class SpeedRow:
    """The seconds of one call in one formulation: fastest and median of its turns."""

    name: str
    resolution: int
    formulation: str
    device: str
    threads: int
    fastest: float
    median: float
    ratio: float  # how many times faster than the first formulation of this name, by the fastest times
    gflops: float | None = None  # multiplications and additions of the convolutions per second, in 10^9
    share: float | None = None  # of the rate of a large convolution in the same precision
    peak_mb: float | None = None  # memory that a call needs beyond what is allocated before it


class Stopwatch:
    """Times calls that take turns: by CUDA events, in wall-clock time, or in processor time if the machine is busy."""

    def __init__(self, device: torch.device, repeats: int, processor: bool = False) -> None:
        self.device, self.repeats = device, repeats
        self.clock = time.process_time if processor else time.perf_counter

    def __call__(self, calls: Mapping[str, Call]) -> tuple[dict[str, list[float]], dict[str, float | None]]:
        """Seconds of every call in every turn, and its peak memory in MB. The first turn warms up and is not timed."""
        peaks = {name: peak_of(call, self.device) for name, call in calls.items()}
        taken: dict[str, list[float]] = {name: [] for name in calls}
        for _ in range(self.repeats):
            for name, call in calls.items():
                taken[name].append(self._seconds(call))
        return taken, peaks

    def _seconds(self, call: Call) -> float:
        if self.device.type == "cuda":
            start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            start.record()
            call()
            end.record()
            torch.cuda.synchronize()
            return start.elapsed_time(end) / 1000
        begin = self.clock()
        call()
        return self.clock() - begin


def formulated(formulation: str, call: Call) -> Call:
    """The call in a formulation of the layers."""

    def run() -> None:
        with usual() if formulation == USUAL else nullcontext():
            call()

    return run


def convolution_rate(device: torch.device, dtype: torch.dtype, side: int) -> tuple[Call, float]:
    """A convolution with 256 channels of a map of `side` pixels, and its number of operations."""
    x = torch.randn(1, 256, side, side, device=device).to(dtype, memory_format=torch.channels_last)
    weight = torch.randn(256, 256, 3, 3, device=device).to(dtype, memory_format=torch.channels_last)
    return lambda: F.conv2d(x, weight, padding=1), 2.0 * weight.numel() * side**2


def product_rate(device: torch.device, dtype: torch.dtype, side: int) -> tuple[Call, float]:
    """A product of square matrices with 16 `side` rows, and its number of operations."""
    a, b = torch.randn(2, 16 * side, 16 * side, device=device).to(dtype)
    return lambda: a @ b, 2.0 * len(a) ** 3


def operations(prior: Prior, batch: int) -> float:
    """Multiplications and additions of the convolutions in one synthesis, without StyleGAN2's picture layers."""
    done: list[float] = []

    def count(layer: nn.Module, given: tuple[Tensor, ...]) -> None:
        if isinstance(layer, (StyledConv, PlainConv)):
            taps = 16 / 9 if isinstance(layer, PlainConv) and layer.up else 1  # its doubling runs with 4x4 kernels
            done.append(2.0 * batch * taps * layer.weight.numel() * given[0].shape[-1] ** 2)

    hooks = [layer.register_forward_pre_hook(count) for layer in prior.modules()]
    with torch.no_grad():
        prior.synthesis(prior.w_avg[None])
    for hook in hooks:
        hook.remove()
    return sum(done)


def synthesis(prior: Prior, batch: int) -> Call:
    """A function that renders random styles."""
    ws = torch.randn(batch, prior.num_ws, prior.w_dim, generator=torch.Generator().manual_seed(0)).to(prior.w_avg)

    def run() -> None:
        with torch.no_grad():
            prior.synthesis(ws)

    return run


def step(prior: Prior, batch: int) -> Call:
    """A function that makes one step of the styles, or of z without styles, towards random targets."""
    rng = torch.Generator().manual_seed(0)
    target = torch.rand(batch, 3, prior.resolution, prior.resolution, generator=rng).to(prior.w_avg)
    ws = torch.randn(batch, prior.num_ws, prior.w_dim, generator=rng).to(prior.w_avg).requires_grad_()
    optimizer = torch.optim.Adam([ws], lr=0.1, fused=True)

    def run() -> None:
        optimizer.zero_grad()
        (prior.synthesis(ws) - target).square().mean().backward()
        optimizer.step()

    return run


def method_step(model: Model, label: str, steps: int) -> Call | None:
    """A function that makes the next step of a method's last stage, `steps` times. None if the model lacks a part."""
    method = parse_method(label.partition(" ")[0])
    if method.unavailable(model):
        return None
    last = method.stages[-1].key
    lengths = {f"{stage.key}.steps": steps + 1 if stage.key == last else 1 for stage in method.stages}
    settings = {name: value for name, value in {**lengths, **STEPS[label]}.items() if name in method.settings()}
    with torch.no_grad():
        y = prior_of(model)(torch.ones(1, prior_of(model).z_dim, device=model.device))
    run = invert(model, Reconstruct(), y, method.configured(settings), options=RunOptions(preview_every=1e9))
    while getattr(next(run), "stage", last) != last:
        pass
    return lambda: next(run)


class Measurement:
    """Times all rows on one device and knows the rates that it reached."""

    def __init__(self, watch: Stopwatch, batch: int) -> None:
        self.watch, self.batch = watch, batch
        self.limits: dict[torch.dtype, float] = {}

    def rows(self, name: str, side: int, calls: Mapping[str, Call], work: float = 0.0) -> list[SpeedRow]:
        """A row for each formulation. work: number of operations of a call, if it is known."""
        taken, peaks = self.watch({formulation: formulated(formulation, call) for formulation, call in calls.items()})
        usual = min(next(iter(taken.values())))
        device, threads, rows = str(self.watch.device), torch.get_num_threads(), []
        for formulation, times in taken.items():
            fastest, median = min(times), statistics.median(times)
            row = SpeedRow(name, side, formulation, device, threads, fastest, median, usual / fastest)
            row = replace(row, peak_mb=peaks[formulation])
            rate, limit = work / fastest / 1e9, self.limits.get(getattr(torch, formulation.rpartition(" ")[2]))
            rows.append(replace(row, gflops=rate, share=rate / limit if limit else None) if work else row)
        return rows

    def rates(self, side: int) -> Iterator[SpeedRow]:
        """The rates of the machine; those of the convolution become the limits."""
        for name, make in (("matrix product", product_rate), ("convolution", convolution_rate)):
            for formulation in (PRECISE, FAST):
                call, work = make(self.watch.device, DTYPES[formulation], side)
                (row,) = self.rows(name, side, {formulation: call}, work)
                yield row
                if name == "convolution" and row.gflops:
                    self.limits[DTYPES[formulation]] = row.gflops

    def official(self, kind: str, side: int) -> Iterator[SpeedRow]:
        """Synthesis and step of a generator with the official numbers of channels. kind: of `GENERATORS`."""
        priors = {}
        for formulation, dtype in DTYPES.items():
            torch.manual_seed(0)
            priors[formulation] = GENERATORS[kind](side).to(self.watch.device).freeze(dtype)
        work = operations(priors[PRECISE], self.batch)
        for name, make, passes in (("synthesis", synthesis, 1), ("step", step, 2)):
            calls = {formulation: make(prior, self.batch) for formulation, prior in priors.items()}
            yield from self.rows(f"{kind}, {name}", side, calls, passes * work)

    def beside_public(self, folder: Path, side: int) -> Iterator[SpeedRow]:
        """Steps of a checkout of the public implementation, and ours with its weights."""
        dtypes = {formulation: DTYPES[formulation] for formulation in (PRECISE, FAST)}
        made = public.steps(folder, side, self.watch.device, dtypes)
        for name, calls in made.items():
            yield from self.rows(f"{name}, official channels", side, calls)

    def methods(self, models: Mapping[str, Model], labels: Sequence[str]) -> Iterator[SpeedRow]:
        """Steps of methods on the model, and one pass of its pSp encoder."""
        side = models[PRECISE].resolution
        for label in labels:
            made = {name: method_step(model, label, self.watch.repeats + 1) for name, model in models.items()}
            calls = {name: call for name, call in made.items() if call is not None}
            if calls:
                yield from self.rows(f"{label}, step", side, calls)
        if "psp" in models[PRECISE].encoders:
            encoder, x = models[PRECISE].encoders["psp"], torch.zeros(1, 3, side, side, device=self.watch.device)
            yield from self.rows("psp, one pass", side, {PRECISE: lambda: encoder(encoder.fit(x))})

    def steps(self, args: argparse.Namespace) -> Iterator[SpeedRow]:
        """Everything but whole runs, with the arguments of the command."""
        yield from self.rates(16 if args.quick else 128)
        for side in [16] if args.quick else args.sides:
            for kind in args.generators:
                yield from self.official(kind, side)
            if args.public:
                yield from self.beside_public(args.public, side)
        models = {name: hub.load(args.model, args.device, name.rpartition(" ")[2]) for name in DTYPES}
        yield from self.methods(models, list(STEPS)[:3] if args.quick else list(STEPS))

    def whole_runs(self, model: Model, device: str, app: bool) -> Iterator[SpeedRow]:
        """Whole runs on the model, in their usual precision. app: also the app."""
        runs = whole.WholeRuns(model, device, self.watch.clock)

        def rows(name: str, seconds: whole.Seconds) -> Iterator[SpeedRow]:
            first, threads = next(iter(seconds.values())), torch.get_num_threads()
            for form, taken in seconds.items():
                yield SpeedRow(name, model.resolution, form, device, threads, taken, taken, first / taken)

        yield from rows("opening a model", runs.opening())
        if app:
            yield from rows("start of the app", whole.app_start())
            yield from rows(f"{whole.APP} and the app", runs.app_cost())
        yield from rows(", ".join(whole.COMPARED), runs.comparison(whole.COMPARED))
        for key in whole.with_quick_preset(model):
            yield from rows(f"{key}, to the default's quality", runs.to_quality(key))


def main(argv: Sequence[str] | None = None) -> int:
    """Time the formulations and write a row for each."""
    parser = benchmark_parser("speed", __doc__)
    parser.add_argument("--model", default=registry.DEFAULT, help="for the steps of methods")
    parser.add_argument("--sides", nargs="+", type=positive, default=[128, 256], help="of the official-size networks")
    parser.add_argument(
        "--generators", nargs="+", choices=GENERATORS, default=list(GENERATORS), help="of official size"
    )
    parser.add_argument(
        "--public", type=Path, metavar="DIR", help="a checkout of rosinality/stylegan2-pytorch, whose code runs"
    )
    parser.add_argument("--batch", type=positive, default=1, help="pictures per step of these networks")
    parser.add_argument("--repeats", type=positive, default=7, help="timed turns")
    parser.add_argument("--processor-time", action="store_true", help="for busy machines; set OMP_NUM_THREADS=1")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS, help="steps of methods, whole runs")
    parser.add_argument("--quick", action="store_true", help="small networks and two turns, to try the command")
    add_device(parser, dtype=False)
    args = parser.parse_args(argv)
    keep_freed_memory()
    device = hub.find_device(args.device)
    measurement = Measurement(Stopwatch(device, 2 if args.quick else args.repeats, args.processor_time), args.batch)
    rows: list[SpeedRow] = []
    if "steps" in args.parts:
        rows += measurement.steps(args)
    if "whole" in args.parts:
        rows += measurement.whole_runs(hub.load(args.model, args.device), args.device, app=not args.quick)
    columns = ("what", "side", "formulation", "fastest ms", "median ms", "ratio", "GFLOP/s", "of the limit", "peak MB")
    sys.stdout.write(table(columns, map(cells, rows)) + "\n")
    write_rows(args.json, rows)
    return 0


def cells(row: SpeedRow) -> list[str]:
    """The cells of a row of the printed table."""
    times = [f"{1000 * row.fastest:.1f}", f"{1000 * row.median:.1f}", f"{row.ratio:.2f}"]
    rates = ["-" if row.gflops is None else f"{row.gflops:.0f}", "-" if row.share is None else f"{row.share:.0%}"]
    peak = "-" if row.peak_mb is None else f"{row.peak_mb:.0f}"
    return [row.name, str(row.resolution), row.formulation, *times, *rates, peak]


if __name__ == "__main__":
    raise SystemExit(guarded("python -m benchmarks.speed", main))
