"""Files of codes: our own `.npz`, which says everything about a code, and the arrays that other projects write.

    saved = read_code(path)             # our .npz; .npy, .npz and .pt of other projects; see `latents`
    path.write_bytes(packed(saved))     # our .npz

Our file is a NumPy archive of plain arrays, float32 unless stated: `format` "inversion-hub code 1" (text), `kind` (a
key of `methods.codes.CODES`, or "array" if the model is unknown), `space` ("z", "w" or "w+"), `model` and `sha256` of
its weights, `options` of the model as JSON, `ws` (B, num_ws, w_dim), and `w`, the same array under the name that
NVIDIA's tools read. By kind: `z` (B, z_dim) or (B, N, z_dim), `alpha` (B, N, C), `heads` (B, N, num_ws, w_dim), `layer`
(a whole number), `noise_0`, `noise_1`, ... (B, 1, h, w). `tuned` is there if a tuned generator renders its picture.
Nothing in a file is executed.
"""

from __future__ import annotations

import hashlib
import io
import json
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from inversion.checkpoints.latents import CodeError, Latent, latents_of

if TYPE_CHECKING:
    from torch import Tensor

    Array = np.ndarray[Any, np.dtype[Any]]

FORMAT, VERSION = "inversion-hub code", 1
MAX_BYTES = 64 << 20  # of the arrays of a file; the noise maps of 1024 pixels have 11 MB
ARRAY = "array"  # the kind of a code whose model is unknown
SPACES = {"z": "z", "w": "w", "wplus": "w+", "multicode": "z", "mixture": "w+"}  # by kind
PARTS = {  # the arrays of each kind besides `ws`, and their numbers of dimensions
    ARRAY: {},
    "z": {"z": 2},
    "w": {},
    "wplus": {},
    "multicode": {"z": 3, "alpha": 3},
    "mixture": {"heads": 4, "alpha": 3},
}
WITH_NOISE, WITH_LAYER = (ARRAY, "wplus"), ("multicode", "mixture")


class _Objects(CodeError):
    """A NumPy file with pickled objects, which only a child process reads."""


@dataclass(frozen=True, eq=False)
class SavedCode:
    """A code as plain data on the CPU, with its model if that is known. Raises CodeError for wrong shapes and NaN."""

    kind: str  # a key of PARTS
    ws: Tensor  # (B, num_ws, w_dim); (1, 1 or num_ws, w_dim) if the kind is "array"
    parts: Mapping[str, Tensor] = field(default_factory=dict)  # as the module says
    noise: tuple[Tensor, ...] = ()  # (B, 1, h, w) each
    layer: int = 0  # of a multi-code
    model: str = ""  # "" if the file does not name it
    sha256: str = ""  # of the model's file
    options: Mapping[str, Any] = field(default_factory=dict)  # of the model, by field of `ModelOptions`
    name: str = "the code"  # of the file
    layout: str = "inversion"  # "inversion", or a layout of `latents`
    tuned: bool = False  # whether its picture comes from a generator that was tuned for it

    def __post_init__(self) -> None:
        tensors = {"ws": self.ws, **self.parts, **{f"noise_{i}": one for i, one in enumerate(self.noise)}}
        ranks = {"ws": 3, **PARTS[self.kind], **{f"noise_{i}": 4 for i in range(len(self.noise))}}
        for name, rank in ranks.items():
            given = tensors.get(name)
            if given is None or given.ndim != rank or not given.numel() or not given.is_floating_point():
                raise CodeError(f"{self.name}: its array {name} is missing or has a wrong shape: save the code again")
            if len(given) != len(self.ws):
                raise CodeError(f"{self.name}: its arrays hold different numbers of codes: save the code again")
            if not bool(given.isfinite().all()):
                raise CodeError(f"{self.name}: its code holds values that are not finite numbers: use another code")

    @property
    def space(self) -> str:
        """The latent space: "z", "w" or "w+"."""
        return SPACES.get(self.kind) or ("w" if self.ws.shape[1] == 1 else "w+")

    @property
    def digest(self) -> str:
        """16 hex digits of the hash of its numbers, which name it in recipes."""
        tensors = [self.ws, *self.parts.values(), *self.noise]
        return hashlib.sha256(b"".join(_as_array(one).tobytes() for one in tensors)).hexdigest()[:16]

    def remarks(self, base_sha256: str, takes_noise: bool) -> list[str]:
        """Sentences for the user of a model. base_sha256: of the file that it was tuned from, "" if it is not tuned.

        takes_noise: whether its generator has noise inputs.
        """
        found: list[str] = []
        if self.tuned and not base_sha256:
            found.append(
                f"{self.name} is the code of a tuned generator, without which its picture is another one. Choose the "
                ".safetensors file beside the code as the model."
            )
        if self.noise and not takes_noise:
            found.append(f"The noise maps of {self.name} are left out, because the generator has no noise inputs.")
        return found

    def fitted_to(self, name: str, known: tuple[str, ...]) -> None:
        """Check that it is a code of the model `name`. known: hashes of its weights, and of those it was tuned from.

        Raises CodeError, with both names.
        """
        known = tuple(sha256 for sha256 in known if sha256)
        own, hash_says = self.model or "another model", bool(self.sha256 and known)
        if (self.sha256 not in known) if hash_says else (self.model not in ("", name)):
            if own == name:
                own, name = f"{own} (sha256 {self.sha256[:12]}...)", f"{name} (sha256 {known[0][:12]}...)"
            raise CodeError(
                f"{self.name} is a code of the model {own}, not of {name}: choose its own model, or give another code."
            )


def read_code(path: Path) -> SavedCode:
    """The code in a file. Raises CodeError, with the name of the file, what is wrong and what to do."""
    if path.exists() and not path.is_file():  # a pipe may never end
        raise CodeError(f"{path.name}: cannot read it (not a plain file): choose another file")
    try:
        with path.open("rb") as file:
            head = file.read(6)
        if head == b"\x93NUMPY":
            return _single({"": _as_tensor(_array(_limited(path)))}, path.name)
        if head[:4] == b"PK\x03\x04":
            arrays = _arrays(path)
            if arrays is not None:
                return _of_arrays(arrays, path.name)
    except _Objects:
        if is_code_file(path):  # never written by this package; its reader would come back here
            raise CodeError(f"{path.name}: it holds Python objects, which are not read: save the code again") from None
    except CodeError as error:
        raise CodeError(_naming(path.name, error)) from None
    except OSError as error:
        if error.strerror is not None:
            raise CodeError(f"{path.name}: cannot read it ({error.strerror}): choose another file") from None
        raise CodeError(f"{path.name}: it is a broken NumPy file: save the code again") from None
    except Exception:  # broken headers and archives raise almost anything
        raise CodeError(f"{path.name}: it is a broken or incomplete NumPy file: save the code again") from None
    return _from_child(path)


def is_code_file(path: Path) -> bool:
    """Whether a file is in our own format. Reads only the list of its arrays."""
    try:
        with zipfile.ZipFile(path) as archive:
            return {"format.npy", "kind.npy", "ws.npy"} <= set(archive.namelist())
    except (zipfile.BadZipFile, OSError):
        return False


def packed(saved: SavedCode) -> bytes:
    """The bytes of our file of a code."""
    ws = _as_array(saved.ws)
    arrays: dict[str, Array] = {
        "format": np.array(f"{FORMAT} {VERSION}"),
        "kind": np.array(saved.kind),
        "space": np.array(saved.space),
        "model": np.array(saved.model),
        "sha256": np.array(saved.sha256),
        "options": np.array(json.dumps(dict(saved.options))),
        "ws": ws,
        "w": ws,
        **{name: _as_array(part) for name, part in saved.parts.items()},
        **{f"noise_{i}": _as_array(one) for i, one in enumerate(saved.noise)},
    }
    if saved.kind in WITH_LAYER:
        arrays["layer"] = np.array(saved.layer)
    if saved.tuned:
        arrays["tuned"] = np.array(1)
    file = io.BytesIO()
    np.savez(file, allow_pickle=False, **arrays)
    return file.getvalue()


def plain_array(saved: SavedCode) -> bytes:
    """The styles alone, as an `.npy` file (B, num_ws, w_dim) float32 for scripts of other projects."""
    file = io.BytesIO()
    np.save(file, _as_array(saved.ws), allow_pickle=False)
    return file.getvalue()


def of_latent(latent: Latent, name: str) -> SavedCode:
    """A code of another project; its model is unknown."""
    return SavedCode(ARRAY, latent.rows, noise=latent.noise, name=name, layout=latent.layout)


def _single(content: Mapping[str, object], name: str) -> SavedCode:
    """The only code in the tensors of a file that states no format. Raises CodeError."""
    found = latents_of(content, stated=True)
    if not found:
        shapes = [f"{key or 'array'} {tuple(value.shape)}" for key, value in content.items() if hasattr(value, "shape")]
        raise CodeError(
            f"it holds no code, only {', '.join(shapes[:3]) or 'nothing'}: give an array (w_dim,) or (num_ws, w_dim) "
            "of floating-point numbers"
        )
    if len(found) > 1:
        raise CodeError(f"it holds {len(found)} codes ({', '.join(list(found)[:3])}, ...): save one of them alone")
    return of_latent(next(iter(found.values())), name)


def _of_arrays(arrays: Mapping[str, Array], name: str) -> SavedCode:
    """The code in the arrays of a NumPy archive. Raises CodeError, and what broken arrays raise."""
    if "format" not in arrays:
        return _single({key: _as_tensor(value) for key, value in arrays.items()}, name)
    stated = _text(arrays, "format")
    if stated != f"{FORMAT} {VERSION}":
        raise CodeError(f"it is of the format {stated!r}, which this version does not read: install a newer version")
    kind = _text(arrays, "kind")
    if kind not in PARTS:
        raise CodeError(f"it holds a code of the unknown kind {kind!r}: save the code again")
    maps = sum(key.startswith("noise_") for key in arrays) if kind in WITH_NOISE else 0
    options = json.loads(_text(arrays, "options"))
    return SavedCode(
        kind,
        _as_tensor(arrays["ws"]),
        {part: _as_tensor(arrays[part]) for part in PARTS[kind]},
        tuple(_as_tensor(arrays[f"noise_{i}"]) for i in range(maps)),
        int(arrays["layer"]) if kind in WITH_LAYER else 0,
        _text(arrays, "model"),
        _text(arrays, "sha256"),
        options if isinstance(options, dict) else {},
        name,
        tuned="tuned" in arrays,
    )


def _from_child(path: Path) -> SavedCode:
    """The code in a file of PyTorch, read in a child process as every foreign file is. Raises CodeError."""
    from inversion.checkpoints import convert  # imports all networks
    from inversion.checkpoints.registry import BadCheckpoint

    with tempfile.TemporaryDirectory(prefix="inversion-code-") as folder:
        copy = Path(folder) / "code"
        try:
            contents = convert.convert(path, copy)
        except BadCheckpoint as error:
            raise CodeError(str(error)) from None
        kinds = {part.kind for part in contents.networks}
        if [part.layout for part in contents.networks] == ["tensors"]:
            raise CodeError(f"{path.name}: it holds several arrays: save one of them as a file of its own")
        # A lone style has the shape of a direction. The user states that it is a code.
        if kinds != {"code"} and [part.layout for part in contents.networks] != ["tensor"]:
            raise CodeError(f"{path.name}: it holds no code, only {', '.join(sorted(kinds))}: give a file with a code")
        layout = contents.networks[0].layout
        return replace(read_code(copy), name=path.name, layout=layout)


def _arrays(path: Path) -> dict[str, Array] | None:
    """The arrays of a NumPy archive by name. None if it is an archive of another kind. Raises CodeError."""
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        if not members or not all(member.filename.endswith(".npy") for member in members):
            return None
        if sum(member.file_size for member in members) > MAX_BYTES:
            raise CodeError(f"its arrays exceed {MAX_BYTES >> 20} MB, which no code needs: give a file with one code")
        return {member.filename.removesuffix(".npy"): _array(archive.read(member)) for member in members}


def _limited(path: Path) -> bytes:
    if path.stat().st_size > MAX_BYTES:
        raise CodeError(f"it exceeds {MAX_BYTES >> 20} MB, which no code needs: give a file with one code")
    return path.read_bytes()


def _array(data: bytes) -> Array:
    """The array in the bytes of an .npy file: numbers or text. Raises CodeError, and ValueError if it is broken."""
    file = io.BytesIO(data)
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = read(file)
    if dtype.hasobject:
        raise _Objects
    if len(data) - file.tell() != int(np.prod(shape, dtype=np.int64)) * dtype.itemsize:
        raise ValueError("the shape does not fit the data")
    return np.frombuffer(data, dtype, offset=file.tell()).reshape(shape, order="F" if fortran else "C")


def _as_tensor(array: Array) -> Tensor:
    """An array of numbers as a tensor; floating-point numbers as float32. Raises CodeError for any other array."""
    if array.dtype.kind not in "fiu":
        raise CodeError(f"it holds an array of the type {array.dtype}: save arrays of floating-point numbers")
    kind = np.float32 if array.dtype.kind == "f" else np.int64
    with np.errstate(over="ignore"):  # numbers that float32 cannot hold become infinite, and are refused as such
        return torch.from_numpy(np.array(array, kind, order="C"))


def _as_array(tensor: Tensor) -> Array:
    return tensor.detach().cpu().contiguous().numpy()


def _text(arrays: Mapping[str, Array], name: str) -> str:
    """A text of our file, printable and at most 500 characters long. Raises CodeError."""
    if name not in arrays or arrays[name].dtype.kind != "U" or arrays[name].ndim:
        raise CodeError(f"its text {name} is missing: save the code again")
    text = str(arrays[name])[:500]
    return text if text.isprintable() else repr(text)


def _naming(name: str, error: CodeError) -> str:
    """The text of an error, with the name of the file in front."""
    text = str(error)
    return text if text.startswith(f"{name}: ") else f"{name}: {text}"
