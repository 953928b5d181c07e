"""`analyse`: an effect that a paper describes, checked on a picture."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
from PIL import Image

from inversion.analysis import Report
from inversion.analysis.export import picture_sheet, write
from inversion.checkpoints.registry import DEFAULT
from inversion.cli.html import data_address
from inversion.cli.interrupt import StopRequest
from inversion.cli.runs import follow
from inversion.common.names import safe_name
from inversion.common.plot import draw
from inversion.common.rows import Row
from inversion.common.settings import SettingValue
from inversion.interactive.comparing import Source, decoded
from inversion.serving.lane import Lane
from inversion.serving.measurement import crop
from inversion.serving.runs import Request
from inversion.tasks import DEFAULT_TASK

if TYPE_CHECKING:
    from inversion.align import CropMode

SHOWN = 1600  # largest side in pixels of the sheet in a notebook


class Analysed:
    """A report, and the row with everything that is needed to repeat it."""

    def __init__(self, report: Report, row: Row) -> None:
        self.report, self.row = report, row

    @property
    def rows(self) -> list[Row]:
        """The table, for `pandas.DataFrame(result.rows)`."""
        found: list[Row] = self.report.row()["table"]
        return found

    @property
    def sheet(self) -> Image.Image:
        """All pictures on one page."""
        return Image.fromarray(picture_sheet(self.report))

    def save(self, folder: str | Path) -> Path | None:
        """Write pictures, plots, table and figures to a folder. Returns the sheet. Raises OSError."""
        place = Path(folder)
        place.mkdir(parents=True, exist_ok=True)
        return write(self.report, self.row, place, safe_name(f"{self.row['analysis']}-s{self.row['seed']}")).sheet

    def __repr__(self) -> str:
        """The table and the finding."""
        table = self.report.table
        lines = [[column.label for column in table.columns], *table.rows_as_text()]
        return "\n".join(["  ".join(line) for line in lines] + [self.report.finding])

    def _repr_html_(self) -> str:
        """The finding, the plots and the pictures, for a notebook."""
        plots = "".join(f'<div style="max-width:720px">{draw(plot, alone=True)}</div>' for plot in self.report.plots)
        shown = f'<img alt="pictures" style="max-width:100%" src="{data_address(np.asarray(self.sheet), SHOWN)}">'
        return f"<p><b>{escape(self.report.finding)}</b></p>{plots}{shown}"


def analyse(
    kind: str,
    picture: Source,
    *,
    model: str = DEFAULT,
    settings: Mapping[str, SettingValue] | None = None,
    seed: int = 0,
    **options: object,
) -> Analysed:
    """Check an effect that a paper describes, as in `analyse("codes", "face.png")`; kind: a key of `ANALYSES`.

    picture: as of `compare`. settings: {field: value} of the analysis. options: align (auto, face, centre), device,
    dtype, budget in seconds, progress. Ctrl-C ends it with the report so far. Raises UserError.
    """
    lane = Lane(str(options.get("device", "auto")), str(options.get("dtype", "auto")))
    pixels = np.asarray(decoded(picture)[1].picture)
    how = cast("CropMode", options.get("align", "auto"))
    request = Request(
        task=DEFAULT_TASK,
        method=kind,
        picture=pixels,
        model=model,
        settings=settings or {},
        seed=seed,
        budget=float(str(options.get("budget", 3600.0))),
        crop=crop(pixels, model, how),
        analysis=kind,
    )
    lane.check(request)
    with StopRequest() as stop, stop.postponed():
        _, finished = follow(lane, request, stop, lambda notes: None, bars=bool(options.get("progress", True)))
    return Analysed(finished.report or Report(), dict(finished.row))
