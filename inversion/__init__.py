"""GAN inversion: methods, tasks and priors behind the hub, usable without it.

    model = load("synthetic-faces")
    task = make_task("superres", factor=4)
    for event in invert(model, task, task.A(x), parse_method("wplus")):
        ...  # Step, Step, ..., Result
    compare("face.png", methods=["psp", "wplus"])  # shows itself in a notebook
    grid("face.png", x="method=w,wplus", y="steps=10,30,100")  # so does this

Pictures are NCHW float32 in [-1, 1]. Importing the package imports nothing else: a name is imported at its first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from inversion.common.lazy import attributes
from inversion.common.platforms import allow_fallback

if TYPE_CHECKING:
    from inversion.analysis import ANALYSES
    from inversion.checkpoints.hub import load
    from inversion.checkpoints.own import Facts, add_file, remove_file
    from inversion.checkpoints.registry import HubError, registry
    from inversion.checkpoints.tuned import write_tuned
    from inversion.common.errors import UserError
    from inversion.common.settings import SettingError
    from inversion.interactive import Analysed, ComparedResult, Comparison, GridResult, analyse, compare, grid
    from inversion.losses import LossWeights
    from inversion.methods import METHODS, PRESETS, STAGES, Method, Result, Step, parse_method, tuned
    from inversion.methods.run import RunOptions, invert
    from inversion.methods.starts import load_code, save_code
    from inversion.metrics import METRICS
    from inversion.model import Model
    from inversion.tasks import TASKS, Task, TaskError, make_task
    from inversion.translations import TRANSLATIONS

allow_fallback()

__getattr__ = attributes(
    __name__,
    {
        "analysis": "ANALYSES",
        "checkpoints.hub": "load",
        "checkpoints.own": "Facts add_file remove_file",
        "checkpoints.registry": "HubError registry",
        "checkpoints.tuned": "write_tuned",
        "common.errors": "UserError",
        "common.settings": "SettingError",
        "interactive": "Analysed ComparedResult Comparison GridResult analyse compare grid",
        "losses": "LossWeights",
        "methods": "METHODS PRESETS STAGES Method Result Step parse_method tuned",
        "methods.run": "RunOptions invert",
        "methods.starts": "load_code save_code",
        "metrics": "METRICS",
        "model": "Model",
        "tasks": "TASKS Task TaskError make_task",
        "translations": "TRANSLATIONS",
    },
)

__all__ = [
    "ANALYSES",
    "METHODS",
    "METRICS",
    "PRESETS",
    "STAGES",
    "TASKS",
    "TRANSLATIONS",
    "Analysed",
    "ComparedResult",
    "Comparison",
    "Facts",
    "GridResult",
    "HubError",
    "LossWeights",
    "Method",
    "Model",
    "Result",
    "RunOptions",
    "SettingError",
    "Step",
    "Task",
    "TaskError",
    "UserError",
    "add_file",
    "analyse",
    "compare",
    "grid",
    "invert",
    "load",
    "load_code",
    "make_task",
    "parse_method",
    "registry",
    "remove_file",
    "save_code",
    "tuned",
    "write_tuned",
]
