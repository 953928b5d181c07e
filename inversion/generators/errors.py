"""The error of tensors that do not fit a network; apart from the networks, so that catching it imports none."""

from __future__ import annotations


class StateDictError(ValueError):
    """Tensors that do not describe the network they are meant for. The message names the keys."""
