"""The available models, methods and tasks as plain data. The page builds its menus and sliders from these cards."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Literal

from inversion.analysis import analysis_of
from inversion.checkpoints import fetch
from inversion.checkpoints.registry import DEFAULT, Entry, registry
from inversion.common.settings import Kind, SettingValue, Spec, default_of, kind_of
from inversion.methods import METHODS, parse_method
from inversion.model import ModelOptions
from inversion.tasks import TASKS, task_class

DEFAULT_MODEL = DEFAULT


@dataclass(frozen=True)
class FieldCard:
    """One field that a user may set, of a stage (`name` is "stage.field") or of a task (`name` is the field's name).

    default: None for a mask or a picture, which the user must provide. choices: the only allowed values, () for any.
    menu: values that a page offers, () for none. low, high: inclusive bounds, None for none. step: of a slider. source:
    of a mask, the name of the parameter that says where the mask comes from.
    """

    name: str
    owner: str  # label of the stage or task
    kind: Kind
    label: str
    help: str
    default: SettingValue | None
    low: float | None
    high: float | None
    step: float | None
    choices: tuple[SettingValue, ...]
    menu: tuple[SettingValue, ...]
    source: str = ""


@dataclass(frozen=True)
class MethodCard:
    """One method and the settings of all its stages. kind: of the last stage, which tells how slow the method is."""

    key: str
    label: str
    paper: str
    description: str
    fields: tuple[FieldCard, ...]
    kind: Literal["embed", "optimise", "refine"]


@dataclass(frozen=True)
class ModelCard:
    """One generator, with the state of its file at the time of the call.

    embedded: the file is part of the package. cached: it can be loaded without a network. by_hand: the user must
    download the file; `note` and `source` say where. bytes: size of the file, None if unknown. resolution: in pixels.
    own: the user has added it. classes: of a conditional generator, else 0.
    """

    key: str
    resolution: int
    domain: str
    licence: str
    embedded: bool
    cached: bool = False
    by_hand: bool = False
    bytes: int | None = None
    grade: str | None = None
    source: str = ""
    note: str = ""
    own: bool = False
    classes: int = 0


@dataclass(frozen=True)
class TaskCard:
    """One task. merges: the result keeps the measured part. fields: the inputs of the task."""

    key: str
    label: str
    description: str
    merges: bool
    fields: tuple[FieldCard, ...]


def methods(preset: str = "") -> dict[str, MethodCard]:
    """All registered methods by key. preset: see `parse_method`."""
    return {key: method(key, preset) for key in METHODS}


def method(text: str, preset: str = "") -> MethodCard:
    """The card of a registered method or of stages joined by +, with the settings of a preset. Raises SettingError."""
    parsed = parse_method(text, preset)
    cards = [_field(name, stage.label, spec, getattr(stage, spec.name)) for name, stage, spec in parsed.specs()]
    kind = parsed.stages[-1].kind
    return MethodCard(text, parsed.label, parsed.paper, parsed.description, tuple(cards), kind)


def analysis_fields(key: str) -> tuple[FieldCard, ...]:
    """The fields of an analysis. Raises SettingError for an unknown key."""
    analysis = analysis_of(key)
    return tuple(_field(spec.name, analysis.label, spec, default_of(spec)) for spec in fields(analysis))


def models() -> dict[str, ModelCard]:
    """All registered generators by name. Checks which files exist; opens no file and uses no network."""
    return {name: _model(entry) for name, entry in registry().items() if entry.kind == "generator"}


def tasks() -> dict[str, TaskCard]:
    """All registered tasks by key."""
    return {key: task(key) for key in TASKS}


def task(key: str) -> TaskCard:
    """The card of a task, also of one that needs a second picture. Raises TaskError."""
    kind = task_class(key)
    own = tuple(_field(spec.name, kind.label, spec, default_of(spec)) for spec in fields(kind))
    return TaskCard(key, kind.label, kind.description, kind.merges, own)


def _model(entry: Entry) -> ModelCard:
    return ModelCard(
        key=entry.name,
        resolution=entry.resolution,
        domain=entry.domain,
        licence=entry.licence,
        embedded=entry.file is not None,
        cached=fetch.cached(entry) is not None,
        by_hand=entry.by_hand,
        bytes=fetch.size_of(entry),
        grade=entry.grade,
        source=entry.source,
        note=entry.note,
        own=entry.own,
        classes=entry.classes,
    )


def model_fields(model: str | None = None) -> tuple[FieldCard, ...]:
    """The fields of `ModelOptions`; with a model, those that it offers, with the bounds that it has."""
    cards = tuple(_field(spec.name, "Model", spec, default_of(spec)) for spec in fields(ModelOptions))
    if model is None:
        return cards
    entry = registry().get(model)
    limits = {"label": entry.classes - 1} if entry is not None and entry.classes else {}
    return tuple(replace(card, high=limits[card.name]) for card in cards if card.name in limits)


def _field(name: str, owner: str, spec: Spec, value: SettingValue | None) -> FieldCard:
    get = spec.metadata.get
    return FieldCard(
        name=name,
        owner=owner,
        kind=kind_of(spec),
        label=get("label", name),
        help=get("help", ""),
        default=value,
        low=get("min"),
        high=get("max"),
        step=get("step"),
        choices=tuple(get("choices", ())),
        menu=tuple(get("menu", ())),
        source=get("source") or f"{name}_source",
    )
