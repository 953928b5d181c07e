"""Fields of stages, tasks and translations that a user may set, and the strict check of the user's values.

A field is a dataclass field. Its metadata hold everything that a slider, a menu, a flag or an endpoint needs.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import MISSING, Field, field
from typing import Any, Literal, TypeVar

from inversion.common.errors import UserError

Kind = Literal["number", "mask", "picture"]  # number: a bool, int, float or str with a default
SettingValue = bool | int | float | str
Spec = Field[Any]  # a field as `setting`, `mask` or `picture` declares it; `checked` compares values with its type
T = TypeVar("T")


class SettingError(UserError):
    """A setting, stage or method that does not exist or does not fit. The text names it and the alternatives."""


def setting(
    default: SettingValue,
    label: str,
    help: str = "",
    *,
    min: float | None = None,
    max: float | None = None,
    step: float | None = None,
    choices: Sequence[SettingValue] | None = None,
    menu: Sequence[SettingValue] | None = None,
) -> Any:  # noqa: ANN401 - stands for the default in a dataclass body
    """Declare a field with a default. The type of the default is the type of the field.

    min, max: inclusive bounds. step: of a slider. choices: the only allowed values. menu: values that a page offers;
    other values within the bounds are allowed too.
    """
    metadata = {"label": label, "help": help, "min": min, "max": max, "step": step, "choices": choices, "menu": menu}
    return field(default=default, metadata={k: v for k, v in metadata.items() if v is not None})


def mask(label: str, help: str = "", *, white: Literal[0, 1], source: str = "") -> Any:  # noqa: ANN401 - as `setting`
    """Declare a field for a mask that the user paints or uploads. white: value of the tensor at white pixels.

    source: public name of the parameter that says where the mask comes from; the default is FIELD_source.
    """
    return field(metadata={"kind": "mask", "label": label, "help": help, "white": white, "source": source})


def picture(label: str, help: str = "") -> Any:  # noqa: ANN401 - as `setting`
    """Declare a field for a second picture that the user uploads."""
    return field(metadata={"kind": "picture", "label": label, "help": help})


def kind_of(spec: Spec) -> Kind:
    """The kind of a field; it decides which control a page offers."""
    return spec.metadata.get("kind", "number")


def default_of(spec: Spec) -> SettingValue | None:
    """The default of a field; None for a mask or a picture, which have no default."""
    return None if spec.default is MISSING else spec.default


def checked(name: str, spec: Spec, value: object) -> SettingValue:
    """`value` converted to the type of the field. Text, as from a command line, is read as a number.

    Raises SettingError, with `name` in the text, if the type is wrong or the value is not allowed.
    """
    kind = type(spec.default)
    read = {bool: _bool, int: _int, float: _float, str: _text}[kind](value)
    if read is None:
        expected = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}[kind]
        raise SettingError(f"{name} must be {expected}, not {value!r}.")
    choices = spec.metadata.get("choices")
    if choices is not None and read not in choices:
        raise SettingError(f"{name} must be one of {', '.join(map(str, choices))}, not {value!r}.")
    low, high = spec.metadata.get("min", -math.inf), spec.metadata.get("max", math.inf)
    if not isinstance(read, str) and not low <= read <= high:
        raise SettingError(f"{name} must be between {low} and {high}, not {value!r}.")
    return read


def split_settings(stages: Mapping[str, Collection[str]], settings: Mapping[str, T]) -> dict[str, dict[str, T]]:
    """Distribute the settings {"stage.field": value} over methods: each gets the settings of its own stages.

    stages: the keys of the stages of each method. Raises SettingError for a setting that fits no method.
    """
    for name in settings if stages else ():
        stage = name.partition(".")[0]
        if not any(stage in known for known in stages.values()):
            available = ", ".join(sorted(set[str]().union(*stages.values())))
            raise SettingError(f"{name}: no chosen method has a stage {stage!r}. Choose one of: {available}.")
    return {
        key: {name: value for name, value in settings.items() if name.partition(".")[0] in known}
        for key, known in stages.items()
    }


def _bool(value: object) -> bool | None:
    if isinstance(value, bool):
        return value
    return {"true": True, "false": False}.get(value.lower()) if isinstance(value, str) else None


def _float(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _int(value: object) -> int | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return value  # exact, also where a float is not
    number = _float(value)  # sliders give 10.0 for 10
    return None if number is None or not number.is_integer() else int(number)


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
