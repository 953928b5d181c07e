"""`app.py` in a process of its own, in folders that are removed."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from inversion.common.commands import UsageError

ROOT = Path(__file__).resolve().parents[2]
START = 180.0  # seconds for the server to be ready


class Server:
    """A running hub. log: the file of its stderr."""

    def __init__(self, process: subprocess.Popen[bytes], url: str, log: Path) -> None:
        self.process, self.url, self.log = process, url, log
        self._said = ""

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self.process.poll() is None

    def memory(self) -> float:
        """MB that the process and its children hold; 0 where the system does not tell."""
        total = 0.0
        for pid in [self.process.pid, *_children(self.process.pid)]:
            try:
                pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
            except (OSError, IndexError, ValueError):
                continue
            total += pages * os.sysconf("SC_PAGE_SIZE") / 2**20
        return total

    def tracebacks(self) -> list[str]:
        """The last lines of the tracebacks in its log."""
        if self.log.exists():
            self._said = self.log.read_text(encoding="utf-8", errors="replace")
        blocks = self._said.split("Traceback (most recent call last)")[1:]
        ends = [[line for line in block.splitlines() if line and not line.startswith(" ")] for block in blocks]
        return [f"log: {lines[0] if len(lines) < 2 else lines[1]}" for lines in ends if lines]


@contextmanager
def running(*flags: str) -> Iterator[Server]:
    """A hub that is ready, on a free port. Raises UsageError if it does not start."""
    with tempfile.TemporaryDirectory(prefix="soak-") as name:
        folder = Path(name)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        places = {"GRADIO_TEMP_DIR": str(folder / "temp"), "INVERSION_CACHE": str(folder / "cache")}
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(  # noqa: S603 - this interpreter, on a file of this repository
                [sys.executable, "app.py", "--port", str(port), "--device", "cpu", *flags],
                cwd=ROOT,
                env={**os.environ, **places, "HF_HUB_OFFLINE": "1"},
                stdout=subprocess.DEVNULL,
                stderr=log,
            )
        server = Server(process, f"http://127.0.0.1:{port}/", folder / "log")
        try:
            _wait_until_ready(server)
            yield server
            server.tracebacks()
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait_until_ready(server: Server) -> None:
    end = time.monotonic() + START
    while time.monotonic() < end and server.alive:
        try:
            if httpx.get(f"{server.url}readyz", timeout=5).status_code == 200:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.2)
    raise UsageError(f"the server does not start: {server.log.read_text(encoding='utf-8', errors='replace')[-300:]}")


def _children(pid: int) -> list[int]:
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    except OSError:
        return []
    return [int(one) for one in text.split()]
