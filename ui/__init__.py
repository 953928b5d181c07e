"""The Gradio page. A new tab is one file and one line in TABS."""

from __future__ import annotations

import os

# Before gradio is imported: the page sends nothing to anybody.
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")

from ui.page import build, launch_options  # noqa: E402
from ui.tab import Tab  # noqa: E402
from ui.tabs.colorize import Colorize  # noqa: E402
from ui.tabs.edit import Edit  # noqa: E402
from ui.tabs.inpaint import Inpaint  # noqa: E402
from ui.tabs.reconstruct import Reconstruct  # noqa: E402
from ui.tabs.superres import Superres  # noqa: E402

TABS: dict[str, type[Tab]] = {
    "reconstruct": Reconstruct,
    "colorize": Colorize,
    "superres": Superres,
    "inpaint": Inpaint,
    "edit": Edit,
}

__all__ = ["TABS", "Tab", "build", "launch_options"]
