"""Whether a picture is in the domain of an embedded model; if not, what the model knows and what may work instead.

The measure is the PSNR of one pass of the pSp encoder, which was trained on renders only and reproduces nothing else.
`python -m benchmarks.domain` measures how well the thresholds of the domains separate pictures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from inversion import align, images, metrics
from inversion.align import Crop
from inversion.synthetic import DOMAINS
from inversion.synthetic.base import KnownDomain

if TYPE_CHECKING:
    from torch import Tensor

    from inversion.model import Model


def known_domains() -> dict[str, KnownDomain]:
    """The embedded domains that a model can recognise, by name."""
    return {name: domain.known for name, domain in DOMAINS.items() if domain.known is not None}


def outside_methods() -> tuple[str, ...]:
    """Keys of the methods that reach pictures outside the domain of a model."""
    from inversion.methods import METHODS

    return tuple(key for key, method in METHODS.items() if method.leaves_domain)


@dataclass(frozen=True)
class DomainAnswer:
    """score: PSNR in dB, None if the model has no measure; then `inside` is true. text: for the user, "" if inside.

    better: another model that knows the picture, None if there is none. methods: keys of METHODS that reach outside.
    """

    score: float | None
    inside: bool
    text: str = ""
    better: str | None = None
    methods: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class DomainRequest:
    """Whether a picture uint8 (H, W, 3) is in the domain of a model, as a quick request.

    crop: the part of it. outside: methods that the answer names if it is not; None: all that reach such pictures.
    """

    model: str
    picture: np.ndarray
    crop: Crop = Crop()
    outside: tuple[str, ...] | None = None

    def __call__(self, model: Model) -> DomainAnswer:
        known = known_domains().get(model.domain)
        if known is None:
            return DomainAnswer(None, True)
        score = self._score(known, model, self.crop)
        if score >= known.threshold:
            return DomainAnswer(round(score, 2), True)
        better = next(
            (other for other in known_domains().values() if other != known and self._fits(other, model)), None
        )
        name = None if better is None else better.model
        methods = _available(outside_methods() if self.outside is None else self.outside, model)
        return DomainAnswer(round(score, 2), False, explained(known, better, methods), name, methods)

    def _fits(self, known: KnownDomain, model: Model) -> bool:
        return self._score(known, model, Crop()) >= known.threshold

    def _score(self, known: KnownDomain, model: Model, crop: Crop) -> float:
        from inversion.checkpoints import hub  # imports all networks

        used = model if model.name == known.model else hub.load(known.model, device=str(model.device))
        picture = images.to_tensor(align.part_of(self.picture, crop, used.resolution))
        return scores(used, picture)[0]


def scores(model: Model, pictures: Tensor) -> list[float]:
    """PSNR in dB of the pSp reconstructions of pictures (B, 3, R, R) in [-1, 1]."""
    from inversion.methods import parse_method
    from inversion.methods.run import invert
    from inversion.tasks import Reconstruct

    pictures = pictures.to(model.device)
    *_, result = invert(model, Reconstruct(), pictures, parse_method("psp"))
    return [] if result.image is None else metrics.psnr(result.image, pictures)


def explained(known: KnownDomain, better: KnownDomain | None, methods: Sequence[str]) -> str:
    """Sentences for a picture outside the domain `known`: the model that fits better, or else the methods, by key."""
    from inversion.methods import METHODS

    sentences = [f"This model knows {known.knows}."]
    if better is not None:
        sentences.append(f"The {better.label} fits this picture better.")
    elif methods:
        labels = ", ".join(METHODS[key].label for key in methods)
        sentences += ["Encoders show something else.", f"Suited to this picture: {labels}."]
    return " ".join(sentences)


def _available(methods: Sequence[str], model: Model) -> tuple[str, ...]:
    """Those of the methods that the model can run."""
    from inversion.methods import METHODS

    return tuple(key for key in methods if METHODS[key].unavailable(model) is None)
