"""Reads a foreign state dict once, key by key, so that nothing is overlooked and every complaint names a key."""

import re
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from inversion.generators.base import StateDictError, count_keys

FILTERS = (".kernel", ".resample_filter")  # constants that this package rebuilds; a file may leave them out
ROWS = {4: (1.0, 3.0, 3.0, 1.0), 3: (1.0, 2.0, 1.0)}  # the binomial filters that the networks know, by side


class Renamed(dict[str, Tensor]):
    """A state dict under this package's names that remembers which key of the file each tensor came from."""

    def __init__(self) -> None:
        super().__init__()
        self.origins: dict[str, str] = {}

    def blame(self, complaint: str) -> str:
        """Return a complaint about this package's names in the file's own."""
        return re.sub(r"[\w.]*\w", lambda word: self.origins.get(word[0], word[0]), complaint)


class Source:
    """A state dict to be emptied into `out`: `move` takes a key, `finish` complains about what is left."""

    def __init__(self, layout: str, tensors: Mapping[str, Tensor]) -> None:
        self.layout = layout
        self.out = Renamed()
        self.left = {key: value for key, value in tensors.items() if not key.endswith(FILTERS)}
        for key in tensors.keys() - self.left.keys():
            self._check_filter(key, tensors[key])

    def take(self, key: str, shape: tuple[int, ...] | None = None) -> Tensor:
        """Remove and return a tensor, floating-point ones as float32, reshaped if `shape` says so."""
        if key not in self.left:
            raise self.error(f"missing {key}")
        value = self.left.pop(key)
        value = value.float() if value.is_floating_point() else value
        if shape is None:
            return value
        try:
            return value.reshape(shape)
        except RuntimeError as error:
            raise self.error(f"{key} is {tuple(value.shape)}, expected {shape}") from error

    def move(
        self, key: str, to: str, shape: tuple[int, ...] | None = None, change: Callable[[Tensor], Tensor] | None = None
    ) -> None:
        """Take a tensor and give it its new name, changed by `change`."""
        value = self.take(key, shape)
        try:
            self.out[to] = value if change is None else change(value)
        except (RuntimeError, IndexError, ValueError) as error:
            raise self.error(f"{key} has the wrong shape {tuple(value.shape)}") from error
        self.out.origins[to] = key

    def pair(self, name: str, to: str, shift: float = 0.0, within: str = "") -> None:
        """Move a weight (of a part `within`) and its bias; `shift` is added to the bias."""
        self.move(f"{name}{within}.weight", f"{to}.weight")
        self.move(f"{name}.bias", f"{to}.bias", change=lambda bias: bias + shift if shift else bias)

    def average(self, value: Tensor | None, origin: str, num_ws: int, w_dim: int, to: str = "w_avg") -> None:
        """Put out the mean style (num_ws, w_dim), a single row repeated; nothing if it is not known."""
        if value is None:
            return
        if value.shape not in ((w_dim,), (1, w_dim), (num_ws, w_dim)):
            raise self.error(f"{origin} is {tuple(value.shape)}, expected ({w_dim},) or ({num_ws}, {w_dim})")
        self.out[to] = value.float().reshape(-1, w_dim).expand(num_ws, -1).clone()
        self.out.origins[to] = origin

    def optional(self, key: str) -> Tensor | None:
        """Remove and return a tensor that a file may leave out."""
        return self.take(key) if key in self.left else None

    def drop(self, *keys: str) -> None:
        """Remove tensors that say nothing this package needs; they must exist."""
        for key in keys:
            self.take(key)

    def drop_zero(self, key: str) -> None:
        """Remove a scalar that may be missing but has to be zero."""
        value = self.left.pop(key, None)
        if value is not None and not value.is_meta and bool(value.any()):
            raise self.error(f"{key} must be 0: the network has not been grown to its last picture")

    def count(self, pattern: str, start: int = 0) -> int:
        """How many keys pattern.format(start), pattern.format(start + 1), ... follow each other."""
        return count_keys(self.left, pattern, start)

    def width(self, key: str, dimension: int = -1) -> int:
        """Length of a dimension of a tensor that is still to be taken."""
        if key not in self.left or not self.left[key].ndim:
            raise self.error(f"missing {key}")
        return self.left[key].shape[dimension]

    def finish(self) -> Renamed:
        """Return what was moved. StateDictError names a key that has not been read."""
        if self.left:
            raise self.error(f"unknown {', '.join(sorted(self.left)[:5])}")
        return self.out

    def error(self, what: str) -> StateDictError:
        """Return the complaint, with the layout's name before it."""
        return StateDictError(f"{self.layout}: {what}")

    def _check_filter(self, key: str, value: Tensor) -> None:
        row = ROWS.get(value.shape[-1]) if value.ndim >= 2 else None
        if row is None:
            raise self.error(f"{key} is {tuple(value.shape)}: no filter that this network knows")
        if value.is_meta:
            return
        wanted = torch.outer(torch.tensor(row), torch.tensor(row))
        sums = value.float().sum(dim=(-2, -1), keepdim=True)
        if value.shape[-2:] != wanted.shape or not torch.allclose(value.float(), wanted / wanted.sum() * sums):
            raise self.error(f"{key} holds another filter than the binomial one")
