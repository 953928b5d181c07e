"""The tables of `benchmarks.quality`, with one kind of row. A new table is one file and one line here."""

from __future__ import annotations

from benchmarks.tables.base import Bench, Job, Made, Table
from benchmarks.tables.editing import Editing
from benchmarks.tables.pictures import Inversion, Restoration
from benchmarks.tables.translated import Translations
from benchmarks.tables.tuned import Tuning

TABLES: dict[str, Table] = {
    "inversion": Inversion(),
    "restoration": Restoration(),
    "editing": Editing(),
    "translations": Translations(),
    "tuning": Tuning(),
}

__all__ = ["TABLES", "Bench", "Job", "Made", "Table"]
