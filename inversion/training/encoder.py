"""Trains the encoders that the methods start from, for the embedded domain or for a folder of pictures.

There is one trainer, and one recipe for each paper or task. The generator is not changed. At its end, a run writes
``encoder.safetensors`` in half precision.
"""

from __future__ import annotations

from contextlib import AbstractContextManager

import torch
from torch import Tensor

from inversion.checkpoints import hub
from inversion.checkpoints.layouts.ours import encoder_header
from inversion.encoders import E4E, NarrowE4E
from inversion.generators import Discriminator, Prior
from inversion.generators.statistics import principal_axes, spread
from inversion.losses import LossWeights, Objective
from inversion.metrics import psnr
from inversion.model import Model, prior_of
from inversion.tasks import Reconstruct
from inversion.training.data import ExampleSource, example_source
from inversion.training.discriminators import DiscriminatorTrainer, StyleDiscriminator
from inversion.training.examples import Example
from inversion.training.loop import (
    Processes,
    State,
    Stateful,
    Trainer,
    decay_factor,
    ramp_factor,
    run,
    save_network,
)
from inversion.training.models import domain_of, label_classes
from inversion.training.networks import build, copy_matching_weights
from inversion.training.options import EncoderCommandOptions, EncoderOptions, TrainingError
from inversion.training.recipes import EncoderRecipe

COMPARED_VARIANCE = 0.999  # part of W's variance that lies on the axes along which codes are compared
YAW = "yaw"  # the factor whose error is measured in degrees, in domains that have it
RAMP = 0.03  # fraction of a run at its start, over which the learning rate grows


@torch.no_grad()
def code_units(prior: Prior, compared: str) -> Tensor:
    """A matrix (w_dim, k) that scales differences of styles: random styles then have variance 1 in each column.

    "entries" keeps every entry, all in one unit; "axes" turns to the principal axes that hold COMPARED_VARIANCE of W.
    """
    if compared == "entries":
        return torch.eye(prior.w_dim) / spread(prior)
    axes, variance = principal_axes(prior)
    kept = variance.cumsum(dim=0) > (1 - COMPARED_VARIANCE) * variance.sum()  # all but the smallest
    return axes[:, kept] / variance[kept].sqrt()


class EncoderLearner:
    """The encoder with its optimiser and discriminators; `update` makes one step on an example.

    Raises TrainingError if the recipe needs a discriminator or a domain that the model lacks.
    """

    def __init__(
        self, options: EncoderOptions, recipe: EncoderRecipe, offsets: bool, model: Model, processes: Processes
    ) -> None:
        self.options, self.recipe, self.model, self.processes = options, recipe, model, processes
        self.prior, self.steps = prior_of(model), 0
        classes = label_classes(model) if recipe.translates else 0
        encoder = build(self.prior, recipe, offsets, classes, options.network)
        self.encoder = encoder.to(processes.device).requires_grad_(True)
        self.optimizer = processes.muon(self.encoder.parameters(), options.lr)
        self.discriminators: dict[str, DiscriminatorTrainer] = {}
        if recipe.adversarial:
            self.discriminators["adversarial"] = self._of_pictures()
        if recipe.latent:
            network = StyleDiscriminator(self.prior.w_dim).to(processes.device)
            adam = torch.optim.Adam(network.parameters(), lr=2e-5, betas=(0.0, 0.99))
            self.discriminators["latent"] = DiscriminatorTrainer(network, adam, gamma=10.0)
        self.units = code_units(self.prior, recipe.compared).to(processes.device)
        self.spread = spread(self.prior)

    def _of_pictures(self) -> DiscriminatorTrainer:
        """A trainable copy of the model's discriminator."""
        shared = self.model.discriminator
        if shared is None:
            raise TrainingError(f"{self.model.name} has no discriminator to start from. Give --set adversarial=0.")
        network = Discriminator.from_state_dict({k: v.clone() for k, v in shared.state_dict().items()}, group=1)
        if self.prior.compute_dtype is torch.bfloat16:
            network.compute_dtype = torch.bfloat16
        network = network.to(self.processes.device)
        adam = torch.optim.Adam(network.parameters(), lr=1e-4, betas=(0.0, 0.99))
        return DiscriminatorTrainer(network, adam, gamma=10.0)

    def parts(self) -> dict[str, Stateful]:
        """All networks and optimisers, by their names in the checkpoint."""
        found: dict[str, Stateful] = {"encoder": self.encoder, "optimizer": self.optimizer}
        for name, one in self.discriminators.items():
            found |= {f"{name}.discriminator": one.network, f"{name}.optimizer": one.optimizer}
        return found

    def offset_count(self) -> int | None:
        """The number of e4e's offsets that are trained: 0 at first, then one more at a time over half of the run."""
        if not self.recipe.delta:
            return None
        return min(self.prior.num_ws - 1, int(self.steps / (0.5 * self.options.steps) * self.prior.num_ws))

    def predict(self, x: Tensor) -> Tensor:
        """Offsets to the mean style (B, num_ws, w_dim) for the encoder's input (B, inputs, size, size)."""
        x = x.contiguous(memory_format=torch.channels_last)
        with self.autocast():
            if isinstance(self.encoder, (NarrowE4E, E4E)):
                return self.encoder.offsets(x, self.offset_count()).float()
            return self.encoder.offsets(x).float()

    def autocast(self) -> AbstractContextManager[None]:
        """bfloat16 if the generator computes in it, which halves the time of encoder and discriminators."""
        wanted = self.prior.compute_dtype is torch.bfloat16
        return torch.autocast(self.processes.device.type, torch.bfloat16, enabled=wanted)

    def update(self, given: Example, rng: torch.Generator) -> dict[str, float]:
        """One update; returns the means of the loss terms."""
        r, device = self.recipe, self.processes.device
        losses: dict[str, Tensor] = {}
        self.encoder.train()
        self.optimizer.zero_grad()
        if r.codes and not r.reads:
            with torch.no_grad():
                z = torch.randn(len(given.target), self.prior.z_dim, generator=rng)
                sample = self.prior(z.to(device))
            predicted = self.predict(self.encoder.fit(sample)) + self.encoder.latent_avg
            losses["codes"] = self._code_error(predicted, z.to(device)).mean()
            (r.codes * losses["codes"]).backward()
        given = given.to(device)
        if r.codes and r.reads and given.z is not None and self.steps < r.warm * self.options.steps:
            losses["codes"] = self._code_error(self.encoder.latent_avg + self.predict(given.input), given.z).mean()
            losses["codes"].backward()
        elif r.pixel or r.perceptual:
            losses |= self._picture_losses(given, rng)
        self.processes.average_gradients(self.encoder)
        self.optimizer.param_groups[0]["lr"] = self._learning_rate()
        self.optimizer.step()
        self.steps += 1
        return {name: float(value.detach()) for name, value in losses.items()}

    def _learning_rate(self) -> float:
        o = self.options
        return o.lr * decay_factor(self.steps / o.steps, o.decay) * ramp_factor(self.steps, RAMP * o.steps)

    def _picture_losses(self, given: Example, rng: torch.Generator) -> dict[str, Tensor]:
        """Backpropagate all terms that look at pictures, pass by pass (ReStyle); each starts from the last result."""
        x = given.target
        objective = Objective(Reconstruct(), x, self.model, LossWeights(self.recipe.pixel, 0, self.recipe.perceptual))
        ws = self.encoder.latent_avg.expand(len(x), -1, -1)
        shown = self.prior.synthesis(ws[:1]).expand(len(x), -1, -1, -1) if self.recipe.turns > 1 else x
        terms: dict[str, Tensor] = {}
        for _ in range(self.recipe.turns):
            seen = given.input if self.recipe.turns == 1 else self.encoder.fit(torch.cat([x, shown], dim=1))
            ws = ws.detach() + self.predict(seen)
            image = self.prior.synthesis(ws)
            with self.autocast():
                terms, more = objective(image), self._further_terms(given, image, ws)
            total = terms.pop("total") + sum(getattr(self.recipe, k) * value for k, value in more.items())
            total.mean().backward()
            terms |= more
            shown = image.detach()
        if "adversarial" in self.discriminators:
            self.discriminators["adversarial"].update(x, image, self.steps, self.processes)
        if "latent" in self.discriminators:
            mapped = self.prior.mapping(torch.randn(len(x), self.prior.z_dim, generator=rng).to(x))
            rows = torch.arange(len(x)), torch.randint(0, self.prior.num_ws, (len(x),), generator=rng)
            self.discriminators["latent"].update(mapped[rows], ws[rows], self.steps, self.processes)
        return {name: value.mean() for name, value in terms.items()}

    def _further_terms(self, given: Example, image: Tensor, ws: Tensor) -> dict[str, Tensor]:
        """Unweighted terms (B,) that only training uses: identity, codes, norms, and the discriminators'."""
        r, found = self.recipe, dict[str, Tensor]()
        embed = self.model.embed
        if r.identity and embed is not None:
            with torch.no_grad():
                truth = embed(given.target)
            found["identity"] = 1 - (embed(image) * truth).sum(dim=1)
        if r.codes and r.reads and given.z is not None:
            found["codes"] = self._code_error(ws, given.z)
        if r.norm:
            offsets = (ws - self.encoder.latent_avg).flatten(1)
            found["norm"] = offsets.norm(dim=1) / (self.spread * offsets.shape[1] ** 0.5)
        if r.delta:
            found["delta"] = (ws[:, 1:] - ws[:, :1]).norm(dim=2).sum(dim=1)
        if "adversarial" in self.discriminators:
            found["adversarial"] = self.discriminators["adversarial"].generator_loss(image)
        if "latent" in self.discriminators:
            logits = self.discriminators["latent"].generator_loss(ws.flatten(0, 1))
            found["latent"] = logits.unflatten(0, ws.shape[:2]).mean(dim=1)
        return found

    def _code_error(self, ws: Tensor, z: Tensor) -> Tensor:
        """Squared error (B,) of styles (B, num_ws, w_dim) against those of z (B, z_dim), in the recipe's units."""
        with torch.no_grad():
            truth = self.prior.mapping(z)
        return ((ws - truth) @ self.units).square().mean(dim=(1, 2))


@torch.no_grad()
def held_out_scores(learner: EncoderLearner, given: Example) -> dict[str, float]:
    """Means over held-out examples: PSNR in dB (ReStyle: after each pass), identity, and the error of the yaw."""
    encoder = learner.encoder.eval()
    device, predictor = learner.processes.device, learner.model.predictor
    embed, prior, x = learner.model.embed, learner.prior, given.target.to(device)
    ws = encoder.latent_avg.expand(len(x), -1, -1)
    shown = prior.synthesis(ws[:1]).expand(len(x), -1, -1, -1)
    row: dict[str, float] = {}
    for turn in range(1, learner.recipe.turns + 1):
        seen = given.input.to(device) if learner.recipe.turns == 1 else encoder.fit(torch.cat([x, shown], dim=1))
        ws = ws + learner.predict(seen)
        shown = torch.cat([prior.synthesis(part) for part in ws.split(8)])
        values = psnr(shown, x)
        row["psnr" if turn == learner.recipe.turns else f"psnr_{turn}"] = sum(values) / len(values)
    if embed is not None:
        row["identity"] = float((embed(shown) * embed(x)).sum(dim=1).mean())
    if predictor is not None and YAW in predictor.names:
        (yaw,) = (factor for factor in domain_of(learner.model).table if factor.name == YAW)
        error = (predictor.attributes(shown)[YAW] - predictor.attributes(x)[YAW]).abs().mean()
        row["yaw_degrees"] = float(error) * (yaw.high - yaw.low) / 2
    return row


class EncoderTrainer(Trainer):
    """Trains an encoder on examples; resumes from the checkpoint, or starts from another encoder (`--start`)."""

    every = 200

    def __init__(self, learner: EncoderLearner) -> None:
        self.learner, self.options = learner, learner.options
        if not self.resume(self.options.out) and self.options.start is not None:
            copy_matching_weights(learner.encoder, self.options.start)
        self.data: ExampleSource = example_source(self.options, learner.recipe, learner.encoder, learner.model)

    @property
    def finished(self) -> bool:
        """Whether all steps are done."""
        return self.steps >= self.options.steps

    def step(self, rng: torch.Generator) -> dict[str, float]:
        """One update on a random batch."""
        given = self.data.batch(self.options.batch // self.learner.processes.count, rng)
        losses = self.learner.update(given, rng)
        self.steps = self.learner.steps
        return losses

    def progress(self) -> dict[str, float]:
        """The step."""
        return {"step": self.steps}

    def examine(self) -> dict[str, float]:
        """Figures on the held-out examples."""
        return held_out_scores(self.learner, self.data.held_out)

    def state(self) -> State:
        """Encoder, discriminators and optimisers."""
        return {name: part.state_dict() for name, part in self.learner.parts().items()} | {"done": self.steps}

    def load(self, state: State) -> None:
        """Resume from a checkpoint of the same recipe. Raises KeyError or RuntimeError for another one."""
        for name, part in self.learner.parts().items():
            part.load_state_dict(state[name])
        self.steps = self.learner.steps = state["done"]


def train(recipe: EncoderRecipe, offsets: bool, options: EncoderOptions) -> None:
    """Run or resume, then write the encoder. Raises TrainingError or HubError."""
    processes = Processes.launched()
    torch.manual_seed(options.seed)
    model = hub.load(options.model, device=processes.device.type)
    if model.prior is None:
        raise TrainingError(f"{options.model} has no generator to encode for. Choose another model.")
    if "w+" not in model.prior.spaces and (offsets or recipe.turns > 1):
        raise TrainingError(f"{options.model} has no W+ space, which this recipe needs. Choose another recipe.")
    learner = EncoderLearner(options, recipe, offsets, model, processes)
    if run(EncoderTrainer(learner), options, processes) and processes.is_main:
        tensors = {k: v for k, v in learner.encoder.state_dict().items() if not k.endswith("num_batches_tracked")}
        save_network(options.out / "encoder.safetensors", tensors, encoder_header(learner.encoder))


def main(options: EncoderCommandOptions) -> None:
    """Run or resume, then write the encoder. Raises TrainingError or HubError."""
    recipe = options.changed_recipe()
    train(recipe, options.recipe == "e4e", options)
