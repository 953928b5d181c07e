"""Downloads of a job: lossless pictures, a labelled sheet, figures and recipe as JSON."""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from inversion import images
from inversion.common.names import numbered, safe_name, settings_digits
from inversion.common.rows import Row
from inversion.images.sheets import Tile, sheet
from inversion.serving.session import JobView
from ui.parts.figures import caption

# Kinds of files for `PictureFiles`, with options of PIL. WebP: the quality of its compression; every pixel stays.
KINDS: dict[str, dict[str, Any]] = {
    "png": {},
    "webp": {"lossless": True, "method": 2, "quality": 20},
    "jpeg": {"quality": 92, "subsampling": 0},
}


class PictureFiles:
    """Files of pictures for components, in a folder that may be deleted as soon as the components are updated.

    Gradio writes an array over the file of an equal array, which a browser may be reading at that moment. A file is
    copied whole and once. kind: lossless WebP is a quarter smaller than PNG and made in half the time, for pictures
    that are only shown; JPEG, which is not lossless, is for those that are shown for a moment, and for WebP that would
    not have every pixel.
    """

    def __init__(self, folder: str, kind: str = "png") -> None:
        self.folder, self.kind = Path(folder), kind
        self._written: dict[str, np.ndarray] = {}

    def path(self, name: str, picture: np.ndarray | None, largest: int | None = None) -> str | None:
        """The picture's file, at most `largest` pixels a side. The next version of a picture may have the same name."""
        if picture is None:
            return None
        width = picture.shape[1]
        side = min(largest or width, width)
        kind = "jpeg" if side < width and self.kind == "webp" else self.kind
        path = self.folder / f"{name}.{kind}"
        if self._written.get(name) is not picture:
            image = Image.fromarray(picture)
            if side < width:
                image = image.resize((side, side), Image.Resampling.BILINEAR)
            image.save(path, **KINDS[kind])
            self._written[name] = picture
        return str(path)


@dataclass(frozen=True)
class Files:
    """Paths below the folder that `export` was given. `pictures` by index of the run."""

    pictures: dict[int, Path]
    archive: Path
    sheet: Path
    figures: Path


def export(view: JobView, folder: Path) -> Files | None:
    """Write the results that the job has; None if it has no picture. PNGs hold the recipe and nothing of the upload."""
    names = result_names(view)
    if not names:
        return None
    for i, run in enumerate(view.runs):
        if run.image is not None:
            images.write_png(folder / names[i], run.image, dict(run.row or {}))
    page, figures, archive = (
        folder / f"{job_name(view)}-{end}" for end in ("comparison.png", "figures.json", "pictures.zip")
    )
    sheet(tiles(view)).save(page)
    figures.write_text(json.dumps(rows(view, names), indent=1, allow_nan=False), encoding="utf-8")
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as packed:
        for path in [*(folder / name for name in names.values()), page, figures]:
            packed.write(path, path.name)
    return Files({i: folder / name for i, name in names.items()}, archive, page, figures)


def rows(view: JobView, names: dict[int, str] | None = None) -> list[Row]:
    """One row per run, plain JSON: figures and recipe if there are any, and the state."""
    return [
        {
            "task": view.task,
            "method": run.method,
            **(run.row or {}),
            "image": (names or {}).get(i),
            "label": run.label,
            "state": run.state,
            "message": run.message,
        }
        for i, run in enumerate(view.runs)
    ]


def tiles(view: JobView) -> list[Tile]:
    """The sheet's pictures: the original, the input to the methods, then every result."""
    first = [] if view.truth is None else [Tile("Picture", "original", view.truth)]
    if view.measured is not None and has_own_input(view):
        first.append(Tile("Input", "to the methods", view.measured))
    return first + [Tile(run.label, caption(run), run.image) for run in view.runs if run.image is not None]


def has_own_input(view: JobView) -> bool:
    """Whether the input to the methods differs from the original; in a reconstruction they are the same."""
    return view.truth is None or view.measured is None or not np.array_equal(view.truth, view.measured)


def job_name(view: JobView) -> str:
    """The beginning of the names of a job's files: its task, model and seed."""
    seeds = [run.row["seed"] for run in view.runs if run.row is not None]
    parts = [view.task, view.model, *(f"s{seed}" for seed in seeds[:1])]
    return safe_name("-".join(part for part in parts if part))


def result_names(view: JobView) -> dict[int, str]:
    """A name for each picture of the job, by index of the run: task, method, model, digits of its settings and seed."""
    names: dict[int, str] = {}
    for i, run in enumerate(view.runs):
        if run.image is not None:
            row = run.row or {}
            parts = [view.task, run.method, view.model]
            parts += [settings_digits(row), f"s{row['seed']}"] if "seed" in row else []
            first = Path(safe_name("-".join(part for part in parts if part)) + ".png")
            names[i] = next(path.name for path in numbered(first) if path.name not in names.values())
    return names
