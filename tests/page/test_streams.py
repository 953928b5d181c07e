"""Updates of streams."""

from __future__ import annotations

from collections.abc import Iterator

import gradio as gr
import pytest

from ui.parts import streams
from ui.parts.values import Update


@pytest.mark.parametrize("costs", [(0.0, 0.0, 0.0), (0.1, 0.2, 0.1, 0.1), (1.0, 1.0), ()])
def test_gathered_updates_lose_nothing_and_wait_less_than_the_limit(
    costs: tuple[float, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    monkeypatch.setattr(streams.time, "monotonic", lambda: now)
    with gr.Blocks():
        boxes = [gr.HTML() for _ in costs]

    def slow() -> Iterator[Update]:
        nonlocal now
        for cost, box in zip(costs, boxes, strict=True):
            now += cost
            yield {box: cost}

    sent: list[tuple[float, Update]] = [(now, update) for update in streams.gathered(slow(), 0.25)]
    together: Update = {}
    for _, update in sent:
        assert not together.keys() & update.keys()
        together |= update
    assert together == dict(zip(boxes, costs, strict=True))
    waited = [later - earlier for (earlier, _), (later, _) in zip([(0.0, {}), *sent], sent, strict=False)]
    assert all(wait < 0.25 + max(costs) for wait in waited), "an update is held back for too long"
    assert len(sent) <= 1 + sum(costs) / 0.25, "updates come too often"
