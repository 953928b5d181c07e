"""Reads a foreign state dict once, key by key. Every key is used or refused, and every error names a key."""

import re
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from inversion.generators.base import StateDictError, count_keys

FILTERS = (".kernel", ".resample_filter")  # constants that this package makes itself; a file may lack them
ROWS = {4: (1.0, 3.0, 3.0, 1.0), 3: (1.0, 2.0, 1.0)}  # the binomial filters that the networks use, by side


class Renamed(dict[str, Tensor]):
    """A state dict under this package's names. `origins` maps each name to the key in the file.

    `extra`: keys of modules of the file that do not belong to the network.
    """

    def __init__(self) -> None:
        super().__init__()
        self.origins: dict[str, str] = {}
        self.extra: list[str] = []

    def blame(self, message: str) -> str:
        """The message with this package's names replaced by the file's own keys."""
        return re.sub(r"[\w.]*\w", lambda word: self.origins.get(word[0], word[0]), message)


class Source:
    """A state dict {key: tensor} that is emptied into `out`: `move` takes a key, `finish` checks that no key is left.

    All methods raise StateDictError, with the layout's name and the key, if a tensor is missing or does not fit.
    """

    def __init__(self, layout: str, tensors: Mapping[str, Tensor]) -> None:
        self.layout = layout
        self.out = Renamed()
        self.left = {key: value for key, value in tensors.items() if not key.endswith(FILTERS)}
        self._modules: set[str] = set()  # from which a tensor was taken
        for key in tensors.keys() - self.left.keys():
            self._check_filter(key, tensors[key])

    def take(self, key: str, shape: tuple[int, ...] | None = None) -> Tensor:
        """Remove and return a tensor, as float32 if it is floating-point, reshaped to `shape` if given."""
        if key not in self.left:
            raise self.error(f"missing {key}")
        value = self.left.pop(key)
        self._modules.add(_module(key))
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
        """Take a tensor, apply `change` and store it under its new name."""
        value = self.take(key, shape)
        if not value.is_floating_point():
            raise self.error(f"{key} holds {str(value.dtype).removeprefix('torch.')} numbers, as quantised networks do")
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
        """Store the mean style (num_ws, w_dim), a single row repeated; nothing if `value` is None."""
        if value is None:
            return
        if value.shape not in ((w_dim,), (1, w_dim), (num_ws, w_dim)):
            raise self.error(f"{origin} is {tuple(value.shape)}, expected ({w_dim},) or ({num_ws}, {w_dim})")
        self.out[to] = value.float().reshape(-1, w_dim).expand(num_ws, -1).clone()
        self.out.origins[to] = origin

    def optional(self, key: str) -> Tensor | None:
        """Remove and return a tensor (any shape) that may be missing; None if it is."""
        return self.take(key) if key in self.left else None

    def drop(self, *keys: str) -> None:
        """Remove tensors that this package does not need. They must exist."""
        for key in keys:
            self.take(key)

    def drop_zero(self, key: str) -> None:
        """Remove a scalar that may be missing and must be zero otherwise."""
        value = self.left.pop(key, None)
        if value is not None and not value.is_meta and bool(value.any()):
            raise self.error(f"{key} must be 0, which means that the network is fully grown")

    def colour(self, pattern: str, bias: str = "{}.bias") -> None:
        """Repeat the one channel of a grey generator's picture layers (pattern, {} an index) three times."""
        for weight in [key for key in self.out if re.fullmatch(pattern.replace("{}", r"\d+") + r"\.weight", key)]:
            for key in (weight, bias.format(weight.removesuffix(".weight"))):
                if len(self.out[key]) == 1:
                    self.out[key] = self.out[key].repeat(3, *[1] * (self.out[key].ndim - 1))

    def colour_input(self, key: str) -> None:
        """Let a grey discriminator's first weight (O, 1, 1, 1) read three equal channels, with the same output."""
        weight = self.out[key]
        if weight.ndim == 4 and weight.shape[1] == 1:
            self.out[key] = weight.repeat(1, 3, 1, 1) / 3**0.5  # run-time scales divide by sqrt(3), too

    def count(self, pattern: str, start: int = 0, beside: str = "") -> int:
        """How many of the keys pattern.format(start), pattern.format(start + 1), ... exist without a gap.

        Raises StateDictError for the next one if the file has other keys with its number. They start with
        `beside`.format(number); by default, with the part of the pattern up to the number.
        """
        count = count_keys(self.left, pattern, start)
        prefix = beside or pattern.partition("{}")[0] + "{}."
        self.require(pattern.format(start + count), prefix.format(start + count))
        return count

    def require(self, key: str, prefix: str) -> None:
        """Raises StateDictError if `key` is missing although there are keys that start with `prefix`."""
        if key not in self.left and any(other.startswith(prefix) for other in self.left):
            raise self.error(f"missing {key}")

    def width(self, key: str, dimension: int = -1) -> int:
        """Length of a dimension of a tensor that is not yet taken."""
        if key not in self.left or not self.left[key].ndim:
            raise self.error(f"missing {key}")
        return self.left[key].shape[dimension]

    def finish(self) -> Renamed:
        """Return the moved tensors. StateDictError names keys that were not read, of modules that the network has."""
        unknown = sorted(key for key in self.left if _module(key) in self._modules)
        if unknown:
            raise self.error(f"unknown {', '.join(unknown[:5])}")
        self.out.extra = sorted(self.left)
        return self.out

    def error(self, message: str) -> StateDictError:
        """The error to raise, with the layout's name before the message."""
        return StateDictError(f"{self.layout}: {message}")

    def _check_filter(self, key: str, value: Tensor) -> None:
        row = ROWS.get(value.shape[-1]) if value.ndim >= 2 else None
        if row is None:
            raise self.error(f"{key} is {tuple(value.shape)}: not a filter of this network")
        if value.is_meta:
            return
        wanted = torch.outer(torch.tensor(row), torch.tensor(row))
        sums = value.float().sum(dim=(-2, -1), keepdim=True)
        if value.shape[-2:] != wanted.shape or not torch.allclose(value.float(), wanted / wanted.sum() * sums):
            raise self.error(f"{key} is not the binomial filter")


def _module(key: str) -> str:
    """The name of the outermost module of a tensor, without its number."""
    return re.sub(r"\d+", "", key.partition(".")[0])
