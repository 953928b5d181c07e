"""The results of `compare`: a list that shows itself as text in a terminal and as pictures in a notebook."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, overload

import numpy as np
import torch
from PIL import Image

from inversion import images
from inversion.cli.codes import write_files
from inversion.cli.common import table_lines
from inversion.cli.html import data_address, figures, picture
from inversion.cli.records import add_rows
from inversion.common.commands import UsageError
from inversion.common.names import numbered, reserve, safe_name, write_whole
from inversion.common.rows import Row
from inversion.methods import parse_method
from inversion.methods.codes import from_plain
from inversion.metrics import METRICS
from inversion.serving.lane import Lane
from inversion.serving.runs import Finished, Ready, Request
from inversion.tasks import task_class

if TYPE_CHECKING:
    from torch import Tensor

    from inversion.methods.codes import Code

NARROWEST, SHOWN = 168, 224  # widths of a picture in a notebook, in pixels of the page
SHARP = 2  # stored pixels for each of them
STRIP = "display:flex;flex-wrap:wrap;gap:14px;align-items:flex-start"
LINE = "display:flex;justify-content:space-between;gap:8px"
FIGURE = "margin:0;font-size:13px;line-height:1.45"


@dataclass(frozen=True, eq=False)
class ComparedResult:
    """The result of one method. `lane` and `request` made it, `finished` is the lane's last event."""

    lane: Lane
    request: Request
    finished: Finished

    @property
    def method(self) -> str:
        """The key of the method."""
        return self.request.method

    @property
    def label(self) -> str:
        """The name of the method."""
        return parse_method(self.method).label

    @property
    def array(self) -> np.ndarray:
        """The picture, uint8 (R, R, 3)."""
        return self.finished.image

    @property
    def picture(self) -> Image.Image:
        """The picture as PIL shows and saves it."""
        return Image.fromarray(self.array)

    @property
    def row(self) -> Row:
        """Figures and recipe, as the command line writes them: metrics, seconds, settings, seed, ..."""
        return dict(self.finished.row)

    @property
    def seconds(self) -> float:
        """Computing time."""
        return float(self.finished.row["seconds"])

    @property
    def code(self) -> Code | None:
        """The latent code, on the CPU; None if the method has none. `save_code` writes it."""
        return None if self.finished.code is None else from_plain(self.finished.code, torch.device("cpu"))

    @property
    def weights(self) -> Mapping[str, Tensor] | None:
        """The weights of the tuned generator, on the CPU; None if the method tunes none. `write_tuned` writes them."""
        return self.finished.weights

    def save(self, path: str | Path) -> Path:
        """Write the picture as PNG, with its code (.npz) and tuned generator (.safetensors) beside it.

        A file that exists is kept: the new one becomes NAME-2. Returns the path of the picture. Raises UsageError if
        the name does not end in .png, HubError and OSError.
        """
        return self._written(Path(path))[0]

    def _written(self, path: Path) -> tuple[Path, Row]:
        """The path of the picture, and the row with the paths of the files."""
        if path.suffix.lower() != ".png":
            raise UsageError(f"Results are PNG files. Let the name {path} end in .png.")
        found = reserve(numbered(path))
        write_whole(found, partial(images.write_png, array=self.array))
        paths = write_files(found, self.lane, self.request, self.finished)
        return found, {**self.finished.row, "image": str(found), **paths}

    def __repr__(self) -> str:
        """The method with its figures."""
        texts = [f"{name} {text}" for name, text in figures(self.finished.row).items()]
        return f"<{self.label}: {', '.join(texts)}>"

    def _repr_html_(self) -> str:
        """The picture with its figures, for a notebook."""
        return _figure(self.array, self.label, figures(self.finished.row), self.finished.message)


class Comparison(Sequence[ComparedResult]):
    """The results of methods on one picture: a list, whose items can also be found by the key of the method.

    name: of the picture. failed: methods without a result, with the reasons.
    """

    def __init__(self, name: str, results: Sequence[ComparedResult], ready: Ready, failed: Mapping[str, str]) -> None:
        self.name, self.results, self.failed = name, tuple(results), dict(failed)
        self.notes = ready.notes
        self._ready = ready

    @property
    def original(self) -> Image.Image | None:
        """The part of the picture that was used; None if the picture is the measurement."""
        return None if self._ready.truth is None else Image.fromarray(self._ready.truth)

    @property
    def input(self) -> Image.Image:
        """What the methods got of the picture."""
        return Image.fromarray(self._ready.measured)

    @property
    def rows(self) -> list[Row]:
        """The rows of all results, for a table: `pandas.DataFrame(comparison.rows)`."""
        return [result.row for result in self.results]

    def save(self, folder: str | Path) -> list[Path]:
        """Write all results to a folder as PICTURE_TASK_METHOD.png, and their rows to PICTURE_TASK.json.

        No file is replaced, and rows are added. Returns the paths of the pictures. Raises HubError and OSError.
        """
        place, stem = Path(folder), safe_name(Path(self.name).stem)
        paths = []
        for result in self.results:
            first = f"{stem}_{result.request.task}"
            path, row = result._written(place / f"{safe_name(f'{first}_{result.method}')}.png")
            add_rows(place / f"{first}.json", [row])
            paths.append(path)
        return paths

    def __len__(self) -> int:
        return len(self.results)

    def __iter__(self) -> Iterator[ComparedResult]:
        return iter(self.results)

    @overload
    def __getitem__(self, index: int | str) -> ComparedResult: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[ComparedResult]: ...
    def __getitem__(self, index: int | str | slice) -> ComparedResult | Sequence[ComparedResult]:
        """A result by its place or by its method; several by a slice. Raises KeyError and IndexError."""
        if not isinstance(index, str):
            return self.results[index]
        for result in self.results:
            if result.method == index:
                return result
        raise KeyError(f"{index}: choose one of {', '.join(result.method for result in self.results)}")

    def __repr__(self) -> str:
        """A table of the figures."""
        rows = self.rows
        known = [name for name in METRICS if any(row.get(name) is not None for row in rows)]
        lines = [self._title(), *table_lines(rows, ["method", *known, "seconds"])]
        return "\n".join([*lines, *(f"{method}: {reason}" for method, reason in self.failed.items())])

    def _repr_html_(self) -> str:
        """The pictures side by side with their figures, for a notebook."""
        truth, measured = self._ready.truth, self._ready.measured
        parts = [] if truth is None else [_figure(truth, "Original")]
        if truth is None or not np.array_equal(truth, measured):
            parts.append(_figure(measured, "Input to the methods"))
        parts += [result._repr_html_() for result in self.results]
        notes = [*self.notes, *(f"{parse_method(key).label}: {reason}" for key, reason in self.failed.items())]
        lines = "".join(f'<p style="margin:4px 0;font-size:13px">{escape(line)}</p>' for line in notes)
        return f'<p style="margin:4px 0">{escape(self._title())}</p><div style="{STRIP}">{"".join(parts)}</div>{lines}'

    def _title(self) -> str:
        request = self.results[0].request
        return f"{task_class(request.task).label}: {self.name}, {request.model}, seed {request.seed}"


def _figure(array: np.ndarray, label: str, texts: Mapping[str, str] | None = None, message: str = "") -> str:
    """A picture with lines below it. Its colours are those of the notebook."""
    width = min(SHOWN, max(NARROWEST, array.shape[1]))
    shown = picture(data_address(array, SHARP * SHOWN), label, f"display:block;width:{width}px")
    lines = "".join(
        f'<div style="{LINE}"><span style="opacity:.7">{escape(name)}</span><span>{escape(text)}</span></div>'
        for name, text in (texts or {}).items()
    )
    note = f'<div style="opacity:.7">{escape(message)}</div>' if message else ""
    return (
        f'<figure style="{FIGURE};width:{width}px">{shown}<figcaption><b>{escape(label)}</b>{lines}{note}'
        "</figcaption></figure>"
    )
