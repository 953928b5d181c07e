"""The error of tensors that do not fit a network, in a module without torch, so that catching it stays light."""

from __future__ import annotations


class StateDictError(ValueError):
    """Tensors that do not fit the network that they should describe. The message names the keys."""
