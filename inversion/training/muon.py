"""Muon (Jordan et al. 2024): momentum with orthogonalised updates of matrices; Adam for all other parameters."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from inversion.common.devices import fast_dtype

Group = dict[str, Any]  # as torch defines a group of parameters: {"params": [...], "lr": ...}

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)  # quintic that drives singular values towards 1, from the Muon paper


def orthogonalise(matrix: Tensor, steps: int = 5) -> Tensor:
    """Approximately the nearest semi-orthogonal matrix (rows, columns), by Newton-Schulz steps in the fast dtype."""
    a, b, c = NEWTON_SCHULZ
    x = matrix.to(fast_dtype(matrix.device))
    flip = x.shape[0] > x.shape[1]
    x = x.t() if flip else x
    x = x / (x.norm() + 1e-7)
    for _ in range(steps):
        gram = x @ x.t()
        x = a * x + (b * gram + c * gram @ gram) @ x
    return (x.t() if flip else x).float()


class Muon(torch.optim.Optimizer):
    """Updates of matrices (and of convolutions, as matrices) have RMS ``lr`` times the initial RMS of the weight.

    Relative steps suit weights that are scaled at run time, whose stored size has no meaning. Other parameters follow
    Adam with ``lr * adam_scale`` times that RMS, or times 1 if they start at zero. Each of `world` processes
    orthogonalises its share; ``reduce`` (a sum over processes) then distributes the updates.
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter] | Iterable[Group],
        lr: float = 1e-2,
        momentum: float = 0.95,
        adam_scale: float = 0.5,
        rank: int = 0,
        world: int = 1,
        reduce: Callable[[Tensor], Tensor] = lambda x: x,
    ) -> None:
        super().__init__(parameters, {"lr": lr, "momentum": momentum, "adam_scale": adam_scale})
        self.rank, self.world, self.reduce = rank, world, reduce
        for group in self.param_groups:
            for p in group["params"]:
                size = float(p.detach().square().mean().sqrt())
                self.state[p] = {"size": size if size > 0 else 1.0, "moment": torch.zeros_like(p)}
                if not _is_matrix(p):
                    self.state[p] |= {"square": torch.zeros_like(p), "step": 0}

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Apply one update; parameters without a gradient stay."""
        for group in self.param_groups:
            live = [p for p in group["params"] if p.grad is not None]
            matrices = [p for p in live if _is_matrix(p)]
            updates = [torch.zeros_like(p) for p in matrices]
            for i, (p, update) in enumerate(zip(matrices, updates, strict=True)):
                moment = self.state[p]["moment"]
                moment.lerp_(p.grad, 1 - group["momentum"])
                if i % self.world == self.rank:
                    flat = p.grad.lerp(moment, group["momentum"]).flatten(1)  # Nesterov
                    q = orthogonalise(flat)
                    update.copy_((q * (flat.shape[0] * flat.shape[1]) ** 0.5 / q.norm().clamp_min(1e-7)).view_as(p))
            if self.world > 1 and updates:
                flat = self.reduce(torch.cat([u.flatten() for u in updates]))
                pieces = flat.split([u.numel() for u in updates])
                updates = [piece.view_as(u) for piece, u in zip(pieces, updates, strict=True)]
            for p, update in zip(matrices, updates, strict=True):
                p.add_(update, alpha=-group["lr"] * self.state[p]["size"])
            for p in live:
                if not _is_matrix(p):
                    self._adam(p, group)

    def _adam(self, p: nn.Parameter, group: Group) -> None:
        state, gradient = self.state[p], p.grad if p.grad is not None else torch.zeros_like(p)
        state["step"] += 1
        state["moment"].lerp_(gradient, 0.1)
        state["square"].lerp_(gradient.square(), 0.01)
        moment = state["moment"] / (1 - 0.9 ** state["step"])
        square = state["square"] / (1 - 0.99 ** state["step"])
        p.addcdiv_(moment, square.sqrt() + 1e-8, value=-group["lr"] * group["adam_scale"] * state["size"])


def _is_matrix(p: Tensor) -> bool:
    return p.ndim >= 2 and p.ndim != 3 and min(p.shape[0], p[0].numel()) > 3
