"""Pickles are read without running code: hostile files are refused, networks give their tensors."""

from __future__ import annotations

import ast
import io
import json
import os
import pickle
import pickletools
import subprocess
import sys
import time
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.foreign import CONTAINED, persistent, small, vendor, write_nvidia, write_tensorflow, write_tuned
from torch import Tensor

from inversion.checkpoints.formats import read
from inversion.checkpoints.layouts import LAYOUTS
from inversion.checkpoints.unpickle import Network, Refused, load_plain, networks

pytestmark = pytest.mark.filterwarnings("ignore:Detected pickle protocol", "ignore:TypedStorage is deprecated")
ROOT = Path(__file__).resolve().parent.parent
TENSORS = {"fc.weight": torch.arange(6.0).reshape(2, 3), "fc.bias": torch.ones(2), "w_avg": torch.zeros(())}
HEAD = b"\x80\x04"


class Bomb:
    """Leaves a marker when it is unpickled as usual."""

    def __init__(self, marker: Path, call: Callable[..., object] = os.system) -> None:
        self.marker, self.call = marker, call

    def __reduce__(self) -> tuple[Any, ...]:
        text = f"touch {self.marker}" if self.call is os.system else f"open({str(self.marker)!r}, 'w')"
        return self.call, (text,)


def text(value: str) -> bytes:
    return b"\x8c" + bytes([len(value)]) + value.encode()


def stack_global(module: str, name: str) -> bytes:
    return text(module) + text(name) + b"\x93"


def nested(data: bytes) -> bytes:
    """A pickle that passes bytes to torch's `_load_from_bytes`."""
    size = len(data).to_bytes(4, "little")
    return HEAD + stack_global("torch.storage", "_load_from_bytes") + b"B" + size + data + b"\x85R."


def torch_saved(value: object, archive: bool) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer, _use_new_zipfile_serialization=archive)
    return buffer.getvalue()


def hostile(marker: Path) -> dict[str, bytes]:
    """Pickles that run code, or try to, when they are opened as usual."""
    command = f"touch {marker}"
    return {
        "os.system": pickle.dumps(Bomb(marker)),
        "eval": pickle.dumps(Bomb(marker, eval)),
        "nested in an archive": nested(torch_saved(Bomb(marker), archive=True)),
        "nested": nested(torch_saved(Bomb(marker), archive=False)),
        "nested, no torch at all": nested(pickle.dumps(Bomb(marker))),
        "getattr": HEAD + stack_global("builtins", "getattr") + stack_global("os", "system") + text("x") + b"\x86R.",
        "dotted name": HEAD + stack_global("torch._utils", "sys.modules") + b".",
        "dotted module": HEAD + stack_global("torch.storage", "os.system") + text(command) + b"\x85R.",
        "INST": f"(S'{command}'\nios\nsystem\n.".encode(),
        "old opcodes": f"cos\nsystem\n(S'{command}'\ntR.".encode(),
        "extension": HEAD + b"\x82\x01.",
        "persistent id": HEAD + text("x") + b"Q.",
        "NEWOBJ": HEAD + stack_global("subprocess", "Popen") + text(command) + b"\x85\x81.",
        "empty": b"",
        # The entries of the table cannot be changed.
        "BUILD on a function": HEAD
        + stack_global("torch._utils", "_rebuild_parameter")
        + b"N}"
        + text("_call")
        + b"Ns\x86b.",
        "BUILD on a class": HEAD + stack_global("dnnlib.util", "EasyDict") + b"N}" + text("get") + b"Ns\x86b.",
        "function for a network": HEAD + stack_global("torch_utils.persistence", "_reconstruct_persistent_obj") + b".",
    }


@pytest.mark.parametrize("name", hostile(Path()))
def test_hostile_pickles_are_refused(name: str, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    data = hostile(marker)[name]
    with pytest.raises(Refused) as caught:
        networks(io.BytesIO(data))
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 300
    with pytest.raises(Refused):
        load_plain(io.BytesIO(data))
    assert not marker.exists()


def test_the_markers_would_be_written(tmp_path: Path) -> None:
    """The files above are hostile: opened as usual, the plain ones leave their marker."""
    for i, name in enumerate(("os.system", "eval", "INST", "old opcodes")):
        marker = tmp_path / str(i)
        pickle.loads(hostile(marker)[name])  # noqa: S301
        assert marker.exists(), name


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_the_embedded_source_is_not_run(protocol: int, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    before = set(sys.modules)
    path = tmp_path / "network.pkl"
    write_nvidia(path, {"G": TENSORS, "G_ema": TENSORS}, f"open({str(marker)!r}, 'w')", protocol, z_dim=512, c_dim=0)
    with path.open("rb") as file:
        found = networks(file)
    assert set(found) == {"G", "G_ema"}
    assert found["G_ema"].state["weight_gain"] == 0.5
    tensors = found["G_ema"].tensors()
    assert set(tensors) == set(TENSORS)
    assert all(torch.equal(tensors[key], value) for key, value in TENSORS.items())
    assert not marker.exists()
    assert not {name for name in set(sys.modules) - before if name.startswith(("_imported", "torch_utils", "dnnlib"))}
    with pytest.raises(Refused, match="it asks for|more than plain tensors"):
        load_plain(path)


def test_a_network_tuned_by_pti(tmp_path: Path) -> None:
    tensors = small("nvidia_ada_g64_tiny")
    _, found = read(write_tuned(tmp_path / "model.pt", tensors, "raise"))
    assert set(found) == set(tensors) and all(torch.equal(found[key], value) for key, value in tensors.items())


@pytest.mark.parametrize(
    ("builder", "source"),
    [("G_main", "ZeqiangLai/StyleGAN2"), ("G_style", "genforce"), ("G_paper", "huggan/pggan"), ("other", "PGGAN from")],
)
def test_tensorflow_pickles_are_refused_with_an_alternative(builder: str, source: str, tmp_path: Path) -> None:
    path = write_tensorflow(tmp_path / "karras.pkl", builder)
    with path.open("rb") as file, pytest.raises(Refused, match=f"TensorFlow pickle.*{source}"):
        networks(file)


def reduced(function: Callable[..., object], *args: object) -> bytes:
    """A pickle that calls one of the functions that networks need."""

    class Call:
        def __reduce__(self) -> tuple[Any, ...]:
            return function, args

    return pickle.dumps(Call())


STORAGE = torch.storage.TypedStorage(wrap_storage=torch.zeros(4).untyped_storage(), dtype=torch.float32, _internal=True)


@pytest.mark.parametrize(
    "args",
    [
        (STORAGE, 0, (5,), (1,)),  # longer than its storage
        (STORAGE, 0, (1000, 1000), (0, 0)),  # a million numbers out of one
        (STORAGE, 2, (4,), (1,)),
        (STORAGE, -1, (2,), (1,)),
        (STORAGE, 0, (2,), (-1,)),
        (STORAGE, 0, (2**62, 2**62), (1, 1)),
        (STORAGE, 0, "ab", (1,)),
        ("x", 0, (2,), (1,)),
    ],
)
def test_tensors_stay_within_their_storage(args: tuple[object, ...]) -> None:
    with pytest.raises(Refused):
        networks(io.BytesIO(reduced(torch._utils._rebuild_tensor_v2, *args, False, OrderedDict())))


def network(**state: object) -> Network:
    return Network("Generator", {"_parameters": {}, "_buffers": {}, "_modules": {}, **state})


def test_objects_that_are_not_modules() -> None:
    endless = network()
    endless.state["_modules"]["a"] = endless
    for bad, says in (
        (endless, "deep"),
        (network(_parameters={"weight": 3}), "weight is not a tensor"),
        (network(_modules={"b4": torch.zeros(1)}), "b4 is not a network"),
        (network(_buffers=None), "_buffers"),
        (network(_parameters={5: torch.zeros(1)}), "5 is not a tensor"),
    ):
        with pytest.raises(Refused, match=says):
            bad.tensors()


MUTANTS = """
import hashlib, io, json, random, re, sys, time
from pathlib import Path
from inversion.checkpoints.transcribe import limit_process
from inversion.checkpoints.layouts import LAYOUTS
from inversion.checkpoints.unpickle import Refused, networks
limit_process(120, 1 << 30)
good, rng = Path(sys.argv[1]).read_bytes(), random.Random(0)
def mutated():
    data = bytearray(good)
    for _ in range(rng.randint(1, 8)):
        data[rng.randrange(len(data))] = rng.randrange(256)
    return bytes(data)
cases = [good] + [good[:n] for n in range(0, len(good), 4)] + [mutated() for _ in range(500)]
whole = hashlib.sha256(good).hexdigest()
counts, worst = {}, 0.0
for data in cases:
    start = time.perf_counter()
    try:
        [network.tensors() for network in networks(io.BytesIO(data)).values()]
        outcome = "good" if hashlib.sha256(data).hexdigest() == whole else "other file"
    except Exception as error:
        outcome = type(error).__name__
    counts[outcome] = counts.get(outcome, 0) + 1
    worst = max(worst, time.perf_counter() - start)
peak = int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])  # getrusage counts the parent's
print(json.dumps({"size": len(good), "counts": counts, "worst": worst, "peak": peak}))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="memory of processes is bounded on Linux only")
def test_damaged_pickles_do_no_harm(tmp_path: Path) -> None:
    """Many truncations and mutations, in one process under the converter's limits; `benchmarks.fuzz` has more."""
    marker = tmp_path / "marker"
    path = write_nvidia(tmp_path / "network.pkl", {"G_ema": TENSORS}, f"open({str(marker)!r}, 'w')", z_dim=4)
    start = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", MUTANTS, path], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-500:]
    report = json.loads(done.stdout)
    counts = report["counts"]
    assert counts.pop("good") >= 1
    assert set(counts) <= {"Refused", "other file", "MemoryError"} and counts["Refused"] > report["size"] // 4
    assert report["worst"] < 10 and report["peak"] < 2 << 20  # KiB
    assert not marker.exists() and time.perf_counter() - start < 120


RUNS = {"eval", "exec", "__import__", "pickle.load", "pickle.loads", "pickle.Unpickler", "marshal.loads", "dill.load"}
RUNS |= {"torch.jit.load", "jit.load", "joblib.load", "shelve.open", "yaml.load", "yaml.unsafe_load", "yaml.full_load"}
OWN_BYTES = ("zero.py", "pickle.loads")  # bytes that a forked process of ours sent, never a file


def test_no_call_in_the_package_runs_code_from_files() -> None:
    sites = 0
    for path in [path for folder in ("inversion", "ui", "benchmarks") for path in (ROOT / folder).rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            name, where = ast.unparse(node.func), f"{path.name}:{node.lineno}"
            given = {word.arg: ast.unparse(word.value) for word in node.keywords}
            assert name not in RUNS or (path.name, name) == OWN_BYTES, where
            assert given.get("allow_pickle", "False") == "False", where
            if name == "torch.load":
                sites += 1
                assert given.get("weights_only") == "True", where
    assert sites >= 2


def test_every_layout_has_a_file() -> None:
    assert set(CONTAINED) == set(LAYOUTS)


def test_our_pickles_are_like_nvidias() -> None:
    """The files of the helper ask for the names in NVIDIA's files."""
    with vendor():
        data = pickle.dumps(persistent(TENSORS, "text"), 2)
    asked = {arg for opcode, arg, _ in pickletools.genops(data) if opcode.name == "GLOBAL"}
    assert {"torch_utils.persistence _reconstruct_persistent_obj", "torch.storage _load_from_bytes"} <= asked
    assert isinstance(TENSORS["w_avg"], Tensor)
