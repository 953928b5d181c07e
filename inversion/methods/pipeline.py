"""A method is a pipeline of stages; its settings are the stages' fields."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import Field, dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from inversion.common.settings import SettingError, checked
from inversion.encoders import ROLES
from inversion.methods.base import Stage

if TYPE_CHECKING:
    from inversion.model import Model

SPACES = {"z": "Z codes", "w": "W codes", "w+": "W+ codes", "noise": "noise maps"}


@dataclass(frozen=True)
class Method:
    """Stages in order: embed (first, or none), optimise, one refine or none. `paper` is empty for own combinations."""

    key: str
    label: str
    stages: tuple[Stage, ...]
    paper: str = ""
    description: str = ""

    def __post_init__(self) -> None:
        order = [("embed", "optimise", "refine").index(stage.kind) for stage in self.stages]
        keys = [stage.key for stage in self.stages]
        if not keys:
            raise SettingError("a method needs at least one stage")
        if len(set(keys)) < len(keys):
            raise SettingError(f"{self.key}: a stage can stand in a method once")
        if order != sorted(order) or order.count(0) > 1 or order.count(2) > 1:
            raise SettingError(f"{self.key}: at most one embed stage, then optimise, then at most one refine stage")
        for stage in self.stages:
            if stage.alone and len(keys) > 1:
                raise SettingError(f"{self.key}: {stage.key} makes its picture without a code and stands alone")

    @property
    def needs(self) -> frozenset[str]:
        """What its stages need of a model, see `Stage`."""
        return frozenset[str]().union(*(stage.needs for stage in self.stages))

    def unavailable(self, model: Model) -> str | None:
        """Why the method cannot run on the model, or None."""
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

    def settings(self) -> dict[str, bool | int | float | str]:
        """The value of every setting, by "stage.field"."""
        return {name: getattr(stage, spec.name) for name, stage, spec in self.specs()}

    def specs(self) -> Iterator[tuple[str, Stage, Field[Any]]]:
        """("stage.field", its stage, the dataclass field with the metadata for a slider)."""
        for stage in self.stages:
            for spec in fields(stage):
                yield f"{stage.key}.{spec.name}", stage, spec

    def configured(self, settings: Mapping[str, object]) -> Method:
        """This method with settings {"stage.field": value} changed. SettingError names what does not exist or fit."""
        changes: dict[str, dict[str, object]] = {stage.key: {} for stage in self.stages}
        known = {name: spec for name, _, spec in self.specs()}
        for name, value in settings.items():
            if name not in known:
                raise SettingError(f"{self.key} has no setting {name!r}: it has {', '.join(known) or 'none'}")
            stage, _, field_name = name.partition(".")
            changes[stage][field_name] = checked(name, known[name], value)
        stages = tuple(replace(stage, **changes[stage.key]) for stage in self.stages)
        return replace(self, stages=stages)
