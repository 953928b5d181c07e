"""The Gradio page. A new tab is one file and one line in `ui.tabs.TABS`."""

from __future__ import annotations

import os

from ui.quick_import import quick_import

# Before Gradio is imported: the page sends no telemetry.
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")

with quick_import():
    from ui.page import build, launch_options
    from ui.tabs import TABS, Tab

__all__ = ["TABS", "Tab", "build", "launch_options"]
