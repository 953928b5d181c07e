"""Which events the queue of Gradio takes: at most so many runs at once, and a share of it for each address."""

from __future__ import annotations

from collections.abc import Mapping

import gradio as gr
from fastapi import Request
from gradio.block_function import BlockFunction
from gradio.context import LocalContext
from gradio.data_classes import PredictBodyInternal
from gradio.queueing import Event

from inversion.serving.limits import WebLimits, try_again
from inversion.serving.session import Session
from ui.parts.events import DEVICE
from ui.parts.values import Value

LOADS = 4  # pages that one address may open at a time, in shares of events


def caller() -> str:
    """The address of the client whose event is being handled in this thread, "" if there is none."""
    request = LocalContext.request.get(None)
    client = getattr(request, "client", None)
    return str(getattr(client, "host", "") or "")


def limit_events(page: gr.Blocks, session: Session, limits: WebLimits) -> None:
    """Refuse events at once that would exceed the limits, with the time that a visitor may expect to wait."""
    queue, push = page._queue, page._queue.push

    async def admitted(body: PredictBodyInternal, request: Request, username: str | None) -> Value:
        fn = page.fns.get(body.fn_index) if body.fn_index is not None else None
        address = request.client.host if request.client else ""
        reason = "" if fn is None else refusal(fn, address, queue.event_ids_to_events, limits)
        if reason:
            return False, f"{reason} {try_again(session.expected_wait())}", "queue_full"
        return await push(body=body, request=request, username=username)

    queue.push = admitted  # type: ignore[method-assign]


def refusal(fn: BlockFunction, address: str, events: Mapping[str, Event], limits: WebLimits) -> str:
    """Why an event of this address is not taken, "" if it is. events: those that run or wait."""
    own = [one for one in events.values() if one.request.client and one.request.client.host == address]
    if loads(fn):
        full = sum(loads(one.fn) for one in own) >= LOADS * limits.events_each
        return "You have opened this page many times." if full else ""
    if sum(not loads(one.fn) for one in own) >= limits.events_each:
        return "Many requests of your address are waiting already."
    runs = sum(not loads(one.fn) and one.fn.concurrency_id == fn.concurrency_id for one in events.values())
    full = fn.concurrency_id == DEVICE["concurrency_id"] and runs >= limits.events
    return f"The server is busy: {runs} visitors are waiting or watching runs." if full else ""


def loads(fn: BlockFunction) -> bool:
    """Whether a page sends the event when it opens."""
    return any(trigger == "load" for _, trigger in fn.targets)
