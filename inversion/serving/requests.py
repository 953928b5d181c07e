"""Quick requests: plain data that the worker answers between two steps of the running job."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeVar

from inversion.methods import METHODS, STAGES, Method

if TYPE_CHECKING:
    from inversion.model import Model

T_co = TypeVar("T_co", covariant=True)


class Quick(Protocol[T_co]):
    """A request whose answer takes well under a second: an edit of a result, a translation, the sliders of a model.

    It is called with its model and returns plain data. The user sees the text of a UserError that it raises.
    """

    @property
    def model(self) -> str:
        """The name of the model."""

    def __call__(self, model: Model) -> T_co:
        """The answer."""


class Unavailable(NamedTuple):
    """Methods and stages that cannot run on a model: key -> reason."""

    methods: Mapping[str, str]
    stages: Mapping[str, str]


@dataclass(frozen=True)
class UnavailableRequest:
    """Which registered methods and stages cannot run on a model, and why."""

    model: str

    def __call__(self, model: Model) -> Unavailable:
        stages = {key: Method(key, stage.label, (stage(),)) for key, stage in STAGES.items()}
        return Unavailable(_reasons(METHODS, model), _reasons(stages, model))


def _reasons(methods: Mapping[str, Method], model: Model) -> dict[str, str]:
    reasons = {key: method.unavailable(model) for key, method in methods.items()}
    return {key: reason for key, reason in reasons.items() if reason is not None}
