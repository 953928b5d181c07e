"""The package works where it is installed, on every platform, beside a read-only cache; platforms are emulated."""

from __future__ import annotations

import argparse
import ast
import importlib
import json
import os
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import yaml
from helpers.checkpoints import clear_caches, in_process
from helpers.foreign import write
from helpers.local_hub import Workplace, workplace
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import app
import inversion
from inversion.checkpoints import hub, own, places, registry, store
from inversion.checkpoints.transcribe import transcribe
from inversion.common import devices, platforms
from inversion.common.errors import UserError

if sys.version_info >= (3, 11):
    import tomllib

__all__ = ["in_process", "workplace"]  # fixtures
ROOT = Path(__file__).resolve().parents[1]
STARTS = ("ENTRYPOINT", "CMD")  # of a Dockerfile
POSIX = {"resource", "fcntl", "pwd", "grp", "termios", "pty", "posix", "syslog"}


@pytest.mark.skipif(sys.platform == "win32", reason="the flags of a handle are read as on POSIX")
def test_only_handles_that_write_are_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows refuses to sync a handle that was opened for reading."""
    import fcntl

    synced: list[int] = []

    def fsync(handle: int) -> None:
        assert fcntl.fcntl(handle, fcntl.F_GETFL) & os.O_ACCMODE != os.O_RDONLY
        synced.append(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    transcribe(str(write("mganprior-pggan", tmp_path / "g.pt")), str(tmp_path / "out"), None)
    assert synced


def test_no_module_needs_posix_when_it_is_imported() -> None:
    for path in Path(inversion.__file__).parent.rglob("*.py"):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
            assert not POSIX & {name.split(".")[0] for name in names}, path


def test_no_module_calls_posix_without_asking_for_the_platform() -> None:
    names = {"kill", "killpg", "fork", "getuid", "geteuid", "setsid", "mkfifo", "nice", "sched_getaffinity", "sysconf"}
    names |= {"SIGKILL", "SIGALRM", "SIGUSR1", "O_DIRECTORY", "O_NOFOLLOW", "getloadavg", "setrlimit"}
    for path in [ROOT / "app.py", *(ROOT / "inversion").rglob("*.py"), *(ROOT / "ui").rglob("*.py")]:
        text = path.read_text(encoding="utf-8")
        nodes = list(ast.walk(ast.parse(text)))
        owned = [node for node in nodes if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)]
        used = {node.attr for node in owned if node.value.id in ("os", "signal", "resource")}  # type: ignore[attr-defined]
        assert not used & names or "sys.platform" in text, (path, used & names)
        for call in [node for node in nodes if isinstance(node, ast.Call)]:
            named = call.func.attr if isinstance(call.func, ast.Attribute) else ""
            if named in ("read_text", "write_text"):  # the default of Windows is not UTF-8
                flags = {flag.arg for flag in call.keywords}
                assert "encoding" in flags or path.parent.name == "training" or "/proc/" in text, (path, call.lineno)


# --- Apple's GPU, which no test machine has ---


@pytest.fixture
def apple(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """A machine whose torch finds Apple's GPU and no other; takes what is wrong with that."""
    wrong: list[str] = []
    ours = devices.probe

    def computed(device: str) -> tuple[torch.Tensor, torch.Tensor]:
        if device == "mps" and "raises" in wrong:
            raise NotImplementedError("The operator 'aten::foo' is not currently implemented for the MPS device")
        values, gradient = ours("cpu")
        return (values + 1, gradient) if device == "mps" and "numbers" in wrong else (values, gradient)

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setattr(devices, "probe", computed)
    devices.mps_works.cache_clear()
    yield wrong
    devices.mps_works.cache_clear()


def test_apples_gpu_is_used_where_it_works(apple: list[str]) -> None:
    assert str(hub.find_device("auto")) == str(hub.find_device("mps")) == "mps"
    assert str(hub.find_device("cpu")) == "cpu"


@pytest.mark.parametrize("fault", ["raises", "numbers"])
def test_a_gpu_of_apple_that_computes_wrongly_is_not_used(fault: str, apple: list[str]) -> None:
    apple.append(fault)
    assert str(hub.find_device("auto")) == "cpu"
    with pytest.raises(registry.HubError, match="torch cannot compute on it. Choose cpu or auto"):
        hub.find_device("mps")


def test_without_a_gpu_of_apple_the_flag_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    devices.mps_works.cache_clear()
    with pytest.raises(registry.HubError, match="none is available"):
        hub.find_device("mps")


def test_operations_that_a_gpu_of_apple_lacks_are_done_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    x = torch.randn(1, 2, 6, 6)
    expected = torch.nn.functional.adaptive_avg_pool2d(x, 4)
    assert devices.float64(x).dtype == torch.float64 and torch.equal(devices.resized_mean(x, 4), expected)
    monkeypatch.setattr(devices, "MPS", "cpu")  # stands for it: the values are the same by the other way
    assert torch.equal(devices.float64(x), x.double()) and torch.equal(devices.resized_mean(x, 4), expected)
    package = Path(inversion.__file__).parent
    here = {"common/devices.py", "synthetic/base.py", "parity/cases.py"}  # the last two compute on the CPU only
    for path in package.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        if path.relative_to(package).as_posix() not in here and path.parent.name != "training":
            assert ".double()" not in text and "adaptive_avg_pool2d(" not in text, path


def test_an_operation_that_is_lacking_in_a_run_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    for error in (
        TypeError("Cannot convert a MPS Tensor to float64 dtype as the MPS framework doesn't support float64."),
        NotImplementedError("The operator 'aten::foo' is not currently implemented for the MPS device."),
    ):
        with pytest.raises(UserError, match="Start again with --device cpu"):
            devices.check_supported(error)
    devices.check_supported(RuntimeError("MPS backend out of memory (MPS allocated: 18 GB)"))
    devices.check_supported(RuntimeError("shape mismatch"))
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.delenv(platforms.FALLBACK, raising=False)
    platforms.allow_fallback()
    assert os.environ[platforms.FALLBACK] == "1"
    monkeypatch.delenv(platforms.FALLBACK)


def test_long_and_foreign_names_of_files_are_like_any_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_process: list[str]
) -> None:
    monkeypatch.setenv(places.VARIABLE, str(tmp_path / ("c" * 120)))
    folder = tmp_path / ("日本語 " + "x" * 200) / "Ünïcode \N{SLIGHTLY SMILING FACE}"
    folder.mkdir(parents=True)
    name = own.add_file(write("mganprior-pggan", folder / "модель \N{SLIGHTLY SMILING FACE}.pt"))
    assert name.isprintable() and hub.load(name, "cpu").resolution > 0


def test_a_filled_cache_of_the_hub_is_only_read(workplace: Workplace, in_process: list[str]) -> None:
    name = workplace.add_official("rosinality")
    hub.load(name, "cpu")
    for path in workplace.derived.iterdir():
        path.unlink()
    clear_caches()
    before = {path: path.lstat().st_mtime_ns for path in [workplace.cache, *workplace.cache.rglob("*")]}
    hub.load(name, "cpu")
    assert {path: path.lstat().st_mtime_ns for path in [workplace.cache, *workplace.cache.rglob("*")]} == before
    assert in_process == ["weights.pt"] * 2 and len(list(workplace.derived.glob("*.safetensors"))) == 1


@pytest.mark.parametrize(
    ("platform", "variable", "within"),
    [("linux", "XDG_CACHE_HOME", ""), ("win32", "LOCALAPPDATA", ""), ("darwin", "HOME", "Library/Caches")],
)
def test_every_platform_has_its_folder_of_derived_files(
    platform: str, variable: str, within: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv(variable, str(tmp_path))
    monkeypatch.delenv(places.VARIABLE)
    assert places.folder() == tmp_path / within / places.NAME
    (tmp_path / "hub" / places.NAME).mkdir(parents=True)  # of an earlier version
    assert places.folder() == tmp_path / "hub" / places.NAME
    monkeypatch.setenv(places.VARIABLE, str(tmp_path / "chosen"))
    assert store.folder() == tmp_path / "chosen"


def requirements(name: str) -> dict[str, Requirement]:
    """The lines of a file of requirements by the name of the package."""
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    found = [Requirement(line.partition(" --hash")[0]) for line in lines if line and line[0] not in "#-"]
    return {canonicalize_name(one.name): one for one in found}


def test_every_requirement_has_bounds_and_the_lock_keeps_them() -> None:
    needed, locked = requirements("requirements.txt"), requirements("requirements.lock")
    for one in (*needed.values(), *requirements("requirements-dev.txt").values()):
        assert {spec.operator for spec in one.specifier} == {">=", "<"}, one
    for name, one in locked.items():
        [exact] = one.specifier
        assert exact.operator == "==" and (name not in needed or exact.version in needed[name].specifier), one
    assert needed.keys() <= locked.keys()
    lines = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+ --hash=sha256:[0-9a-f]{64}|# .*", line) for line in lines)


@pytest.mark.skipif(sys.version_info < (3, 11), reason="tomllib is new in 3.11")
def test_the_package_installs_what_it_needs() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    needed = {line for line in lines if line and not line.startswith("#")}
    described = project["project"]
    assert {*described["dependencies"], *described["optional-dependencies"]["page"]} == needed
    module, function = described["scripts"]["inversion"].split(":")
    assert callable(getattr(importlib.import_module(module), function))
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert wheel["packages"] == ["inversion"]
    for source, target in wheel["force-include"].items():
        assert (ROOT / source).is_file() and ROOT / target == registry.INSTALLED
    embedded = [entry.file for entry in registry.registry().values() if entry.file is not None]
    assert embedded and all(Path(file).parts[0] == "inversion" for file in embedded)


def test_containers_start_with_flags_that_the_page_has() -> None:
    parser = argparse.ArgumentParser(exit_on_error=False)
    app.add_options(parser)
    lines = (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines()
    commands = {key: [json.loads(line[len(key) :]) for line in lines if line.startswith(f"{key} [")] for key in STARTS}
    [entry], variants = commands["ENTRYPOINT"], commands["CMD"]
    front = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))["services"]["front"]["command"][0]
    started = [shlex.split(line.removeprefix("exec ")) for line in front.splitlines() if "app.py" in line]
    assert len(variants) == 2 and len(started) == 1
    for words in (*(entry + variant for variant in variants), *started):
        assert words[:2] == ["python", "app.py"] and parser.parse_args(words[2:]).port == 7860, words


def test_the_configuration_of_ray_names_what_exists() -> None:
    """Without Ray: its file is read as a tree, because importing it needs Ray."""
    [application] = yaml.safe_load((ROOT / "ray.yaml").read_text(encoding="utf-8"))["applications"]
    module, function = application["import_path"].split(":")
    tree = ast.parse((ROOT / f"{module.replace('.', '/')}.py").read_text(encoding="utf-8"))
    functions = {node.name: node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    [replica] = [node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "Replica"]
    [made] = [node for node in replica.body if isinstance(node, ast.FunctionDef) and node.name == "__init__"]
    assert function in functions and set(application["args"]) <= {argument.arg for argument in made.args.args}
    assert application["args"]["model"] in registry.registry()
    assert [f"name={one['name']!r}" in ast.unparse(functions[function]) for one in application["deployments"]] == [True]
