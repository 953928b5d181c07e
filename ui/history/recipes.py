"""Recipes: the only place that reads what a result's PNG file, the JSON of a run, or a row of the command line says."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from typing import Any

from inversion.analysis import ANALYSES
from inversion.checkpoints.registry import registry
from inversion.common.rows import RowView
from inversion.common.version import VERSION
from inversion.serving.history import HistoryEntry
from inversion.tasks import TASKS
from inversion.translations import TRANSLATIONS, input_of
from ui.history.form import FormValues, analysis_form, crop_of_row, of_rows, translation_form
from ui.parts.inputs import InputError

NOTHING = "This file holds no settings of a run. Choose a result (png) or the figures and recipe (json) of this page."
LONGEST = 512 * 1024  # characters
SAME = (
    *("task", "method", "model", "seed", "picture", "measured", "parameters", "start", "settings"),
    *("analysis", "translation", "variations", "alpha", "mix_layers"),
)
OWN_TABS = ("frontalize",)  # translations that have a tab of their own
PACKAGES = {"torch": "PyTorch", "numpy": "NumPy", "hub": "the hub"}  # whose version may change results -> its name


@dataclass(frozen=True)
class Recipe:
    """The rows of one job. name: of the picture's file, "" if it is unknown. picture: its digest, "" if unknown."""

    rows: tuple[RowView, ...]

    @property
    def first(self) -> RowView:
        """The row of the first method."""
        return self.rows[0]

    @property
    def translation(self) -> str:
        """The key of a translation, "" if it is not one."""
        return str(self.first.get("translation", ""))

    @property
    def task(self) -> str:
        """The key of the task, "" for a translation."""
        task = self.first.get("task", "")
        return str(task.get("name", "")) if isinstance(task, Mapping) else str(task)

    @property
    def inverts(self) -> bool:
        """Whether it is of methods on a task, not of an analysis or a translation."""
        return not (self.first.get("analysis") or self.translation)

    @property
    def tab(self) -> str:
        """The key of the tab that takes the settings."""
        if self.first.get("analysis"):
            return "analyse"
        if self.translation:
            return self.translation if self.translation in OWN_TABS else "sketch"
        return "edit" if "edit" in self.first else self.task

    @property
    def picture(self) -> str:
        """The digest of the picture, "" if it is not stated."""
        return str(self.first.get("picture") or "")[:16]

    @property
    def name(self) -> str:
        """The name of the picture's file, "" if it is not stated."""
        return str(self.first.get("picture_name") or "")[:80]

    def form(self) -> FormValues:
        """What the fields of its tab have to hold."""
        first = self.first
        if self.translation:
            form = translation_form(self.translation, [str(first.get("model"))], first.get("seed"), first)
            return form if input_of(self.translation).drawn else form | crop_of_row(first)
        if self.tab == "analyse":
            form = analysis_form(first["analysis"], first.get("model"), first.get("seed"), first["settings"])
            return form | crop_of_row(first)
        return of_rows(self.rows)

    def matches(self, entry: HistoryEntry) -> bool:
        """Whether a kept job has all these results, with the same settings on the same picture."""
        wanted = [_facts(row) for row in self.rows]
        kept = [_facts(row) for row in entry.rows]
        return all(one in kept for one in wanted)

    def differences(self) -> list[str]:
        """Sentences on versions and weights that differ from those here, so that the last bits may differ, too."""
        made, here = self.first.get("versions") or {}, installed()
        lines = [
            f"It was made with {label} {str(made[key])[:40]}; here is {here[key]}."
            for key, label in PACKAGES.items()
            if isinstance(made, Mapping) and key in made and key in here and _release(made[key]) != _release(here[key])
        ]
        entry, sha256 = registry().get(str(self.first.get("model"))), self.first.get("sha256")
        if entry is None:
            lines.append(f"Its model {str(self.first.get('model'))[:80]} is not known here.")
        elif sha256 and entry.sha256 and sha256 != entry.sha256:
            lines.append(f"Its model {entry.name} has other weights here.")
        return [*lines, "The result may differ."] if lines else []


def read_recipe(text: str) -> Recipe:
    """The recipe in the text of a file. Raises InputError."""
    if len(text) > LONGEST:
        raise InputError(NOTHING)
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        raise InputError(NOTHING) from None
    rows = found if isinstance(found, list) else [found]
    rows = [row for row in rows if isinstance(row, dict) and _is_recipe(row)]
    if not rows:
        raise InputError(NOTHING)
    first = rows[0]
    names = ("task", "translation", "model", "picture")  # that the rows of one job share
    return Recipe(tuple(row for row in rows if all(row.get(name) == first.get(name) for name in names)))


def installed() -> dict[str, str]:
    """The versions here, without importing the packages."""
    found = {"hub": VERSION}
    for name in PACKAGES:
        try:
            found.setdefault(name, metadata.version(name))
        except metadata.PackageNotFoundError:
            continue
    return found


def _release(version: object) -> str:
    """A version without the name of its build."""
    return str(version).partition("+")[0]


def _is_recipe(row: Mapping[str, Any]) -> bool:
    """Whether a row tells what was asked."""
    task = row.get("task")
    task = task.get("name") if isinstance(task, Mapping) else task
    runs = str(task) in TASKS and isinstance(row.get("method"), str) and isinstance(row.get("settings"), dict)
    runs = runs and str(row.get("analysis") or "") in ("", *ANALYSES)
    return runs or str(row.get("translation")) in TRANSLATIONS


def _facts(row: RowView) -> list[object]:
    """What has to be equal in two rows of one result."""
    crop: Mapping[str, Any] = row.get("crop") or {}
    quad: Sequence[Any] | None = crop.get("quad")
    corners = None if quad is None else [[float(x), float(y)] for x, y in quad]
    return [json.loads(json.dumps([row.get(key) for key in SAME])), corners]
