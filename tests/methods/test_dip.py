"""Deep Image Prior."""

from __future__ import annotations

import pytest
import torch
from helpers.networks import build_prior
from helpers.runs import finish
from helpers.tasks import example_task
from torch import Tensor

from inversion.generators import Prior
from inversion.methods import METHODS, Result
from inversion.methods.dip import DeepImagePrior
from inversion.methods.run import invert
from inversion.model import Model
from inversion.tasks import Reconstruct, Task


class TestDeepImagePrior:
    def run(self, y: Tensor, task: Task | None = None, prior: Prior | None = None, **settings: object) -> Result:
        chosen = {f"dip.{name}": value for name, value in settings.items()}
        method = METHODS["dip"].configured(chosen)
        return finish(invert(Model("nothing", prior), task or Reconstruct(), y, method))[1]

    def test_needs_no_model(self, pictures: Tensor) -> None:
        state = torch.get_rng_state()
        task = example_task("inpaint")
        result = self.run(task.A(pictures[:1]), task, steps=40)
        curve = result.curves["dip.total"]
        assert min(curve) < 0.5 * curve[0] and result.image.isfinite().all()
        assert torch.equal(torch.get_rng_state(), state)  # all random numbers come from the seed of the run

    def test_computes_in_the_precision_of_the_model(self, pictures: Tensor) -> None:
        exact, same, rounded = (
            self.run(pictures[:1], prior=prior, steps=40)
            for prior in (None, build_prior(), build_prior().freeze(torch.bfloat16))
        )
        assert torch.equal(exact.image, same.image) and not torch.equal(exact.image, rounded.image)
        assert rounded.curves["dip.total"][-1] == pytest.approx(exact.curves["dip.total"][-1], rel=0.1)

    @pytest.mark.parametrize("network", ["small", "published"])
    def test_networks(self, network: str) -> None:
        stage = DeepImagePrior(network=network)
        net = stage.build_network(Reconstruct(), 64, torch.Generator().manual_seed(0))
        assert net(torch.rand(1, 32, 64, 64)).shape == (1, 3, 64, 64)
        count = sum(p.numel() for p in net.parameters())
        assert (count > 1_000_000) == (network == "published")

    def test_shows_the_running_mean_or_the_best_output(self, pictures: Tensor) -> None:
        best = self.run(pictures[:1], steps=10, average=0, jitter=0)
        error = (best.image - pictures[:1]).square().mean().item()
        assert error == pytest.approx(min(best.curves["dip.total"]), rel=1e-3)
        mean = self.run(pictures[:1], steps=10, jitter=0)
        assert not torch.equal(mean.image, best.image)
