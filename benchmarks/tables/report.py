"""Tables of rows as Markdown and CSV, and sheets of pictures."""

from __future__ import annotations

import csv
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from benchmarks.common import Column, table
from benchmarks.tables import TABLES
from benchmarks.tables.base import MEASURED
from benchmarks.tables.published import REPORTED
from inversion import images
from inversion.common.rows import RowView
from inversion.images.sheets import Tile, sheet
from inversion.metrics.sets import built_in_features, frechet
from inversion.model import Model

STALE = "†"
NOTE = f"{STALE} older code, weights or settings made this row, or a part of it."
ACROSS, DOWN = 12, 4  # pictures of a sheet
FRECHET = Column("Fréchet (built-in)", 2)
SHORT = {  # task and setting -> column of the short table
    ("reconstruct", ""): "reconstruct",
    ("colorize", ""): "colourise",
    ("superres", "x8"): "enlarge x8",
    ("inpaint", "centre"): "fill a hole",
}
LAST = ("seconds", "steps")  # columns that stand last

Key = tuple[str, str, str, str]  # task, setting, label, preset
Groups = dict[Key, list[RowView]]
Show = Callable[[RowView], "np.ndarray | None"]


def grouped(rows: Iterable[RowView]) -> Groups:
    """The rows of one table by task, setting, label and preset, in their order."""
    found: Groups = {}
    for row in rows:
        found.setdefault((row["task"], row["setting"], row["label"], row["preset"]), []).append(row)
    return dict(sorted(found.items(), key=lambda item: list(dict.fromkeys(k[:2] for k in found)).index(item[0][:2])))


def means(groups: Groups, columns: Mapping[str, Column], distances: Mapping[Key, float]) -> list[list[object]]:
    """The header and a line for each group. Columns without a value are left out."""
    every = [row for rows in groups.values() for row in rows]
    order = sorted(columns, key=lambda key: key in LAST)
    shown = [key for key in order if any(row.get(key) is not None for row in every)]
    fixed = ["Task", "Method", "n"]
    first = [columns[key].label for key in shown if key not in LAST]
    lines: list[list[object]] = [[*fixed, *first, *([FRECHET.label] if distances else [])]]
    lines[0] += [columns[key].label for key in shown if key in LAST]
    for key, rows in groups.items():
        n = sum(row["pictures"] if isinstance(row["pictures"], int) else 1 for row in rows)
        cells: list[object] = [f"{key[0]} {key[1]}".strip(), named(key, rows), n]
        values = {name: mean(row.get(name) for row in rows) for name in shown}
        cells += [columns[name].text(values[name]) for name in shown if name not in LAST]
        cells += [FRECHET.text(distances.get(key))] if distances else []
        lines.append([*cells, *(columns[name].text(values[name]) for name in shown if name in LAST)])
    return lines


def named(key: Key, rows: Sequence[RowView]) -> str:
    """The method of a group with its preset, marked if a row is stale."""
    preset = f" ({key[3]})" if key[3] else ""
    return f"{method_name(key[2])}{preset}{' ' + STALE if any(row.get('stale') for row in rows) else ''}"


def method_name(label: str) -> str:
    """A method as the tables name it."""
    return "nothing" if label == MEASURED else label


def mean(values: Iterable[float | None]) -> float | None:
    """The mean of the values that are known, None if none is."""
    known = [value for value in values if value is not None]
    return statistics.fmean(known) if known else None


def distances(groups: Groups, model: Model, truths: Mapping[str, np.ndarray], show: Show) -> dict[Key, float]:
    """The Fréchet distance of the pictures of each group to their truths; groups with fewer than two are left out."""
    found = {}
    for key, rows in groups.items():
        pairs = [(show(row), truths.get(str(row["pictures"]))) for row in rows]
        known = [(made, truth) for made, truth in pairs if made is not None and truth is not None]
        if len(known) < 2:
            continue
        made, real = (
            built_in_features(torch.cat([images.to_tensor(x) for x in xs]), model) for xs in zip(*known, strict=True)
        )
        if made is not None and real is not None:
            found[key] = frechet(made, real)
    return found


def markdown(rows: Sequence[RowView], model: Model, truths: Mapping[str, np.ndarray], show: Show) -> str:
    """All tables of the rows, each with what the papers report."""
    parts = []
    for name, one in TABLES.items():
        groups = grouped(row for row in rows if row["table"] == name)
        if groups:
            head, *lines = means(groups, one.columns, distances(groups, model, truths, show))
            parts += [f"### {one.title}", one.text, table([str(cell) for cell in head], lines), reported(name)]
    if any(row.get("stale") for row in rows):
        parts.append(NOTE)
    return "\n\n".join(part for part in parts if part)


def short(rows: Sequence[RowView]) -> str:
    """PSNR of the methods in the four tasks of `SHORT`, the best of each in bold; n is the number of pictures."""
    values: dict[str, dict[str, float]] = {}
    counts: dict[str, set[int]] = {column: set() for column in SHORT.values()}
    for key, members in grouped(row for row in rows if (row["task"], row["setting"]) in SHORT).items():
        found = mean(row.get("psnr") for row in members)
        if found is not None:
            column = SHORT[key[:2]]
            counts[column].add(len(members))
            values.setdefault(named(key, []), {})[column] = found
    best = {column: max(line.get(column, 0.0) for line in values.values()) for column in SHORT.values()}
    lines = []
    for label, line in values.items():
        cells = [f"{line[column]:.2f}" if column in line else "" for column in best]
        if sum(map(bool, cells)) > 1:
            tops = [f"{top:.2f}" for top in best.values()]
            lines.append(
                [label, *(f"**{cell}**" if cell == top else cell for cell, top in zip(cells, tops, strict=True))]
            )
    head = ["PSNR in dB"]
    for column, sizes in counts.items():
        ends = sorted({min(sizes), max(sizes)}) if sizes else [0]  # methods differ if a run was stopped
        head.append(f"{column}, n = {' to '.join(map(str, ends))}")
    return table(head, lines)


def reported(name: str) -> str:
    """What the papers report on a table, "" if nothing is known."""
    lines = [
        [one.task, method_name(one.method), one.figures, source, one.status]
        for source, every in REPORTED.items()
        for one in every
        if one.table == name
    ]
    return table(("Task", "Method", "The paper reports", "Source and data", "Verified"), lines) if lines else ""


def write_csv(path: Path, rows: Sequence[RowView]) -> None:
    """All rows, with every key of any of them as a column."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows(rows)


def write_sheets(folder: Path, rows: Sequence[RowView], truths: Mapping[str, np.ndarray], show: Show) -> list[Path]:
    """A sheet of pictures for each task and setting: the truth and every method, a line for each picture."""
    sheets: dict[str, dict[str, list[RowView]]] = {}
    for row in rows:
        if row.get("png"):
            name = "-".join(filter(None, (row["table"], row["task"], row["setting"])))
            sheets.setdefault(name, {}).setdefault(str(row["pictures"]), []).append(row)
    written = []
    for name, pictures in sheets.items():
        across = min(ACROSS, 1 + max(map(len, pictures.values())))
        tiles = [
            tile
            for known, made in list(pictures.items())[:DOWN]
            for tile in _line(truths.get(known), made, show, across)
        ]
        if tiles:
            folder.mkdir(parents=True, exist_ok=True)
            sheet(tiles, across, 128).save(folder / f"{name}.png")
            written.append(folder / f"{name}.png")
    return written


def _line(truth: np.ndarray | None, rows: Sequence[RowView], show: Show, across: int) -> list[Tile]:
    """Tiles of one picture, filled up to whole lines of the sheet."""
    shown = [(row, show(row)) for row in rows]
    tiles = [Tile(named(_key(row), [row]), f"{row['psnr']:.2f} dB", made) for row, made in shown if made is not None]
    if truth is None or not tiles:
        return []
    blank = Tile("", "", np.full_like(truth, 255))
    tiles = [Tile("truth", "", truth), *tiles]
    return [*tiles, *[blank] * (-len(tiles) % across)]


def _key(row: RowView) -> Key:
    return row["task"], row["setting"], row["label"], row["preset"]
