"""What Gradio does while it is imported and the page does not need: more than half of its import on a CPU."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

from inversion.common.lazy import defer

WRITER = "gradio.component_meta"
UNUSED = ("pandas",)  # Gradio's data frames and its cache of examples; nothing touches them at import


@contextmanager
def quick_import() -> Iterator[None]:
    """Within it, `import gradio` writes no stub files (.pyi) for editors and runs no package that the page may not use.

    For its stubs, Gradio parses the source of every component and its stub at each start.
    """
    defer(*UNUSED)
    if WRITER in sys.modules:  # Gradio was imported first: only our own components are left
        _write_nothing(sys.modules[WRITER])
    finder = _WithoutStubs()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


class _WithoutStubs(MetaPathFinder):
    """Finds the module that writes the stubs, and replaces the function in it."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """As of importlib; None for all other modules."""
        spec = PathFinder.find_spec(fullname, path) if fullname == WRITER else None
        if spec is None or spec.loader is None:
            return None
        execute = spec.loader.exec_module

        def execute_without(module: ModuleType) -> None:
            execute(module)
            _write_nothing(module)

        spec.loader.exec_module = execute_without  # type: ignore[method-assign]
        return spec


def _write_nothing(module: ModuleType) -> None:
    module.create_or_modify_pyi = lambda *_: None  # type: ignore[attr-defined]
