"""Figures of the translations on held-out renders, whose truth is exact.

``python -m benchmarks.translations --json FILE`` prints, for a sketch, a label map and a turned face:

- `yaw_degrees`: mean error of the yaw that the predictor reads from the result (frontalisation: against the front);
- `attributes`: for each factor that the input shows, how often the predictor reads the right sign from the result,
  divided by how often it does from the true render. `Domain.unseen` names the factors that it does not show
  (`benchmarks.determined` measures how much a network can read from drawings at all);
- `generator`: those of these factors for which that ratio is below LOST for the generator's picture of the true code:
  the generator cannot show them, so no encoder can recover them;
- `iou`: mean over classes of the result's segmentation against the true one, and the same for a reconstruction (pSp's)
  and for the true render; `iou_ratio` is the first divided by the second. No segmenter is shipped: a small one is
  fitted here on training renders, from the colours around a pixel, its place and the predictor's features;
- `rank1`: how often the result's identity is closer to the given picture than to any other held-out one;
- `seconds`: of one pass, and of ten variations; processor time on a CPU.

Without a predictor, as for houses, only `iou` and `seconds` are measured, and the segmenter sees colours and places.
"""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.common import add_model, benchmark_parser, clock_of, write_rows
from inversion import images
from inversion.checkpoints import hub
from inversion.common.commands import add_device, guarded
from inversion.model import Model, prior_of
from inversion.perception.predictor import Predictor
from inversion.synthetic import HELD_OUT, Batch, Domain
from inversion.synthetic.base import Factor
from inversion.training.encoder import YAW
from inversion.training.models import domain_of
from inversion.translations import TRANSLATIONS, TranslationOptions, input_of
from inversion.translations.translate import translate, unavailable

FITTED = 96  # training renders of the segmenter
STEPS, SAMPLED = 600, 4096  # steps of the segmenter's training, and pixels per step
PATCH = 5  # side of the neighbourhood that it sees, in pixels
STRIDE = 2  # between the pixels that are classified, in both directions
READABLE = 0.5  # a factor counts if the predictor explains more than this of its variance on true renders
LOST = 0.8  # see `generator` above
BATCH = 16
SHEET_PICTURES = 8

T = TypeVar("T")


class Segmenter:
    """Classifies pixels by their features, see `_pixels`; fitted to training renders when it is made."""

    def __init__(self, predictor: Predictor | None, domain: Domain, resolution: int) -> None:
        self.predictor, count = predictor, len(domain.classes)
        seen, classes = [], []
        for start in range(0, FITTED, BATCH):
            drawn = domain.draw(range(start, start + BATCH), resolution)
            seen.append(_pixels(predictor, drawn.picture))
            classes.append(labels_of(drawn).flatten())
        known, truth = torch.cat(seen), torch.cat(classes)
        self.mean, self.scale = known.mean(dim=0), known.std(dim=0) + 1e-6
        rng = torch.Generator().manual_seed(0)
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.net = nn.Sequential(nn.Linear(known.shape[1], 96), nn.SiLU(), nn.Linear(96, count))
        optimizer = torch.optim.Adam(self.net.parameters(), lr=3e-3)
        rare = truth.bincount(minlength=count).clamp_min(1).float().rsqrt()  # small classes are drawn more often
        for step in range(STEPS):
            optimizer.param_groups[0]["lr"] = 3e-3 * (1 - step / STEPS)
            rows = torch.multinomial(rare[truth], SAMPLED, replacement=True, generator=rng)
            loss = F.cross_entropy(self.net((known[rows] - self.mean) / self.scale), truth[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    @torch.no_grad()
    def __call__(self, x: Tensor) -> Tensor:
        """Classes (B, pixels) of every STRIDE-th pixel of pictures (B, 3, R, R) in [-1, 1]."""
        return torch.stack([self._classes(picture[None]) for picture in x])

    def _classes(self, x: Tensor) -> Tensor:
        return self.net((_pixels(self.predictor, x) - self.mean) / self.scale).argmax(dim=1)


def labels_of(drawn: Batch) -> Tensor:
    """True classes (B, pixels) of every STRIDE-th pixel."""
    return drawn.segmentation[:, :, ::STRIDE, ::STRIDE].argmax(dim=1).flatten(1)


def _pixels(predictor: Predictor | None, x: Tensor) -> Tensor:
    """Features (B * pixels, n) of every STRIDE-th pixel of pictures (B, 3, R, R)."""
    line = torch.linspace(-1, 1, x.shape[-1])
    place = torch.stack(torch.meshgrid(line, line, indexing="ij"))  # (2, R, R)
    around = F.unfold(F.pad(x, [PATCH // 2] * 4, mode="replicate"), PATCH).unflatten(2, x.shape[-2:])
    with torch.no_grad():
        seen = [] if predictor is None else predictor.features(x)[:4]
        maps = [F.interpolate(one.float(), size=x.shape[-2:], mode="bilinear") for one in seen]
    planes = torch.cat([around, *maps, place.expand(len(x), -1, -1, -1)], dim=1)
    return planes[:, :, ::STRIDE, ::STRIDE].permute(0, 2, 3, 1).flatten(0, 2)


def iou(found: Tensor, truth: Tensor) -> float:
    """Mean intersection over union of two maps of class indices of equal shape, over the classes that occur."""
    shares = []
    for index in torch.cat([found.flatten(), truth.flatten()]).unique().tolist():
        a, b = found == index, truth == index
        shares.append(float((a & b).sum() / (a | b).sum()))
    return statistics.fmean(shares)


def explained(read: Tensor, truth: Tensor) -> Tensor:
    """Share (K,) of the variance of factors (B, K) that their readings (B, K) explain."""
    return 1 - (read - truth).square().sum(dim=0) / (truth - truth.mean(dim=0)).square().sum(dim=0)


def sign_accuracy(read: Tensor, truth: Tensor) -> Tensor:
    """Share (K,) of readings (B, K) that have the sign of the factors (B, K)."""
    return ((read > 0) == (truth > 0)).float().mean(dim=0)


@torch.no_grad()
def reconstructed(model: Model, pictures: Tensor) -> Tensor:
    """pSp's reconstructions of pictures (B, 3, R, R)."""
    encoder, prior = model.encoders["psp"], prior_of(model)
    parts = pictures.to(model.device).split(BATCH)
    return torch.cat([prior.synthesis(encoder(encoder.fit(part))).cpu() for part in parts])


@dataclass(frozen=True)
class TranslationRow:
    """The figures of one translation; see the module for what they mean. None: not defined, or not measured."""

    translation: str
    n: int
    seconds: float
    seconds_10: float
    yaw_degrees: float | None = None
    attributes: Mapping[str, float] | None = None  # best first
    rank1: float | None = None
    iou: float | None = None
    iou_of_reconstruction: float | None = None
    iou_of_truth: float | None = None
    iou_ratio: float | None = None
    generator: Mapping[str, float] | None = None


@dataclass(frozen=True)
class Truth:
    """The expected results of a translation for pictures of a domain."""

    domain: Domain
    drawn: Batch
    unseen: tuple[str, ...]  # factors, and groups of factors, that the result does not take from the input

    @property
    def frontal(self) -> bool:
        """Whether the result is the frontal view: it takes nothing of the pose from the input."""
        pose = [factor for factor in self.domain.table if factor.name in self.domain.frontal]
        return bool(pose) and all(map(self.ignores, pose))

    def ignores(self, factor: Factor) -> bool:
        """Whether the result does not take this factor from the input."""
        return factor.group in self.unseen or factor.name in self.unseen

    @cached_property
    def picture(self) -> Tensor:
        """Pictures (B, 3, R, R) in [-1, 1]."""
        return self.domain.front(self.drawn) if self.frontal else self.drawn.picture

    @cached_property
    def factors(self) -> Tensor:
        """Factors (B, K) in (-1, 1)."""
        return self.domain.turned_to_front(self.drawn.factors) if self.frontal else self.drawn.factors

    def shown(self, readable: Tensor) -> list[bool]:
        """Which factors are compared: the predictor reads them, and the result takes them from the input.

        readable (K,): share of the variance that the predictor explains.
        """
        return [
            share > READABLE and not self.ignores(factor)
            for factor, share in zip(self.domain.table, readable.tolist(), strict=True)
        ]

    def yaw_error(self, read: Tensor) -> float | None:
        """Mean error in degrees of the yaw in readings (B, K); None if the domain has no yaw."""
        for column, factor in enumerate(self.domain.table):
            if factor.name == YAW:
                error = (read - self.factors)[:, column].abs().mean()
                return round(float(error * (factor.high - factor.low) / 2), 2)
        return None


def figures(model: Model, name: str, drawn: Batch, segmenter: Segmenter) -> TranslationRow:
    """The row of one translation."""
    given, clock = input_of(name).rendered(drawn), clock_of(model.device)
    once: list[float] = []
    results = torch.cat([_timed(once, clock, partial(translate, model, name, x)).pictures.cpu() for x in given])
    ten: list[float] = []
    for upload in given[:4]:
        _timed(ten, clock, partial(translate, model, name, upload, TranslationOptions(10)))
    row = TranslationRow(name, len(given), round(statistics.median(once), 3), round(statistics.median(ten), 3))
    domain = domain_of(model)
    truth = Truth(domain, drawn, domain.unseen.get(name, ()))
    if segmenter.predictor is not None:
        row = _with_readings(row, model, truth, results, segmenter.predictor)
    return row if truth.frontal else _with_iou(row, model, drawn, results, segmenter)


@torch.no_grad()
def _with_readings(
    row: TranslationRow, model: Model, truth: Truth, results: Tensor, predictor: Predictor
) -> TranslationRow:
    """The row with what the predictor reads from the results (B, 3, R, R)."""
    read, persons = predictor.heads(results.clamp(-1, 1))
    best, own = predictor.heads(truth.picture)[0], predictor.embed(truth.drawn.picture)
    shown, most = truth.shown(explained(best, truth.factors)), sign_accuracy(best, truth.factors)

    def ratios(readings: Tensor) -> dict[str, float]:
        values = (sign_accuracy(readings, truth.factors) / most).tolist()
        return {n: round(v, 3) for n, v, keep in zip(truth.domain.names, values, shown, strict=True) if keep}

    row = replace(
        row,
        yaw_degrees=truth.yaw_error(read),
        attributes=dict(sorted(ratios(read).items(), key=lambda item: -item[1])),
        rank1=round(float(((persons @ own.t()).argmax(dim=1) == torch.arange(len(own))).float().mean()), 3),
    )
    if truth.frontal or truth.drawn.z.shape[1] != prior_of(model).z_dim:
        return row
    reached = ratios(_read_codes(model, truth.drawn.z, predictor))
    return replace(row, generator={n: ratio for n, ratio in reached.items() if ratio < LOST})


def _with_iou(row: TranslationRow, model: Model, drawn: Batch, results: Tensor, segmenter: Segmenter) -> TranslationRow:
    """The row with the IoU of the results, of pSp's reconstructions and of the true renders."""
    labels = labels_of(drawn)
    pictures = (results, reconstructed(model, drawn.picture), drawn.picture)
    found, reached, best = (iou(segmenter(x.clamp(-1, 1)), labels) for x in pictures)
    return replace(
        row,
        iou=round(found, 3),
        iou_of_reconstruction=round(reached, 3),
        iou_of_truth=round(best, 3),
        iou_ratio=round(found / reached, 3),
    )


@torch.no_grad()
def _read_codes(model: Model, z: Tensor, predictor: Predictor) -> Tensor:
    """The predictor's readings (B, K) of the generator's pictures of z (B, z_dim)."""
    prior = prior_of(model)
    return torch.cat([predictor.heads(prior(part).clamp(-1, 1))[0].cpu() for part in z.to(model.device).split(BATCH)])


def _timed(into: list[float], clock: Callable[[], float], work: Callable[[], T]) -> T:
    """The result of `work`, whose seconds by the clock are added to the list."""
    begun = clock()
    made = work()
    into.append(clock() - begun)
    return made


def main(argv: Sequence[str] | None = None) -> int:
    """Measure the translations that the model has encoders for; --json keeps the rows."""
    parser = benchmark_parser("translations", main.__doc__, require_json=False)
    add_model(parser, n=64)
    parser.add_argument("--names", default=",".join(TRANSLATIONS), help="translations, separated by commas")
    add_device(parser, default="cpu", dtype=False)
    parser.add_argument("--pictures", type=Path, help="folder for a sheet of each translation")
    args = parser.parse_args(argv)
    model = hub.load(args.model, device=args.device)
    if "psp" not in model.encoders:
        parser.error(f"{args.model} has no pSp encoder to compare with.")
    domain = domain_of(model)
    drawn = domain.draw(range(HELD_OUT, HELD_OUT + args.n), model.resolution)
    segmenter = Segmenter(model.predictor, domain, model.resolution)
    rows = []
    for name in args.names.split(","):
        reason = unavailable(model, name)
        if reason is not None:
            sys.stderr.write(f"{name} is left out: {reason}\n")
            continue
        rows.append(figures(model, name, drawn, segmenter))
        sys.stdout.write(json.dumps(asdict(rows[-1]), indent=1) + "\n")
        if args.pictures is not None:
            sheet(model, name, drawn, args.pictures)
    write_rows(args.json, rows)
    return 0


def sheet(model: Model, name: str, drawn: Batch, folder: Path) -> None:
    """Write a picture: for each render the truth, the input, the result and three variations, from top to bottom."""
    folder.mkdir(parents=True, exist_ok=True)
    strips = []
    for i, upload in enumerate(input_of(name).rendered(drawn)[:SHEET_PICTURES]):
        made = translate(model, name, upload, TranslationOptions(4)).pictures
        parts = [images.to_array(drawn.picture[i]), upload, *(images.to_array(one) for one in made)]
        strips.append(np.concatenate(parts, axis=0))
    images.write_png(folder / f"{name}.png", np.concatenate(strips, axis=1))


if __name__ == "__main__":
    raise SystemExit(guarded("python -m benchmarks.translations", main))
