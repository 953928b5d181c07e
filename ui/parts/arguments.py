"""Checks the arguments of a script against the types that the API description declares, before they are used.

Every refusal is one line: the parameter, what is allowed, and the value, cut and printable.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

from gradio.utils import get_upload_folder

from inversion.common.echo import brief, printable, without_echo
from inversion.common.errors import UserError
from ui.parts.inputs import InputError
from ui.parts.values import Options, Value

LONGEST = 300  # characters of an error
LONGEST_TEXT = 200  # characters of a text argument
LONGEST_LIST = 160  # characters of the allowed values in an error
NUMBERS = {"integer": "a whole number", "number": "a number"}
SCALAR = {"anyOf": [{"type": kind} for kind in ("number", "string", "boolean")]}


class Fault(NamedTuple):
    """A value that does not fit. where: its place inside the argument. allowed: what fits, in words."""

    where: str
    allowed: str
    value: Value


def short(text: str, length: int = LONGEST) -> str:
    """One printable line of at most `length` characters."""
    line = printable(without_echo(" ".join(text[: 10 * length].split())))
    return line if len(line) <= length else f"{line[: length - 3]}..."


@contextmanager
def naming(parameter: str) -> Iterator[None]:
    """Put the parameter's name before an error about its value. Raises InputError."""
    try:
        yield
    except UserError as error:
        raise InputError(f"{parameter}: {error}") from None


def check(name: str, schema: Options, value: Value) -> None:
    """Raises InputError if the argument does not fit the JSON schema of the parameter `name`."""
    fault = _fault(schema, value)
    if fault is not None:
        raise InputError(f"{name}{fault.where} must be {fault.allowed}, not {brief(fault.value)}.")


def uploaded(name: str, value: Value) -> Options:
    """The argument as Gradio reads it, if it is a file that was uploaded and still exists. Raises InputError.

    Only the path counts: an address that stands beside it would be fetched.
    """
    path = value.get("path") if isinstance(value, Mapping) else None
    folder = os.path.realpath(get_upload_folder())
    # The order matters: text that is no path at all is no file.
    if not (isinstance(path, str) and os.path.isfile(path) and os.path.realpath(path).startswith(folder + os.sep)):
        hint = "Upload it first, as handle_file of gradio_client does; files expire after about an hour."
        raise InputError(f"{name} must be an uploaded file, not {brief(value)}. {hint}")
    return {"path": path, "orig_name": os.path.basename(path), "meta": {"_type": "gradio.FileData"}}


def _fault(schema: Options, value: Value) -> Fault | None:
    """The first part of the value that does not fit."""
    kind = schema.get("type")
    if kind == "array" and isinstance(value, list) and len(value) <= schema.get("maxItems", sys.maxsize):
        found = (_within(f"[{i}]", schema.get("items", {}), item) for i, item in enumerate(value))
        return next(filter(None, found), None)
    if kind == "object" and isinstance(value, dict):
        within = schema.get("additionalProperties", {})
        found = (_within(f"[{brief(key)}]", within, item) for key, item in value.items())
        return next(filter(None, found), None)
    return None if _fits(schema, value) else Fault("", _allowed(schema), value)


def _within(where: str, schema: Options, value: Value) -> Fault | None:
    fault = _fault(schema, value)
    return fault and fault._replace(where=where + fault.where)


def _fits(schema: Options, value: Value) -> bool:
    """Whether a value without parts fits."""
    kind = schema.get("type")
    if "anyOf" in schema:
        return any(_fault(one, value) is None for one in schema["anyOf"])
    if "enum" in schema:
        return isinstance(value, str) and value in schema["enum"]
    if kind in NUMBERS:
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        low, high = _bounds(schema)
        return low <= value <= high and (kind == "number" or value == int(value))
    if kind == "string":
        return isinstance(value, str) and len(value) <= LONGEST_TEXT
    return kind is None or (kind == "boolean" and isinstance(value, bool))


def _bounds(schema: Options) -> tuple[float, float]:
    limit = sys.float_info.max
    return schema.get("minimum", -limit), schema.get("maximum", limit)


def _allowed(schema: Options) -> str:
    """What fits, in words."""
    if "enum" in schema:
        names = ", ".join(map(str, schema["enum"]))
        return f"one of {short(names, LONGEST_LIST)}"
    if "anyOf" in schema:
        return " or ".join(_allowed(one) for one in schema["anyOf"] if "enum" not in one)
    kind = str(schema.get("type"))
    if kind in NUMBERS:
        low, high = _bounds(schema)
        limits = f" from {low:.10g} to {high:.10g}" if {"minimum", "maximum"} <= schema.keys() else ""
        return NUMBERS[kind] + limits
    if kind == "array":
        return f"a list of at most {schema['maxItems']} names" if "maxItems" in schema else "a list of names"
    words = {
        "string": f"text of at most {LONGEST_TEXT} characters",
        "boolean": "true or false",
        "object": 'an object such as {"name": 1}',
    }
    return words[kind]
