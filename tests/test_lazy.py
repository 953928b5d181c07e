"""Names of registries are known before their classes are imported, and a deferred module runs at its first use."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from inversion.common.lazy import LazyClasses, attributes

ROOT = Path(__file__).resolve().parent.parent

# A package in place of `inversion/__init__.py`, so that each module is measured by itself.
BARE = f"""
import sys, types
package = types.ModuleType("inversion")
package.__path__ = [{str(ROOT / "inversion")!r}]
sys.modules["inversion"] = package
"""
LIGHT = (
    "generators",
    "encoders",
    "perception",
    "model",
    "checkpoints.registry",
    "checkpoints.fetch",
    "checkpoints.downloads",
)
PAGE = (  # modules that the page imports before its first run; they may name torch, but not use it
    "images",
    "align",
    "tasks",
    "losses",
    "metrics",
    "methods",
    "directions",
    "editing.requests",
    "translations.requests",
    "serving.catalogue",
    "serving.session",
    "grids",
)
HEAVY = ("torch", "cv2", "skimage", "sklearn", "lpips", "numpy", "huggingface_hub")


def run(program: str) -> str:
    """Output of a program in a fresh interpreter."""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.strip()


def test_light_modules_load_no_heavy_ones() -> None:
    for name in LIGHT:
        loaded = run(BARE + f"import inversion.{name}\nprint(*({set(HEAVY)!r} & sys.modules.keys()))")
        assert loaded == "", f"inversion.{name} loads {loaded}"


def test_modules_of_the_page_do_not_use_torch() -> None:
    program = """
import importlib, sys
from inversion.common.lazy import defer
defer("torch")
for name in %r:
    importlib.import_module(f"inversion.{name}")
    loaded = {"torch._C", "cv2", "skimage", "sklearn", "lpips"} & sys.modules.keys()
    assert not loaded, f"{name} loads {loaded}"
"""
    run(BARE + program % (PAGE,))


def test_names_come_before_classes() -> None:
    program = """
from inversion.encoders import ENCODERS
from inversion.generators import GENERATORS
assert "pggan" in GENERATORS and list(ENCODERS)[0] == "psp" and "torch" not in sys.modules
from inversion.generators import PGGAN
assert GENERATORS["pggan"] is PGGAN and "torch" in sys.modules
"""
    run(BARE + program)


def test_classes_can_be_added_replaced_and_removed() -> None:
    classes: LazyClasses[object] = LazyClasses({"path": "pathlib:Path", "bad": "pathlib:Nothing"})
    classes["toy"] = int
    assert list(classes) == ["path", "bad", "toy"] and len(classes) == 3
    assert classes["path"] is Path and classes["toy"] is int
    assert "bad" in classes and "none" not in classes
    with pytest.raises(AttributeError, match="Nothing"):
        classes["bad"]
    del classes["bad"]
    with pytest.raises(KeyError):
        classes["bad"]


def test_unknown_attributes_of_a_package_are_reported() -> None:
    get = attributes("os", {"path": "join"})
    with pytest.raises(AttributeError, match="module 'os' has no attribute 'nothing'"):
        get("nothing")
    with pytest.raises(ImportError):
        from inversion.generators import nothing  # type: ignore[attr-defined]  # noqa: F401


SLOW = """
import time
from threading import current_thread
time.sleep(0.2)
import slow
value = slow.__name__
"""


def test_a_deferred_module_runs_once_and_is_never_seen_half_finished(tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text(SLOW)
    (tmp_path / "broken.py").write_text("1 / 0")
    program = f"""
import sys, time
from concurrent.futures import ThreadPoolExecutor
sys.path.insert(0, {str(tmp_path)!r})
from inversion.common.lazy import defer
defer("slow", "broken", "not_installed", "json")
assert "not_installed" not in sys.modules
start = time.perf_counter()
import slow, broken
assert time.perf_counter() - start < 0.1
with ThreadPoolExecutor(4) as threads:
    assert list(threads.map(lambda _: slow.value, range(4))) == ["slow"] * 4
assert time.perf_counter() - start < 0.4 and type(slow) is type(sys)
for _ in range(2):
    try:
        broken.value
    except ZeroDivisionError:
        pass
    else:
        raise AssertionError
"""
    run(BARE + program)


PACKAGE = """
import time
time.sleep(0.2)
import whole.part
value = 1
"""


def test_two_threads_may_be_the_first_to_use_a_deferred_package(tmp_path: Path) -> None:
    (tmp_path / "whole").mkdir()
    (tmp_path / "whole" / "__init__.py").write_text(PACKAGE)
    (tmp_path / "whole" / "part.py").write_text("value = 2")
    (tmp_path / "network.py").write_text("import whole\nfrom whole import value\nfrom whole.part import value as part")
    program = f"""
import importlib, sys, threading
sys.path.insert(0, {str(tmp_path)!r})
from inversion.common.lazy import defer
defer("whole")
import whole
threads = [
    threading.Thread(target=target, daemon=True)
    for target in (lambda: whole.value, lambda: importlib.import_module("network"))
]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join(20)
    assert not thread.is_alive(), "the threads wait for each other"
print(sys.modules["network"].part)
"""
    assert run(BARE + program) == "2"


def test_modules_use_torch_before_they_import_a_part_of_it() -> None:
    # A thread that imports torch.nn holds the import lock of torch.nn. If it then has to wait for another thread that
    # executes the deferred torch, and that one imports torch.nn, the two wait for each other.
    wrong = []
    for path in sorted((ROOT / "inversion").rglob("*.py")):
        used = False  # `import torch` does not execute a deferred torch, but `from torch import Tensor` does
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            used = used or "torch" in names and isinstance(node, ast.ImportFrom)
            if not used and any(name.startswith("torch.") for name in names):
                wrong.append(str(path.relative_to(ROOT)))
    assert not wrong, wrong


def test_torch_works_when_it_is_deferred() -> None:
    program = """
from inversion.common.lazy import defer
defer("torch")
import torch
assert "torch._C" not in sys.modules
import torch.nn.functional as F
from inversion.generators import GENERATORS
prior = GENERATORS["pggan"](16, z_dim=8, channels={4: 6, 8: 5, 16: 4})
print(prior(torch.ones(1, 8)).shape[-1], F.relu(torch.tensor(-1.0)).item())
"""
    assert run(BARE + program) == "16 0.0"
