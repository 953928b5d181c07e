"""Measurement operators. A new task is one file and one line here."""

from __future__ import annotations

from dataclasses import MISSING, fields

from inversion.tasks.base import Task, TaskError
from inversion.tasks.colorize import Colorize
from inversion.tasks.denoise import Denoise
from inversion.tasks.diffuse import Diffuse
from inversion.tasks.inpaint import Inpaint
from inversion.tasks.reconstruct import Reconstruct
from inversion.tasks.superres import Superres

TASKS: dict[str, type[Task]] = {
    "reconstruct": Reconstruct,
    "colorize": Colorize,
    "superres": Superres,
    "inpaint": Inpaint,
    "denoise": Denoise,
}

# Tasks that need a second picture. They are not offered where only one picture is uploaded.
APPLICATIONS: dict[str, type[Task]] = {"diffuse": Diffuse}


def make_task(name: str, **parameters: object) -> Task:
    """The task `name` with its own fields taken from `parameters` (factor, mask, sigma, ...).

    Fields of other tasks and values of None are ignored. Raises TaskError if the name is unknown, if a required field
    is missing, or if a value does not fit.
    """
    kind = task_class(name)
    own = {f.name: parameters[f.name] for f in fields(kind) if parameters.get(f.name) is not None}
    for f in fields(kind):
        if f.default is MISSING and f.name not in own:
            raise TaskError(f"{kind.label} needs a {f.metadata.get('label', f.name).lower()}.")
    return kind(**own)


def task_class(name: str) -> type[Task]:
    """The class of a task; its dataclass fields are the inputs of the task. Raises TaskError for an unknown name."""
    known = {**TASKS, **APPLICATIONS}
    if name not in known:
        raise TaskError(f"Unknown task {name!r}. Choose one of: {', '.join(known)}.")
    return known[name]


__all__ = [
    "APPLICATIONS",
    "TASKS",
    "Colorize",
    "Denoise",
    "Diffuse",
    "Inpaint",
    "Reconstruct",
    "Superres",
    "Task",
    "TaskError",
    "make_task",
    "task_class",
]
