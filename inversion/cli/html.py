"""Pictures and figures of results as HTML, for the report of a batch and for notebooks. All text is escaped here."""

from __future__ import annotations

import base64
import io
from html import escape

import numpy as np
from PIL import Image

from inversion.common.rows import RowView
from inversion.metrics import METRICS

THUMBNAIL = 192  # pixels a side
QUALITY = 88  # of WebP


def data_address(picture: np.ndarray, side: int = THUMBNAIL) -> str:
    """A `data:` address of a picture, uint8 (H, W, 3), as WebP of at most `side` pixels a side."""
    image = Image.fromarray(picture)
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", quality=QUALITY)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def figures(row: RowView) -> dict[str, str]:
    """The metrics of a row that are known, and its time: label -> value with its unit."""
    texts = {"Time": seconds(row["seconds"])} if row.get("seconds") is not None else {}
    for name, metric in METRICS.items():
        if row.get(name) is not None:
            texts[metric.label] = f"{row[name]:.{metric.digits}f} {metric.unit}".strip()
    return texts


def seconds(value: float) -> str:
    """A time with its unit."""
    return f"{value:.1f} s" if value >= 0.1 else f"{value:.2f} s"


def picture(address: str, caption: str, style: str = "") -> str:
    """An image with a text for readers who cannot see it."""
    css = f' style="{escape(style)}"' if style else ' loading="lazy"'
    return f'<img src="{escape(address)}" alt="{escape(caption)}"{css}>'
