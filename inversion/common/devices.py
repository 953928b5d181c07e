"""Devices: the memory of CUDA's, whether Apple's (mps) works, and their fastest dtype.

Operations that mps lacks are done on the CPU, and only there.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import torch

from inversion.common import memory
from inversion.common.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

MPS = "mps"


@lru_cache(maxsize=1)
def mps_works() -> bool:
    """Whether Apple's GPU is available and computes the operations of a generator as the CPU does. Tried once."""
    if not torch.backends.mps.is_available():
        return False
    try:
        pairs = zip(probe("cpu"), probe(MPS), strict=True)
        return all(torch.allclose(ours, theirs.cpu(), rtol=1e-3, atol=1e-4) for ours, theirs in pairs)
    except (RuntimeError, TypeError, AssertionError):
        return False


def probe(device: str) -> tuple[Tensor, Tensor]:
    """An upsampling and a grouped convolution of fixed numbers, and the gradient."""
    x = torch.linspace(-1, 1, 2 * 4 * 8 * 8).view(2, 4, 8, 8).to(device).requires_grad_()
    kernel = torch.linspace(-1, 1, 4 * 4 * 3 * 3).view(4, 4, 3, 3).to(device)
    up = torch.nn.functional.conv_transpose2d(x.view(1, 8, 8, 8), kernel.repeat(2, 1, 1, 1), stride=2, groups=2)
    y = torch.nn.functional.leaky_relu(torch.nn.functional.conv2d(up, kernel[:, :1].repeat(2, 1, 1, 1), groups=8), 0.2)
    (gradient,) = torch.autograd.grad(y.square().mean(), x)
    return y.detach(), gradient


def room(device: str) -> int | None:
    """Bytes of the GPU of CUDA that this process may use: those that are free and its own. None for other devices."""
    if device not in ("auto", "cuda") or not torch.cuda.is_available():
        return None
    free, _ = torch.cuda.mem_get_info()
    return int(free) + torch.cuda.memory_reserved()


def is_short_of(device: torch.device, need: int) -> bool:
    """Whether a GPU of CUDA has less free memory than `need` bytes, after the unused part of ours is given back."""
    if device.type != "cuda":
        return False
    memory.collect()
    torch.cuda.empty_cache()
    return int(torch.cuda.mem_get_info(device)[0]) < need


def fast_dtype(device: torch.device) -> torch.dtype:
    """bfloat16 if the device multiplies it natively, which takes half the time, else float32."""
    if device.type == "cuda":
        native = torch.cuda.get_device_capability(device)[0] >= 8
    else:
        native = device.type == "cpu" and torch.cpu._is_avx512_bf16_supported()
    return torch.bfloat16 if native else torch.float32


class Unsupported(UserError):
    """An operation that mps lacks, although torch may use the CPU for some."""


def check_supported(error: BaseException) -> None:
    """Raises Unsupported for an error about an operation or a number type that mps lacks."""
    text = str(error)
    if not isinstance(error, MemoryError) and "MPS" in text and "out of memory" not in text:
        reason = " ".join(text.split())[:80]
        raise Unsupported(f"The GPU cannot compute this ({reason}). Start again with --device cpu.") from None


def float64(x: Tensor) -> Tensor:
    """x in double precision: on its own device, or on the CPU if that is mps, which has no such numbers."""
    return (x.cpu() if x.device.type == MPS else x).double()


def resized_mean(x: Tensor, size: int | tuple[int, int]) -> Tensor:
    """Adaptive mean pooling of x (B, C, H, W) to `size`. mps refuses sizes that do not divide those of x."""
    height, width = (size, size) if isinstance(size, int) else size
    if x.device.type == MPS and (x.shape[-2] % height or x.shape[-1] % width):
        return torch.nn.functional.adaptive_avg_pool2d(x.cpu(), size).to(x.device)
    return torch.nn.functional.adaptive_avg_pool2d(x, size)
