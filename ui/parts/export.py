"""What can be downloaded of a job: lossless pictures, a labelled sheet, figures and recipe as JSON."""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from inversion import images
from inversion.serving.session import JobView, RunView
from ui.parts.plots import Tile, sheet


class Shown:
    """Files of pictures that a component is to show, in a folder that may go when the component has been updated.

    Gradio makes a file of an array by writing over the one of an equal array, which a browser may be reading at that
    moment; a file it copies whole and once.
    """

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)
        self._held: dict[str, np.ndarray] = {}

    def path(self, name: str, picture: np.ndarray | None, largest: int | None = None) -> str | None:
        """The picture's file, at most `largest` pixels a side. The next version of a picture may have the same name."""
        if picture is None:
            return None
        path = self.folder / f"{name}.png"
        if self._held.get(name) is not picture:
            image = Image.fromarray(picture)
            if largest is not None and image.width > largest:
                image = image.resize((largest, largest), Image.Resampling.BILINEAR)
            image.save(path)
            self._held[name] = picture
        return str(path)


@dataclass(frozen=True)
class Files:
    """Paths below the folder that `export` was given. `pictures` by index of the run."""

    pictures: dict[int, Path]
    archive: Path
    sheet: Path
    figures: Path


def export(view: JobView, folder: Path) -> Files | None:
    """Write what the job has so far, None without a picture. PNGs hold our recipe and nothing of the upload."""
    names = {i: f"{view.task}-{_slug(run.method)}.png" for i, run in enumerate(view.runs) if run.image is not None}
    if not names:
        return None
    for i, run in enumerate(view.runs):
        if run.image is not None:
            images.write_png(folder / names[i], run.image, dict(run.row or {}))
    page, figures, archive = (
        folder / f"{view.task}-{end}" for end in ("comparison.png", "figures.json", "pictures.zip")
    )
    sheet(tiles(view)).save(page)
    figures.write_text(json.dumps(rows(view, names), indent=1, allow_nan=False), encoding="utf-8")
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as packed:
        for path in [*(folder / name for name in names.values()), page, figures]:
            packed.write(path, path.name)
    return Files({i: folder / name for i, name in names.items()}, archive, page, figures)


def rows(view: JobView, names: dict[int, str] | None = None) -> list[dict[str, Any]]:
    """One row a run, plain JSON: its figures and recipe where it has any, and its state always."""
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
    """The sheet's pictures: the truth, what was measured of it, then every run that has one."""
    first = [] if view.truth is None else [Tile("Picture", "the truth", view.truth)]
    if view.measured is not None and (view.truth is None or view.task != "reconstruct"):
        first.append(Tile("Measured", "what the methods saw", view.measured))
    return first + [Tile(run.label, caption(run), run.image) for run in view.runs if run.image is not None]


def caption(run: RunView) -> str:
    """The run's figures in a line."""
    row = run.row or {}
    parts = [f"{row['psnr']:.2f} dB"] if row.get("psnr") is not None else []
    parts += [f"SSIM {row['ssim']:.3f}"] if row.get("ssim") is not None else []
    parts += [f"{run.seconds:.1f} s"]
    return "  ".join(parts + ([run.state] if run.state in ("cancelled", "failed") else []))


def _slug(text: str) -> str:
    return "".join(c if c.isalnum() else "-" for c in text)[:60]
