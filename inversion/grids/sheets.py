"""The sheet of a grid: all pictures in one, with the values of the axes as headers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from inversion.grids.figures import caption
from inversion.grids.plans import Layout
from inversion.serving.jobs import RunView

SMALLEST, LARGEST = 128, 256  # pixels a side of a picture on the sheet
INK, GREY, EMPTY = "#1a1a19", "#55554f", "#e5e5e0"
Named = tuple[str, np.ndarray]  # a name and a picture, uint8 (H, W, 3)


def sheet(layout: Layout, runs: Sequence[RunView], title: str = "", originals: Sequence[Named] = ()) -> Image.Image:
    """The cells with the values of x above and of y beside them; a block for each value of z.

    originals: pictures that stand before the cells. Pictures have 128 to 256 pixels a side; a cell without a picture
    is grey.
    """
    return _Sheet(layout, runs, title, originals).draw()


class _Sheet:
    """Sizes in pixels, and the page that is drawn."""

    def __init__(self, layout: Layout, runs: Sequence[RunView], title: str, originals: Sequence[Named]) -> None:
        self.layout, self.runs, self.title, self.originals = layout, runs, title, originals
        sizes = [run.image.shape[1] for run in runs if run.image is not None]
        self.side = min(LARGEST, max(SMALLEST, *sizes, 0))
        self.gap, self.line = self.side // 16, round(self.side / 6)
        self.bold, self.small = ImageFont.load_default(self.side / 9), ImageFont.load_default(self.side / 11)
        self.step, self.row = self.side + self.gap, self.side + self.line + self.gap
        self.deep = layout.sizes[2]
        self.left = self._header_width()

    def draw(self) -> Image.Image:
        """The page."""
        across, down, deep = self.layout.sizes
        block = 2 * self.line + down * self.row + (self.line + self.gap if deep > 1 else 0)
        top = self.gap + (self.line + self.gap if self.title else 0)
        first = self.row + self.line if self.originals else 0
        width = self.gap + max(self.left + across * self.step, len(self.originals) * self.step, 3 * self.step)
        self.page = Image.new("RGB", (width, top + first + deep * block + self.gap), "white")
        self.pen = ImageDraw.Draw(self.page)
        self._write((self.gap, self.gap), self.title, INK, width - 2 * self.gap)
        for i, (name, picture) in enumerate(self.originals):
            x = self.gap + i * self.step
            self._write((x, top), name, GREY, self.side)
            self._paste((x, top + self.line), picture)
        for z in range(deep):
            self._block(top + first + z * block, z)
        return self.page

    def _block(self, y: int, z: int) -> None:
        """The cells of one value of z."""
        across, down, deep = self.layout.sizes
        columns, *others = self.layout.axes
        if deep > 1:
            self._write((self.gap, y), f"{others[1].label}: {others[1].values[z]}", INK, self.page.width)
            y += self.line + self.gap
        self._write((self.left, y), columns.label, GREY, across * self.step)
        for i, text in enumerate(columns.values):
            self._write((self.left + i * self.step, y + self.line), text, INK, self.side)
        if others:
            self._write((self.gap, y + self.line), others[0].label, GREY, self.left - 2 * self.gap)
        for j in range(down):
            at = y + 2 * self.line + j * self.row
            if others:
                middle = at + (self.side - self.line) // 2
                self._write((self.gap, middle), others[0].values[j], INK, self.left - 2 * self.gap)
            for i in range(across):
                run = self.runs[self.layout.runs[(z * down + j) * across + i]]
                self._cell((self.left + i * self.step, at), run)

    def _cell(self, at: tuple[int, int], run: RunView) -> None:
        """A picture with the line below it."""
        if run.image is None:
            self.pen.rectangle((*at, at[0] + self.side - 1, at[1] + self.side - 1), fill=EMPTY)
        else:
            self._paste(at, run.image)
        self._write((at[0], at[1] + self.side + 2), caption(run), GREY, self.side)

    def _paste(self, at: tuple[int, int], array: np.ndarray) -> None:
        """Paste a picture. Small ones are enlarged without blur."""
        picture = Image.fromarray(array)
        how = Image.Resampling.NEAREST if picture.width < self.side else Image.Resampling.LANCZOS
        self.page.paste(picture if picture.width == self.side else picture.resize((self.side, self.side), how), at)

    def _write(self, at: tuple[int, int], text: str, colour: str, width: int) -> None:
        """Write a line, cut to the width. Black lines are large."""
        font = self.bold if colour == INK else self.small
        short = text
        while short and self.pen.textlength(f"{short}..." if short != text else short, font=font) > width:
            short = short[:-1]
        self.pen.text(at, short if short == text else f"{short}...", fill=colour, font=font)

    def _header_width(self) -> int:
        """Width of the headers of rows: as their texts need, at most a picture and a half."""
        if len(self.layout.axes) < 2:
            return self.gap
        axis = self.layout.axes[1]
        widths = [self.bold.getlength(text) for text in axis.values] + [self.small.getlength(axis.label)]
        return 3 * self.gap + min(round(max(widths)), 3 * self.side // 2)
