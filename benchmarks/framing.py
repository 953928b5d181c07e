"""How well faces are found and framed for the embedded model, without a network and with YuNet.

``python -m benchmarks.framing --json framing.json`` pastes held-out renders (25 to 60 % of the side, turned by up to
20 degrees) on smooth random backgrounds. It counts how many are framed within LIMITS of the true square (largest
corner error as part of the side), how many are said not to be found, and how many are framed wrongly. ``--yunet FILE``
adds that detector. ``--invert`` frames scikit-image's astronaut and inverts it, which takes minutes.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.common import benchmark_parser, table_of, write_rows
from benchmarks.domain import photo
from inversion import align, images
from inversion.align import ESTIMATED_NOTE, Crop, Quad
from inversion.checkpoints import hub
from inversion.checkpoints.detector import Detector, Target, YuNet, choose, target_of
from inversion.checkpoints.photo import sharpness
from inversion.checkpoints.registry import registry
from inversion.common.commands import UsageError, guarded, positive
from inversion.synthetic import DOMAINS, HELD_OUT
from inversion.tasks import DEFAULT_TASK

LIMITS = {"cascade": 0.08, "yunet": 0.05}
WRONG = 0.15  # corner error above which a frame shows something else
SIDE, FACE = 512, 320  # pixels of a picture and of the render that is pasted
SIZES, TURN = (0.25, 0.6), 20.0  # range of the face's size as part of the side; largest turn in degrees
METHODS = ("pti", "clone", "mganprior")


@dataclass(frozen=True)
class FramingRow:
    """How often one detector frames composites well. Errors: largest distance between corners / side of the square."""

    detector: str
    n: int
    limit: float  # error up to which a frame is right
    within: int
    not_found: int  # and the note says so
    off_noted: int  # a larger error, and the note asks to check
    off: int  # a larger error without a note
    wrong: int  # an error larger than WRONG
    median_error: float
    largest_error: float
    errors: list[float | None]  # of every composite; None: not found


COLUMNS: dict[str, Callable[[FramingRow], object]] = {
    "Detector": lambda row: row.detector,
    "n": lambda row: row.n,
    "Limit": lambda row: f"{row.limit:.0%}",
    "Within": lambda row: row.within,
    "Not found, with a note": lambda row: row.not_found,
    "Larger error, with a note": lambda row: row.off_noted,
    "Larger error, without": lambda row: row.off,
    f"Wrong by > {WRONG:.0%}": lambda row: row.wrong,
    "Median error": lambda row: row.median_error,
    "Largest error": lambda row: row.largest_error,
}


@dataclass(frozen=True)
class InversionRow:
    """A method's result for the framed astronaut."""

    method: str
    psnr: float  # dB
    seconds: float


def composite(seed: int, side: int = SIDE) -> tuple[np.ndarray, Quad]:
    """A picture uint8 (side, side, 3) with the render of a seed, and its true square."""
    domain = DOMAINS[registry()[hub.DEFAULT].domain]
    rng = np.random.default_rng(seed)
    patches = Image.fromarray(rng.uniform(0, 255, (4, 4, 3)).astype(np.uint8))
    picture = np.asarray(patches.resize((side, side), Image.Resampling.BICUBIC))
    size, turn = rng.uniform(*SIZES), rng.uniform(-TURN, TURN)
    angle = math.radians(turn)
    half = size / 2 * (abs(math.cos(angle)) + abs(math.sin(angle)))
    x, y = rng.uniform(half, 1 - half, 2)
    quad = align.by_hand((side, side), x, y, size, turn).quad
    if quad is None:
        raise AssertionError("a square by hand has a quad")
    return align.paste(picture, quad, images.to_array(domain.draw([seed], FACE).picture)), quad


def corner_error(found: Quad, true: Quad) -> float:
    """The largest distance between corners, as part of the true side."""
    return float(np.linalg.norm(np.array(found) - true, axis=1).max() / align.side_of(true))


def found_by(detector: Detector, picture: np.ndarray) -> Crop:
    """The crop of `auto` for the embedded face model."""
    return choose(picture, "auto", lambda: detector, target=embedded_target())


def embedded_target() -> Target:
    """The target of the default model."""
    entries = registry()
    return target_of(entries, entries[hub.DEFAULT])


def frames(name: str, detector: Detector, seeds: range) -> FramingRow:
    """Figures of one detector. name: a key of LIMITS."""
    errors: list[float | None] = []
    silent, limit = 0, LIMITS[name]
    for seed in seeds:
        picture, quad = composite(seed)
        crop = found_by(detector, picture)
        errors.append(None if crop.quad is None else corner_error(crop.quad, quad))
        silent += (errors[-1] or 0) > limit and ESTIMATED_NOTE not in crop.note
    found = [error for error in errors if error is not None]
    return FramingRow(
        detector=name,
        n=len(seeds),
        limit=limit,
        within=sum(error <= limit for error in found),
        not_found=errors.count(None),
        off_noted=sum(error > limit for error in found) - silent,
        off=silent,
        wrong=sum(error > WRONG for error in found),
        median_error=round(float(np.median(found)), 4),
        largest_error=round(max(found), 4),
        errors=[None if error is None else round(error, 4) for error in errors],
    )


def inverted(detector: Detector) -> list[InversionRow]:
    """PSNR in dB inside the crop of the astronaut, by METHODS with their defaults; prints the crop.

    Raises UsageError if the detector finds no face.
    """
    from inversion.serving.lane import Lane
    from inversion.serving.runs import Finished, Request

    picture = photo("astronaut")
    crop, rows = found_by(detector, picture), []
    if crop.quad is None:
        raise UsageError(f"The astronaut's face was not found. {crop.note}")
    for method in METHODS:
        *_, last = Lane("cpu")(Request(DEFAULT_TASK, method, picture, hub.DEFAULT, crop=crop, budget=600.0))
        if isinstance(last, Finished):
            rows.append(InversionRow(method, last.row["psnr"], last.row["seconds"]))
    place, sharp = np.round(crop.quad, 1).tolist(), sharpness(picture, crop.quad)
    sys.stdout.write(f"astronaut: square {place}, sharpness {sharp:.3f}\n")
    return rows


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print tables."""
    parser = benchmark_parser("framing", __doc__, require_json=False)
    parser.add_argument("--n", type=positive, default=40, help="number of composites")
    parser.add_argument("--first", type=int, default=HELD_OUT, help="seed of the first face")
    parser.add_argument("--yunet", type=Path, help="a file of OpenCV's YuNet detector")
    parser.add_argument("--invert", action="store_true", help="invert the astronaut too")
    args = parser.parse_args(argv)
    cascade = embedded_target().fit
    if cascade is None:
        raise UsageError("The registry has no cascade.")
    detectors: dict[str, Detector] = {"cascade": cascade}
    if args.yunet is not None:
        detectors["yunet"] = YuNet(args.yunet)
    rows = [frames(name, detector, range(args.first, args.first + args.n)) for name, detector in detectors.items()]
    sys.stdout.write(table_of(COLUMNS, rows) + "\n")
    results = inverted(cascade) if args.invert else []
    for result in results:
        sys.stdout.write(f"{result.method}: {result.psnr:.2f} dB, {result.seconds:.0f} s\n")
    write_rows(args.json, [*rows, *results])
    return 0


if __name__ == "__main__":
    raise SystemExit(guarded("python -m benchmarks.framing", main))
