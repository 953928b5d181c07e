"""Figures of the translations on held-out faces, whose truth is exact.

``python -m benchmarks.translations --json FILE`` prints, for a sketch, a label map and a turned face:

- `yaw_degrees`: mean error of the yaw that the predictor reads from the result (frontalisation: against the front);
- `attributes`: per factor that the input shows, how often the predictor says rightly of the result on which side of its
  middle the factor lies, divided by how often it does of the true render. A hand's drawings show neither colours nor
  light, and a map has one class for an eye, wherever it looks, and one for lips and what they open (what a network can
  read off drawings at all, `benchmarks.determined` measures);
- `generator`: those of these factors for which that ratio is below LOST for the generator's picture of the true code:
  what it never learnt to draw, no encoder can make it draw;
- `iou`: mean over classes of the result's segmentation with the true one, and the same for a reconstruction (pSp's)
  and for the true render; `iou_ratio` is the first of these to the second. No segmenter is shipped: one is fitted here
  on training renders, a small network that tells the
  class of a pixel by the colours around it, its place and the predictor's features;
- `rank1`: how often the result's identity is nearer to the given face than to any other held-out one;
- `seconds`: of one pass, and of ten variations.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from inversion import images
from inversion.checkpoints import hub
from inversion.model import Model, prior_of
from inversion.perception.predictor import Predictor
from inversion.synthetic import HELD_OUT, latents
from inversion.synthetic.faces import CLASSES, NAMES, Faces, draw_faces
from inversion.synthetic.faces.factors import FACTORS, INDEX, turned_to_front
from inversion.translations import TranslationOptions
from inversion.translations.drawings import PALETTE
from inversion.translations.translate import translate, unavailable

FITTED = 96  # training renders that the segmenter is fitted on
STEPS, SAMPLED = 600, 4096  # updates of the segmenter, and pixels in each
PATCH = 5  # pixels around one whose colours it sees
STEP = 2  # every so many pixels in both directions are looked at
READABLE = 0.5  # a factor counts if the predictor explains more than this of its variance on true renders
LOST = 0.8
UNSEEN = {  # groups of factors, and single ones
    "sketch": ("colour", "scene", "light", "age"),
    "map": ("colour", "scene", "light", "age", "gaze_x", "gaze_y", "lip_fullness"),
    "frontalize": ("pose",),
}
BATCH = 16
SHOWN = 8  # faces on a sheet


class Segmenter:
    """The class of a pixel by what `_pixels` knows of it; fitted when it is made, on training renders."""

    def __init__(self, predictor: Predictor, resolution: int) -> None:
        self.predictor = predictor
        seen, classes = [], []
        for start in range(0, FITTED, BATCH):
            drawn = draw_faces(range(start, start + BATCH), resolution)
            seen.append(_pixels(predictor, drawn.picture))
            classes.append(labels_of(drawn).flatten())
        known, truth = torch.cat(seen), torch.cat(classes)
        self.mean, self.scale = known.mean(dim=0), known.std(dim=0) + 1e-6
        rng = torch.Generator().manual_seed(0)
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.net = nn.Sequential(nn.Linear(known.shape[1], 96), nn.SiLU(), nn.Linear(96, len(CLASSES)))
        optimizer = torch.optim.Adam(self.net.parameters(), lr=3e-3)
        rare = truth.bincount(minlength=len(CLASSES)).clamp_min(1).float().rsqrt()  # small classes are seen more often
        for step in range(STEPS):
            optimizer.param_groups[0]["lr"] = 3e-3 * (1 - step / STEPS)
            rows = torch.multinomial(rare[truth], SAMPLED, replacement=True, generator=rng)
            loss = F.cross_entropy(self.net((known[rows] - self.mean) / self.scale), truth[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    @torch.no_grad()
    def __call__(self, x: Tensor) -> Tensor:
        """Classes of every STEP-th pixel, a row per picture (B, pixels), of pictures (B, 3, R, R) in [-1, 1]."""
        return torch.stack([self._classes(picture[None]) for picture in x])

    def _classes(self, x: Tensor) -> Tensor:
        return self.net((_pixels(self.predictor, x) - self.mean) / self.scale).argmax(dim=1)


def labels_of(drawn: Faces) -> Tensor:
    """True classes (B, pixels) of every STEP-th pixel."""
    return drawn.segmentation[:, :, ::STEP, ::STEP].argmax(dim=1).flatten(1)


def _pixels(predictor: Predictor, x: Tensor) -> Tensor:
    """What is known of every STEP-th pixel of pictures (B, 3, R, R): (B * pixels, features)."""
    line = torch.linspace(-1, 1, x.shape[-1])
    place = torch.stack(torch.meshgrid(line, line, indexing="ij"))  # (2, R, R)
    around = F.unfold(F.pad(x, [PATCH // 2] * 4, mode="replicate"), PATCH).unflatten(2, x.shape[-2:])
    with torch.no_grad():
        maps = [F.interpolate(f.float(), size=x.shape[-2:], mode="bilinear") for f in predictor.features(x)[:4]]
    planes = torch.cat([around, *maps, place.expand(len(x), -1, -1, -1)], dim=1)
    return planes[:, :, ::STEP, ::STEP].permute(0, 2, 3, 1).flatten(0, 2)


def iou(found: Tensor, truth: Tensor) -> float:
    """Mean over the classes that occur of intersection / union of two maps of class indices of the same shape."""
    shares = []
    for index in torch.cat([found.flatten(), truth.flatten()]).unique().tolist():
        a, b = found == index, truth == index
        shares.append(float((a & b).sum() / (a | b).sum()))
    return statistics.fmean(shares)


def uploads(kind: str, drawn: Faces) -> list[np.ndarray]:
    """What a user would give for these faces, uint8 (R, R, 3)."""
    if kind == "map":
        return list(np.asarray(PALETTE, np.uint8)[drawn.segmentation.argmax(dim=1).numpy()])
    planes = drawn.sketch.expand(-1, 3, -1, -1) if kind == "sketch" else drawn.picture
    return [images.to_array(x) for x in planes]


def explained(read: Tensor, truth: Tensor) -> Tensor:
    """Share (K,) of the variance of factors (B, K) that readings of them explain."""
    return 1 - (read - truth).square().sum(dim=0) / (truth - truth.mean(dim=0)).square().sum(dim=0)


def sided(read: Tensor, truth: Tensor) -> Tensor:
    """How often (K,) readings (B, K) of factors lie on the right side of the middle."""
    return ((read > 0) == (truth > 0)).float().mean(dim=0)


@torch.no_grad()
def reconstructed(model: Model, pictures: Tensor) -> Tensor:
    """What pSp, shown the pictures (B, 3, R, R) themselves, makes of them."""
    encoder, prior = model.encoders["psp"], prior_of(model)
    parts = pictures.to(model.device).split(BATCH)
    return torch.cat([prior.synthesis(encoder(encoder.fit(part))).cpu() for part in parts])


def figures(model: Model, name: str, drawn: Faces, segmenter: Segmenter) -> dict[str, Any]:
    """The row of one translation."""
    given = uploads(name, drawn)
    passed: list[float] = []
    results = torch.cat([_timed(passed, lambda x=x: translate(model, name, x)).pictures.cpu() for x in given])
    ten: list[float] = []
    for upload in given[:4]:
        _timed(ten, lambda x=upload: translate(model, name, x, TranslationOptions(10)))
    truth = drawn.front if name == "frontalize" else drawn.picture
    factors = turned_to_front(drawn.factors) if name == "frontalize" else drawn.factors
    judge = segmenter.predictor
    with torch.no_grad():
        seen, persons = judge.heads(results.clamp(-1, 1))
        best, own = judge.heads(truth)[0], judge.embed(drawn.picture)
    yaw = FACTORS[INDEX["yaw"]]
    error = (seen - factors)[:, INDEX["yaw"]].abs().mean() * (yaw.high - yaw.low) / 2
    readable, right, most = explained(best, factors), sided(seen, factors), sided(best, factors)
    unseen = UNSEEN[name]
    shown = [
        r > READABLE and f.group not in unseen and f.name not in unseen
        for f, r in zip(FACTORS, readable.tolist(), strict=True)
    ]
    known = {n: round(float(right[i] / most[i]), 3) for i, n in enumerate(NAMES) if shown[i]}
    row: dict[str, Any] = {
        "translation": name,
        "n": len(given),
        "yaw_degrees": round(float(error), 2),
        "attributes": dict(sorted(known.items(), key=lambda item: -item[1])),
        "rank1": round(float(((persons @ own.t()).argmax(dim=1) == torch.arange(len(own))).float().mean()), 3),
        "seconds": round(statistics.median(passed), 3),
        "seconds_10": round(statistics.median(ten), 3),
    }
    if name != "frontalize":
        labels = labels_of(drawn)
        found, reached, most = (
            iou(segmenter(x.clamp(-1, 1)), labels) for x in (results, reconstructed(model, drawn.picture), truth)
        )
        row |= {"iou": round(found, 3), "iou_of_reconstruction": round(reached, 3), "iou_of_truth": round(most, 3)}
        row["iou_ratio"] = round(found / reached, 3)
        z = latents(range(HELD_OUT, HELD_OUT + len(given)))
        if z.shape[1] == prior_of(model).z_dim:
            reach = (sided(_of_codes(model, z, judge), factors) / most).tolist()
            row["generator"] = {n: round(reach[i], 3) for i, n in enumerate(NAMES) if shown[i] and reach[i] < LOST}
    return row


@torch.no_grad()
def _of_codes(model: Model, z: Tensor, judge: Predictor) -> Tensor:
    """What the predictor reads (B, K) off the generator's pictures of codes z (B, z_dim)."""
    prior = prior_of(model)
    return torch.cat([judge.heads(prior(part).clamp(-1, 1))[0].cpu() for part in z.to(model.device).split(BATCH)])


def _timed(into: list[float], work: Callable[[], Any]) -> Any:  # noqa: ANN401 - whatever `work` makes
    begun = time.perf_counter()
    made = work()
    into.append(time.perf_counter() - begun)
    return made


def main(argv: Sequence[str] | None = None) -> int:
    """Measure the translations that the model has an encoder for; print the rows and keep them with --json."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.translations", description=main.__doc__)
    parser.add_argument("--n", type=int, default=64, help="held-out faces")
    parser.add_argument("--names", default="sketch,map,frontalize")
    parser.add_argument("--model", default=hub.DEFAULT)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--pictures", type=Path, help="folder for a sheet per translation")
    args = parser.parse_args(argv)
    model = hub.load(args.model, device=args.device)
    predictor = model.predictor
    if predictor is None or "psp" not in model.encoders:
        parser.error(f"{args.model} has no predictor to judge with, or no pSp encoder to compare with")
    drawn = draw_faces(range(HELD_OUT, HELD_OUT + args.n), model.resolution)
    segmenter = Segmenter(predictor, model.resolution)
    rows = []
    for name in args.names.split(","):
        reason = unavailable(model, name)
        if reason is not None:
            sys.stderr.write(f"{name} is left out: {reason}\n")
            continue
        rows.append(figures(model, name, drawn, segmenter))
        sys.stdout.write(json.dumps(rows[-1], indent=1) + "\n")
        if args.pictures is not None:
            sheet(model, name, drawn, args.pictures)
    if args.json is not None:
        args.json.write_text(json.dumps(rows, indent=1) + "\n")
    return 0


def sheet(model: Model, name: str, drawn: Faces, folder: Path) -> None:
    """A picture: eight faces, what is given, what is made, three variations."""
    folder.mkdir(parents=True, exist_ok=True)
    strips = []
    for i, upload in enumerate(uploads(name, drawn)[:SHOWN]):
        made = translate(model, name, upload, TranslationOptions(4)).pictures
        parts = [images.to_array(drawn.picture[i]), upload, *(images.to_array(one) for one in made)]
        strips.append(np.concatenate(parts, axis=0))
    images.write_png(folder / f"{name}.png", np.concatenate(strips, axis=1))


if __name__ == "__main__":
    raise SystemExit(main())
