"""Watches a process and its forks while they read hostile input: programs, connections, files elsewhere, memory."""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PROGRAMS = ("os.system", "os.exec", "os.posix_spawn", "os.startfile", "os.spawn", "subprocess.Popen", "pty.spawn")
CONNECTIONS = ("socket.connect", "socket.bind", "socket.sendto")
# Events that change files, and how many of their first arguments are paths.
CHANGES = {"os.remove": 1, "os.rename": 2, "os.rmdir": 1, "os.mkdir": 1, "os.link": 2, "os.symlink": 2, "os.chmod": 1}
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
DEVICES = ("/dev/null", "/dev/shm")  # noqa: S108 - where shared memory of tensors lies


class Watch:
    """Notes what code does that should only read, by Python's audit events. It stays for the life of the process.

    allowed: folders in which files may be written. log: a file for the notes, which forks of the process share.
    """

    def __init__(self, allowed: Path, log: Path) -> None:
        self.allowed = (str(allowed.resolve()), *DEVICES)
        self.log = log
        self.active = False
        self._connections = True
        self._sink = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        sys.addaudithook(self._note)

    @contextmanager
    def watching(self, connections: bool = True) -> Iterator[None]:
        """A context in which everything is noted, connections only if wanted."""
        self.active, self._connections = True, connections
        try:
            yield
        finally:
            self.active = False

    def notes(self) -> list[str]:
        """All notes until now: an event and its first argument each."""
        return self.log.read_text(encoding="utf-8", errors="replace").splitlines()

    def _note(self, event: str, given: tuple[object, ...]) -> None:
        if not self.active:
            return
        if event in PROGRAMS or (event in CONNECTIONS and self._connections):
            self._write(event, given[0] if given else "")
        elif event == "open" and _writes(given):
            self._check(event, given[0])
        elif event in CHANGES:
            for path in given[: CHANGES[event]]:
                self._check(event, path, given[-1])

    def _check(self, event: str, path: object, folder: object = -1) -> None:
        """Note a path outside the allowed folders. Numbers are files that are already open.

        folder: the descriptor of the one that the path is relative to, -1 if there is none.
        """
        if isinstance(path, str | bytes | os.PathLike):
            base = f"/proc/self/fd/{folder}" if isinstance(folder, int) and folder >= 0 else ""
            place = os.path.realpath(os.path.join(base, os.fsdecode(path)))
            if not place.startswith(self.allowed):
                self._write(event, place)

    def _write(self, event: str, what: object) -> None:
        os.write(self._sink, f"{event} {what!r}"[:300].encode("utf-8", "replace") + b"\n")


def _writes(given: tuple[object, ...]) -> bool:
    """Whether an event "open" (path, mode, flags) is for writing."""
    mode, flags = given[1], given[2]
    if isinstance(mode, str):
        return any(letter in mode for letter in "wax+")
    return isinstance(flags, int) and bool(flags & WRITING)


def memory() -> float:
    """MB of main memory that this process holds; 0 where the system does not tell."""
    with suppress(OSError):
        return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * resource.getpagesize() / 2**20
    return 0.0


def restart_peak() -> None:
    """Forget the largest size of this process until now, where the system can."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def peak_memory(children: bool = False) -> float:
    """MB that this process has held at most since `restart_peak`, or that one of its ended children has held."""
    if children:
        return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    with suppress(OSError, StopIteration, ValueError):
        lines = Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines()
        return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024
    return 0.0
