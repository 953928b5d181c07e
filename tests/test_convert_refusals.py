"""Foreign and converted files that are refused, and the reasons that are given."""

from __future__ import annotations

import re
import struct
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from helpers.foreign import CONTAINED, small, write, write_tensorflow
from helpers.headers import HOSTILE, headed, of_tensor
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from inversion.checkpoints import layouts
from inversion.checkpoints.convert import open_converted
from inversion.checkpoints.formats import read
from inversion.checkpoints.registry import BadCheckpoint
from inversion.checkpoints.transcribe import transcribe
from inversion.checkpoints.unpickle import Refused
from inversion.generators import StateDictError

CaptureFixture = pytest.CaptureFixture[str]

ROOT = Path(__file__).resolve().parent.parent
GENERATORS = [name for name in CONTAINED if layouts.LAYOUTS[name].kind == "generator"]


# --- what is refused ---


def archive(path: Path, name: str, data: bytes, compression: int = zipfile.ZIP_STORED) -> Path:
    """A torch archive of one tensor of 16 bytes, with one more record."""
    torch.save({"a": torch.zeros(4)}, path)
    with zipfile.ZipFile(path, "a", compression) as file:
        file.writestr(name, data)
    return path


def test_a_small_part_of_another_network_is_no_direction(tmp_path: Path) -> None:
    save_file({"lora_unet_x.lora_down.weight": torch.zeros(4, 320)}, tmp_path / "style.safetensors")
    with pytest.raises((Refused, StateDictError), match="it holds a LoRA.*use a checkpoint of StyleGAN2"):
        transcribe(str(tmp_path / "style.safetensors"), None, None)


@pytest.mark.skipif(sys.platform != "linux", reason="the peak of memory is Linux's")
def test_an_archive_that_declares_too_much_is_refused(tmp_path: Path) -> None:
    path = archive(tmp_path / "bomb.pt", "bomb/data/1", bytes(1_000_001), zipfile.ZIP_DEFLATED)
    path.write_bytes(path.read_bytes().replace(struct.pack("<I", 1_000_001), struct.pack("<I", 1_500_000_000)))
    assert path.stat().st_size < 1 << 20
    Path("/proc/self/clear_refs").write_text("5")  # reset the peak
    before = status("VmRSS")
    with pytest.raises(Refused, match=r"declares 15\d{8} bytes"):
        read(path)
    assert status("VmHWM") - before < 50 << 10


def status(field: str) -> int:
    """A number about this process's memory, in KiB."""
    found = re.search(rf"{field}:\s+(\d+)", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1])


NOT_CONVERTED = {**HOSTILE, "none": b"", "foreign": headed(of_tensor())}


@pytest.mark.parametrize("name", NOT_CONVERTED)
def test_hostile_headers_are_refused_at_once(name: str, tmp_path: Path) -> None:
    path = tmp_path / "tiny.safetensors"
    path.write_bytes(NOT_CONVERTED[name])
    before, best = status("VmRSS") if sys.platform == "linux" else 0, 1.0
    for _ in range(3):
        start = time.perf_counter()
        with pytest.raises(BadCheckpoint, match=r"^tiny\.safetensors"):
            open_converted(path)
        best = min(best, time.perf_counter() - start)
    assert best < 0.05
    assert sys.platform != "linux" or status("VmRSS") - before < 10 << 10


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda t: t | {"generator.const": t["generator.const"] * float("nan")}, "generator.const holds"),
        (lambda t: {key: t[key] for key in t if key != "generator.convs.3.bias"}, "convs.3.bias"),
        (lambda t: t | {"generator.extra.weight": torch.zeros(1)}, "extra.weight"),
        (lambda t: t | {"other.weight": torch.zeros(1)}, "other.weight"),
        (lambda t: t | {"generator.rgbs.2.weight": torch.zeros(3, 5, 1, 1)}, "rgbs.2.weight"),
        (lambda t: t | {"generator.w_avg": torch.zeros(3, 32)}, "w_avg"),
    ],
)
def test_a_converted_file_with_other_tensors_is_refused(
    change: Callable[[dict[str, Tensor]], dict[str, Tensor]], says: str, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    transcribe(str(write("nvidia", tmp_path / "g.pkl")), str(out), None)
    with safe_open(out, framework="pt") as file:
        metadata = file.metadata()
    save_file(change(load_file(out)), tmp_path / "changed", metadata)
    with pytest.raises(BadCheckpoint, match=rf"^changed: .*{says}"):
        open_converted(tmp_path / "changed")


def test_foreign_files_are_refused_by_their_own_keys(tmp_path: Path) -> None:
    """They are refused before a file is written."""
    good, path = small("mgan_pggan_64"), tmp_path / "g.pt"
    for change, says in (
        ({"layer1.wscale.bias": good["layer1.wscale.bias"] * float("inf")}, "layer1.wscale.bias are finite"),
        ({"layer1.thing": torch.zeros(1)}, "layer1.thing"),
        ({"layer1.wscale.bias": torch.zeros(3)}, "layer1.wscale.bias"),
    ):
        torch.save(good | change, path)
        with pytest.raises((Refused, StateDictError), match=says):
            transcribe(str(path), str(tmp_path / "out"), None)
    assert not (tmp_path / "out").exists()


class Code:
    """An object with code, which a checkpoint may not hold."""


def test_formats_that_are_not_read(tmp_path: Path) -> None:
    scripted = archive(tmp_path / "script.pt", "script/constants.pkl", b"x")
    torch.save({"g_ema": Code()}, tmp_path / "code.pt")
    torch.save([1, 2], tmp_path / "list.pt")
    torch.save({"g_ema": Code()}, tmp_path / "legacy.pt", _use_new_zipfile_serialization=False)
    with zipfile.ZipFile(tmp_path / "plain.zip", "w") as file:
        file.writestr("readme", "nothing")
    (tmp_path / "page.pt").write_bytes(b"\n<!DOCTYPE html><html>Quota exceeded</html>")
    (tmp_path / "text.pt").write_bytes(b"hello, this is not a checkpoint")
    (tmp_path / "empty.pt").write_bytes(b"")
    for path, says in (
        (scripted, "TorchScript"),
        (tmp_path / "code.pt", "g_ema: it is an object of the class .*Code, whose code is not run"),
        (tmp_path / "legacy.pt", "g_ema: it is an object of the class .*Code, whose code is not run"),
        (tmp_path / "list.pt", "no tensors"),
        (tmp_path / "plain.zip", "not from PyTorch"),
        (tmp_path / "page.pt", "web page"),
        (tmp_path / "text.pt", "is a text"),
        (tmp_path / "empty.pt", "is empty"),
        (write_tensorflow(tmp_path / "tf.pkl", "G_paper"), "huggan/pggan-celebahq-1024"),
    ):
        with pytest.raises((Refused, StateDictError), match=says):
            transcribe(str(path), None, None)
