"""A method is a pipeline of stages; its settings are the stages' fields."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING

from inversion.common.settings import SettingError, SettingValue, Spec, checked
from inversion.encoders import ROLES
from inversion.methods.base import Stage

if TYPE_CHECKING:
    from inversion.model import Model

PRESETS = {"quick": "Quick", "published": "As published"}  # key -> label
SPACES = {"z": "Z codes", "w": "W codes", "w+": "W+ codes", "noise": "noise maps"}


@dataclass(frozen=True)
class Method:
    """Stages in order: at most one embed stage, then optimise stages, then at most one refine stage.

    `paper` and `description` are empty for the user's own combinations. quick, published: the settings that each of
    `PRESETS` changes. Raises SettingError for a wrong order.
    """

    key: str
    label: str
    stages: tuple[Stage, ...]
    paper: str = ""
    description: str = ""
    quick: Mapping[str, SettingValue] = field(default_factory=dict, compare=False)
    published: Mapping[str, SettingValue] = field(default_factory=dict, compare=False)

    def __post_init__(self) -> None:
        order = [("embed", "optimise", "refine").index(stage.kind) for stage in self.stages]
        keys = [stage.key for stage in self.stages]
        if not keys:
            raise SettingError("A method needs at least one stage.")
        if len(set(keys)) < len(keys):
            raise SettingError(f"{self.key}: each stage can be used only once.")
        if order != sorted(order) or order.count(0) > 1 or order.count(2) > 1:
            raise SettingError(
                f"{self.key}: use at most one embed stage, then optimise stages, then at most one refine stage."
            )
        for stage in self.stages:
            if stage.standalone and len(keys) > 1:
                raise SettingError(f"{self.key}: {stage.label} cannot be combined with other stages.")

    @property
    def needs(self) -> frozenset[str]:
        """Everything that the stages need from a model; see `Stage`."""
        return frozenset[str]().union(*(stage.needs for stage in self.stages))

    @property
    def leaves_domain(self) -> bool:
        """Whether a stage reaches pictures outside the domain of the generator."""
        return any(stage.leaves_domain for stage in self.stages)

    def expected_steps(self, encoder: bool = True) -> list[tuple[Stage, int]]:
        """The stages with their steps. encoder: whether the model has an encoder from which the method may start."""
        far = [stage.key == "mean" and not (encoder and getattr(stage, "encoder", False)) for stage in self.stages]
        return [(stage, stage.expected_steps(at)) for stage, at in zip(self.stages, [False, *far], strict=False)]

    def from_start(self) -> Method:
        """This method for a run that starts from a given code: without its embed stage.

        Raises SettingError if no stage is left, or if the method uses no code.
        """
        stages = tuple(stage for stage in self.stages if stage.kind != "embed")
        if not stages:
            raise SettingError(
                f"{self.label} reads its code from the picture in one pass, so it cannot start from a given code. "
                "Choose a method that optimises, such as wplus."
            )
        if stages[0].standalone:
            raise SettingError(f"{self.label} has no code, so it cannot start from one. Choose a method such as wplus.")
        return replace(self, stages=stages)

    def unavailable(self, model: Model) -> str | None:
        """Why the method cannot run on the model, as a clause for a message; None if it can."""
        prior = model.prior
        for need in sorted(self.needs, key=lambda need: (need != "prior", need)):
            kind, _, role = need.partition(".")
            if kind == "encoders":
                if role not in model.encoders:
                    return f"{model.name} has no {ROLES.get(role, role)}"
            elif need in SPACES:
                if prior is None or need not in prior.spaces:
                    return f"the generator of {model.name} offers no {SPACES[need]}"
            elif getattr(model, need) is None:
                return f"{model.name} has no {'generator' if need == 'prior' else need}"
        return None

    def settings(self) -> dict[str, SettingValue]:
        """The value of every setting, by "stage.field"."""
        return {name: getattr(stage, spec.name) for name, stage, spec in self.specs()}

    def specs(self) -> Iterator[tuple[str, Stage, Spec]]:
        """Every setting: "stage.field", its stage, and the dataclass field with the metadata of `setting`."""
        for stage in self.stages:
            for spec in fields(stage):
                yield f"{stage.key}.{spec.name}", stage, spec

    def preset(self, name: str) -> dict[str, SettingValue]:
        """The settings {"stage.field": value} of one of `PRESETS`; {} for "", the defaults. Raises SettingError."""
        if name and name not in PRESETS:
            raise SettingError(f"There is no preset {name!r}. Choose one of: {', '.join(PRESETS)}.")
        return dict({"": {}, "quick": self.quick, "published": self.published}[name])

    def changed(self, preset: str, given: Mapping[str, object]) -> dict[str, object]:
        """The settings of a preset, changed by the given ones. A given number of steps holds for every start."""
        replaced = {f"{name}_from_mean" for name in given if name.endswith(".steps")}
        kept = {name: value for name, value in self.preset(preset).items() if name not in replaced}
        return {**kept, **given}

    def configured(self, settings: Mapping[str, object]) -> Method:
        """This method with the settings {"stage.field": value} changed. Raises SettingError that names the setting."""
        changes: dict[str, dict[str, object]] = {stage.key: {} for stage in self.stages}
        known = {name: spec for name, _, spec in self.specs()}
        for name, value in settings.items():
            if name not in known:
                raise SettingError(
                    f"{self.label} has no setting {name!r}. Choose one of: {', '.join(known) or 'none'}."
                )
            stage, _, field_name = name.partition(".")
            changes[stage][field_name] = checked(name, known[name], value)
        stages = tuple(replace(stage, **changes[stage.key]) for stage in self.stages)
        return replace(self, stages=stages)
