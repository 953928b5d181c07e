"""The command `convert`: its description of a file, and the files that it writes."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.checkpoints import in_process
from helpers.foreign import CONTAINED, small, write, write_tensorflow
from helpers.local_hub import Workplace, workplace
from helpers.networks import same_networks

from inversion.checkpoints import hub, layouts
from inversion.checkpoints.convert import open_converted
from inversion.checkpoints.registry import HubError
from inversion.checkpoints.transcribe import transcribe
from inversion.checkpoints.unpickle import Refused
from inversion.cli import convert as command

__all__ = ["in_process", "workplace"]  # fixtures
CaptureFixture = pytest.CaptureFixture[str]

ROOT = Path(__file__).resolve().parent.parent
GENERATORS = [name for name in CONTAINED if layouts.LAYOUTS[name].kind == "generator"]


# --- the command ---


def test_the_command_describes_a_file_and_writes_it(
    tmp_path: Path, in_process: list[str], capsys: CaptureFixture
) -> None:
    path = write("psp", tmp_path / "e4e.pt")
    assert command.main([str(path), "--encoder", "e4e", "--dry-run"]) == 0
    printed = capsys.readouterr().out
    for word in ("torch", "e4e", "rosinality", "256", "16 32 64 128", "1354147", str(tmp_path / "e4e.safetensors")):
        assert word in printed
    assert [file.name for file in tmp_path.iterdir()] == ["e4e.pt"]
    assert command.main([str(path), "--encoder", "e4e"]) == 0
    written = capsys.readouterr().out
    assert written.startswith(printed) and "written: " in written
    assert set(open_converted(tmp_path / "e4e.safetensors")) == {"encoder", "generator"}
    assert command.main([str(path)]) == 2
    assert "exists already" in capsys.readouterr().err
    assert command.main([str(path), "--dry-run"]) == 0
    assert f"{tmp_path / 'e4e.safetensors'} exists already: choose another" in capsys.readouterr().out
    assert command.main([str(path), "--out", str(tmp_path / "other")]) == 0


@pytest.mark.parametrize("shape", [(512,), (1, 512), (1, 18, 512)])
def test_a_direction_becomes_a_plain_array(
    shape: tuple[int, ...], tmp_path: Path, in_process: list[str], capsys: CaptureFixture
) -> None:
    tensor = torch.linspace(-1, 1, math.prod(shape), dtype=torch.float64).view(shape)
    tensor /= tensor.norm()  # an array for all layers of another length is a code
    torch.save(tensor, tmp_path / "age.pt")
    assert command.main([str(tmp_path / "age.pt")]) == 0
    printed = capsys.readouterr().out
    array = np.load(tmp_path / "age.npy", allow_pickle=False)
    assert "directions" in printed and "age.npy" in printed and array.dtype == np.float32
    assert np.array_equal(array, tensor.float().reshape(-1, 512).numpy())


def test_other_single_tensors_are_refused(tmp_path: Path) -> None:
    nan = torch.full((1, 8), torch.nan)
    cases = ((torch.ones(3, 8, 8), "nor a direction"), (torch.ones(8).int(), "int32"), (nan, "not finite numbers"))
    for tensor, says in cases:
        torch.save(tensor, tmp_path / "tensor.pt")
        with pytest.raises(Refused, match=says):
            transcribe(str(tmp_path / "tensor.pt"), None, None)


def test_a_manual_download_is_loaded_by_its_entrys_name(
    workplace: Workplace, tmp_path: Path, in_process: list[str], capsys: CaptureFixture
) -> None:
    unknown = {"repo_id": None, "revision": None, "sha256": None, "bytes": None, "note": "sha256 unknown"}
    workplace.add("pggan-tiny", b"x", **unknown, architecture="pggan", filename="g.pth")
    workplace.add("pggan-large", b"x", **unknown, architecture="pggan", filename="g.pth", resolution=1024)
    workplace.add("arcface", b"x", **unknown, kind="identity", architecture="arcface")
    workplace.add("served", b"x")
    path = write("mganprior-pggan", tmp_path / "g.pth")
    for name, says in (
        ("served", "choose from pggan-tiny, pggan-large, arcface"),
        ("pggan-large", "g.pth: pggan-large is pggan of 1024 pixels, but the file holds pggan of 64"),
        ("arcface", "g.pth holds no identity"),
    ):
        assert command.main([str(path), "--as", name]) == 2
        assert says in capsys.readouterr().err
    with pytest.raises(HubError, match="download it manually"):
        hub.load("pggan-tiny", "cpu")
    assert command.main([str(path), "--as", "pggan-tiny"]) == 0
    model = hub.load("pggan-tiny", "cpu", "float32")
    assert model.prior is not None and same_networks(model.prior, layouts.network(small("mgan_pggan_64")).build())
    assert command.main([str(path), "--as", "pggan-tiny"]) == 0
    assert command.main([str(write("genforce-pggan", tmp_path / "g.pth")), "--as", "pggan-tiny"]) == 2
    assert "not the file of pggan-tiny" in capsys.readouterr().err


def test_the_command_refuses_in_one_line(tmp_path: Path, in_process: list[str], capsys: CaptureFixture) -> None:
    path = write_tensorflow(tmp_path / "karras.pkl")
    assert command.main([str(path)]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and "karras.pkl" in err and "ZeqiangLai/StyleGAN2" in err
    assert command.main([str(path), "--as", "nobody"]) == 2
    assert "--as nobody" in capsys.readouterr().err
