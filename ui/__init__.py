"""The Gradio page. A new tab is one file and one line in `ui.tabs.TABS`."""

from __future__ import annotations

import os
import sys

from ui.quick_import import quick_import

# Before Gradio is imported: the page sends no telemetry, and makes no statistics of its events. By default, all 10,000
# are summed up after every event.
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("GRADIO_ANALYTICS_CACHE_FREQUENCY", str(sys.maxsize))
os.environ.setdefault("GRADIO_ANALYTICS_MAX_EVENTS", "1")

with quick_import():
    from ui.health import State
    from ui.page import build, launch_options
    from ui.tabs import TABS, Tab

__all__ = ["TABS", "State", "Tab", "build", "launch_options"]
