"""The interface of an analysis, and what it gets: a picture, a model, and runs of methods."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from inversion import images
from inversion.analysis.report import Report, Shown
from inversion.common.settings import SettingError, SettingValue, checked, setting
from inversion.losses import LossWeights
from inversion.methods import Method, Result, Step, parse_method
from inversion.methods.run import RunOptions, invert
from inversion.tasks import Reconstruct

if TYPE_CHECKING:
    from torch import Tensor

    from inversion.model import Model
    from inversion.tasks.base import Task

STEPS = (".steps", ".steps_from_mean", ".candidates")  # ends of the names of settings that `effort` changes

# Steps of runs and reports. Closing the generator cancels the analysis.
Events = Generator["Step | Report", "bool | None", None]


class Run(NamedTuple):
    """A method with the settings that differ from its quick preset, under a label.

    effort: factor on all steps. weights: of the objective, None for those of the case.
    """

    label: str
    method: str
    settings: Mapping[str, SettingValue] = {}
    effort: float = 1.0
    weights: LossWeights | None = None

    @property
    def configured(self) -> Method:
        """The method with its settings."""
        method = parse_method(self.method)
        method = method.configured(method.changed("quick", self.settings))
        counts = {name: value for name, value in method.settings().items() if name.endswith(STEPS) and value}
        return method.configured({name: max(1, round(float(n) * self.effort)) for name, n in counts.items()})

    @property
    def refined(self) -> int:
        """Updates of the last stage."""
        return self.configured.stages[-1].expected_steps()

    @property
    def steps(self) -> int:
        """Updates of all stages, at least 1."""
        return sum(steps for _, steps in self.configured.expected_steps())


@dataclass(frozen=True, eq=False)
class Case:
    """The picture (1, 3, R, R) in [-1, 1] of an analysis, on the device of the model. options: of every run."""

    model: Model
    picture: Tensor
    seed: int = 0
    options: RunOptions = field(default_factory=RunOptions)

    def invert(
        self, run: Run, picture: Tensor | None = None, task: Task | None = None
    ) -> Generator[Step, bool | None, Result]:
        """Do a run on the picture, or on another one. Yields its steps and returns its result."""
        task, picture = task or Reconstruct(), self.picture if picture is None else picture
        options = self.options if run.weights is None else replace(self.options, weights=run.weights)
        for event in invert(self.model, task, task.A(picture), run.configured, self.seed, options):
            if isinstance(event, Result):
                return event
            yield event
        raise AssertionError("a run ends with a result")

    def shown(self, title: str = "Your picture", figures: str = "", picture: Tensor | None = None) -> Shown:
        """A picture (1, 3, R, R) for a report; the default is the case's own."""
        return Shown(title, figures, images.to_array(self.picture if picture is None else picture))


@dataclass(frozen=True)
class Analysis(ABC):
    """An effect that a paper describes, on one picture. Its fields are its settings; subclasses are frozen dataclasses.

    claim, look, where: one sentence each, which open the analysis: what the paper says, what to look at, and where in
    the paper it is. needs: of the model besides the needs of its runs, see `Stage.needs`.
    """

    key: ClassVar[str]
    label: ClassVar[str]
    paper: ClassVar[str]
    claim: ClassVar[str]
    look: ClassVar[str]
    where: ClassVar[str]
    needs: ClassVar[frozenset[str]] = frozenset()

    effort: float = setting(
        1.0, "Effort", "Factor on the steps of all runs: 0.5 is twice as fast, 2 more exact.", min=0.01, max=20.0
    )

    @abstractmethod
    def runs(self) -> Sequence[Run]:
        """The runs of methods that the analysis makes, for the limits and the expected time."""

    @abstractmethod
    def __call__(self, case: Case) -> Events:
        """Yield the steps of the runs, and a report whenever there is more to show."""

    @property
    def steps(self) -> int:
        """Steps of all runs."""
        return sum(run.steps for run in self.runs())

    @property
    def cost(self) -> float:
        """Mean cost of a step, as `Stage.cost`."""
        stages = [pair for run in self.runs() for pair in run.configured.expected_steps()]
        return sum(steps * stage.cost for stage, steps in stages) / max(1, self.steps)

    def configured(self, settings: Mapping[str, object]) -> Analysis:
        """This analysis with other settings, {field: value}. Raises SettingError."""
        specs = {spec.name: spec for spec in fields(self)}
        for name in settings:
            if name not in specs:
                known = ", ".join(specs) or "none"
                raise SettingError(f"{self.label} has no setting {name!r}. Choose one of: {known}.")
        values = {name: checked(name, specs[name], value) for name, value in settings.items()}
        return replace(self, **values)  # type: ignore[arg-type]

    def settings(self) -> dict[str, SettingValue]:
        """The value of every field."""
        return {spec.name: getattr(self, spec.name) for spec in fields(self)}

    def unavailable(self, model: Model) -> str | None:
        """Why the analysis cannot run on a model, as a clause for a message; None if it can."""
        for need in sorted(self.needs):
            if not getattr(model, need):
                return f"{model.name} has no {need}"
        reasons = (run.configured.unavailable(model) for run in self.runs())
        return next((reason for reason in reasons if reason is not None), None)
