"""Classes and modules that are imported at their first use, so that the command line and the page start quickly."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from types import ModuleType
from typing import Any, TypeVar, cast

T = TypeVar("T")

METADATA = ("__spec__", "__class__", "__name__", "__file__", "__loader__", "__package__")  # of a module; set on import


class LazyClasses(MutableMapping[str, type[T]]):
    """Classes by name, given as "module:Class" and imported at their first use. Asking for names imports nothing.

    A class can be added or replaced at run time: `GENERATORS["toy"] = Toy`.
    """

    def __init__(self, places: Mapping[str, str]) -> None:
        self._found: dict[str, str | type[T]] = dict(places)

    def __getitem__(self, name: str) -> type[T]:
        """The class. KeyError if the name is unknown."""
        found = self._found[name]
        if isinstance(found, str):
            found = self._found[name] = cast(type[T], _imported(found))
        return found

    def __setitem__(self, name: str, cls: type[T]) -> None:
        self._found[name] = cls

    def __delitem__(self, name: str) -> None:
        del self._found[name]

    def __contains__(self, name: object) -> bool:
        return name in self._found  # the inherited method would import the class

    def __iter__(self) -> Iterator[str]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)


def attributes(package: str, places: Mapping[str, str]) -> Callable[[str], Any]:
    """A module-level `__getattr__` (PEP 562) for `package`: {submodule: "Name Name ..."} are imported at first use.

    It raises AttributeError for other names.
    """
    modules = {name: f"{package}.{module}" for module, names in places.items() for name in names.split()}

    def get(name: str) -> Any:  # noqa: ANN401 - whatever the submodule defines
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(modules[name]), name)
        setattr(sys.modules[package], name, value)
        return value

    return get


def defer(*names: str) -> None:
    """Let `import NAME` of top-level modules only register them; each is executed when one of its attributes is used.

    Modules that are imported already, and modules that are not installed, stay as they are. Several threads may be the
    first to use a deferred package, if each uses the package itself before it imports a submodule: a thread that holds
    the import lock of the submodule must not wait for a thread that executes the package. So `from torch import nn`
    comes before `from torch.nn import functional`, and `import torch.nn.functional` is not the first use.
    """
    for name in names:
        spec = None if name in sys.modules else importlib.util.find_spec(name)
        if spec is None or spec.loader is None:
            continue
        module = importlib.util.module_from_spec(spec)
        spec.loader_state = _State()
        module.__class__ = _Deferred
        sys.modules[name] = module


class _State:
    """Whether a deferred module has been executed. Access only while holding the lock."""

    def __init__(self) -> None:
        self.lock = threading.RLock()  # reentrant: a module imports itself while it is executed
        self.started = False


class _Deferred(ModuleType):
    """A module that is executed at the first use of an attribute other than `METADATA`.

    Other threads wait until it is complete. importlib.util.LazyLoader is not used: before Python 3.12 other threads can
    see an incomplete module, and an `import` statement, or `inspect` as it searches all modules, executes the module.
    """

    def __getattribute__(self, name: str) -> Any:  # noqa: ANN401 - whatever the module defines
        get = super().__getattribute__
        if name in METADATA:
            return get(name)
        spec = get("__spec__")
        with spec.loader_state.lock:
            if not spec.loader_state.started:
                spec.loader_state.started = True
                try:
                    spec.loader.exec_module(self)
                except BaseException:
                    spec.loader_state.started = False
                    raise
                if get("__class__") is _Deferred:
                    object.__setattr__(self, "__class__", ModuleType)
        return get(name)


def _imported(place: str) -> object:
    module, _, name = place.partition(":")
    return getattr(importlib.import_module(module), name)
