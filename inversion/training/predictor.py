"""Trains the predictor on renders: attributes by regression, identity by contrasting pictures of different persons."""

from __future__ import annotations

from functools import cached_property

import torch
from torch import Tensor
from torch.nn import functional as F

from inversion.common.devices import fast_dtype
from inversion.perception.predictor import Predictor
from inversion.synthetic import DOMAINS, HELD_OUT, Domain, latents
from inversion.training.loop import Processes, State, Trainer, decay_factor, ramp_factor, run, save_network
from inversion.training.muon import Muon
from inversion.training.options import PredictorOptions
from inversion.training.pictures import PictureFile

HELD_OUT_PERSONS = 128
DECAY = 0.6  # fraction of the run at its end, over which the learning rate falls to 0


def augmented(x: Tensor, rng: torch.Generator) -> Tensor:
    """Pictures (B, 3, R, R), some blurred and noisy: a generator's soft picture must not be read as another person."""
    blurred = F.avg_pool2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
    amount = torch.rand(len(x), 1, 1, 1, generator=rng)
    noise = torch.randn(x.shape, generator=rng) * 0.06 * torch.rand(len(x), 1, 1, 1, generator=rng)
    return torch.lerp(x, blurred, amount) + noise


def contrast(a: Tensor, b: Tensor, temperature: float = 0.1) -> Tensor:
    """InfoNCE (van den Oord et al. 2018) of embeddings a, b (B, D): row i of a belongs to row i of b only."""
    logits = a @ b.t() / temperature
    labels = torch.arange(len(a), device=a.device)
    return 0.5 * (F.cross_entropy(logits, labels) + F.cross_entropy(logits.t(), labels))


class PredictorScore:
    """Held-out figures: explained variance of the attributes; how often the nearest embedding is the same person's."""

    def __init__(self, domain: Domain, n: int) -> None:
        self.domain, seeds = domain, list(range(HELD_OUT, HELD_OUT + n))
        self.factors = domain.factors(latents(seeds))
        self.pictures = domain.render(self.factors, domain.resolution).picture
        self.same_individuals = domain.render(domain.same_individuals(self.factors, seeds), domain.resolution).picture

    @torch.no_grad()
    def __call__(self, net: Predictor) -> dict[str, float]:
        """Fractions, at most 1: over all attributes, of identities, and of each headline attribute."""
        net.eval()
        predicted, identities = net.heads(self.pictures)
        nearest = (identities @ net.embed(self.same_individuals).t()).argmax(1)
        net.train()
        error = (predicted - self.factors).square().mean(0) / self.factors.var(0)
        hits = (nearest == torch.arange(len(nearest))).float().mean()
        headline = self.domain.headline
        columns = zip(headline, self.domain.columns(headline), strict=True)
        named = {name: round(1 - float(error[column]), 3) for name, column in columns}
        return {"r2": 1 - float(error.mean()), "identity_top1": float(hits)} | named


class PredictorTrainer(Trainer):
    """Trains the predictor on pairs of pictures of one person. Raises TrainingError if a file is missing."""

    every = 200

    def __init__(self, options: PredictorOptions) -> None:
        self.options, self.domain = options, DOMAINS[options.domain]
        self.net = Predictor(self.domain.names).train().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.optimizer = Muon(self.net.parameters(), lr=options.lr)
        side = self.domain.resolution
        self.pictures = PictureFile(options.pictures, options.count, side, domain=options.domain)
        self.same_individuals = PictureFile(options.pictures, options.pairs, side, True, options.domain)
        self.resume(options.out)

    @cached_property
    def score(self) -> PredictorScore:
        """The held-out figures."""
        return PredictorScore(self.domain, HELD_OUT_PERSONS)

    @property
    def finished(self) -> bool:
        """Whether all steps are done."""
        return self.steps >= self.options.steps

    def step(self, rng: torch.Generator) -> dict[str, float]:
        """One update on a batch of pairs."""
        o = self.options
        rows = torch.randperm(o.pairs, generator=rng)[: o.batch]
        own = self.domain.factors(latents(rows.tolist()))
        factors = torch.cat([own, self.domain.same_individuals(own, rows.tolist())])
        x = torch.cat([self.pictures.batch(rows)[0], self.same_individuals.batch(rows)[0]])
        with torch.autocast("cpu", torch.bfloat16, enabled=fast_dtype(x.device) is torch.bfloat16):
            predicted, embedding = self.net.heads(augmented(x, rng))
        identities, of_same = embedding.float().chunk(2)
        loss = F.mse_loss(predicted.float(), factors) + 0.1 * contrast(identities, of_same)
        self.optimizer.zero_grad()
        loss.backward()
        rate = o.lr * ramp_factor(self.steps, 100) * decay_factor(self.steps / o.steps, DECAY)
        self.optimizer.param_groups[0]["lr"] = rate
        self.optimizer.step()
        self.steps += 1
        return {"loss": float(loss.detach())}

    def progress(self) -> dict[str, float]:
        """The step."""
        return {"step": self.steps}

    def examine(self) -> dict[str, float]:
        """Held-out figures."""
        return self.score(self.net)

    def state(self) -> State:
        """The network, its optimiser and the step."""
        return {"net": self.net.state_dict(), "optimizer": self.optimizer.state_dict(), "step": self.steps}

    def load(self, state: State) -> None:
        """Resume from a checkpoint."""
        self.net.load_state_dict(state["net"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.steps = state["step"]


def main(options: PredictorOptions) -> None:
    """Train, or resume the run; then write ``predictor.safetensors``. Raises TrainingError."""
    torch.manual_seed(options.seed)
    trainer = PredictorTrainer(options)
    if run(trainer, options, Processes()):
        save_network(options.out / "predictor.safetensors", trainer.net.state_dict())
