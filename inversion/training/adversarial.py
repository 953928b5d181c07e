"""The adversarial stage: regression on renders continues, and a discriminator restores the detail that is blurred."""

from __future__ import annotations

import copy
from functools import cached_property

import torch
from torch import Tensor, nn

from inversion.checkpoints import hub
from inversion.common.devices import fast_dtype
from inversion.generators.base import Prior, Size
from inversion.generators.stylegan2 import Discriminator
from inversion.losses import gradient_penalty
from inversion.model import Model, prior_of
from inversion.synthetic import latents
from inversion.training.discriminators import DiscriminatorTrainer
from inversion.training.generator import GeneratorScore, build, distance, update_average
from inversion.training.loop import Processes, State, Stateful, Trainer, decay_factor, load_checkpoint, run
from inversion.training.models import domain_of
from inversion.training.options import AdversarialOptions
from inversion.training.pictures import PictureFile

DISCRIMINATOR = Size(160, 4096, least=32)


def precise_penalty(network: nn.Module, real: Tensor) -> Tensor:
    """R1 penalty (B,) at real pictures (B, 3, R, R), in float32."""
    if not isinstance(network, Discriminator):
        return gradient_penalty(network, real)
    dtype, network.compute_dtype = network.compute_dtype, torch.float32
    penalty = gradient_penalty(network, real)
    network.compute_dtype = dtype
    return penalty


def starting_generator(options: AdversarialOptions, model: Model, dtype: torch.dtype) -> Prior:
    """A trainable generator as `train generator` left it, or a copy of the model's. Raises OSError or TrainingError."""
    if options.distilled is not None:
        prior = build(options.resolution, dtype)
        prior.load_state_dict(load_checkpoint(options.distilled)["average"])
        return prior
    shipped = prior_of(model)
    prior = type(shipped).from_state_dict({name: tensor.clone() for name, tensor in shipped.state_dict().items()})
    prior.compute_dtype = dtype
    return prior.requires_grad_(True)


class AdversarialTrainer(Trainer):
    """Trains the generator, its averaged weights and the discriminator. Raises TrainingError, HubError or OSError."""

    every = 100

    def __init__(self, options: AdversarialOptions, processes: Processes) -> None:
        self.options, self.processes = options, processes
        device = processes.device
        dtype = fast_dtype(device)
        model = hub.load(options.model, device="cpu")
        domain_of(model)  # it needs a renderer
        self.domain, self.prior = model.domain, starting_generator(options, model, dtype).to(device)
        self.average = copy.deepcopy(self.prior).requires_grad_(False)
        side = self.prior.resolution
        # Groups of one: tuning shows one picture at a time, and one picture has no deviation within a batch.
        network = Discriminator(side, DISCRIMINATOR.channels(side), group=1, compute_dtype=dtype).to(device)
        self.optimizer = torch.optim.Adam(self.prior.parameters(), lr=options.lr, betas=(0.0, 0.99))
        muon = processes.muon(network.parameters(), options.lr_discriminator)
        self.discriminator = DiscriminatorTrainer(network, muon, options.gamma, options.r1_every, precise_penalty)
        self.file = PictureFile(options.pictures, options.count, side, domain=self.domain)
        self.shown = 0
        self.resume(options.out)

    @cached_property
    def score(self) -> GeneratorScore:
        """The held-out figures."""
        return GeneratorScore(self.prior.resolution, self.processes.device, domain=self.domain)

    @property
    def finished(self) -> bool:
        """Whether all pictures have been shown."""
        return self.shown >= self.options.kimg * 1000

    def step(self, rng: torch.Generator) -> dict[str, float]:
        """One update of the generator (after `alone_kimg`) and of the discriminator."""
        o, device = self.options, self.processes.device
        factor = decay_factor(self.shown / (o.kimg * 1000), o.decay)
        self.optimizer.param_groups[0]["lr"] = o.lr * factor
        self.discriminator.optimizer.param_groups[0]["lr"] = o.lr_discriminator * factor
        rows = torch.randint(0, o.count, (o.batch // self.processes.count,), generator=rng)
        z = latents(rows.tolist()).to(device)
        losses: dict[str, float] = {}
        if self.shown < o.alone_kimg * 1000:
            with torch.no_grad():
                fake = self.prior(z)
        else:
            fake, losses = self._update_generator(z, rows)
        # The fakes imitate other renders than these: otherwise the discriminator could compare pairs.
        real = self.file.batch((rows + self.file.count // 2) % self.file.count)[0].to(device)
        loss, accuracy = self.discriminator.update(real, fake, self.steps, self.processes)
        self.steps, self.shown = self.steps + 1, self.shown + o.batch
        update_average(self.average, self.prior, 0.5 ** (o.batch / (1000 * o.ema_kimg)))
        return losses | {"discriminator_loss": float(loss), "discriminator_accuracy": float(accuracy)}

    def _update_generator(self, z: Tensor, rows: Tensor) -> tuple[Tensor, dict[str, float]]:
        """One update towards the renders of row numbers (B,). Returns the pictures of z (B, z_dim) and the losses."""
        o = self.options
        real, detail = (t.to(self.processes.device) for t in self.file.batch(rows))
        fake = self.prior(z)
        weight = o.adversarial * min(1.0, (self.shown / 1000 - o.alone_kimg) / o.ramp_kimg)
        regression = distance(fake, real, 1 + o.detail * detail)
        adversarial = self.discriminator.generator_loss(fake).mean()
        self.optimizer.zero_grad()
        (regression + weight * adversarial).backward()
        self.processes.average_gradients(self.prior)
        self.optimizer.step()
        return fake, {"regression": float(regression.detach()), "adversarial": float(adversarial.detach())}

    def progress(self) -> dict[str, float]:
        """Steps and thousands of pictures shown."""
        return {"step": self.steps, "kimg": self.shown / 1000}

    def examine(self) -> dict[str, float]:
        """Held-out figures of the averaged weights."""
        return self.score(self.average, self.prior.resolution)

    def parts(self) -> dict[str, Stateful]:
        """All networks and optimisers, by their names in the checkpoint."""
        return {
            "prior": self.prior,
            "average": self.average,
            "discriminator": self.discriminator.network,
            "prior_optimizer": self.optimizer,
            "discriminator_optimizer": self.discriminator.optimizer,
        }

    def state(self) -> State:
        """Networks, optimisers and counters."""
        state: State = {name: part.state_dict() for name, part in self.parts().items()}
        return state | {"shown": self.shown, "step": self.steps}

    def load(self, state: State) -> None:
        """Resume from a checkpoint of the same settings. Raises KeyError or RuntimeError for another one."""
        for name, part in self.parts().items():
            part.load_state_dict(state[name])
        self.shown, self.steps = state["shown"], state["step"]


def main(options: AdversarialOptions) -> None:
    """Train, or resume the run. Raises TrainingError, or OSError if the distilled generator is missing."""
    processes = Processes.launched()
    torch.manual_seed(options.seed)
    run(AdversarialTrainer(options, processes), options, processes)
