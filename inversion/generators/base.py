"""The interface of every generator: a mapping, a synthesis that can be split, and frozen or trainable weights."""

import copy
import itertools
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeVar

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from typing_extensions import Self

from inversion.common.devices import float64
from inversion.generators.errors import StateDictError
from inversion.generators.ops import Preparable

AVERAGE_SAMPLES = 10_000  # mapped z, averaged if a file lacks w_avg


@dataclass(frozen=True)
class State:
    """The result of `Prior.head`, from which `Prior.tail` continues."""

    features: Tensor
    """(B, channels(k), size(k), size(k)), in the prior's compute dtype."""
    rgb: Tensor | None
    """(B, 3, r, r) float32: the picture accumulated by the finished blocks of the head; None before the first."""


@dataclass(frozen=True)
class Size:
    """Channels of an embedded network: at most `widest`; from a side of `area` / `widest` pixels on, fewer."""

    widest: int
    area: int
    least: int = 8
    settings: Mapping[str, int] = field(default_factory=dict)  # further arguments of the constructor

    def channels(self, resolution: int, width: float = 1.0) -> dict[int, int]:
        """Side in pixels -> channels, in multiples of 8 before they are multiplied by `width`."""
        sides = [4 << i for i in range(resolution.bit_length() - 2)]
        return {side: int(width * min(self.widest, max(self.least, self.area // side // 8 * 8))) for side in sides}


class Prior(nn.Module, ABC):
    """A generator. Shared generators are frozen (`freeze`) and never changed; tuning works on a `clone`.

    `compute_dtype` is the precision of the convolutions (float32, bfloat16 or float16). Weights, styles, demodulation,
    accumulated pictures and outputs are always float32. Pictures are (B, 3, R, R) in about [-1, 1], not clamped.
    """

    signature: ClassVar[tuple[str, ...]]  # tensors that all files of the architecture have under this package's names
    grows: ClassVar[bool] = False  # whether `picture_at` makes smaller pictures, with which training begins
    embedded_size: ClassVar[Size] = Size(256, 4096)  # of the networks that are trained for the embedded domains
    spaces: frozenset[str]  # subset of {"z", "w", "w+", "noise"}
    resolution: int
    z_dim: int
    w_dim: int
    num_ws: int
    num_layers: int  # convolutions; a split k lies in 0..num_layers
    noise_shapes: tuple[tuple[int, int], ...]  # (height, width) of each noise input
    w_avg: Tensor  # (num_ws, w_dim)
    compute_dtype: torch.dtype
    classes: int = 0  # of a conditional generator

    @abstractmethod
    def mapping(self, z: Tensor) -> Tensor:
        """Map z (B, z_dim) to ws (B, num_ws, w_dim)."""

    @abstractmethod
    def head(self, ws: Tensor, k: int, noise: Sequence[Tensor] | None = None) -> State:
        """Run the first k convolutions for ws (B, num_ws, w_dim). If a block ends at k, the tail adds its picture.

        `noise` as in `synthesis`. Raises ValueError unless 0 <= k <= num_layers, and if ws or noise does not fit.
        """

    @abstractmethod
    def tail(self, state: State, k: int, ws: Tensor, noise: Sequence[Tensor] | None = None) -> Tensor:
        """Run the remaining layers after `head(ws, k)`: a picture (B, 3, R, R) float32. `noise` is the complete list.

        Raises ValueError as `head` does.
        """

    @abstractmethod
    def channels(self, k: int) -> int:
        """Channels of the features after k convolutions."""

    @abstractmethod
    def size(self, k: int) -> int:
        """Side of the features after k convolutions, in pixels."""

    @abstractmethod
    def modulations(self) -> Iterator[tuple[int, Tensor]]:
        """For each layer that reads a style: the style's row in ws, and the linear weights (outputs, w_dim)."""

    @abstractmethod
    def tunable(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Names and weights that tuning may change: the synthesis without the strengths of noise."""

    @classmethod
    @abstractmethod
    def from_state_dict(cls, tensors: Mapping[str, Tensor]) -> Self:
        """Build from tensors under this package's names. Sizes come from their shapes; a missing w_avg is measured.

        The network uses the tensors themselves, not copies. Raises StateDictError.
        """

    def synthesis(self, ws: Tensor, noise: Sequence[Tensor] | None = None) -> Tensor:
        """Render ws (B, num_ws, w_dim) as (B, 3, R, R) float32, in about [-1, 1].

        `noise` is one map (1 or B, 1, r, r) per entry of `noise_shapes`; None uses the stored constant maps. Raises
        ValueError if ws or noise does not fit.
        """
        return self.tail(self.head(ws, 0, noise), 0, ws, noise)

    def forward(self, z: Tensor) -> Tensor:
        """Render z (B, z_dim) as (B, 3, R, R) float32, in about [-1, 1]."""
        return self.synthesis(self.mapping(z))

    def picture_at(self, z: Tensor, side: int) -> Tensor:
        """The picture of z (B, z_dim): (B, 3, side, side) if the architecture `grows`, else at full resolution."""
        return self(z)

    def truncate(self, ws: Tensor, psi: float, layers: int | None = None) -> Tensor:
        """Truncation (Karras et al. 2019, appendix B): w_avg + psi (w - w_avg) in the first `layers` rows of ws.

        ws (B, num_ws, w_dim); layers None: all rows.
        """
        pulled = torch.lerp(self.w_avg.to(ws), ws, psi)
        return pulled if layers is None else torch.cat([pulled[:, :layers], ws[:, layers:]], dim=1)

    @torch.no_grad()
    def measure_w_avg(self, samples: int, rng: torch.Generator, batch: int = 1000) -> Tensor:
        """Mean of `samples` mapped z, (num_ws, w_dim). `rng` is a CPU generator. Does not change the prior."""
        total = torch.zeros(self.num_ws, self.w_dim, dtype=torch.float64)
        for start in range(0, samples, batch):
            z = torch.randn(min(batch, samples - start), self.z_dim, generator=rng)
            total += float64(self.mapping(z.to(self.w_avg))).sum(0).cpu()
        return (total / samples).to(self.w_avg)

    def for_class(self, label: int) -> Self:
        """This prior for one class, -1 for the mean of all; it shares the weights. Priors without classes: itself."""
        return self

    def freeze(self, dtype: torch.dtype | None = None) -> Self:
        """Freeze the prior (eval mode, no gradients to weights), prepare its weights, and return it.

        dtype: the new `compute_dtype`; None leaves it.
        """
        if dtype is not None:
            self.compute_dtype = dtype
        self.eval().requires_grad_(False)
        self.prepare()
        return self

    def prepare(self) -> None:
        """Precompute in `compute_dtype` from the frozen weights. Call it again after moving to another device."""
        for module in self.modules():
            if isinstance(module, Preparable):
                module.prepare(self.compute_dtype)

    def clone(self) -> Self:
        """A deep copy with trainable synthesis weights. It shares nothing with this prior."""
        copied = copy.deepcopy(self)
        for module in copied.modules():
            if isinstance(module, Preparable):
                module.arrange()
        for _, weight in copied.tunable():
            weight.requires_grad_(True)
        return copied

    def _check(self, ws: Tensor, k: int, noise: Sequence[Tensor] | None = None) -> None:
        """Raise ValueError unless ws, the split k and the noise fit."""
        if ws.shape[1:] != (self.num_ws, self.w_dim):
            raise ValueError(f"ws must be (B, {self.num_ws}, {self.w_dim}), got {tuple(ws.shape)}")
        if not 0 <= k <= self.num_layers:
            raise ValueError(f"k must be in 0..{self.num_layers}, got {k}")
        if noise is not None and len(noise) != len(self.noise_shapes):
            raise ValueError(f"expected {len(self.noise_shapes)} noise maps, got {len(noise)}")


Module = TypeVar("Module", bound=nn.Module)


class _WithoutWeights(TorchFunctionMode):
    """A context in which new tensors have a shape but no values, and filling them does nothing.

    torch's meta device would do the same, but drawing and dividing on it imports torch's compiler: 120 MB, 1.5 s.
    """

    MAKERS = ("randn", "zeros", "ones", "empty", "full")
    FILLERS = ("uniform_", "normal_", "fill_", "zero_", "ones_", "zeros_", "kaiming_uniform_", "__setitem__")
    SCALERS = ("div", "__truediv__", "true_divide")

    def __torch_function__(
        self, func: Callable[..., Any], types: object, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:  # noqa: ANN401 - torch's hook
        options = kwargs or {}
        name = getattr(func, "__name__", "")
        if name in self.MAKERS and options.get("device") is None:
            return torch.empty(_shape(args), dtype=options.get("dtype"), device="meta")
        first = args[0] if args else options.get("tensor")
        if isinstance(first, Tensor) and first.is_meta and name in (*self.FILLERS, *self.SCALERS):
            return first
        return func(*args, **options)


def _shape(args: tuple[Any, ...]) -> tuple[int, ...]:
    """The shape in the arguments of torch.randn(2, 3), torch.randn((2, 3)) or torch.full((2, 3), 1.0)."""
    return tuple(args) if isinstance(args[0], int) else tuple(args[0])


def build_without_weights(build: Callable[[], Module]) -> Module:
    """Build a network whose weights will be loaded later: without random numbers, and without memory for weights."""
    with _WithoutWeights():
        return build()


def load_strictly(module: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Load a module's tensors. StateDictError names the first keys that are missing, unknown or of the wrong shape.

    A module from `build_without_weights` uses the tensors themselves; any other module copies them.
    """
    expected = module.state_dict()
    problems = [f"missing {key}" for key in expected if key not in tensors]
    problems += [f"unknown {key}" for key in tensors if key not in expected]
    problems += [
        f"{key} is {tuple(tensors[key].shape)}, expected {tuple(value.shape)}"
        for key, value in expected.items()
        if key in tensors and tensors[key].shape != value.shape
    ]
    if problems:
        more = f" and {len(problems) - 5} more" if len(problems) > 5 else ""
        raise StateDictError(f"{type(module).__name__}: {', '.join(problems[:5])}{more}")
    values = {key: tensors[key].detach().to(value.dtype).contiguous() for key, value in expected.items()}
    module.load_state_dict(values, assign=any(value.is_meta for value in expected.values()))


def load_prior(prior: Prior, tensors: Mapping[str, Tensor]) -> None:
    """`load_strictly`; a missing w_avg (num_ws, w_dim) becomes the mean of mapped z. Raises StateDictError."""
    average = tensors.get("w_avg", torch.zeros(prior.num_ws, prior.w_dim))
    load_strictly(prior, {**tensors, "w_avg": average})
    if "w_avg" not in tensors:
        prior.w_avg = prior.measure_w_avg(AVERAGE_SAMPLES, torch.Generator().manual_seed(0))


def shapes_of(owner: str, tensors: Mapping[str, Tensor], names: Sequence[str], ndim: int) -> list[tuple[int, ...]]:
    """Shapes of the named tensors. StateDictError names those that are missing, empty or not of `ndim` dimensions."""
    absent = [name for name in names if name not in tensors]
    if absent:
        raise StateDictError(f"{owner}: missing {', '.join(absent[:5])}")
    shapes = {name: tuple(tensors[name].shape) for name in names}
    for name, shape in shapes.items():
        if len(shape) != ndim or 0 in shape:
            raise StateDictError(f"{owner}: {name} is {shape}, expected {ndim} dimensions")
    return list(shapes.values())


def count_keys(tensors: Mapping[str, Tensor], pattern: str, start: int = 0) -> int:
    """How many of the keys pattern.format(start), pattern.format(start + 1), ... exist without a gap."""
    return next(i for i in itertools.count() if pattern.format(start + i) not in tensors)


def sides_to(resolution: int) -> list[int]:
    """The sides 4, 8, ..., resolution. Raises ValueError unless it is a power of two and at least 8."""
    if resolution < 8 or resolution & (resolution - 1):
        raise ValueError(f"resolution must be a power of two and at least 8, got {resolution}")
    return [4 << i for i in range(resolution.bit_length() - 2)]
