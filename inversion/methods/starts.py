"""Codes from files and into files, and runs that start from a given code.

    code = load_code(path, model)
    for event in invert(model, task, y, METHODS["wplus"], options=RunOptions(start=code)): ...
    save_code(path, code, model)

The format is described in `checkpoints.codes`.
"""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from inversion.checkpoints.codes import ARRAY, SavedCode, packed, read_code
from inversion.checkpoints.latents import CodeError
from inversion.common.names import write_new
from inversion.common.settings import SettingError
from inversion.methods import METHODS, Method
from inversion.methods.codes import W, WPlus, Z, described, from_plain, repeated, to_plain
from inversion.model import prior_of

if TYPE_CHECKING:
    from torch import Tensor

    from inversion.generators.base import Prior
    from inversion.methods.codes import Code, PlainPart
    from inversion.model import Model

    Shapes = dict[str, tuple[Tensor, tuple[int, ...]]]  # what a tensor holds -> the tensor, and how its shape must end


def load_code(path: Path, model: Model) -> Code:
    """The code in a file, on the device of the model. Raises CodeError if it is broken or of another model."""
    return opened(read_code(path), model)


def save_code(path: Path, code: Code, model: Model) -> Path:
    """Write our `.npz` of a code (see `checkpoints.codes`); if the file exists, NAME-2, ... Returns its path.

    Raises OSError.
    """
    return write_new(path, partial(Path.write_bytes, data=packed(saved(code, model))))


def saved(code: Code, model: Model) -> SavedCode:
    """A code of the model as plain data, from which `opened` makes the same code bit for bit."""
    plain = dict(to_plain(code))
    kind, noise, layer = str(plain.pop("kind")), plain.pop("noise", ()), plain.pop("layer", 0)
    ws = code.ws(prior_of(model)).detach().cpu()
    parts = {name: part for name, part in plain.items() if name not in ("rows", "w")}
    return SavedCode(
        kind,
        ws,
        parts,  # type: ignore[arg-type]
        noise,  # type: ignore[arg-type]
        layer,  # type: ignore[arg-type]
        model.name,
        model.sha256,
        asdict(model.options),
    )


def opened(given: SavedCode, model: Model) -> Code:
    """The code on the device of the model. Raises CodeError, with both names, if it is of another model."""
    given.fitted_to(model.name, (model.sha256, model.base_sha256))
    prior = prior_of(model)
    label = given.options.get("label", -1)
    if "z" in given.parts and prior.classes and label != model.options.label:
        raise CodeError(f"{given.name} was made with the class {label}: choose the same class.")
    if given.kind == ARRAY:
        _check(given, {"its styles": (given.ws, (prior.w_dim,))}, model)
        return _of_array(given, model)
    shapes: Shapes = {"its styles": (given.ws, (prior.num_ws, prior.w_dim))}
    if given.kind in ("multicode", "mixture"):
        if not 0 < given.layer <= prior.num_layers:
            raise CodeError(f"{given.name} is a multi-code of layer {given.layer}, which {model.name} does not have.")
        shapes["its channels"] = (given.parts["alpha"], (prior.channels(given.layer),))
    if "z" in given.parts:
        shapes["its z"] = (given.parts["z"], (prior.z_dim,))
    if "heads" in given.parts:
        shapes["its styles"] = (given.parts["heads"], (prior.num_ws, prior.w_dim))
    _check(given, shapes, model)
    plain: dict[str, PlainPart] = {"kind": given.kind, **given.parts}
    if given.kind == "w":
        plain["w"] = given.ws[:, 0]
    elif given.kind != "z":
        plain["rows"] = given.ws
    if given.kind == "wplus":
        plain["noise"] = _maps(given, model)
    if given.kind in ("multicode", "mixture"):
        plain["layer"] = given.layer
    return from_plain(plain, model.device)


def start_of(method: Method, code: Code, model: Model, count: int) -> Code:
    """The code from which the first stage of a method starts, for `count` pictures. method: without an embed stage.

    Raises SettingError, with the methods that can start from the code, if the stage cannot.
    """
    prior, stage = prior_of(model), method.stages[0]
    found = stage.start(code, prior)
    if found is None:
        others = [key for key, other in METHODS.items() if _can_start(other, code, prior, model)]
        advice = f"Choose one of: {', '.join(others)}." if others else "Choose one of: keep, mean+pti."
        raise SettingError(f"{stage.label} cannot start from {described(code)}. {advice}")
    return repeated(found, count)


def refusal(method: Method, code: Code, model: Model) -> str | None:
    """Why a method cannot start from a code on the model, as a clause for a message; None if it can."""
    try:
        left = method.from_start()
        reason = left.unavailable(model)
        if reason is None:
            start_of(left, code, model, len(next(iter(code.tensors().values()))))
        return reason
    except SettingError as error:
        return str(error).rstrip(".")


def _can_start(method: Method, code: Code, prior: Prior, model: Model) -> bool:
    """Whether a registered method can start from a code on the model."""
    try:
        left = method.from_start()
    except SettingError:
        return False
    return left.unavailable(model) is None and left.stages[0].start(code, prior) is not None


def _of_array(given: SavedCode, model: Model) -> Code:
    """A code whose kind is unknown: a z if the generator has no styles, W for a single style, else W+."""
    prior, ws, maps = prior_of(model), given.ws.to(model.device), _maps(given, model)
    if "w+" not in prior.spaces and ws.shape[1] == 1:
        return Z(ws[:, 0])
    if ws.shape[1] == 1 and "w" in prior.spaces:
        return WPlus(ws.repeat(1, prior.num_ws, 1), maps) if maps else W(ws[:, 0])
    _check(given, {"its styles": (given.ws, (prior.num_ws, prior.w_dim))}, model)
    return WPlus(ws, maps)


def _maps(given: SavedCode, model: Model) -> tuple[Tensor, ...]:
    """The noise maps on the device of the model, () if it takes none. Raises CodeError if they are not its own."""
    shapes = tuple(tuple(one.shape[-2:]) for one in given.noise)
    wanted = tuple(tuple(shape) for shape in prior_of(model).noise_shapes)
    if not wanted:  # the code says that they are left out, see `SavedCode.remarks`
        return ()
    if shapes and shapes != wanted:
        other = given.model or "another model"
        raise CodeError(
            f"{given.name} has {len(shapes)} noise maps, {model.name} has {len(wanted)} or maps of other "
            f"sizes: it is a code of {other}. Choose its own model, or give another code."
        )
    return tuple(one.to(model.device) for one in given.noise)


def _check(given: SavedCode, shapes: Shapes, model: Model) -> None:
    """Raise CodeError, with both names, unless the tensors end with the shapes."""
    for what, (tensor, shape) in shapes.items():
        if tuple(tensor.shape[-len(shape) :]) != shape:
            found = " x ".join(map(str, tensor.shape[-len(shape) :]))
            wanted = " x ".join(map(str, shape))
            raise CodeError(
                f"{given.name} is a code of {given.model or 'another model'}, not of {model.name}: {what} have {found} "
                f"numbers instead of {wanted}. Choose its own model, or give another code."
            )
