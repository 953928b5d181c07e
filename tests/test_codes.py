"""Files of codes: our own survives to the bit, those of other projects are read, every other file says what it is."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.checkpoints import in_process
from helpers.codes import codes_of
from torch import Tensor

from inversion.checkpoints import convert
from inversion.checkpoints.codes import packed, plain_array, read_code
from inversion.checkpoints.latents import CodeError
from inversion.checkpoints.transcribe import transcribe
from inversion.common.errors import UserError
from inversion.methods.codes import CODES, WPlus
from inversion.methods.starts import load_code, opened, save_code, saved
from inversion.model import Model

__all__ = ["in_process"]  # a fixture
KINDS = [*CODES, "wplus with noise"]


@pytest.fixture
def noisy_model(model: Model, noisy_prior: object) -> Model:
    """A model whose generator takes noise maps."""
    return replace(model, prior=noisy_prior)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", KINDS)
def test_a_code_survives_its_file_bit_for_bit(kind: str, noisy_model: Model, tmp_path: Path) -> None:
    prior = noisy_model.prior
    assert prior is not None
    code = codes_of(prior)[kind]
    save_code(tmp_path / "face.npz", code, noisy_model)
    again = load_code(tmp_path / "face.npz", noisy_model)
    assert type(again) is type(code) and again.tensors().keys() == code.tensors().keys()
    assert all(torch.equal(value, again.tensors()[name]) for name, value in code.tensors().items())
    assert torch.equal(again.render(prior), code.render(prior))


@pytest.mark.parametrize("name", ["pggan", "stylegan", "in-domain"])
def test_codes_of_every_architecture_survive(name: str, other_models: dict[str, Model], tmp_path: Path) -> None:
    model = other_models[name]
    assert model.prior is not None
    for code in codes_of(model.prior).values():
        again = load_code(save_code(tmp_path / "code.npz", code, model), model)
        assert type(again) is type(code) and torch.equal(again.render(model.prior), code.render(model.prior))


def test_the_file_says_everything_in_plain_arrays(model: Model, tmp_path: Path) -> None:
    assert model.prior is not None
    spaces = {"z": "z", "w": "w", "wplus": "w+", "multicode": "z", "mixture": "w+"}
    for kind, code in codes_of(model.prior).items():
        path = save_code(tmp_path / "code.npz", code, model)
        with np.load(path, allow_pickle=False) as arrays:
            assert str(arrays["model"]) == model.name and str(arrays["sha256"]) == model.sha256
            assert str(arrays["space"]) == spaces[str(arrays["kind"])]
            assert np.array_equal(arrays["ws"], code.ws(model.prior).numpy())
            assert np.array_equal(arrays["w"], arrays["ws"])  # as NVIDIA's generate.py --projected-w reads it
            assert ("layer" in arrays and "alpha" in arrays) == (kind in ("multicode", "mixture"))
        array = np.load(io.BytesIO(plain_array(saved(code, model))), allow_pickle=False)
        assert array.dtype == np.float32 and array.shape == (1, model.prior.num_ws, model.prior.w_dim)


def test_a_code_of_another_model_is_refused_with_both_names(model: Model, tmp_path: Path) -> None:
    assert model.prior is not None
    path = tmp_path / "face.npz"
    save_code(path, codes_of(model.prior)["wplus"], model)
    for other, names in (
        (replace(model, name="other", sha256="1" * 64), ("tiny", "other")),
        (replace(model, name="other", sha256=""), ("tiny", "other")),  # without a hash the name decides
        (replace(model, sha256="1" * 64), ("000000000000", "111111111111")),  # another snapshot of the same name
    ):
        with pytest.raises(CodeError, match="face.npz is a code of the model") as refused:
            load_code(path, other)
        assert all(name in str(refused.value) for name in names)
    assert load_code(path, replace(model, name="renamed"))  # the same weights
    assert load_code(path, replace(model, name="tuned", sha256="2" * 64, base_sha256=model.sha256))


@pytest.mark.parametrize("kind", CODES)
def test_a_code_of_another_shape_is_refused_with_both_names(
    kind: str, model: Model, other_models: dict[str, Model]
) -> None:
    assert model.prior is not None
    for other in other_models.values():
        given = saved(codes_of(model.prior)[kind], replace(model, name="one", sha256=""))
        try:
            code = opened(replace(given, model=""), other)
        except CodeError as error:
            assert other.name in str(error) and "another model" in str(error)
        else:
            assert other.prior is not None and code.render(other.prior).shape[1] == 3


# --- files of other projects ---

N, WIDTH = 8, 32  # styles of the tiny prior, and their numbers
ROWS = torch.linspace(-2, 2, N * WIDTH).view(N, WIDTH)


def numpy_file(**arrays: Tensor) -> Callable[[Path], object]:
    return lambda path: np.savez(path.open("wb"), **{name: value.numpy() for name, value in arrays.items()})


def torch_file(content: object) -> Callable[[Path], object]:
    return lambda path: torch.save(content, path)


def pickled(content: object) -> Callable[[Path], object]:
    """What NumPy's save makes of an object that is no array."""
    return lambda path: np.save(path, np.array(content, object), allow_pickle=True)


def rosinality(latent: Tensor, maps: tuple[Tensor, ...]) -> dict[str, object]:
    """What stylegan2-pytorch's projector.py saves."""
    return {"photo.png": {"img": torch.zeros(3, 32, 32), "latent": latent, "noise": list(maps)}}


FOREIGN: dict[str, tuple[str, Callable[[Path], object], Tensor]] = {
    "W": ("w.npy", lambda path: np.save(path, ROWS[0].numpy()), ROWS[:1]),
    "W in double precision": ("w.npy", lambda path: np.save(path, ROWS[:1].double().numpy()), ROWS[:1]),
    "W+": ("wp.npy", lambda path: np.save(path, ROWS.numpy()), ROWS),
    "W+ in Fortran's order": ("wp.npy", lambda path: np.save(path, np.asfortranarray(ROWS.numpy())), ROWS),
    "W+ in an archive": ("wp.npz", numpy_file(arr_0=ROWS[None]), ROWS),
    "NVIDIA's projected_w.npz": ("projected_w.npz", numpy_file(w=ROWS[:1].repeat(N, 1)[None]), ROWS[:1].repeat(N, 1)),
    "W of PyTorch": ("w.pt", torch_file(ROWS[0]), ROWS[:1]),
    "W+ of PyTorch": ("wp.pt", torch_file(ROWS), ROWS),
    "PTI's pivot": ("0.pt", torch_file(torch.nn.Parameter(ROWS[None])), ROWS),
    "ReStyle's code of a picture": ("latents.npy", pickled({"a.jpg": [ROWS.numpy()]}), ROWS),
    "an array of Python's numbers": ("wp.npy", pickled([ROWS.tolist()]), ROWS),
    "a named code": ("latents.pt", torch_file({"latent": ROWS[None]}), ROWS),
    "rosinality's projector": ("photo.pt", torch_file(rosinality(ROWS[0], ())), ROWS[:1]),
    "rosinality's projector in W+": ("photo.pt", torch_file(rosinality(ROWS, ())), ROWS),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_codes_of_other_projects_are_read(name: str, model: Model, tmp_path: Path, in_process: list[str]) -> None:
    file, write, rows = FOREIGN[name]
    write(tmp_path / file)
    code = load_code(tmp_path / file, model)
    assert model.prior is not None
    assert torch.equal(code.render(model.prior), WPlus(rows.expand(N, -1)[None].clone()).render(model.prior))


def test_rosinalitys_noise_maps_are_kept(
    noisy_model: Model, model: Model, tmp_path: Path, in_process: list[str]
) -> None:
    prior = noisy_model.prior
    assert prior is not None
    maps = tuple(torch.randn(1, 1, *shape) for shape in prior.noise_shapes)
    torch.save(rosinality(ROWS[0], maps), tmp_path / "photo.pt")
    code = load_code(tmp_path / "photo.pt", noisy_model)
    assert torch.equal(code.render(prior), prior.synthesis(ROWS[:1].expand(N, -1)[None], maps))
    saved = read_code(tmp_path / "photo.pt")
    assert saved.remarks("", takes_noise=True) == []
    (note,) = saved.remarks("", takes_noise=False)  # on a generator without noise: the code without its maps
    assert "noise maps of photo.pt are left out" in note
    code = load_code(tmp_path / "photo.pt", model)
    assert model.prior is not None
    assert torch.equal(code.render(model.prior), model.prior.synthesis(ROWS[:1].expand(N, -1)[None]))
    torch.save(rosinality(ROWS[0], maps[:-1]), tmp_path / "photo.pt")
    with pytest.raises(CodeError, match="noise maps, .* or maps of other sizes"):
        load_code(tmp_path / "photo.pt", noisy_model)


def test_a_pytorch_file_is_read_in_a_child(tmp_path: Path) -> None:
    torch.save(ROWS[None], tmp_path / "pivot.pt")
    assert torch.equal(read_code(tmp_path / "pivot.pt").ws[0], ROWS)


BROKEN: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "NaN": ("w.npy", lambda path: np.save(path, np.full(512, np.nan)), "not finite numbers"),
    "integers": ("w.npy", lambda path: np.save(path, np.ones((18, 512), int)), "holds no code, only array"),
    "text": ("w.npy", lambda path: np.save(path, np.array(["a"])), "type <U1"),
    "objects": ("w.npy", lambda path: np.save(path, np.array([{}], object), allow_pickle=True), "holds no tensors"),
    "HyperStyle's codes of two pictures": (
        "w.npy",
        pickled({"a.jpg": ROWS.numpy(), "b.jpg": ROWS.numpy()}),
        "several arrays",
    ),
    "a picture": ("w.npy", lambda path: np.save(path, np.ones((2, 3, 64, 64), np.float32)), "holds no code"),
    "several": ("w.npy", lambda path: np.save(path, np.ones((5, 18, 512), np.float32)), "5 codes .* save one"),
    "several of a script": ("w.pt", torch_file({f"{i}.png": {"latent": ROWS[None]} for i in "ab"}), "2 codes"),
    "several in one file": ("w.pt", torch_file({str(i): rosinality(ROWS, ())["photo.png"] for i in "ab"}), "2 codes"),
    "StyleSpace": (
        "s.pt",
        torch_file([torch.ones(1, 1, width, 1, 1) for width in (64, 32)]),
        "in W or W",
    ),
    "cut": ("w.npy", lambda path: path.write_bytes(array_bytes()[:-8]), "broken or incomplete"),
    "cut archive": ("w.npz", lambda path: path.write_bytes(b"PK\x03\x04" + bytes(90)), "broken or incomplete"),
    "a page": ("w.npz", lambda path: path.write_text("<html>"), "web page"),
    "a generator": ("g.pt", torch_file({"layer1.0.conv1.weight": torch.ones(1), "a": torch.ones(2)}), "holds"),
    "nothing": ("w.npz", lambda path: path.write_bytes(b""), "empty"),
}


def array_bytes() -> bytes:
    """A W+ code as an .npy file."""
    file = io.BytesIO()
    np.save(file, ROWS.numpy())
    return file.getvalue()


@pytest.mark.parametrize("name", BROKEN)
def test_broken_files_are_refused_in_one_line(name: str, tmp_path: Path, in_process: list[str]) -> None:
    file, write, says = BROKEN[name]
    write(tmp_path / file)
    with pytest.raises(CodeError, match=says) as refused:
        read_code(tmp_path / file)
    assert str(refused.value).startswith(f"{file}: ") and "\n" not in str(refused.value)


def test_missing_files_and_large_ones_are_refused(tmp_path: Path) -> None:
    for path, says in ((tmp_path / "none.npz", "cannot read it"), (tmp_path, "cannot read it")):
        with pytest.raises(CodeError, match=says):
            read_code(path)
    with zipfile.ZipFile(tmp_path / "bomb.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("w.npy", bytes(65 << 20))
    with pytest.raises(CodeError, match="exceed 64 MB"):
        read_code(tmp_path / "bomb.npz")


def test_damaged_files_of_ours_are_refused(model: Model, tmp_path: Path) -> None:
    assert model.prior is not None
    code = saved(codes_of(model.prior)["multicode"], model)
    with np.load(io.BytesIO(packed(code))) as arrays:
        whole = dict(arrays)
    changes: dict[str, tuple[object, str]] = {
        "format": (np.array("inversion-hub code 9"), "does not read"),
        "kind": (np.array("other"), "unknown kind"),
        "ws": (whole["ws"][:, 0], "array ws is missing or has a wrong shape"),
        "alpha": (np.repeat(whole["alpha"], 2, axis=0), "different numbers of codes"),
        "layer": (np.array(99), "multi-code of layer 99"),
    }
    for name, (value, says) in changes.items():
        np.savez(tmp_path / "code.npz", **{**whole, name: value})
        with pytest.raises(CodeError, match=says):
            load_code(tmp_path / "code.npz", model)
    for name in ("model", "z", "options"):
        np.savez(tmp_path / "code.npz", **{key: value for key, value in whole.items() if key != name})
        with pytest.raises(CodeError):
            load_code(tmp_path / "code.npz", model)


# --- codes and directions ---

UNIT = torch.nn.functional.normalize(ROWS + 3, dim=1)
SHAPES: dict[str, tuple[object, str]] = {
    "a boundary": (ROWS[:1], "directions"),
    "a lone style": (ROWS[0], "directions"),
    "a direction of unit rows": (UNIT, "directions"),
    "a direction of length 1": (ROWS / ROWS.norm(), "directions"),
    "a direction of some layers": (torch.cat([ROWS[:3], 0 * ROWS[3:]]), "directions"),
    "a named direction": ({"age": ROWS}, "directions"),
    "IDInvert's boundary": ({"boundary": ROWS[:1]}, "directions"),
    "W+": (ROWS, "code"),
    "a pivot": (ROWS[None], "code"),
    "projected_w": ({"w": ROWS[None]}, "code"),
}


@pytest.mark.parametrize("name", SHAPES)
def test_a_code_is_told_from_a_direction(name: str, tmp_path: Path) -> None:
    content, kind = SHAPES[name]
    torch.save(content, tmp_path / "file.pt")
    contents = transcribe(str(tmp_path / "file.pt"), None, None)
    assert [part.kind for part in contents.networks] == [kind]
    assert kind == "directions" or "It is a code in W" in contents.notes[0]


def test_a_converted_code_is_ours(tmp_path: Path, in_process: list[str]) -> None:
    np.savez(tmp_path / "projected_w.npz", w=ROWS[None].numpy())
    contents = convert.convert(tmp_path / "projected_w.npz", tmp_path / "ours.npz")
    assert contents.networks[0].layout == "nvidia-projector" and torch.equal(
        read_code(tmp_path / "ours.npz").ws[0], ROWS
    )
    again = convert.inspect(tmp_path / "ours.npz")
    assert [(part.kind, part.num_ws, part.channels) for part in again.networks] == [("code", N, (WIDTH,))]


def test_every_refusal_is_for_the_user() -> None:
    assert issubclass(CodeError, UserError)
