"""Inert placeholders for what a pickle names and this package does not know: they hold data and do nothing."""

from __future__ import annotations

import math
import re
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

DEPTH = 100  # of nested modules; published networks have four


class Refused(ValueError):
    """A file that is not read. The message is one line and says why."""


def one_line(name: object, length: int = 80) -> str:
    """Text from a file, printable and at most `length` characters long."""
    text = str(name)
    text = text if len(text) <= length else f"{text[: length - 3]}..."
    return text if text.isprintable() else repr(text)


class Inert(dict[object, object]):
    """An object of an unknown class, or the result of an unknown function: its items, arguments and state.

    It is a dict, so that state dicts in unknown subclasses of dict are found. Nothing of the file's code is imported.
    """

    origin: ClassVar[str] = ""  # module and name in the file
    args: tuple[object, ...]
    members: list[object]  # of lists and sets
    state: object

    def __new__(cls, *args: object, **kwargs: object) -> Inert:
        made = super().__new__(cls)
        made.args, made.members, made.state = args, [], None
        return made

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__()

    def __setstate__(self, state: object) -> None:
        self.state = state

    def __call__(self, *args: object, **kwargs: object) -> Inert:
        """The result of an unknown function that another one has made."""
        return Inert(*args)

    def __hash__(self) -> int:  # type: ignore[override]
        return id(self)

    def __eq__(self, other: object) -> bool:
        return self is other

    def append(self, value: object) -> None:
        """Keep a member of a list."""
        self.members.append(value)

    add = append

    def extend(self, values: list[object]) -> None:
        """Keep members of a list."""
        self.members.extend(values)

    @property
    def attributes(self) -> dict[str, object]:
        """The attributes that the file gives the object; {} if it gives none."""
        parts = self.state if isinstance(self.state, tuple) else (self.state,)
        return {key: value for part in parts if isinstance(part, dict) for key, value in part.items()}

    @property
    def is_module(self) -> bool:
        """Whether it is a torch module."""
        return {"_parameters", "_modules"} <= self.attributes.keys()


def placeholder(module: str, name: str) -> type[Inert]:
    """A class that stands for a name in a file."""
    return type("Placeholder", (Inert,), {"origin": f"{module}.{name}"})


class Array(Inert):
    """A numpy array. `tensor` holds its numbers; None for an array of other objects, whose values are in `members`."""

    tensor: Tensor | None = None

    def __setstate__(self, state: object) -> None:
        if not isinstance(state, tuple) or len(state) != 5:
            raise Refused("it holds a broken array")
        _, shape, kind, fortran, data = state
        if isinstance(data, list):
            self.tensor = python_numbers(data, shape)
            self.members.extend(data if self.tensor is None else ())
        else:
            self.tensor = numbers(data, kind, shape, "F" if fortran else "C")


class DType:
    """Replaces numpy.dtype. `kind` is None unless its values are numbers."""

    def __init__(self, name: object, *_: object) -> None:
        number = isinstance(name, str) and re.fullmatch("[fiub][1248]", name) is not None
        self.name, self.order = str(name) if number else None, "<"

    def __setstate__(self, state: object) -> None:
        if isinstance(state, tuple) and len(state) > 1 and state[1] in ("<", ">", "|", "="):
            self.order = state[1]

    @property
    def kind(self) -> np.dtype[np.generic] | None:
        """The numpy type of the numbers."""
        return None if self.name is None else np.dtype(self.order + self.name)


def python_numbers(values: list[object], shape: object) -> Tensor | None:
    """The tensor of an array of Python's floating-point numbers. None if it holds anything else, or has no shape."""
    plain, sides = [value for value in values if isinstance(value, float)], _sides(shape)
    if not plain or len(plain) != len(values) or sides is None or math.prod(sides) != len(plain):
        return None
    return torch.tensor(plain, dtype=torch.float64).reshape(sides)


def _sides(shape: object) -> tuple[int, ...] | None:
    """The sides of an array as a pickle states them; None if it states none."""
    sides = (shape,) if isinstance(shape, int) else shape
    return sides if isinstance(sides, tuple) and all(isinstance(side, int) and side >= 0 for side in sides) else None


def numbers(data: object, kind: object, shape: object, order: object = "C") -> Tensor | None:
    """The tensor of an array's bytes. None unless it holds numbers; Refused if the shape does not fit the bytes."""
    found = kind.kind if isinstance(kind, DType) else None
    if found is None or not isinstance(data, bytes | bytearray):
        return None
    sides = _sides(shape)
    if sides is None:
        raise Refused("it holds an array without a shape")
    if len(data) != math.prod(sides) * found.itemsize:
        raise Refused("an array's shape does not fit its data")
    array = np.frombuffer(data, found).reshape(sides, order="F" if order == "F" else "C")
    array = np.ascontiguousarray(array.astype(found.newbyteorder("=")))
    return torch.from_numpy(array) if found.kind != "u" or found.itemsize == 1 else torch.from_numpy(array.astype("i8"))
