"""The end of the server: at Ctrl-C or SIGTERM, runs end with their best picture, and pages get it."""

from __future__ import annotations

import signal
import time

import gradio as gr

from inversion.serving.session import Session

LAST_VIEWS = 1.0  # seconds in which open pages get the last views of their jobs
POLL = 0.1  # seconds


def until_stopped() -> None:
    """Wait for Ctrl-C or SIGTERM. A second one ends the process at once. Call it in the main thread."""
    stopped: list[int] = []

    def stop(number: int, frame: object) -> None:
        stopped.append(number)
        signal.signal(number, signal.SIG_DFL)

    before = [(number, signal.signal(number, stop)) for number in (signal.SIGINT, signal.SIGTERM)]
    while not stopped:
        time.sleep(POLL)
    for number, handler in before:
        if number not in stopped:
            signal.signal(number, handler)


def close(page: gr.Blocks, session: Session) -> None:
    """End the runs and the page. Jobs that wait are cancelled; new ones are refused."""
    status = session.status()
    session.close()
    if status.running or status.waiting:
        time.sleep(LAST_VIEWS)
    page.close()
