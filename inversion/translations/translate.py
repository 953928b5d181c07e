"""One pass from a drawing, a label map or another view to pictures, several at once (pSp, Richardson et al. 2021)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from inversion.common.settings import SettingError
from inversion.encoders import Encoder
from inversion.methods.codes import WPlus
from inversion.model import Model, prior_of
from inversion.synthetic import DOMAINS
from inversion.translations import TRANSLATIONS
from inversion.translations.label_map import CELEBA_CLASSES

MIX_FROM = 7  # the paper keeps the first seven styles; in the embedded generator the rest are colours, too
MOST = 64  # variations of one input
ALIKE = 64  # random codes, at most, of which a variation takes the one whose kept styles are most like its own


@dataclass(frozen=True, eq=False)
class Translated:
    """What came of one input."""

    pictures: Tensor  # (n, 3, R, R), not clamped
    code: WPlus  # of n pictures: what `editing` moves
    read: Tensor  # (1, channels, size, size), what the encoder saw


def translate(
    model: Model,
    name: str,
    drawing: NDArray[np.uint8],
    variations: int = 1,
    mix_layers: int | None = None,
    alpha: float = 1.0,
    seed: int = 0,
    alike: int = ALIKE,
) -> Translated:
    """The pictures that the translation `name` makes of an upload uint8 (H, W, 3).

    The first is the encoder's own. The others share its styles before row `mix_layers`; the rest is mixed with those of
    a random code each, alpha * random + (1 - alpha) * own, as the paper's multi-modal output does. mix_layers: None is
    `MIX_FROM`; num_ws mixes nothing. alike: of how many random codes that is the one whose styles before `mix_layers`
    are nearest to the drawing's, 1 for the paper's any; the fine styles of somebody who looks elsewhere paint halos
    around the head. Raises SettingError for what cannot be, TaskError for a drawing that says nothing.
    """
    encoder, prior = encoder_for(model, name), prior_of(model)
    start = min(MIX_FROM, prior.num_ws) if mix_layers is None else mix_layers
    for ok, what in (
        (1 <= variations <= MOST, f"variations must be between 1 and {MOST}, not {variations}"),
        (0 <= start <= prior.num_ws, f"mix_layers must be between 0 and {prior.num_ws}, not {start}"),
        (0 <= alpha <= 1, f"alpha must be between 0 and 1, not {alpha}"),
        (seed >= 0, f"seed must be 0 or larger, not {seed}"),
        (1 <= alike <= ALIKE, f"alike must be between 1 and {ALIKE}, not {alike}"),
    ):
        if not ok:
            raise SettingError(what)
    read = TRANSLATIONS[name].read(drawing, encoder.inputs, encoder.size)
    z = torch.randn((variations - 1) * alike, prior.z_dim, generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        own = encoder(read.to(model.device))
        rows = own.repeat(variations, 1, 1)
        if variations > 1:
            drawn = prior.mapping(z.to(own)).unflatten(0, (variations - 1, alike))  # (n, alike, num_ws, w_dim)
            nearest = (drawn - own)[:, :, :start].square().sum(dim=(2, 3)).argmin(dim=1)
            chosen = drawn[torch.arange(variations - 1, device=nearest.device), nearest]
            rows[1:, start:] = torch.lerp(own[:, start:], chosen[:, start:], alpha)
        return Translated(prior.synthesis(rows), WPlus(rows), read)


def encoder_for(model: Model, name: str) -> Encoder:
    """The model's encoder for a translation. SettingError where there is none, or no such translation."""
    reason = unavailable(model, name)
    if reason is not None:
        raise SettingError(reason)
    return model.encoders[name]


def unavailable(model: Model, name: str) -> str | None:
    """Why the translation `name` cannot run on the model, or None."""
    if name not in TRANSLATIONS:
        return f"unknown translation {name!r}: choose from {', '.join(TRANSLATIONS)}"
    if model.prior is None or "w+" not in model.prior.spaces:
        return f"{model.name} has no generator with styles"
    return None if name in model.encoders else f"{model.name} has no encoder for {name}"


def classes_of(model: Model) -> tuple[str, ...]:
    """Names of the classes that the model's label maps are made of, in the order of their channels."""
    count = model.encoders["map"].inputs
    known = [CELEBA_CLASSES, *(domain.classes for name, domain in DOMAINS.items() if name == model.domain)]
    fitting = [names for names in known if len(names) == count]
    return fitting[-1] if fitting else tuple(f"class {i}" for i in range(count))
