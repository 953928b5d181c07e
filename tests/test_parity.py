"""Our networks compute the outputs of the published ones: the golden cases, the command, and the fill rules."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.foreign import GOLDENS, manifest

from inversion.generators.ops import fir
from inversion.parity import main
from inversion.parity.fill import Filler, affine_of, draw, image_input, label_input
from inversion.parity.runners import CACHED_WEIGHTS, check

CASES = sorted((GOLDENS / "cases").glob("*.npz"))
# Each needs a gigabyte of weights. They run if this variable is set, and with `python -m inversion parity`.
LARGE = "" if os.environ.get("INVERSION_LARGE_GOLDENS") else "_n18"
RULES = {"keep": None, "var": (1.0, 0.1), "small": (0.0, 0.1), "unit": (0.0, 1.0), "small_map": (0.0, 10.0)}
RULES |= {"one": (1.0, 0.1), "prelu": (0.25, 0.05), "unit_map": (0.0, 100.0)}


@pytest.fixture(scope="module")
def shared() -> Filler:
    """Weights that the cases share."""
    return Filler(CACHED_WEIGHTS)


@pytest.mark.parametrize("path", [p for p in CASES if not (LARGE and p.stem.endswith(LARGE))], ids=lambda p: p.stem)
def test_outputs_equal_those_of_the_original_code(path: Path, shared: Filler) -> None:
    found = check(path, fill=shared)
    assert found.ok, found


def test_all_goldens_are_here() -> None:
    assert len(CASES) == 33


def test_filled_weights_equal_the_recorded_ones() -> None:
    recorded = json.loads((GOLDENS / "fill_check.json").read_text(encoding="utf-8"))
    tried = 0
    for network, tensors in recorded.items():
        description = json.loads(str(np.load(GOLDENS / "cases" / f"{network}.npz")["meta"]))
        shapes, family = manifest(description["manifest"]), description["family"]
        for key, expected in tensors.items():
            shape = shapes[key][0]
            found = affine_of(key, shape, shapes.keys(), family)
            if expected["rule"] in RULES:
                assert found == RULES[expected["rule"]], key
            if found is None or np.prod(shape) > 70_000:
                continue
            near = {k: v for k, v in shapes.items() if k == key or k == f"{key.rpartition('.')[0]}.running_mean"}
            values = Filler()(near, family)[key]
            assert values.flatten()[0].item() == pytest.approx(expected["first"], abs=1e-7)
            assert values.flatten()[-1].item() == pytest.approx(expected["last"], abs=1e-7)
            assert values.double().abs().sum().item() == pytest.approx(expected["abs_sum"], rel=1e-9)
            tried += 1
    assert tried > 100


def test_cached_weights_are_the_same() -> None:
    shapes = manifest("nvidia_ada_d64_tiny")
    once, keeping = Filler()(shapes, "equalised"), Filler(20_000)
    for _ in range(3):
        again = keeping(shapes, "equalised")
        assert all(torch.equal(again[key], once[key]) for key in once)


def test_draw_does_not_depend_on_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = draw("tag", (3, 5, 7))
    monkeypatch.setattr("inversion.parity.fill.CHUNK", 8)
    assert torch.equal(draw("tag", (3, 5, 7)), whole)


def test_pictures_lie_in_the_range_and_label_maps_are_one_hot() -> None:
    x = image_input("tag", 1, 3, 32)
    assert x.shape == (1, 3, 32, 32) and x.abs().max() <= 1.0
    labels = label_input("tag", 2, 5, 32)
    assert torch.equal(labels.sum(dim=1), torch.ones(2, 32, 32))


def test_the_filter_equals_the_recorded_constant() -> None:
    recorded = json.loads((GOLDENS / "constants.json").read_text(encoding="utf-8"))
    (kernel, *_) = recorded["rosinality generator (size 64)"]
    torch.testing.assert_close(fir(gain=4.0), torch.tensor(kernel["value"]), rtol=0, atol=0)


NO_CUDA = [] if torch.cuda.is_available() else [("--device", "cuda", "No CUDA")]


class TestCommand:
    """`python -m inversion parity`."""

    SMALLEST = "nvidia_ada_d64_tiny"

    def copy(self, folder: Path, **changes: object) -> Path:
        """A copy of a small case with some arrays changed (None: left out)."""
        with np.load(GOLDENS / "cases" / f"{self.SMALLEST}.npz", allow_pickle=False) as stored:
            arrays = {**{key: stored[key] for key in stored.files}, **changes}
        path = folder / "case.npz"
        np.savez(path, **{key: value for key, value in arrays.items() if value is not None})
        return path

    def test_lines_and_exit_status(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.copy(tmp_path)
        assert main([str(tmp_path), "--manifests", str(GOLDENS / "manifests")]) == 0
        out, err = capsys.readouterr()
        name, gap, scaled, verdict = out.split()
        assert (name, verdict, err) == ("case", "ok", "")
        assert float(gap.removeprefix("max_abs=")) < 5e-6 > float(scaled.removeprefix("scaled="))

    @pytest.mark.parametrize("name", ["out_logits8", "out_b16_corner", "out_b32_std"])
    def test_a_wrong_output_fails(self, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
        with np.load(GOLDENS / "cases" / f"{self.SMALLEST}.npz") as stored:
            wrong = stored[name].copy()
        wrong.flat[0] += 3e-5
        self.copy(tmp_path, **{name: wrong})
        assert main([str(tmp_path)]) == 1
        assert capsys.readouterr().out.endswith(" FAIL\n")

    @pytest.mark.parametrize(
        ("changes", "why"),
        [
            ({"out_logits8": np.full((8, 1), np.nan, np.float32)}, ""),
            ({"out_other": np.zeros(3, np.float32)}, "out_other"),
            ({"out_logits4": np.zeros((4, 2), np.float32)}, "out_logits4"),
            ({"in_image_check": np.zeros((8, 3, 8, 8), np.float32)}, "in_image_check"),
            ({"meta": None}, "not a golden case"),
            ({"meta": np.array('{"network": "nobody\'s"}')}, "nobody's"),
            (
                {"meta": np.array('{"network": "StyleGAN2 discriminator", "manifest": "x", "family": "plain"}')},
                "x.json",
            ),
        ],
    )
    def test_a_case_that_cannot_run_fails_with_a_reason(
        self, tmp_path: Path, changes: dict[str, object], why: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        self.copy(tmp_path, **changes)
        assert main([str(tmp_path)]) == 1
        out, err = capsys.readouterr()
        assert out == "case max_abs=nan scaled=nan FAIL\n"
        assert why in err

    def test_other_files_do_not_stop_it(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        whole = self.copy(tmp_path).read_bytes()
        (tmp_path / "broken.npz").write_bytes(b"PK")
        (tmp_path / "cut.npz").write_bytes(whole[: len(whole) // 2])
        (tmp_path / "notes.txt").write_text("no case", encoding="utf-8")
        assert main([str(tmp_path)]) == 1
        assert [line.split()[-1] for line in capsys.readouterr().out.splitlines()] == ["FAIL", "ok", "FAIL"]

    def test_nothing_to_run(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main([str(tmp_path)]) == 2
        assert "no .npz file" in capsys.readouterr().err

    @pytest.mark.parametrize(
        ("option", "value", "says"), [("--device", "tpu", "tpu"), ("--speed", "9", "--speed"), *NO_CUDA]
    )
    def test_wrong_arguments_are_one_line(
        self, tmp_path: Path, option: str, value: str, says: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        self.copy(tmp_path)
        try:
            status: object = main([str(tmp_path), option, value])
        except SystemExit as stop:
            status = stop.code
        out, err = capsys.readouterr()
        assert (status, out, err.count("\n")) == (2, "", 1) and says in err
