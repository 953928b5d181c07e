"""A grid as a plan: which runs fill its cells, in which order, and how long they take. No pictures are read."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields

from inversion.checkpoints.registry import registry
from inversion.common.errors import UserError
from inversion.common.rows import Row
from inversion.common.settings import SettingError, SettingValue, kind_of
from inversion.grids.parameters import Parameter, RunFields, find, stages_with
from inversion.grids.values import MAX_CELLS, GridError
from inversion.methods import parse_method
from inversion.model import ModelOptions
from inversion.tasks import task_class

AXES = ("x", "y", "z")
MAX_TEXT = 200  # characters of a label in a record
Choices = Mapping[str, SettingValue]  # key of a parameter -> its value
Expected = Callable[[str, Mapping[str, Mapping[str, SettingValue]]], Mapping[str, float]]  # as `Session.expected`


@dataclass(frozen=True)
class Setup:
    """Everything that decides one run; pictures and masks by name. Equal setups are one run.

    settings: all of the method, by "stage.field". inputs: of the task; options: of the model.
    """

    task: str
    method: str
    model: str
    picture: str
    settings: tuple[tuple[str, SettingValue], ...]
    inputs: tuple[tuple[str, SettingValue], ...]
    options: tuple[tuple[str, SettingValue], ...]
    run: RunFields


@dataclass(frozen=True)
class AxisLabels:
    """One axis in words. comparable: figures of its different values can be compared."""

    key: str
    label: str
    values: tuple[str, ...]
    comparable: bool

    @classmethod
    def of_record(cls, record: Mapping[str, object]) -> AxisLabels:
        """The axis of a record. Raises TypeError and KeyError for another form."""
        values = [str(value)[:MAX_TEXT] for value in record["values"]]  # type: ignore[attr-defined]
        key, label = (str(record[name])[:MAX_TEXT] for name in ("key", "label"))
        return cls(key, label, tuple(values), record["comparable"] is True)


@dataclass(frozen=True)
class Layout:
    """The cells of a grid. axes: x, y and z as far as they are used. runs: the index of each cell's run; x varies
    fastest, then y, then z.
    """

    axes: tuple[AxisLabels, ...]
    runs: tuple[int, ...]

    @property
    def sizes(self) -> tuple[int, int, int]:
        """The number of values of x, y and z; 1 for an axis that is not used."""
        across, down, deep = (*(len(axis.values) for axis in self.axes), 1, 1)[:3]
        return across, down, deep

    def place(self, cell: int) -> tuple[int, int, int]:
        """The places of a cell on x, y and z."""
        across, down, _ = self.sizes
        return cell % across, cell // across % down, cell // (across * down)

    def record(self) -> Row:
        """The layout as JSON."""
        return {"axes": [asdict(axis) for axis in self.axes], "runs": list(self.runs)}

    @classmethod
    def of_record(cls, record: object, runs: int) -> Layout:
        """The layout that `record` gave, for a job with so many runs. Raises GridError for anything else."""
        try:
            axes = tuple(AxisLabels.of_record(axis) for axis in record["axes"])  # type: ignore[index]
            layout = cls(axes, tuple(map(int, record["runs"])))  # type: ignore[index]
        except (TypeError, KeyError, ValueError):
            raise GridError("This grid cannot be shown again. Run it again.") from None
        fits = all(0 <= run < runs for run in layout.runs) and 0 < len(axes) <= len(AXES)
        if not fits or len(layout.runs) > MAX_CELLS or len(layout.runs) != _product(layout.sizes):
            raise GridError("This grid cannot be shown again. Run it again.")
        return layout

    def labels(self, cell: int) -> dict[str, str]:
        """The label of each axis and the cell's value on it."""
        return {axis.label: axis.values[at] for axis, at in zip(self.axes, self.place(cell), strict=False)}


@dataclass(frozen=True)
class GridPlan:
    """The runs of a grid in their order, and its cells."""

    setups: tuple[Setup, ...]
    layout: Layout

    @property
    def title(self) -> str:
        """What all cells have in common, in words."""
        varied, first = {axis.key for axis in self.layout.axes}, self.setups[0]
        facts = {
            "task": task_class(first.task).label,
            "method": parse_method(first.method).label,
            "model": first.model,
            "picture": f"picture {first.picture}",
            "seed": f"seed {first.run.seed}",
        }
        return ", ".join(text for key, text in facts.items() if key not in varied)


@dataclass(frozen=True)
class Estimate:
    """The size of a grid. seconds: of the runs whose time is known; unknown: the number of the others."""

    cells: int
    runs: int
    seconds: float
    unknown: int


def plan_grid(known: Mapping[str, Parameter], base: Choices, axes: Sequence[tuple[str, str]]) -> GridPlan:
    """The plan of a grid.

    base: the values that all cells share. axes: key and list of values for x, y and z. Costly parameters change least
    often. Raises GridError for a wrong axis or value, SettingError for settings that do not fit.
    """
    chosen = [(find(known, key), text) for key, text in axes]
    twice = [one.label for one, _ in chosen if sum(one is other for other, _ in chosen) > 1]
    if not chosen:
        raise GridError("Choose what varies on the X axis.")
    if twice:
        raise GridError(f"{twice[0]} is on two axes. Choose another one for one of them.")
    values = [_values(name, one, text) for name, (one, text) in zip(AXES, chosen, strict=False)]
    sizes = [len(one) for one in values]
    if _product(sizes) > MAX_CELLS:
        raise GridError(f"{' x '.join(map(str, sizes))} are {_product(sizes)} cells. A grid has at most {MAX_CELLS}.")
    keys = [one.key for one, _ in chosen]
    cells = [tuple(reversed(cell)) for cell in itertools.product(*reversed(values))]
    made = [_setup({**base, **dict(zip(keys, cell, strict=True))}) for cell in cells]
    _check_use(known, [*base, *keys], set().union(*(used for _, used in made)))
    order = sorted(range(len(cells)), key=_order([one for one, _ in chosen], values, cells))
    setups = list(dict.fromkeys(made[cell][0] for cell in order))
    labels = [
        AxisLabels(one.key, one.label, tuple(map(one.text, own)), not (one.changes_problem or _resizes(one, own)))
        for (one, _), own in zip(chosen, values, strict=True)
    ]
    return GridPlan(tuple(setups), Layout(tuple(labels), tuple(setups.index(setup) for setup, _ in made)))


def axes_of(texts: Iterable[str | None]) -> list[tuple[str, str]]:
    """Axes given as NAME=LIST; empty ones are left out. Raises GridError."""
    found = []
    for text in texts:
        name, equals, values = (text or "").partition("=")
        if text and not (name.strip() and equals):
            raise GridError(f"An axis needs NAME=LIST, as in method=w,psp, not {text!r}.")
        if text:
            found.append((name.strip(), values))
    return found


def read_choices(known: Mapping[str, Parameter], text: str) -> dict[str, SettingValue]:
    """Values that all cells share, written as `w.lr=0.05; factor=8`. Raises GridError and SettingError."""
    found: dict[str, SettingValue] = {}
    for part in (part.strip() for part in text.replace("\n", ";").split(";")):
        key, equals, value = part.partition("=")
        if not part:
            continue
        if not equals:
            raise GridError(f"Write NAME=VALUE, as in w.lr=0.05, not {part!r}.")
        found |= given_choices(known, {key.strip(): value.strip()})
    return found


def given_choices(known: Mapping[str, Parameter], given: Mapping[str, object]) -> dict[str, SettingValue]:
    """Values that all cells share, by name. Raises GridError and SettingError."""
    found = {}
    for name, value in given.items():
        parameter, text = find(known, name), str(value)
        values = parameter.values(text if "," not in text else '"{}"'.format(text.replace('"', '""')))
        if len(values) != 1 or not text:
            raise GridError(f"{parameter.label} needs one value here. Put it on an axis to vary it.")
        found[parameter.key] = values[0]
    return found


def estimate(plan: GridPlan, expected: Expected) -> Estimate:
    """The size of a grid, and how long its runs take on a device that is free."""
    seconds, unknown = 0.0, 0
    for setup in plan.setups:
        one = expected(setup.model, {setup.method: dict(setup.settings)}).get(setup.method)
        unknown += one is None
        seconds += min(one or 0.0, setup.run.budget)
    return Estimate(len(plan.layout.runs), len(plan.setups), seconds, unknown)


def _values(name: str, parameter: Parameter, text: str) -> tuple[SettingValue, ...]:
    """The values of an axis. Errors name it."""
    try:
        return parameter.values(text)
    except UserError as error:
        raise GridError(f"{name.upper()} axis: {error}") from None


def _setup(choices: Choices) -> tuple[Setup, set[str]]:
    """What a cell runs, and which of its choices decide it: a method does not have the settings of others."""
    method = parse_method(str(choices["method"]))
    task, model = str(choices["task"]), str(choices["model"])
    given: dict[str, SettingValue] = {}
    used = {"method", "task", "model", "picture"}
    for stage in method.stages:  # a name with its stage comes before a name for all stages
        for spec in fields(stage):
            for key in (spec.name, f"{stage.key}.{spec.name}"):
                if key in choices and not _claimed(key):
                    given[f"{stage.key}.{spec.name}"] = choices[key]
                    used.add(key)
    own = {spec.name: choices[spec.name] for spec in fields(RunFields) if spec.name in choices}
    inputs = {spec.name: choices[spec.name] for spec in fields(task_class(task)) if spec.name in choices}
    for spec in fields(task_class(task)):
        if kind_of(spec) == "mask":
            inputs.setdefault(spec.name, "centre")
    entry = registry().get(model)
    classes = entry.classes if entry is not None else 0
    options = {spec.name: choices[spec.name] for spec in fields(ModelOptions) if spec.name in choices and classes}
    run = RunFields(**own)  # type: ignore[arg-type]
    settings = method.configured(method.changed(run.preset, given)).settings()
    details = _items(settings), _items(inputs), _items(options)
    setup = Setup(task, method.key, model, str(choices["picture"]), *details, _plain(run))
    return setup, used | own.keys() | inputs.keys() | options.keys()


def _plain(run: RunFields) -> RunFields:
    """Without the preset, which is part of the settings."""
    return RunFields(seed=run.seed, budget=run.budget, align=run.align, measured=run.measured)


def _items(values: Mapping[str, SettingValue]) -> tuple[tuple[str, SettingValue], ...]:
    return tuple(sorted(values.items()))


def _claimed(name: str) -> bool:
    """Whether a name belongs to runs or models, not to stages."""
    return any(spec.name == name for kind in (RunFields, ModelOptions) for spec in fields(kind))


def _check_use(known: Mapping[str, Parameter], keys: Sequence[str], used: set[str]) -> None:
    """Raises SettingError for a choice that decides no cell."""
    options = {spec.name for spec in fields(ModelOptions)}
    for key in keys:
        if key not in used:
            owner = "model" if key in options else "method" if stages_with(key.rpartition(".")[2]) else "task"
            name = known[key].label
            raise SettingError(f"No {owner} of this grid has {name} ({key}). Choose another {owner}, or leave it out.")


def _order(
    parameters: Sequence[Parameter], values: Sequence[Sequence[SettingValue]], cells: Sequence[tuple[SettingValue, ...]]
) -> Callable[[int], tuple[int, ...]]:
    """The key by which cells are run: the most costly axis first, and cells as they stand within it."""
    costly = sorted((i for i, one in enumerate(parameters) if one.cost), key=lambda i: -parameters[i].cost)
    return lambda cell: (*(values[i].index(cells[cell][i]) for i in costly), cell)


def _resizes(parameter: Parameter, values: Sequence[SettingValue]) -> bool:
    """Whether the models of an axis make pictures of different sizes."""
    entries = [registry().get(str(value)) for value in values] if parameter.key == "model" else []
    return len({entry.resolution for entry in entries if entry is not None}) > 1


def _product(sizes: Sequence[int]) -> int:
    product = 1
    for size in sizes:
        product *= size
    return product
