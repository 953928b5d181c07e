"""The child process of a conversion: reads one foreign file, checks every tensor, writes safetensors."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sys
import threading
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor, nn

from inversion.checkpoints.accidents import described
from inversion.checkpoints.codes import SavedCode, is_code_file, of_latent, packed, read_code
from inversion.checkpoints.converted import HEADER, TUNED, VERSION, Contents, Part, finite, header_of, tuning_of
from inversion.checkpoints.formats import read
from inversion.checkpoints.latents import LAYERED, CodeError, Latent, is_style_space, latents_of
from inversion.checkpoints.layouts import Checkpoint, Found
from inversion.checkpoints.layouts.ours import own_networks
from inversion.checkpoints.layouts.search import WHOLE, NothingFound, Survey, survey_of
from inversion.checkpoints.layouts.vectors import states_layers, vectors_of
from inversion.checkpoints.unpickle import Refused, one_line
from inversion.directions import names_of
from inversion.encoders import InDomain
from inversion.generators import Discriminator, Prior, StateDictError

HALVES = (torch.float16, torch.bfloat16)


def answer_request() -> None:
    """The child process: read a request from argv, apply its limits, and answer with one line of JSON on stdout."""
    request = json.loads(sys.argv[1])
    threading.Thread(target=_end_with_parent, daemon=True).start()
    limit_process(request["seconds"], request["memory"])
    try:
        answer: dict[str, object] = {"contents": asdict(transcribe(**request["work"]))}
    except (Refused, StateDictError) as error:
        answer = {"error": one_line(error, 500)}
    except Exception as error:  # a hostile file can raise anything
        traceback.print_exc()  # into the parent's log
        answer = {"error": f"it cannot be read: {described(error)}"}
    sys.stdout.write(json.dumps(answer) + "\n")


def _end_with_parent() -> None:
    """End this process when the parent does: then the pipe at stdin ends, to which the parent never writes."""
    with contextlib.suppress(OSError):  # without a stdin there is nothing to wait for
        if not os.read(0, 1):
            os._exit(1)


def transcribe(path: str, out: str | None, encoder: str | None) -> Contents:
    """Read the file `path`, check every tensor, and write `out` if it is given. Raises Refused or StateDictError.

    `encoder` is the architecture of an encoder if its file does not state it. Call this in a child process with limits:
    a hostile file can still fill the memory and take time.
    """
    try:
        return _contents(Path(path), out, encoder)
    except CodeError as error:
        raise Refused(str(error)) from None


def _contents(source: Path, out: str | None, encoder: str | None) -> Contents:
    """As `transcribe`. Raises CodeError, too."""
    if is_code_file(source):
        return _codes({"": read_code(source)}, ("numpy", source.stat().st_size, _sha256(source)), out)
    kind, checkpoint = read(source)
    sha256 = _sha256(source)
    described_as = (kind, source.stat().st_size, sha256)
    if isinstance(checkpoint, Tensor):
        return _loose({"": checkpoint}, latents_of(checkpoint), described_as, out)
    header = header_of(source) if kind == "safetensors" else None
    try:
        ours = own_networks(checkpoint, header, encoder)
        survey = Survey(ours) if ours else survey_of(checkpoint, encoder)
    except NothingFound:
        if is_style_space(checkpoint):
            raise CodeError(
                "it holds a code in StyleSpace, a style for each convolution, which is not read: give one in W or W+"
            ) from None
        tensors = {key: value for key, value in checkpoint.items() if isinstance(value, Tensor)}
        if names_of(tensors):
            return Contents(*described_as, (_fitted(tensors, out),))
        latents = latents_of(checkpoint)
        vectors = {} if latents else vectors_of(checkpoint)
        if not vectors and not latents:
            raise
        contents = _loose(vectors, latents, described_as, out)
        layered = bool(vectors) and states_layers(checkpoint)
        return replace(contents, notes=(*contents.notes, LAYERED)) if layered else contents
    halves = [dtype for dtype in HALVES if dtype in _dtypes(checkpoint)]
    parts, tensors, notes = _checked(survey.found, halves)
    contents = Contents(*described_as, tuple(parts), tuple(one_line(note, 500) for note in [*survey.notes, *notes]))
    if out is not None:
        named = {part.kind: {"architecture": part.architecture, "layout": part.layout} for part in parts}
        written = {"version": VERSION, "networks": named, "source_sha256": sha256, "format": kind}
        tuning = tuning_of(header) if ours else {}
        _save(tensors, Path(out), {HEADER: json.dumps({**written, **({TUNED: tuning} if tuning else {})})})
    return contents


def _loose(
    vectors: dict[str, Tensor], latents: Mapping[str, Latent], described_as: tuple[str, int, str], out: str | None
) -> Contents:
    """The contents of a file without a network: codes if there are any, else directions. Raises Refused."""
    if latents:
        return _codes({name: of_latent(latent, "the file") for name, latent in latents.items()}, described_as, out)
    part = _directions(vectors, out)
    lone = part.layout == "tensor" and part.num_ws == 1
    notes = ("It is taken as a direction. If it is a code in W, use it with `--start`.",) if lone else ()
    return Contents(*described_as, (part,), notes)


def _codes(codes: Mapping[str, SavedCode], described_as: tuple[str, int, str], out: str | None) -> Contents:
    """The contents of a file of codes. Raises Refused if `out` is given and there are several."""
    if out is not None:
        if len(codes) > 1:
            names = ", ".join(one_line(name) for name in [*codes][:3])
            raise Refused(f"it holds {len(codes)} codes ({names}, ...): save one of them as a file of its own")
        with Path(out).open("wb") as file:
            file.write(packed(next(iter(codes.values()))))
        _settle(Path(out))
    parts: list[Part] = []
    notes: dict[str, None] = {}
    for code in codes.values():
        rows, width = code.ws.shape[1:]
        weights = code.ws.numel() + sum(part.numel() for part in (*code.parts.values(), *code.noise))
        parts.append(Part("code", code.kind, code.layout, 0, rows, 0, (width,), weights, False))
        what = (
            f"It is a code in {code.space.upper()}, {'one style' if rows == 1 else f'{rows} styles'} of {width} numbers"
        )
        owner = f"of the model {code.model}" if code.model else "of an unnamed model"
        other = " If it is a direction, use it with `--direction`." if code.layout == "tensor" else ""
        notes[f"{what}, {owner}. Use it with `--start`.{other}"] = None
    return Contents(*described_as, tuple(parts), tuple(notes))


def _checked(found: list[Found], halves: list[torch.dtype]) -> tuple[list[Part], dict[str, Tensor], list[str]]:
    """Descriptions, tensors and notes of the networks. A discriminator that does not fit is left out with a note."""
    parts: list[Part] = []
    tensors: dict[str, Tensor] = {}
    notes: list[str] = []
    for part in found:
        try:
            network, measured = _built(part)
        except (Refused, StateDictError) as error:
            if part.kind != "discriminator" or len(found) == 1:
                raise
            notes.append(f"The discriminator is left out, because it does not fit: {error}.")
            continue
        parts.append(_part(part, network, measured))
        tensors |= {f"{part.kind}.{key}": _as_stored(value, halves) for key, value in part.tensors.items()}
    return parts, tensors, notes


def _built(part: Found) -> tuple[nn.Module, bool]:
    """The network of a part, and whether its mean style was measured. Raises Refused or StateDictError."""
    for key, value in part.tensors.items():
        if not finite(value):
            name = part.tensors.origins.get(key, key)
            raise Refused(
                f"it holds a {part.kind} ({part.architecture}), but not all numbers of {name} are finite: the training "
                "has diverged, so use an earlier snapshot"
            )
    try:
        network = part.build()
    except StateDictError as error:
        raise StateDictError(f"it holds a network ({part.architecture}) that does not fit: {error}: {WHOLE}") from None
    measured = isinstance(network, Prior) and "w_avg" in network.state_dict() and "w_avg" not in part.tensors
    if measured:
        part.tensors["w_avg"] = network.get_buffer("w_avg")
    return network, measured


def _save(tensors: dict[str, Tensor], out: Path, metadata: dict[str, str] | None = None) -> None:
    """Write tensors as safetensors. Raises Refused."""
    try:
        save_file(_unshared(tensors), out, metadata)
        _settle(out)
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or "the disk may be full"
        raise Refused(f"the converted copy cannot be written ({reason}): free some space and try again") from None


def limit_process(seconds: float, memory: int) -> None:
    """Limit this process to `seconds` of processor time, no core file, and on Linux `memory` bytes more than now.

    The bound is relative, because importing a CUDA build of torch maps gigabytes that are never used.
    """
    if sys.platform == "win32":
        return
    import resource

    processor = int(seconds) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (processor, processor))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    mapped = Path("/proc/self/statm")
    if mapped.exists():
        bound = int(mapped.read_text().split()[0]) * resource.getpagesize() + memory
        resource.setrlimit(resource.RLIMIT_AS, (bound, bound))


def _fitted(tensors: dict[str, Tensor], out: str | None) -> Part:
    """The directions of a file from `train directions`, written to `out` as they are. Raises Refused.

    Their shapes are checked when they join their model.
    """
    if not all(value.is_floating_point() and finite(value) for value in tensors.values()):
        raise Refused("its directions hold values that are not finite numbers")
    if out is not None:
        _save(tensors, Path(out))
    rows = torch.atleast_2d(tensors[f"{names_of(tensors)[0]}.rows"])
    weights = sum(value.numel() for value in tensors.values())
    return Part("directions", "directions", "fitted", 0, len(rows), 0, (rows.shape[-1],), weights, False)


def _directions(vectors: dict[str, Tensor], out: str | None) -> Part:
    """Directions in W by name, written to `out`: one as a plain float32 array (1 or num_ws, w_dim), several by name."""
    rows: dict[str, Tensor] = {}
    for name, tensor in vectors.items():
        shape = tuple(tensor.shape)
        if not tensor.is_floating_point() or not 1 <= tensor.ndim <= 3 or (tensor.ndim == 3 and shape[0] != 1):
            kind = str(tensor.dtype).removeprefix("torch.")
            raise Refused(
                f"it holds one {kind} tensor {shape}, which is neither a checkpoint nor a direction in W: give a "
                "checkpoint of StyleGAN2, StyleGAN or PGGAN"
            )
        if not finite(tensor):
            raise Refused("its direction holds values that are not finite numbers")
        rows[name] = tensor.detach().float().reshape(-1, shape[-1])
    if out is not None and len(rows) > 1:
        _save(rows, Path(out))
    elif out is not None:
        with Path(out).open("wb") as file:
            np.save(file, next(iter(rows.values())).numpy(), allow_pickle=False)
        _settle(Path(out))
    first, weights = next(iter(rows.values())), sum(row.numel() for row in rows.values())
    layout = "tensor" if len(rows) == 1 else "tensors"
    return Part("directions", "directions", layout, 0, len(first), 0, (first.shape[-1],), weights, False)


def _part(part: Found, network: nn.Module, measured: bool) -> Part:
    """The description of a network."""
    side = getattr(network, "resolution", getattr(network, "size", 0))
    inputs = 0 if isinstance(network, Prior) else getattr(network, "inputs", 3)
    return Part(
        kind=part.kind,
        architecture=part.architecture,
        layout=part.layout,
        resolution=side,
        num_ws=getattr(network, "num_ws", 0),
        inputs=inputs,
        channels=_channels(network),
        weights=sum(value.numel() for value in part.tensors.values()),
        measured=measured,
        classes=getattr(network, "classes", 0),
    )


def _channels(network: nn.Module) -> tuple[int, ...]:
    if isinstance(network, Prior):
        sides = {network.size(k): network.channels(k) for k in range(network.num_layers + 1)}
        return tuple(sides.values())
    if isinstance(network, (Discriminator, InDomain)):
        ends = ("from_rgb.weight", "conv2.weight", "stem.conv.weight", "second.conv.weight")
        return tuple(len(weight) for name, weight in network.named_parameters() if name.endswith(ends))
    body = getattr(network, "backbone", getattr(network, "trunk", None))
    return tuple(getattr(body, "widths", ()))


def _dtypes(checkpoint: Checkpoint) -> Iterator[torch.dtype]:
    """The element types of all tensors of a checkpoint."""
    for value in checkpoint.values():
        if isinstance(value, Tensor):
            yield value.dtype
        elif isinstance(value, Mapping):
            yield from _dtypes(value)


def _as_stored(value: Tensor, halves: list[torch.dtype]) -> Tensor:
    """The tensor in 16 bits if the file has such tensors and no value changes, else as it is."""
    for dtype in halves:
        half = value.to(dtype)
        if torch.equal(half.to(value.dtype), value):
            return half
    return value


def _unshared(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors as safetensors needs them: contiguous, and without shared memory."""
    seen: set[int] = set()
    out = {}
    for name, value in tensors.items():
        value = value.detach().contiguous()
        out[name] = value.clone() if value.data_ptr() in seen else value
        seen.add(value.data_ptr())
    return out


def _settle(path: Path) -> None:
    """Wait until a file is on the disk, so that a crash after renaming it leaves no empty file."""
    with path.open("r+b") as file:  # Windows does not sync a handle that only reads
        os.fsync(file.fileno())


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()
