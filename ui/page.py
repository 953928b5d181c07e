"""The whole page: masthead, a tab for each task, endpoints; and how it is served."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import gradio as gr
from starlette.middleware import Middleware

from inversion.common.errors import UserError
from inversion.serving import catalogue
from inversion.serving.session import Session
from ui import api
from ui.examples import examples
from ui.guard import Guard
from ui.parts.settings import Settings, model_choices
from ui.parts.workbench import PRIVATE, Workbench, remembered
from ui.tab import Desk, Tab
from ui.tabs.edit import EditBench
from ui.tabs.models import Models
from ui.tabs.sketch import SketchBench
from ui.theme import CSS, theme

TITLE = "Inversion Hub"
MASTHEAD = """
<h1>Inversion Hub</h1>
<p>What do different GAN inversion methods make of the same picture? Give one, choose a task and some methods,
and watch their reconstructions grow side by side.</p>
"""
FOOTNOTE = """
Pictures stay on the server that runs this page, in memory and in its cache, for little more than an hour. The built-in
model knows drawn faces only; no photograph of a person was used to train it.
"""
BENCHES: Mapping[str, type[Workbench]] = {"edit": EditBench}  # tabs that are more than a task's
UPLOAD = 40 * 2**20  # bytes of one request
HOUR = 3600


def build(session: Session, tabs: Mapping[str, type[Tab]]) -> gr.Blocks:
    """The page for a session, with these tabs. Not launched yet."""
    desk = Desk(session, catalogue.methods(), catalogue.models(), catalogue.tasks(), examples())
    with gr.Blocks(title=TITLE, analytics_enabled=False, delete_cache=(HOUR // 6, HOUR)) as page:
        gr.HTML(MASTHEAD, elem_id="masthead")
        kept = {key: remembered(key) for key in tabs}
        with gr.Tabs():
            benches = []
            for key, kind in tabs.items():
                with gr.Tab(kind.label, id=key, elem_id=f"{key}-tab"):
                    benches.append(BENCHES.get(key, Workbench)(kind(), desk, kept[key]))
            with gr.Tab("Sketch to face", id="sketch", elem_id="sketch-tab"):
                sketch = SketchBench(desk)
            with gr.Tab("Models", id="models", elem_id="models-tab") as tab:
                models = Models(session)
        gr.Markdown(FOOTNOTE, elem_classes="note")
        for bench in benches:
            bench.on_load(page)
        sketch.on_load(page)
        models.wire(tab)
        _offer(page, desk, [bench.settings for bench in benches], [sketch.models])
        api.endpoints(desk, tabs)
    page.queue(max_size=24, api_open=False)
    return page


def _offer(page: gr.Blocks, desk: Desk, settings: Sequence[Settings], models: Sequence[gr.Dropdown]) -> None:
    """When the page opens, leave out what the first model cannot serve, which waits until it is loaded.

    models: menus of models beside those of the settings.
    """

    outputs = [component for part in settings for component in part.menus()]

    def offer() -> dict[Any, Any] | list[Any]:
        try:
            missing, without = desk.session.unavailable(catalogue.DEFAULT_MODEL)
        except UserError:  # whoever runs a method is told
            return [gr.skip()] * len(outputs)
        offered = [part.offered(missing, without, part.tab.methods) for part in settings]
        return {component: update for updates in offered for component, update in updates.items()}

    page.load(offer, None, outputs, concurrency_id="models", **PRIVATE)
    menus: list[Any] = [*(part.model for part in settings), *models]

    def fresh() -> list[Any]:
        """What has been downloaded since the page was built is marked so."""
        return [gr.update(choices=model_choices(catalogue.models()))] * len(menus)

    page.load(fresh, None, menus, concurrency_id="views", **PRIVATE)


def launch_options() -> dict[str, Any]:
    """Arguments for `launch` that make the page look right and stay private."""
    return {
        "theme": theme(),
        "css": CSS,
        "app_kwargs": {"middleware": [Middleware(Guard, limit=UPLOAD)]},
        "max_file_size": "32mb",
        "show_error": False,
        "enable_monitoring": False,
        "run_history": False,
        "allowed_paths": [],
        "strict_cors": True,
        "footer_links": ["api", "settings"],
    }
