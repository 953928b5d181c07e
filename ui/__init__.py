"""The Gradio page. A new tab is one file and one line in `ui.tabs.TABS`."""

from __future__ import annotations

import os

# Before Gradio is imported: the page sends no telemetry.
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")

from ui.page import build, launch_options  # noqa: E402
from ui.tabs import TABS, Tab  # noqa: E402

__all__ = ["TABS", "Tab", "build", "launch_options"]
