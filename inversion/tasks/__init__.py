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

# Measurements that need a second picture: not offered where a single one is uploaded.
APPLICATIONS: dict[str, type[Task]] = {"diffuse": Diffuse}


def make_task(name: str, **parameters: object) -> Task:
    """The task `name`, made from those of `parameters` that are its own (factor, mask, sigma); None is not given.

    So one caller can hold every task's controls and pass them all. TaskError: unknown name, missing parameter.
    """
    kind = task_class(name)
    own = {f.name: parameters[f.name] for f in fields(kind) if parameters.get(f.name) is not None}
    for f in fields(kind):
        if f.default is MISSING and f.name not in own:
            raise TaskError(f"the task {name} needs a {f.name}")
    return kind(**own)


def task_class(name: str) -> type[Task]:
    """The class of a task, whose dataclass fields are the task's own inputs. Raises TaskError for an unknown name."""
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
