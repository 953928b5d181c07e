"""The tabs of the page, in their order. A new tab is one file and one line in TABS; a task has a tab without one."""

from __future__ import annotations

from inversion.tasks import TASKS, task_fields
from ui.tabs.about import About
from ui.tabs.analyse import Analyse
from ui.tabs.base import Tab
from ui.tabs.compare import Compare
from ui.tabs.edit import Edit
from ui.tabs.frontalize import Frontalize
from ui.tabs.grid import Grid
from ui.tabs.history import PastRuns
from ui.tabs.models import Models
from ui.tabs.sketch import Sketch
from ui.tabs.task import TaskTab, task_tab

# Tabs that come after those of the tasks. The key of a task replaces its standard tab.
TABS: dict[str, type[Tab]] = {
    "edit": Edit,
    "frontalize": Frontalize,
    "sketch": Sketch,
    "analyse": Analyse,
    "grid": Grid,
    "compare": Compare,
    "history": PastRuns,
    "models": Models,
    "about": About,
}


def all_tabs() -> dict[str, type[Tab]]:
    """A tab per registered task, then the other tabs. Raises TaskError for fields of tasks that do not fit together."""
    task_fields()
    tabs = {key: TABS.get(key) or task_tab(key) for key in TASKS}
    return {**tabs, **TABS}


__all__ = ["TABS", "Tab", "TaskTab", "all_tabs", "task_tab"]
