"""Rows that exist: in the file of --json, with their pictures beside it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from benchmarks.common import RowFile
from benchmarks.tables.base import Job, Made
from inversion import images
from inversion.common.rows import Row, RowView

BENCHMARK = "quality"


class Cache:
    """The rows of a file by the keys of their jobs. pictures: folder of their pictures."""

    def __init__(self, file: RowFile, pictures: Path) -> None:
        self.file, self.pictures = file, pictures
        self._rows: dict[str, list[Row]] = {}
        for row in file.rows():
            if row.get("benchmark") == BENCHMARK and "job" in row:
                self._rows.setdefault(row["job"], []).append(row)

    def rows(self, job: Job) -> list[RowView]:
        """The rows of a job, [] if there are none. `stale`: they were made with other settings, weights or code."""
        found = self._rows.get(job.key, [])
        return [{**row, "stale": not self._is_fresh(job, row)} for row in found]

    def is_fresh(self, job: Job) -> bool:
        """Whether the job has rows of the same settings, weights, pictures and code."""
        rows = self._rows.get(job.key, [])
        return bool(rows) and all(self._is_fresh(job, row) for row in rows)

    def put(self, job: Job, made: list[Made]) -> None:
        """Replace the rows of a job, and write its pictures."""
        facts = {"benchmark": BENCHMARK, "job": job.key, "signature": job.signature, "code": job.code}
        rows: list[Row] = []
        for one in made:
            row: Row = {**facts, **job.place, "label": one.label, **one.figures}
            if one.picture is not None:
                row["png"] = name_of(row)
                self.pictures.mkdir(parents=True, exist_ok=True)
                images.write_png(self.pictures / row["png"], one.picture)
            rows.append(row)
        self._rows[job.key] = rows
        self.file.replace(lambda row: row.get("job") == job.key, rows)

    def picture(self, row: Mapping[str, object]) -> np.ndarray | None:
        """The picture of a row, uint8 (R, R, 3); None if it has none or if its file is missing."""
        path = self.pictures / str(row.get("png", ""))
        return np.asarray(images.read(path)) if path.is_file() else None

    @staticmethod
    def _is_fresh(job: Job, row: RowView) -> bool:
        return row["signature"] == job.signature and row["code"] == job.code


def name_of(row: RowView) -> str:
    """The name of a row's picture, of its place in plain characters and the digits of its job."""
    parts = [row[key] for key in ("task", "setting", "label", "preset", "pictures") if row.get(key)]
    return re.sub(r"[^\w.=-]+", "-", "_".join(map(str, parts)))[:150] + f"_{row['job'][:6]}.png"
