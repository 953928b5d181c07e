"""Finds directions in W in files without a network: named vectors, boundaries, principal components."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from inversion.checkpoints.layouts.unsupported import name_of

# The key of principal components -> other keys of such a file: of GANSpace in e4e's repository, and of GANSpace itself.
COMPONENTS = {"comp": ("mean", "std"), "lat_comp": ("lat_mean", "lat_stdev")}
FACTORS = "eigvec"  # the key of SeFa's directions, as columns, in rosinality's closed_form_factorization.py
LAYERS = ("layers", "manipulate_layers")  # keys of the layers that a direction was made for
MAX_COMPONENTS = 20  # principal components that become directions
MAX_ROWS = 32  # styles of a generator
NARROW, WIDE = 32, 8192  # plausible widths of W


def vectors_of(checkpoint: Mapping[str, object]) -> dict[str, Tensor]:
    """Directions by name: (w_dim,), (1 or num_ws, w_dim) or (1, num_ws, w_dim) each. {} if the file has none.

    GANSpace's components and SeFa's factors give `MAX_COMPONENTS` directions. IDInvert's boundary gives one, without
    its layers.
    """
    components, boundary = _components(checkpoint), checkpoint.get("boundary")
    if components is not None:
        return {f"component_{i + 1:02d}": component[None] for i, component in enumerate(components[:MAX_COMPONENTS])}
    if isinstance(boundary, Tensor):
        return {"": boundary}
    found = {str(key): value for key, value in checkpoint.items() if isinstance(value, Tensor)}
    nested = [value for value in checkpoint.values() if isinstance(value, Mapping)]
    if not found and len(nested) == 1:
        return vectors_of(nested[0])
    if name_of(found) is not None:  # a small part of a network, such as a LoRA
        return {}
    widths = {value.shape[-1] for value in found.values() if value.ndim}
    plausible = len(widths) == 1 and all(_is_vector(value) for value in found.values())
    return found if found and plausible and NARROW <= widths.pop() <= WIDE else {}


def states_layers(checkpoint: Mapping[str, object]) -> bool:
    """Whether a file of a direction names the layers that it was made for, as IDInvert's boundaries do."""
    nested = [value for value in checkpoint.values() if isinstance(value, Mapping)]
    return any(checkpoint.get(key) is not None for key in LAYERS) or any(states_layers(one) for one in nested)


def _components(checkpoint: Mapping[str, object]) -> Tensor | None:
    """Principal components (N, w_dim), the first one first. None if the file has none."""
    for key, others in COMPONENTS.items():
        found = checkpoint.get(key)
        if (
            isinstance(found, Tensor)
            and found.ndim
            and all(isinstance(checkpoint.get(name), Tensor) for name in others)
        ):
            return found.reshape(len(found), -1)
    factors = checkpoint.get(FACTORS)
    return factors.t() if isinstance(factors, Tensor) and factors.ndim == 2 else None


def _is_vector(value: Tensor) -> bool:
    """Whether a tensor has the shape of a direction: one style, or one for each layer."""
    if not value.is_floating_point() or not 1 <= value.ndim <= 3 or (value.ndim == 3 and len(value) > 1):
        return False
    return 1 <= value.numel() // max(value.shape[-1], 1) <= MAX_ROWS
