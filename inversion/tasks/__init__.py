"""Measurement operators. A new task is one file and one line here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import NamedTuple

from inversion.common.settings import Spec, kind_of
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

DEFAULT_TASK = Reconstruct.name

# Tasks that need a second picture. They are not offered if only one picture is uploaded.
APPLICATIONS: dict[str, type[Task]] = {"diffuse": Diffuse}


# Names of flags and of endpoint parameters. The fields of a task must have other names.
RESERVED = frozenset(
    [
        "align",
        "budget",
        "crop",
        "csv",
        "device",
        "direction",
        "domain",
        "dtype",
        "edit",
        "encoder",
        "face",
        "ganspace",
        "help",
        "image",
        "images",
        "json",
        "keep",
        "label",
        "layers",
        "licence",
        "measured",
        "method",
        "methods",
        "model",
        "nvidia",
        "out",
        "overwrite",
        "picture",
        "preset",
        "recursive",
        "role",
        "seed",
        "sefa",
        "set",
        "settings",
        "start",
        "strip",
        "task",
    ]
)


class SharedField(NamedTuple):
    """A field, and the tasks that have it."""

    spec: Spec
    tasks: list[str]


def task_fields(tasks: Mapping[str, type[Task]] = TASKS) -> dict[str, SharedField]:
    """The fields of all tasks by name; for command lines and the page.

    Raises TaskError for a reserved name, for a name that two tasks declare differently, and for two masks in a task.
    """
    found: dict[str, SharedField] = {}
    for task, kind in tasks.items():
        masks = [spec.name for spec in fields(kind) if kind_of(spec) == "mask"]
        if len(masks) > 1:
            raise TaskError(f"The task {task} has several masks: {', '.join(masks)}. Keep at most one.")
        for spec in fields(kind):
            if spec.name in RESERVED:
                raise TaskError(f"The task {task} has a field {spec.name!r}, which is a reserved name. Rename it.")
            known = found.setdefault(spec.name, SharedField(spec, []))
            if _declaration(known.spec) != _declaration(spec):
                both = f"The tasks {known.tasks[0]} and {task}"
                raise TaskError(f"{both} declare the field {spec.name!r} differently. Rename one of them.")
            known.tasks.append(task)
    return found


def _declaration(spec: Spec) -> tuple[object, ...]:
    """A value that is equal for equal declarations; 1 and 1.0 are not."""
    return type(spec.default), spec.default, dict(spec.metadata)


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
    "DEFAULT_TASK",
    "TASKS",
    "Colorize",
    "Denoise",
    "Diffuse",
    "Inpaint",
    "Reconstruct",
    "SharedField",
    "Superres",
    "Task",
    "TaskError",
    "make_task",
    "task_class",
    "task_fields",
]
