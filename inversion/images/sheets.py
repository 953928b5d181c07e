"""Comparison sheets: pictures with titles and figures on one page."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont


@dataclass(frozen=True)
class Tile:
    """One picture of the sheet, uint8 (H, W, 3), with a title and a line of figures."""

    title: str
    figures: str
    picture: np.ndarray


def sheet(tiles: Sequence[Tile], across: int = 4, side: int = 256) -> Image.Image:
    """The tiles in rows under their titles. Small pictures are enlarged by whole numbers, without blur."""
    side = max(side, *(tile.picture.shape[0] for tile in tiles))
    margin, text = side // 16, side // 6
    columns = min(across, len(tiles))
    rows = math.ceil(len(tiles) / columns)
    width, height = columns * (side + margin) + margin, rows * (side + text + margin) + margin
    page = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(page)
    fonts = ImageFont.load_default(side / 15), ImageFont.load_default(side / 19)
    for i, tile in enumerate(tiles):
        x, y = margin + i % columns * (side + margin), margin + i // columns * (side + text + margin)
        draw.text((x, y), tile.title, fill="#1a1a19", font=fonts[0])
        draw.text((x, y + text * 0.47), tile.figures, fill="#55554f", font=fonts[1])
        picture = Image.fromarray(tile.picture)
        scale = max(1, side // picture.width)
        page.paste(picture.resize((picture.width * scale,) * 2, Image.Resampling.NEAREST), (x, y + text))
    return page
