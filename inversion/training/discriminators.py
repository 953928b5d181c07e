"""Discriminators that are trained together with the network that makes the fakes."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from inversion.losses import gradient_penalty
from inversion.training.loop import Processes


class StyleDiscriminator(nn.Module):
    """e4e's discriminator of styles (B, w_dim): logits (B,), large for mapped z (Tov et al. 2021, section 3.2)."""

    def __init__(self, w_dim: int, depth: int = 3) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for _ in range(depth):
            layers += [nn.Linear(w_dim, w_dim), nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(*layers, nn.Linear(w_dim, 1))

    def forward(self, w: Tensor) -> Tensor:
        """Logits (B,) of styles (B, w_dim)."""
        return self.layers(w)[:, 0]


class DiscriminatorUpdate(NamedTuple):
    """Result of an update: the non-saturating loss without R1, and the share of correct decisions, 0 to 1."""

    loss: Tensor
    accuracy: Tensor


class DiscriminatorTrainer:
    """A discriminator, its optimiser, and R1 of weight `gamma` at every `r1_every`-th step.

    penalty: (network, real samples) -> R1 (B,).
    """

    def __init__(
        self,
        network: nn.Module,
        optimizer: torch.optim.Optimizer,
        gamma: float,
        r1_every: int = 16,
        penalty: Callable[[nn.Module, Tensor], Tensor] = gradient_penalty,
    ) -> None:
        self.network, self.optimizer = network, optimizer
        self.gamma, self.r1_every, self.penalty = gamma, r1_every, penalty

    def generator_loss(self, fakes: Tensor) -> Tensor:
        """The non-saturating loss (B,) of the network that made the fakes (B, ...)."""
        self.network.requires_grad_(False)
        return F.softplus(-self.network(fakes))

    def update(self, real: Tensor, fakes: Tensor, step: int, processes: Processes) -> DiscriminatorUpdate:
        """Make one step on real samples and fakes, (B, ...) each."""
        self.network.requires_grad_(True)
        false, true = self.network(fakes.detach()), self.network(real)
        loss = total = F.softplus(false).mean() + F.softplus(-true).mean()
        if step % self.r1_every == 0:
            total = loss + 0.5 * self.gamma * self.r1_every * self.penalty(self.network, real).mean()
        self.optimizer.zero_grad()
        total.backward()
        processes.average_gradients(self.network)
        self.optimizer.step()
        accuracy = 0.5 * (false < 0).float().mean() + 0.5 * (true > 0).float().mean()
        return DiscriminatorUpdate(loss.detach(), accuracy)
