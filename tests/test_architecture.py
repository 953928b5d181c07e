"""Rules of the code: allowed imports, sizes of files and functions, docstrings, and light modules."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# From the ground up: a room imports only rooms that stand before it. Imports for type checking count, too.
FLOORS = (
    *("common", "images", "align", "generators", "synthetic", "tasks", "encoders", "directions", "perception", "model"),
    *("losses", "metrics", "checkpoints", "methods", "editing", "analysis", "translations", "serving"),
    "grids",
    *("training", "parity", "cli", "interactive"),
)
LOOSE = 6  # modules that lie in no folder of inversion/
FILE_LINES, FUNCTION_LINES, PARAMETERS = 400, 50, 6
HEAVY = ("torch", "cv2", "skimage", "sklearn", "lpips", "gradio")


def sources(*folders: str) -> list[Path]:
    """Every Python file below the folders."""
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def room(module: str) -> str:
    """The room of a module of inversion: `inversion.methods.run` lies in methods."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else ""


def module_of(path: Path) -> str:
    """The dotted name of a file."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imported(path: Path) -> Iterator[str]:
    """Modules, or names within them, that a file imports anywhere."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Every function of a file."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def test_arrows_between_rooms_go_down() -> None:
    upward = []
    for path in sources("inversion"):
        here = room(module_of(path))
        if here in ("", "__main__"):
            continue  # the public face and the command line's entry
        for name in imported(path):
            there = room(name) if name.startswith("inversion.") else ""
            if there in FLOORS and FLOORS.index(there) > FLOORS.index(here):
                upward.append(f"{module_of(path)} -> {name}")
    assert not upward, "\n".join(upward)


def modules_imported(path: Path, known: Mapping[str, Path]) -> set[str]:
    """The known modules that a file names in its imports: `from a import b` names a.b if that is a module, else a."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in known else node.module for name in names}
    return found & known.keys()


def test_no_modules_import_each_other_in_a_circle() -> None:
    known = {module_of(path): path for path in sources("inversion", "ui")}
    arrows = {module: modules_imported(path, known) for module, path in known.items()}
    circles = []
    for module in known:
        reached: set[str] = set()
        ahead = [*arrows[module]]
        while ahead:
            one = ahead.pop()
            if one not in reached:
                reached.add(one)
                ahead += arrows[one]
        if module in reached:
            circles.append(module)
    assert not circles, circles


@pytest.mark.parametrize(("folder", "foreign"), [("inversion", "gradio"), ("inversion", "ui"), ("ui", "torch")])
def test_a_room_never_imports(folder: str, foreign: str) -> None:
    found = [path for path in sources(folder) if any(name.split(".")[0] == foreign for name in imported(path))]
    assert not found


def test_every_room_has_its_floor() -> None:
    there = {
        path.stem for path in (ROOT / "inversion").iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    assert there - {"__init__", "__main__"} == set(FLOORS)
    assert sum((ROOT / "inversion" / f"{name}.py").exists() for name in FLOORS) <= LOOSE


def test_files_are_short() -> None:
    lengths = {
        path: len(path.read_text(encoding="utf-8").splitlines())
        for path in sources("inversion", "ui", "benchmarks", "tests")
    }
    assert not {str(path.relative_to(ROOT)): n for path, n in lengths.items() if n > FILE_LINES}


def test_functions_are_short_and_take_few_parameters() -> None:
    long, wide = [], []
    for path in [*sources("inversion", "ui", "benchmarks"), ROOT / "app.py"]:
        for function in functions(path):
            where = f"{path.relative_to(ROOT)}:{function.lineno} {function.name}"
            lines = (function.end_lineno or 0) - function.lineno + 1
            if lines > FUNCTION_LINES:
                long.append(f"{where}: {lines} lines")
            names = [a.arg for a in (*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs)]
            names = [name for name in names if name not in ("self", "cls", "ctx")]  # ctx: torch's self of a function
            if len(names) > PARAMETERS and function.name not in ("__init__", *CONSTRUCTORS):
                wide.append(f"{where}: {len(names)} parameters")
    assert not long and not wide, "\n".join(long + wide)


CONSTRUCTORS = ("setting",)  # functions that make a component; its options are keywords with defaults


def undocumented(path: Path) -> Iterator[str]:
    """The missing docstrings of a module and of its public names, and the functions without a return type."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    where = path.relative_to(ROOT)
    if ast.get_docstring(tree) is None:
        yield f"{where}: no docstring"
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            yield from [] if ast.get_docstring(node) else [f"{where}:{node.lineno} {node.name}: no docstring"]
    for function in functions(path):
        yield from [] if function.returns else [f"{where}:{function.lineno} {function.name}: no return type"]


def test_public_names_have_docstrings_and_functions_return_types() -> None:
    paths = [*sources("inversion", "ui", "benchmarks"), ROOT / "app.py"]
    bare = [line for path in paths for line in undocumented(path)]
    assert not bare, "\n".join(bare)


def error_classes(trees: Mapping[Path, ast.Module]) -> dict[str, set[str]]:
    """Every class of errors for users or for tensors, each with the names of its ancestors and its own."""
    bases = {
        node.name: {base.id for base in node.bases if isinstance(base, ast.Name)}
        for tree in trees.values()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
    }

    def family(name: str) -> set[str]:
        return {name}.union(*(family(base) for base in bases.get(name, ())))

    roots = {"UserError", "StateDictError"}
    return {name: family(name) for name in bases if family(name) & roots}


def documented_functions(tree: ast.Module) -> Iterator[tuple[ast.FunctionDef, str]]:
    """Public functions and methods, each with its docstring and that of its class."""
    for scope in ast.walk(tree):
        if isinstance(scope, ast.Module) or (isinstance(scope, ast.ClassDef) and not scope.name.startswith("_")):
            text = (ast.get_docstring(scope) or "") if isinstance(scope, ast.ClassDef) else ""
            for node in scope.body:
                public = isinstance(node, ast.FunctionDef) and (node.name[0] != "_" or node.name[:2] == "__")
                if isinstance(node, ast.FunctionDef) and public and node.name != "main":  # commands report errors
                    yield node, f"{text} {ast.get_docstring(node) or ''}"


def test_docstrings_name_the_errors_that_a_public_function_raises() -> None:
    trees = {path: ast.parse(path.read_text(encoding="utf-8")) for path in sources("inversion")}
    errors = error_classes(trees)
    silent = []
    for path, tree in trees.items():
        for function, text in documented_functions(tree):
            calls = [node.exc for node in ast.walk(function) if isinstance(node, ast.Raise)]
            raised = {c.func.id for c in calls if isinstance(c, ast.Call) and isinstance(c.func, ast.Name)}
            words = set(re.findall(r"\w+", text))
            missing = [name for name in raised & errors.keys() if not errors[name] & words]
            silent += [f"{path.relative_to(ROOT)}:{function.lineno} {function.name}: {name}" for name in missing]
    assert len(errors) > 10 and not silent, "\n".join(silent)


# Names with an underscore that belong to other libraries or to the format of their files.
FOREIGN = {
    *("_replace", "_actions", "_modules", "_utils", "_repr_html_"),
    *("_exit", "_queue"),
    *("_rebuild_tensor_v2", "_reconstruct_persistent_obj"),
}


def private_names(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Lines and names of private attributes that a file reads, replaces or imports, except its own `self._name`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and not (
            isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")
        ):
            yield node.lineno, node.attr
        elif isinstance(node, ast.ImportFrom):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "setattr":
            texts = [one.value for one in node.args[:2] if isinstance(one, ast.Constant) and isinstance(one.value, str)]
            yield from ((node.lineno, text.rpartition(".")[2]) for text in texts)


def test_tests_use_public_names_only() -> None:
    found = []
    for path in sources("tests"):
        for line, name in private_names(ast.parse(path.read_text(encoding="utf-8"))):
            if re.match("_[^_]", name) and name not in FOREIGN:
                found.append(f"{path.relative_to(ROOT)}:{line} {name}")
    assert not found, "\n".join(found)


def loaded_after(code: str) -> set[str]:
    """Heavy modules that have been executed in a new process after the code."""
    report = f"\nimport sys, types\nprint(*[n for n in {HEAVY!r} if type(sys.modules.get(n)) is types.ModuleType])"
    done = subprocess.run([sys.executable, "-c", code + report], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


@pytest.mark.parametrize("code", ["import inversion", "from inversion.__main__ import main; main(['--help'])"])
def test_the_package_is_light_to_import(code: str) -> None:
    assert loaded_after(code) == set()
