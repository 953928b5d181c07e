"""What the page says about runs is in its language: steps, notes, results, and why something is refused."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.checkpoints import GOOD, use_entries
from helpers.strings import of_html
from helpers.translation import english_left
from torch import Tensor

from inversion.analysis import ANALYSES
from inversion.checkpoints import hub
from inversion.checkpoints.registry import Entry
from inversion.common.errors import UserError
from inversion.common.settings import Spec, kind_of
from inversion.images import to_array
from inversion.methods import METHODS, STAGES
from inversion.model import Model, ModelOptions
from inversion.serving.jobs import INTERRUPTED, PAGE_CLOSED, RESTARTED, Job, JobView, RunView
from inversion.serving.lane import Lane
from inversion.serving.runs import Request
from inversion.synthetic import DOMAINS
from inversion.tasks import TASKS, task_class
from inversion.translations import TRANSLATIONS, TranslationOptions
from ui.languages import LANGUAGES
from ui.parts.animation import state_rows
from ui.parts.figures import not_computed, run_figures, table
from ui.parts.markup import about, job_status, run_head

DECLARED = [*STAGES.values(), *ANALYSES.values(), *map(task_class, TASKS), ModelOptions, TranslationOptions]
SPECS = [spec for kind in DECLARED for spec in fields(kind)]
CHOICES = {str(choice) for spec in SPECS for choice in spec.metadata.get("choices") or ()}
KEYS = {*STAGES, *METHODS, *ANALYSES, *TASKS, "diffuse", *(spec.name for spec in SPECS), *CHOICES}
GIVEN = r"True|true|false|none|tiny|'[^']*'|--measured|[a-z]+\.[a-z_]+"
# What may stay English: the stages of a combination, the keys of settings, and the values that were given.
NAMES = "|".join(
    [
        *sorted((re.escape(stage.label) for stage in STAGES.values()), key=len, reverse=True),
        rf"(?<![A-Za-z])({GIVEN}|{'|'.join(sorted(KEYS, key=len, reverse=True))})(?![A-Za-z])",
    ]
)
WRONG = (-1, 10**9, 1.5, "x", True, None, [1])
WAITS = (None, 3.0, 500.0, 9000.0)  # seconds


@pytest.fixture
def whole_lane(full_model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lane:
    """A lane on a model on which every method can run."""
    use_entries(monkeypatch, tmp_path, Entry("tiny", **GOOD))  # type: ignore[arg-type]
    monkeypatch.setattr(hub, "load", lambda *_, **__: full_model)
    return Lane("cpu")


def check(texts: Iterable[str], language: str) -> None:
    """Fails for texts that the page does not translate."""
    left = english_left(texts, language, NAMES)
    assert not left, "\n".join(f"{text!r} is shown as {own!r}" for text, own in left.items())


def said(view: JobView, unit: str = "method") -> Iterator[str]:
    """All texts that the results of a job show."""
    parts = [job_status(view, unit), about(view, None), not_computed(view.runs)]
    parts += [part for at, run in enumerate(view.runs) for part in (run_head(at, run), run_figures(run))]
    figures = table(view.runs)
    parts += [*figures["headers"], *(cell for row in figures["data"] for cell in row if isinstance(cell, str))]
    for part in parts:
        yield from of_html(part)


def followed(lane: Lane, request: Request, *, stop: bool = False) -> Iterator[str]:
    """All texts of a run from its start to its end. stop: ask it to end after its third event."""
    job = Job("key", (request,), [RunView(request.method, lane.check(request), budget=request.budget)])
    job.begin(0)
    events, asked, count = lane(request), None, 0
    while not job.over:
        yield from said(job.view())
        job.take(0, events.send(asked))
        count += 1
        asked = stop and count > 2
    yield from said(job.view())


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_step_and_result_of_every_method(
    language: str, whole_lane: Lane, request_of: Callable[..., Request]
) -> None:
    found: set[str] = set()
    for method in METHODS:
        request = request_of(0, method)
        found.update(followed(whole_lane, request, stop=True))
        found.update(followed(whole_lane, replace(request, budget=1e-6)))
        found.update(followed(whole_lane, request))
        found.update(followed(whole_lane, request))  # goes on after the run before
    check(found, language)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_state_of_a_job(language: str, request_of: Callable[..., Request]) -> None:
    methods = ("w", "pti", "psp")
    requests = tuple(request_of(0, method) for method in methods)

    def made() -> Job:
        return Job("key", requests, [RunView(method, METHODS[method].label) for method in methods])

    job = made()
    waiting = job.view()
    views = [replace(waiting, position=at, wait=wait) for at in (0, 1, 7) for wait in WAITS]
    views += [replace(waiting, download=(done, 9_000_000)) for done in (0, 5_000_000)]
    job.begin(0)
    going = job.view()
    first = replace(going.runs[0], total=9, step=4, stage="Mean latent")
    for left, whole in itertools.product(WAITS, (None, 700.0)):
        views.append(replace(going, runs=(replace(first, remaining=left), *going.runs[1:]), remaining=whole))
    assert job.restart(0)
    views.append(job.view())
    for at, why in enumerate(("Not enough memory for these settings.", RESTARTED, "The server was stopped.")):
        job.fail(at, why)
    views.append(job.view())
    for why in ("Cancelled", PAGE_CLOSED, INTERRUPTED):
        ended = made()
        ended.cancel(why)
        views.append(ended.view())
    check({text for view in views for unit in ("method", "run", "model") for text in said(view, unit)}, language)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_note_on_a_measurement(
    language: str, whole_lane: Lane, request_of: Callable[..., Request], pictures: Tensor
) -> None:
    found: set[str] = set()
    whole = to_array(pictures[0])
    for task, picture, measured in itertools.product(TASKS, (whole, whole[:10, :12]), (False, True)):
        inputs = {spec.name: hole(picture) for spec in fields(task_class(task)) if kind_of(spec) == "mask"}
        request = request_of(0, "psp", task=task, picture=picture, measured=measured, inputs=inputs)
        found.update(followed(whole_lane, request))
    check(found, language)


def hole(picture: np.ndarray) -> np.ndarray:
    """A mask that covers more than half of a picture."""
    mask = np.full(picture.shape[:2], 255, np.uint8)
    mask[:3] = 0
    return mask


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_refusal_of_a_request(language: str, whole_lane: Lane, request_of: Callable[..., Request]) -> None:
    base = request_of(0)
    changes: list[dict[str, object]] = [
        {"seed": -1},
        {"budget": 0.0},
        {"model": "x"},
        {"task": "x"},
        {"inputs": {"x": 1}},
    ]
    changes += [{"method": method} for method in ("", "x", "w+w", "pti+w", "dip+w", "psp+e4e")]
    changes += [{"analysis": "x"}, *({"options": values} for values in wrong(fields(ModelOptions)))]
    for key, stage in STAGES.items():
        joined = f"mean+{key}" if stage.kind != "embed" and not stage.standalone else key
        changes += [{"method": joined, "settings": values} for values in wrong(fields(stage), f"{key}.")]
    for key, kind in ANALYSES.items():
        changes += [{"analysis": key, "settings": values} for values in wrong(fields(kind))]
    for key in TRANSLATIONS:
        changes += [{"translation": key, "settings": values} for values in wrong(fields(TranslationOptions))[1:]]
    for key in TASKS:
        numbers = [spec for spec in fields(task_class(key)) if kind_of(spec) == "number"]
        changes += [{"task": key, "inputs": values} for values in wrong(numbers)]
    refused = {text for change in changes for text in refusals(whole_lane, replace(base, **change))}  # type: ignore[arg-type]
    assert len(refused) > len(SPECS)
    check(refused, language)


def wrong(specs: Iterable[Spec], start: str = "") -> list[dict[str, object]]:
    """A name that does not exist, then each field with wrong values. start: of the names."""
    return [{f"{start}x": 1}, *({f"{start}{spec.name}": value} for spec in specs for value in WRONG)]


def refusals(lane: Lane, request: Request) -> Iterator[str]:
    """Why a request is not accepted, or cannot begin; nothing if it can."""
    try:
        lane.check(request)
        next(lane(request))
    except UserError as error:
        yield str(error)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_slider_in_a_key_state_of_an_animation(language: str) -> None:
    for domain in DOMAINS.values():
        cards: Any = [{"name": name, "label": label} for name, label in domain.labels.items()]
        states = [{}, dict.fromkeys(domain.labels, -1.5)]
        check(of_html(state_rows(states, cards)), language)
