"""One pass from a drawing, a label map or another view to pictures, several at once (pSp, Richardson et al. 2021)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from inversion.common.settings import SettingError
from inversion.methods.codes import WPlus
from inversion.model import prior_of
from inversion.synthetic import DOMAINS
from inversion.translations import TRANSLATIONS, input_of
from inversion.translations.base import TranslationOptions
from inversion.translations.label_map import CELEBA_CLASSES

if TYPE_CHECKING:
    from torch import Tensor

    from inversion.encoders import Encoder
    from inversion.model import Model


@dataclass(frozen=True, eq=False)
class TranslationResult:
    """The pictures of one input."""

    pictures: Tensor  # (n, 3, R, R), not clamped
    code: WPlus  # the codes of the n pictures, for editing
    read: Tensor  # (1, channels, size, size), the encoder's input


def translate(
    model: Model, name: str, drawing: NDArray[np.uint8], options: TranslationOptions | None = None
) -> TranslationResult:
    """The pictures that the translation `name` makes of an upload uint8 (H, W, 3).

    The first is the result of the encoder. The variations share its styles before row `mix_layers`. The other rows are
    alpha * random + (1 - alpha) * own, as in the multi-modal output of the paper. The random code of a variation is, of
    `candidates` codes, the one whose styles before `mix_layers` are nearest, because the fine styles of a face in
    another pose would paint halos around the head. Raises SettingError if the model lacks the translation, and
    TranslationError for a drawing that cannot be read.
    """
    chosen = options or TranslationOptions()
    encoder, prior = encoder_for(model, name), prior_of(model)
    start, others = min(chosen.mix_layers, prior.num_ws), chosen.variations - 1
    read = input_of(name).read(drawing, encoder.inputs, encoder.size)
    z = torch.randn(others * chosen.candidates, prior.z_dim, generator=torch.Generator().manual_seed(chosen.seed))
    with torch.no_grad():
        own = encoder(read.to(model.device))
        rows = own.repeat(chosen.variations, 1, 1)
        if others:
            drawn = prior.mapping(z.to(own)).unflatten(0, (others, chosen.candidates))  # (n, candidates, num_ws, w_dim)
            nearest = (drawn - own)[:, :, :start].square().sum(dim=(2, 3)).argmin(dim=1)
            random = drawn[torch.arange(others, device=nearest.device), nearest]
            rows[1:, start:] = torch.lerp(own[:, start:], random[:, start:], chosen.alpha)
        return TranslationResult(prior.synthesis(rows), WPlus(rows), read)


def encoder_for(model: Model, name: str) -> Encoder:
    """The model's encoder for the translation `name`. Raises SettingError with the reason of `unavailable`."""
    reason = unavailable(model, name)
    if reason is not None:
        raise SettingError(reason)
    return model.encoders[name]


def unavailable(model: Model, name: str) -> str | None:
    """The reason why the translation `name` cannot run on the model, or None if it can."""
    if name not in TRANSLATIONS:
        return f"Unknown translation {name!r}. Choose one of: {', '.join(TRANSLATIONS)}."
    if model.prior is None or "w+" not in model.prior.spaces:
        return f"{TRANSLATIONS[name].label} needs a generator with styles, and {model.name} has none."
    if name not in model.encoders:
        return f"{TRANSLATIONS[name].label}: {model.name} has no encoder for this translation. Choose another model."
    return None


def classes_of(model: Model, name: str) -> tuple[str, ...]:
    """Names of the classes that the model's encoder for `name` reads, in the order of its channels."""
    count = model.encoders[name].inputs
    domain = DOMAINS.get(model.domain)
    for names in (domain.classes if domain else (), CELEBA_CLASSES):
        if len(names) == count:
            return names
    return tuple(f"class {i}" for i in range(count))
