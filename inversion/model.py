"""A model: a generator and the networks that belong to it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING

from inversion.common.settings import SettingError, checked, setting

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from inversion.directions.base import Direction
    from inversion.encoders import Encoder
    from inversion.generators import Discriminator, Prior
    from inversion.perception import Perceptual, Predictor


def _cpu() -> torch.device:
    import torch

    return torch.device("cpu")


MAX_CONFIGURED = 16  # kept per model: measuring the mean style of a class takes a second


@dataclass(frozen=True)
class ModelOptions:
    """Options of a model besides its name. Commands, page and API derive their controls from it."""

    label: int = setting(
        -1, "Class", "The class of pictures, from 0, if the model has classes; -1 for the mean of all classes.", min=-1
    )


def checked_options(values: Mapping[str, object], classes: int) -> ModelOptions:
    """The options of a model with `classes` classes (0: none) from values by field. Raises SettingError."""
    specs = {spec.name: spec for spec in fields(ModelOptions)}
    for name in values:
        if name not in specs:
            raise SettingError(f"A model has no option {name!r}. Choose one of: {', '.join(specs)}.")
    given = {name: checked(f"The model's {name}", specs[name], value) for name, value in values.items()}
    options = replace(ModelOptions(), **given)  # type: ignore[arg-type]
    if options.label >= 0 and not classes:
        raise SettingError("This model has no classes. Leave the class out.")
    if options.label >= max(classes, 1) and classes:
        raise SettingError(f"This model has the classes 0 to {classes - 1}, not {options.label}.")
    return options


@dataclass
class Model:
    """A generator and the networks that belong to it, frozen and on `device`. Missing parts are None or empty."""

    name: str
    prior: Prior | None = None
    resolution: int = 0  # side in pixels
    device: torch.device = field(default_factory=_cpu)
    discriminator: Discriminator | None = None
    encoders: Mapping[str, Encoder] = field(default_factory=dict)  # by role; `Encoder.reads` is the kind of input
    directions: dict[str, Direction] = field(default_factory=dict)  # for moving its styles, by name
    axes: dict[str, Tensor] = field(default_factory=dict)  # see `training.axes`: "w" and "wplus", (rows, w_dim, w_dim)
    perceptual: Perceptual | None = None  # LPIPS only
    features: Perceptual | None = None  # the distance that the generator's authors use for inversion, if not LPIPS
    identity: nn.Module | None = None  # ArcFace only
    predictor: Predictor | None = None  # of attributes and identity, for the embedded faces
    pictures: Callable[[int, torch.Generator], Tensor] | None = None  # (n, rng) -> (n, 3, R, R) of the domain
    domain: str = ""
    licence: str = ""
    sha256: str = ""  # of the generator's file
    base_sha256: str = ""  # of the file that a tuned generator was tuned from
    options: ModelOptions = ModelOptions()
    _configured: dict[ModelOptions, Model] = field(default_factory=dict, init=False, repr=False)  # made so far
    absent: dict[str, str] = field(default_factory=dict)  # name of an entry that is not attached -> reason

    def configured(self, values: Mapping[str, object]) -> Model:
        """The model with these options, by field of `ModelOptions`; weights are shared. Raises SettingError."""
        options = checked_options(values, 0 if self.prior is None else self.prior.classes)
        if options == self.options:
            return self
        if options not in self._configured:
            if len(self._configured) >= MAX_CONFIGURED:
                self._configured.clear()
            chosen = replace(self, prior=prior_of(self).for_class(options.label), options=options)
            self._configured[options] = chosen
        return self._configured[options]

    @property
    def perceptual_loss(self) -> Perceptual | None:
        """The distance for losses. `Perceptual.name` says which one it is. None if the model has no such network.

        The first of: the authors' choice, LPIPS, features of the predictor, features of the discriminator.
        """
        if self.features is not None:
            return self.features
        if self.perceptual is not None:
            return self.perceptual
        if self.predictor is not None:
            return self.synthetic_perceptual
        if self.discriminator is not None:
            from inversion.perception import Perceptual

            return Perceptual("discriminator", self.discriminator.features)
        return None

    @property
    def embed(self) -> Callable[[Tensor], Tensor] | None:
        """Pictures (B, 3, R, R) -> unit embeddings (B, D) of the persons: ArcFace, else the predictor, else None."""
        if self.identity is not None:
            return self.identity
        return None if self.predictor is None else self.predictor.embed

    @property
    def synthetic_perceptual(self) -> Perceptual | None:
        """The distance between features of the predictor. None if the model has no predictor."""
        if self.predictor is None:
            return None
        from inversion.perception import Perceptual

        return Perceptual("synthetic_perceptual", self.predictor.features)


class Encoders(Mapping[str, "Encoder"]):
    """Encoders of a model by role, opened at their first use, because each may take a gigabyte. Thread-safe."""

    def __init__(self, openers: Mapping[str, Callable[[], Encoder]]) -> None:
        self._openers = openers
        self._opened: dict[str, Encoder] = {}
        self._lock = threading.Lock()

    def __getitem__(self, role: str) -> Encoder:
        """The encoder. Raises KeyError if no encoder has this role, HubError if its file cannot be used."""
        opener = self._openers[role]
        with self._lock:
            if role not in self._opened:
                self._opened[role] = opener()
            return self._opened[role]

    def __contains__(self, role: object) -> bool:
        return role in self._openers  # the inherited method would open the encoder

    def __iter__(self) -> Iterator[str]:
        return iter(self._openers)

    def __len__(self) -> int:
        return len(self._openers)


def prior_of(model: Model) -> Prior:
    """The model's generator. Raises ValueError if it has none: check `Method.unavailable` first."""
    if model.prior is None:
        raise ValueError(f"{model.name} has no generator")
    return model.prior
