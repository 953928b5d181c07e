"""Components whose scripts are large load when their tab is opened, not with the page.

Gradio fetches the script of every component that is visible by its own property, in whichever tab it is. So these start
as invisible, and the page itself shows them when their tab is opened.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gradio as gr
from gradio.blocks import Block

from ui.parts.events import QUIET

HEAVY = (gr.ImageEditor, gr.Gallery)  # with their scripts for graphics and for videos


def delay(tab: gr.Tab) -> None:
    """Load the heavy components of a tab, which is not the first one, when it is opened."""
    heavy: list[Any] = [part for part in _parts(tab) if isinstance(part, HEAVY) and part.visible]
    for part in heavy:
        part.visible = False
    if heavy:
        shown = ", ".join(["{__type__: 'update', visible: true}"] * len(heavy))
        tab.select(None, None, heavy, js=f"() => [{shown}]" if len(heavy) > 1 else f"() => ({shown})", **QUIET)


def hide(box: gr.Row) -> None:
    """Hide every component of a box that no page shows, so that no page loads their scripts."""
    for part in _parts(box):
        part.visible = False


def _parts(block: Block) -> Iterator[Block]:
    """All components inside a block."""
    for part in getattr(block, "children", []):
        yield part
        yield from _parts(part)
