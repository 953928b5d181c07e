"""GAN inversion: methods, tasks and priors behind the hub, usable without it.

    model = load("synthetic-faces")
    task = make_task("superres", factor=4)
    for event in invert(model, task, task.A(x), parse_method("wplus")):
        ...  # Step, Step, ..., Result

Pictures are NCHW float32 in [-1, 1].
"""

from __future__ import annotations

from inversion.checkpoints.hub import load
from inversion.checkpoints.registry import HubError, registry
from inversion.losses import LossWeights
from inversion.methods import METHODS, STAGES, Method, Result, SettingError, Step, parse_method, tuned
from inversion.methods.run import invert
from inversion.model import Model
from inversion.tasks import TASKS, Task, TaskError, make_task

__all__ = [
    "METHODS",
    "STAGES",
    "TASKS",
    "HubError",
    "LossWeights",
    "Method",
    "Model",
    "Result",
    "SettingError",
    "Step",
    "Task",
    "TaskError",
    "invert",
    "load",
    "make_task",
    "parse_method",
    "registry",
    "tuned",
]
