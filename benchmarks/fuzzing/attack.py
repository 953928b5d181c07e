"""Feeds a subject many inputs, and keeps the smallest input of each kind of finding."""

from __future__ import annotations

import gc
import random
import time
import traceback
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.fuzzing.calls import is_one_sentence
from benchmarks.fuzzing.subjects import Subject, shown
from benchmarks.fuzzing.watch import Watch, memory, peak_memory, restart_peak
from inversion.common.errors import UserError
from inversion.common.memory import return_freed_memory

LONGEST_WORDS = 500  # characters of a refusal
SLOW = 1.0  # seconds of an answer
WARM = 0.05  # fraction of the inputs after which memory is counted
ATTEMPTS = 300  # to make an input smaller
PROBLEMS = ("unhandled", "without words", "slow")


@dataclass(frozen=True)
class Answer:
    """How an input was answered. kind: accepted, refused, or one of PROBLEMS. where: which of its kind."""

    kind: str
    seconds: float
    text: str = ""
    where: str = ""


@dataclass
class Report:
    """The figures of a subject. seconds: the slowest answer. notes: of the watch.

    growth, peak: MB more than after the first inputs; the peak of a subject that forks is that of its largest fork.
    """

    subject: str
    inputs: int = 0
    accepted: int = 0
    refused: int = 0
    seconds: float = 0.0
    growth: float = 0.0
    peak: float = 0.0
    findings: dict[str, str] = field(default_factory=dict)  # kind and place -> the text, with the file of the input
    counts: dict[str, int] = field(default_factory=dict)  # of PROBLEMS
    notes: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        """Whether nothing was found."""
        return not self.findings and not self.notes


def answer(subject: Subject, given: object) -> Answer:
    """Let the subject read an input."""
    began = time.perf_counter()
    kind, text, where = "accepted", "", ""
    try:
        subject.read(given)
    except UserError as error:
        text = str(error)
        kind = "refused" if is_one_sentence(text, LONGEST_WORDS) else "without words"
        where = type(error).__name__ if kind == "refused" else _place(error)
    except Exception as error:
        kind, text, where = "unhandled", f"{type(error).__name__}: {error}", _place(error)
    seconds = time.perf_counter() - began
    if seconds > SLOW and kind in ("accepted", "refused"):
        return Answer("slow", seconds, text, kind)
    return Answer(kind, seconds, text, where)


def attack(subject: Subject, count: int, watch: Watch, seed: int, keep: Path) -> Report:
    """Feed the subject `count` inputs. keep: a folder for the inputs of findings."""
    report = Report(subject.label, count, counts=dict.fromkeys(PROBLEMS, 0))
    inputs, before, known = subject.inputs(random.Random(seed)), 0.0, len(watch.notes())  # noqa: S311 - repeatable
    for number in range(count):
        if number == int(WARM * count):
            before = _settled_memory()
            restart_peak()
        given = next(inputs)
        with watch.watching():
            found = answer(subject, given)
            if found.kind == "slow":  # the machine may have been busy for a moment
                again = answer(subject, given)
                found = again if again.seconds < found.seconds else found
        report.seconds = max(report.seconds, found.seconds)
        report.accepted += found.kind == "accepted"
        report.refused += found.kind == "refused"
        if found.kind in PROBLEMS:
            report.counts[found.kind] += 1
            _keep(report, subject, given, found, keep)
    report.peak = peak_memory(children=True) if subject.forks else peak_memory() - before
    report.growth = _settled_memory() - before
    report.notes = watch.notes()[known:]
    return report


def _keep(report: Report, subject: Subject, given: object, found: Answer, keep: Path) -> None:
    """Keep the input of a finding if it is the first of its kind."""
    key = f"{found.kind}: {found.where}"
    if key in report.findings:
        return
    small = _smaller(subject, given, found) if isinstance(given, bytes) and found.kind != "slow" else given
    keep.mkdir(parents=True, exist_ok=True)
    path = keep / f"{subject.label.replace(' ', '-')}-{len(report.findings) + 1}"
    path.write_bytes(shown(small))
    report.findings[key] = f"{found.text[:200]!r} in {found.seconds:.2f} s, {path}"


def _smaller(subject: Subject, data: bytes, found: Answer) -> bytes:
    """A shorter input with the same finding: pieces are left out as long as it stays."""
    size, attempts = len(data) // 2, 0
    while size and attempts < ATTEMPTS:
        place = 0
        while place < len(data) and attempts < ATTEMPTS:
            attempts += 1
            shorter = data[:place] + data[place + size :]
            again = answer(subject, shorter)
            if (again.kind, again.where) == (found.kind, found.where):
                data = shorter
            else:
                place += size
        size //= 2
    return data


def _settled_memory() -> float:
    gc.collect()
    return_freed_memory()
    return memory()


def _place(error: BaseException) -> str:
    """The class of an error and the last line of our own code that it passed."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "/inversion/" in frame.filename]
    where = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "elsewhere"
    return f"{type(error).__name__} at {where}"
