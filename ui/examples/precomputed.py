"""Comparisons of the example pictures that were computed in advance: files of `results`, read without torch.

`python -m ui.examples.compute` makes them with the engine that also runs live jobs. A comparison is a job's view
without a key: the first methods of a tab, on the default model, with their default settings and seed 0.
"""

from __future__ import annotations

import functools
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from inversion.align import Crop
from inversion.serving.session import JobView, RunView
from inversion.synthetic import DEFAULT, DOMAINS
from ui.examples import FOLDER, stems

RESULTS = FOLDER / "results"
INDEX = RESULTS / "index.json"
OPENING = stems(DOMAINS[DEFAULT])[0]  # the example whose comparison is shown when the page opens
NAMES = tuple(stem for domain in DOMAINS.values() for stem in stems(domain))
SOURCE = "centre"  # of the mask of a task that has one: no mask is painted on an example
SEED = 0


@dataclass(frozen=True)
class Comparison:
    """A comparison and the files of its pictures."""

    example: str  # stem of the picture's file
    view: JobView
    files: Mapping[str, Path]  # by "truth", "measured" and the index of a run

    def path(self, name: str) -> Path:
        """File of the picture `name`."""
        return self.files[name]


class StoredFiles:
    """Files of a comparison's pictures for components, in a folder that may be deleted, see `PictureFiles`."""

    def __init__(self, folder: str, comparison: Comparison) -> None:
        self.folder, self.comparison = Path(folder), comparison

    def path(self, name: str, picture: np.ndarray | None, largest: int | None = None) -> str | None:
        """A copy of the file of one of the view's pictures. The other arguments are those of `PictureFiles`."""
        if picture is None:
            return None
        view = self.comparison.view
        named = {"truth": view.truth, "measured": view.measured}
        named |= {str(i): run.image for i, run in enumerate(view.runs)}
        source = self.comparison.path(next(key for key, known in named.items() if known is picture))
        return str(shutil.copy(source, self.folder / source.name))


def file_of(example: str, task: str, part: str) -> Path:
    """Where a picture is stored. part: "truth", "measured", or the key of a method."""
    name = part if part == "truth" else f"{task}-{part}"
    return RESULTS / f"{example}-{name}.webp"


@functools.cache
def index() -> dict[str, Any]:
    """The index by `compute`: model, weights {entry: sha256}, and runs[example][task][method]: label, row, track."""
    return json.loads(INDEX.read_text(encoding="utf-8"))


@functools.lru_cache(maxsize=64)
def comparison(task: str, methods: tuple[str, ...], example: str, model: str) -> Comparison | None:
    """The comparison of these methods on an example, None if it is not stored."""
    stored = index()
    runs = stored["runs"].get(example, {}).get(task, {})
    if stored["model"] != model or not methods or any(method not in runs for method in methods):
        return None
    files = {"truth": file_of(example, task, "truth")}
    measured = file_of(example, task, "measured")
    files |= {"measured": measured if measured.is_file() else files["truth"]}
    files |= {str(i): file_of(example, task, method) for i, method in enumerate(methods)}
    pictures = {name: _read(path) for name, path in files.items()}
    views = tuple(_run(method, runs[method], pictures[str(i)]) for i, method in enumerate(methods))
    crop = Crop(note=runs[methods[0]]["row"]["crop"]["note"])
    view = JobView("", task, views, 0, 1, pictures["truth"], pictures["measured"], model, crop)
    return Comparison(example, view, files)


def _read(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"))


def _run(method: str, stored: Mapping[str, Any], image: np.ndarray) -> RunView:
    row = stored["row"]
    track = tuple((seconds, psnr) for seconds, psnr in stored["track"])
    seconds, step = row["seconds"], row["steps"]
    return RunView(
        method, stored["label"], "done", step=step, seconds=seconds, image=image, row=row, track=track, version=1
    )
