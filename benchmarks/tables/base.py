"""Jobs of the tables: what a row is about, and what it was made with."""

from __future__ import annotations

import argparse
import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar

import numpy as np

from benchmarks.cases import Case, cases
from benchmarks.common import Column, clock_of
from benchmarks.tables.code import digest_of
from benchmarks.translations import Segmenter
from inversion.checkpoints import store
from inversion.checkpoints.registry import SERVE_ALL, registry
from inversion.common.rows import RowView
from inversion.methods import Method, parse_method
from inversion.model import Model
from inversion.serving.lane import Lane
from inversion.training.models import domain_of

MEASURED = "measured"  # pseudo-method: the measurement itself, enlarged with bicubic interpolation if it is small
PSEUDO = (MEASURED, "truth")  # rows that no method makes
TASK_SHARE = 4  # tables other than the inversion use a quarter of the pictures
DEFAULTS = "default"  # among the presets: the methods' defaults


@dataclass(frozen=True)
class Made:
    """One row of a job: figures by name, and the picture, uint8 (R, R, 3), that they describe, if it is one picture."""

    label: str
    figures: RowView
    picture: np.ndarray | None = None


@dataclass(frozen=True)
class Job:
    """One or more rows to compute.

    place: what they are about: table, task, setting, label, preset, pictures, source, model, seed. signature: digits of
    settings, weights and pictures. code: digits of the code that computes them.
    """

    place: Mapping[str, str | int]
    signature: str
    code: str
    compute: Callable[[], list[Made]]

    @property
    def key(self) -> str:
        """Digits of the place. Rows of the same key replace each other."""
        return digits(self.place)


@dataclass
class Bench:
    """A call of the benchmark: its arguments, its lane and its model. missing: method -> why it cannot run."""

    args: argparse.Namespace
    lane: Lane
    model: Model
    missing: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, args: argparse.Namespace) -> Bench:
        """Load the model that the arguments name."""
        lane = Lane(args.device, args.dtype)
        model = lane.load(args.model)
        lane.clock = clock_of(model.device)
        return cls(args, lane, model)

    @cached_property
    def given(self) -> dict[str, str]:
        """The settings "stage.field" -> value of --set."""
        return dict(text.split("=", 1) for text in self.args.settings)

    def cases(self, n: int) -> list[Case]:
        """The first n test pictures."""
        return self._cases[:n]

    @cached_property
    def _cases(self) -> list[Case]:
        return list(cases(self.model, self.args.source, self.args.n))

    @cached_property
    def segmenter(self) -> Segmenter:
        """Fitted to training renders, which takes seconds."""
        return Segmenter(self.model.predictor, domain_of(self.model), self.model.resolution)

    def methods(self, default: Sequence[str]) -> list[str]:
        """The methods of the call, or the default ones, that the model can run."""
        asked = self.args.methods.split(",") if self.args.methods else default
        parsed = {key: parse_method(key) for key in asked if key not in PSEUDO}
        refused = self.lane.unavailable(self.args.model, parsed)
        self.missing |= refused
        return [key for key in asked if key not in refused]

    def configured(self, key: str) -> tuple[Method, str]:
        """A method with the settings of the call, and the name of its preset, "" if it has none."""
        preset = "" if self.args.preset == DEFAULTS else self.args.preset
        method = parse_method(key)
        stages = {stage.key for stage in method.stages}
        own = {name: value for name, value in self.given.items() if name.partition(".")[0] in stages}
        used = preset if method.preset(preset) else ""
        return method.configured(method.changed(used, own)), used

    def label(self, key: str) -> str:
        """A method with the settings that the user changed."""
        stages = set() if key in PSEUDO else {stage.key for stage in parse_method(key).stages}
        own = [f"{name}={value}" for name, value in self.given.items() if name.partition(".")[0] in stages]
        return " ".join([key, *own])

    def job(
        self, place: Mapping[str, str | int], used: object, modules: Iterable[str], made: Callable[[], list[Made]]
    ) -> Job:
        """A job of this call. used: settings, weights and pictures, as JSON values. modules: of the code it runs."""
        args = self.args
        whole = {"source": args.source, "model": args.model, "seed": args.seed, **place}
        return Job(whole, digits(used), digest_of(modules), made)


class Table(ABC):
    """A table of the benchmark. own: key of a figure -> its column."""

    title: ClassVar[str]
    text: ClassVar[str]  # one paragraph for the reader
    own: ClassVar[Mapping[str, Column]] = {}

    @property
    def columns(self) -> Mapping[str, Column]:
        """Key of a figure -> its column."""
        return self.own

    @abstractmethod
    def jobs(self, bench: Bench) -> Iterator[Job]:
        """The jobs of a call, in the order of their rows."""


def digits(value: object) -> str:
    """16 hexadecimal digits that name a JSON value."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:16]


def share(n: int) -> int:
    """The number of pictures of the slower tables: two at least, if there are as many."""
    return max(min(n, 2), n // TASK_SHARE)


def weights_of(model: Model, method: str = "") -> list[str]:
    """Hashes of the files that the rows of a method depend on: its networks and those of losses and metrics.

    Missing files do not count. So the rows are computed again when a file becomes available. "": all of the model.
    """
    needs = frozenset() if method in PSEUDO else parse_method(method).needs if method else None
    found = []
    for entry in registry().values():
        own = model.name in (entry.name, entry.generator)
        if (
            (own and (needs is None or entry.kind in ("generator", *needs) or f"encoders.{entry.role}" in needs))
            or (entry.kind == "predictor" and entry.domain == model.domain)
            or (entry.kind in SERVE_ALL and (own or entry.generator is None))
        ) and entry.name not in model.absent:
            found.append(store.expected(entry)[0] or entry.name)
    return found
