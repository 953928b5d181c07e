"""Ctrl-C and SIGTERM: the first ends a run with its best result so far, the second ends the process at once."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType, TracebackType

SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGBREAK") if hasattr(signal, name))
MESSAGE = b"\nStopping: the best result so far is saved. Press Ctrl-C again to end at once.\n"


class StopRequest:
    """While it is entered, a signal ends the command at once, unless its effect is `postponed`.

    Entered elsewhere than in the main thread, it changes nothing.
    """

    def __init__(self) -> None:
        self.signal: int | None = None
        self._active = False
        self._before: dict[int, object] = {}

    @property
    def status(self) -> int:
        """Exit status of the command: 130 after Ctrl-C, 143 after SIGTERM, 0 if there was no signal."""
        return 0 if self.signal is None else 128 + self.signal

    def __enter__(self) -> StopRequest:
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup
                    self._before[number] = signal.signal(number, self._stop)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type] # as `signal` returned it
        self._before.clear()

    @contextmanager
    def postponed(self) -> Iterator[None]:
        """Note the first signal in `signal`, so that a run can end with its best result and be saved."""
        self._active = True
        try:
            yield
        finally:
            self._active = False

    def _stop(self, number: int, frame: FrameType | None) -> None:
        """Note the signal. The next one has its default effect, also in the middle of a long computation."""
        self.signal = number
        if not self._active:
            raise KeyboardInterrupt if number == signal.SIGINT else SystemExit(self.status)
        for one in self._before:
            signal.signal(one, signal.SIG_DFL)
        with suppress(OSError):
            os.write(2, MESSAGE)  # sys.stderr may be in the middle of a write
