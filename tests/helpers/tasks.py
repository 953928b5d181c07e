"""Tasks with example inputs, made from the fields that they declare."""

from __future__ import annotations

from dataclasses import fields

import torch
from torch import Tensor

from helpers.networks import TINY
from inversion.common.settings import kind_of
from inversion.tasks import Task, make_task, task_class


def example_mask(resolution: int) -> Tensor:
    """A mask (1, 1, R, R), 0 in a square off the centre and 1 elsewhere."""
    mask = torch.ones(1, 1, resolution, resolution)
    mask[..., resolution // 4 : 5 * resolution // 8, resolution // 4 : 5 * resolution // 8] = 0
    return mask


def example_inputs(name: str, resolution: int) -> dict[str, Tensor]:
    """Values for the masks and pictures of a task, by field; its settings have defaults."""
    examples = {"mask": example_mask(resolution), "picture": torch.zeros(1, 3, resolution, resolution)}
    return {spec.name: examples[kind_of(spec)] for spec in fields(task_class(name)) if kind_of(spec) in examples}


def example_task(name: str, resolution: int = TINY) -> Task:
    """The task for pictures of this resolution, with example masks and pictures and the default settings."""
    return make_task(name, **example_inputs(name, resolution))
