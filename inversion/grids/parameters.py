"""What can vary in a grid: each field of a run, of a task, of a model and of a stage, made from their registries."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from difflib import get_close_matches
from functools import partial

from inversion.common.settings import SettingError, SettingValue, Spec, checked, kind_of, setting
from inversion.grids.values import MAX_CELLS, GridError, entries, expanded
from inversion.images.drawn import DRAWN_MASKS
from inversion.methods import METHODS, PRESETS, STAGES, parse_method
from inversion.model import ModelOptions
from inversion.serving import catalogue
from inversion.serving.measurement import AUTOMATIC_CROPS
from inversion.tasks import TASKS, task_fields

EVERY_STAGE = "Every stage that has it"  # group of the fields that stand for those of several stages
RUN = "Run"
MAX_SEED = 2**31 - 1


@dataclass(frozen=True)
class RunFields:
    """Fields that every run has, besides picture, task, method and model."""

    preset: str = setting("quick", "Preset", "The settings to start from.", choices=tuple(PRESETS))
    seed: int = setting(0, "Seed", "Of all random draws.", min=0, max=MAX_SEED)
    budget: float = setting(120.0, "Time budget", "Seconds for each run.", min=1)
    align: str = setting("auto", "Crop", "The part of the picture that is used.", choices=AUTOMATIC_CROPS)
    measured: bool = setting(False, "Input as it is", "The picture is already grey, small or noisy.")


@dataclass(frozen=True)
class Parameter:
    """One thing that can vary. Its values are read from text.

    choices: value -> label. read: reads a value that is none of the choices; raises UserError. number: whether values
    are numbers, so that ranges are allowed; whole: whole ones. cost: how much a change of the value costs; the axis
    with the highest cost changes least often. changes_problem: figures of different values cannot be compared.
    """

    key: str
    label: str
    group: str
    help: str
    read: Callable[[str], SettingValue]
    choices: Mapping[SettingValue, str] = field(default_factory=dict)
    number: bool = False
    whole: bool = False
    cost: int = 0
    changes_problem: bool = False

    def values(self, text: str) -> tuple[SettingValue, ...]:
        """The values of a list, each once. An empty list means all choices. Raises GridError and SettingError."""
        given = entries(text)
        if not given and not self.choices:
            raise GridError(f"{self.label}: enter some values. {self.help}".strip())
        found = [value for entry in given for value in self._read(entry)] or list(self.choices)
        values = tuple(dict.fromkeys(found))
        if len(values) > MAX_CELLS:
            raise GridError(f"{self.label}: {len(values)} values are too many. A grid has at most {MAX_CELLS} cells.")
        return values

    def text(self, value: SettingValue) -> str:
        """The label of a value."""
        if value in self.choices:
            return self.choices[value]
        if self.key == "method":
            return parse_method(str(value)).label
        return f"{value:.6g}" if isinstance(value, float) else str(value)

    def _read(self, entry: str) -> list[SettingValue]:
        named = [value for value, label in self.choices.items() if entry.lower() in (str(value).lower(), label.lower())]
        if named:
            return named[:1]
        try:
            texts = expanded(entry, whole=self.whole) if self.number else [entry]
        except GridError as error:
            raise GridError(f"{self.label}: {error}") from None
        return [self.read(text) for text in texts]


def parameters(pictures: Sequence[str], masks: Iterable[str] = ()) -> dict[str, Parameter]:
    """Everything that can vary, by key. pictures, masks: names of those that the user gives."""
    found = [_method(), _model(), _picture(pictures), _task()]
    found += [_field(spec.name, RUN, spec, PRESETS if spec.name == "preset" else {}) for spec in fields(RunFields)]
    found += [
        _mask(name, spec, owners, masks) if kind_of(spec) == "mask" else _number(name, spec, owners)
        for name, (spec, owners) in task_fields().items()
        if kind_of(spec) != "picture"
    ]
    found += [_field(spec.name, "Model", spec) for spec in fields(ModelOptions)]
    found += [_of_stages(name) for name in _shared()]
    found += [
        _of_stage(f"{key}.{spec.name}", stage.label, spec) for key, stage in STAGES.items() for spec in fields(stage)
    ]
    known: dict[str, Parameter] = {}
    for parameter in found:
        known.setdefault(parameter.key, parameter)
    return known


def find(known: Mapping[str, Parameter], name: str) -> Parameter:
    """A parameter by its key; a field that only one stage has may stand without its stage. Raises GridError."""
    stages = stages_with(name)
    key = f"{next(iter(stages))}.{name}" if name not in known and len(stages) == 1 else name
    if key in known:
        return known[key]
    near = get_close_matches(name, known, n=4) or ["method", "model", "seed", "steps", "w.steps"]
    raise GridError(f"there is nothing called {name!r} that can vary. Choose for example one of: {', '.join(near)}.")


def stages_with(name: str) -> dict[str, Spec]:
    """The stages that have a field of this name, with the field."""
    return {key: spec for key, stage in STAGES.items() for spec in fields(stage) if spec.name == name}


def _labels(registry: Mapping[str, object]) -> dict[SettingValue, str]:
    return {key: getattr(one, "label", key) for key, one in registry.items()}


def _unknown(kind: str, known: Iterable[object], text: str) -> str:
    """Raises SettingError: the value is none of the choices."""
    raise SettingError(f"there is no {kind} {text!r}. Choose from: {', '.join(map(str, known)) or 'none'}.")


def _method() -> Parameter:
    def read(text: str) -> str:
        parse_method(text)
        return text

    help = "Stages joined by +, as in psp+wplus, are allowed, too."
    return Parameter("method", "Method", RUN, help, read, _labels(METHODS), cost=3)


def _model() -> Parameter:
    cards = catalogue.models()
    ready = [key for key, card in cards.items() if card.cached or card.embedded]

    def read(text: str) -> str:
        return text if text in cards else _unknown("model", cards, text)

    return Parameter("model", "Model", RUN, "", read, {key: key for key in ready}, cost=4)


def _task() -> Parameter:
    read = partial(_unknown, "task", TASKS)
    return Parameter("task", "Task", RUN, "", read, _labels(TASKS), cost=1, changes_problem=True)


def _picture(names: Sequence[str]) -> Parameter:
    """One of the pictures, by its name or its number from 1."""

    def read(text: str) -> str:
        if text.isdecimal() and 0 < int(text) <= len(names):
            return names[int(text) - 1]
        return _unknown("picture", names, text)

    numbered = Parameter("picture", "Picture", RUN, "Names or numbers of the pictures.", read, number=True, whole=True)
    return replace(numbered, choices={name: name for name in names}, cost=1, changes_problem=True)


def _number(name: str, spec: Spec, owners: Sequence[str]) -> Parameter:
    """A number of a task."""
    found = _field(name, ", ".join(TASKS[owner].label for owner in owners), spec)
    return replace(found, cost=1, changes_problem=True)


def _mask(name: str, spec: Spec, owners: Sequence[str], files: Iterable[str]) -> Parameter:
    """A mask of a task: one that is drawn, or a file."""
    choices: dict[SettingValue, str] = {key: one.label for key, one in DRAWN_MASKS.items()}
    choices |= {one: one for one in files}
    read = partial(_unknown, "mask", choices)
    group = ", ".join(TASKS[owner].label for owner in owners)
    return Parameter(name, spec.metadata["label"], group, "", read, choices, cost=1, changes_problem=True)


def _of_stage(key: str, stage: str, spec: Spec) -> Parameter:
    """A setting of a stage; its label names the stage."""
    found = _field(key, stage, spec)
    label = f"{stage}: {found.label[:1].lower()}{found.label[1:]}"
    return replace(found, label=label, read=partial(checked, label, spec))


def _field(key: str, group: str, spec: Spec, labels: Mapping[str, str] | None = None) -> Parameter:
    """A field of a dataclass; its own check reads the values."""
    label, default = spec.metadata.get("label", key), spec.default
    choices: dict[SettingValue, str] = {True: "yes", False: "no"} if isinstance(default, bool) else {}
    choices |= {one: (labels or {}).get(one, str(one)) for one in spec.metadata.get("choices", ())}
    choices |= {one: str(one) for one in spec.metadata.get("menu", ())}
    number = isinstance(default, int | float) and not isinstance(default, bool)
    read = partial(checked, label, spec)
    return Parameter(key, label, group, _help(spec), read, choices, number=number, whole=isinstance(default, int))


def _help(spec: Spec) -> str:
    """The sentence of a field, its bounds and its default."""
    low, high, default = spec.metadata.get("min"), spec.metadata.get("max"), spec.default
    parts = [spec.metadata.get("help", "")]
    if isinstance(default, int | float) and not isinstance(default, bool):
        above = "" if low is None else f"At least {low:.10g}, "
        both = f"{low:.10g} to {high:.10g}, " if low is not None and high is not None else above
        parts.append(f"{both}default {default:.10g}.")
    return " ".join(part for part in parts if part)


def _shared() -> list[str]:
    """Names of fields that several stages have, such as steps: one value for all of them."""
    names = [spec.name for stage in STAGES.values() for spec in fields(stage)]
    return [name for name in dict.fromkeys(names) if names.count(name) > 1]


def _of_stages(name: str) -> Parameter:
    specs = stages_with(name)
    first = _field(name, EVERY_STAGE, next(iter(specs.values())))

    def read(text: str) -> SettingValue:
        """The value if at least one stage takes it; the stages of a method check it again."""
        problem: SettingError | None = None
        for spec in specs.values():
            try:
                return checked(first.label, spec, text)
            except SettingError as error:
                problem = problem or error
        raise problem or SettingError(f"There is no setting {name!r}.")

    return Parameter(name, first.label, EVERY_STAGE, "", read, first.choices, number=first.number, whole=first.whole)
