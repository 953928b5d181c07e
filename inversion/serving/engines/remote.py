"""A lane that computes in another process: its methods are calls by name."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

from inversion.common.errors import UserError
from inversion.serving.lane import Lane
from inversion.serving.requests import Quick
from inversion.serving.runs import LaneLost

if TYPE_CHECKING:
    from inversion.checkpoints.codes import SavedCode
    from inversion.common.settings import SettingValue
    from inversion.methods import Method

T = TypeVar("T")


class RemoteLane(Lane):
    """A lane in another process. Requests and events are those of `Lane`; `check` needs no process.

    Every method may raise UserError, and LaneLost if the process ends. The lane opens again with the next call.
    """

    def warm(self, model: str) -> float | None:
        """As in `Lane`."""
        seconds: float | None = self._call("warm", model)
        return seconds

    def answer(self, request: Quick[T]) -> T:
        """As in `Lane`."""
        answer: T = self._call("answer", request)
        return answer

    def tidy(self) -> None:
        """As in `Lane`. Raises nothing."""
        with suppress(LaneLost):
            if self.opened:
                self._call("tidy")

    def room(self) -> int | None:
        """As in `Lane`; None before it is open. Raises nothing."""
        found: int | None = None
        with suppress(UserError):
            found = self._call("room") if self.opened else None
        return found

    def unavailable(
        self,
        model: str,
        methods: Mapping[str, Method],
        start: SavedCode | None = None,
        options: Mapping[str, SettingValue] | None = None,
    ) -> dict[str, str]:
        """As in `Lane`."""
        reasons: dict[str, str] = self._call("unavailable", model, methods, start, options)
        return reasons

    @abstractmethod
    def _call(self, name: str, *arguments: object) -> Any:  # noqa: ANN401 - the answer of the method
        """The answer of a method of `child.Calls`. Raises its error, or LaneLost."""
