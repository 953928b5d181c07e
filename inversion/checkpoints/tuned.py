"""Tuned generators as files: a complete generator, which loads like any other and needs no other file.

    write_tuned(path, model, result.weights, method="pti")
    model = load(add_file(path))

Tuning changes almost all weights of the synthesis, so the file holds every tensor of the generator and not only those
that changed: it is a few per cent larger and stays usable without its base. It has the format of a converted file, see
`converted`. Its header also names the model that it was tuned from: with that, codes of the base fit the tuned model,
and the encoders, directions and the discriminator of the base serve it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from inversion.checkpoints.registry import registry
from inversion.common.names import write_new
from inversion.generators import GENERATORS
from inversion.model import prior_of

if TYPE_CHECKING:
    from torch import Tensor

    from inversion.model import Model


def packed_generator(model: Model, weights: Mapping[str, Tensor], method: str = "") -> bytes:
    """The bytes of a safetensors file of the model's generator with tuned weights (`Result.weights`).

    model: without options, because a tuned generator has all classes. Raises ValueError for an unknown tensor name.
    """
    from safetensors.torch import save

    from inversion.checkpoints.converted import HEADER, TUNED, VERSION  # imports all networks

    prior = prior_of(model)
    tensors = prior.state_dict()
    unknown = [name for name in weights if name not in tensors]
    if unknown:
        raise ValueError(f"the generator has no tensor {unknown[0]}")
    merged = {**tensors, **weights}
    tensors = {f"generator.{name}": value.detach().cpu().contiguous().clone() for name, value in merged.items()}
    architecture = next(name for name, kind in GENERATORS.items() if type(prior) is kind)
    entry = registry().get(model.name)
    facts = {
        "model": model.name,
        "sha256": model.sha256,
        "method": method,
        "domain": model.domain,
        "licence": model.licence,
        "crop": "none" if entry is None else entry.crop,
    }
    header = {
        "version": VERSION,
        "networks": {"generator": {"architecture": architecture, "layout": "inversion"}},
        "format": "safetensors",
        TUNED: facts,
    }
    return save(tensors, {HEADER: json.dumps(header)})


def write_tuned(path: Path, model: Model, weights: Mapping[str, Tensor], method: str = "") -> Path:
    """Write the file of a tuned generator; if the file exists, NAME-2, ... Returns its path. Raises OSError."""
    return write_new(path, partial(Path.write_bytes, data=packed_generator(model, weights, method)))
