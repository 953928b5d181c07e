"""The function that runs each network of golden cases, and the check of one case file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from inversion.parity import encoders, generators
from inversion.parity.cases import LIMIT, LOOSE, Case, CaseError, Difference
from inversion.parity.fill import Filler
from inversion.parity.generators import Computed

CACHED_WEIGHTS = 1 << 27  # numbers kept from case to case: half a gigabyte
MANIFESTS = Path(__file__).resolve().parents[2] / "tests" / "goldens" / "manifests"

# `meta["network"]` -> (function that runs it, limit of its scaled differences)
RUNNERS: dict[str, tuple[Callable[[Case], Computed], float]] = {
    "StyleGAN2 generator": (generators.stylegan2, LIMIT),
    "StyleGAN2-ADA generator (Generator class)": (generators.stylegan2, LIMIT),
    "StyleGAN2 discriminator": (generators.discriminator, LIMIT),
    "StyleGAN2-ADA discriminator": (generators.discriminator, LIMIT),
    "StyleGAN2Generator": (generators.genforce, LIMIT),
    "StyleGANGenerator": (generators.genforce, LOOSE),
    "PGGANGenerator": (generators.genforce, LIMIT),
    "StyleGAN generator": (generators.stylegan, LOOSE),
    "in-domain StyleGAN generator": (generators.stylegan, LOOSE),
    "PGGAN generator": (generators.pggan, LIMIT),
    "multi-code composition over the PGGAN generator": (generators.pggan, LIMIT),
    "GradualStyleEncoder": (encoders.encoder("psp"), LIMIT),
    "BackboneEncoder": (encoders.encoder("psp"), LIMIT),
    "ResNetBackboneEncoder": (encoders.encoder("psp"), LIMIT),
    "ResNetGradualStyleEncoder": (encoders.encoder("psp"), LIMIT),
    "Encoder4Editing": (encoders.encoder("e4e"), LIMIT),
    "ProgressiveBackboneEncoder": (encoders.encoder("e4e"), LIMIT),
    "ResNetProgressiveBackboneEncoder": (encoders.encoder("e4e"), LIMIT),
    "BackboneEncoderUsingLastLayerIntoW": (encoders.encoder(), LIMIT),
    "SingleStyleCodeEncoder": (encoders.encoder(), LIMIT),
    "BackboneEncoderUsingLastLayerIntoWPlus": (encoders.encoder(), LIMIT),
    "in-domain encoder": (encoders.in_domain_encoder, LIMIT),
    "pSp (encoder + decoder)": (encoders.encoder_and_decoder("psp"), LIMIT),
    "e4e (encoder + decoder)": (encoders.encoder_and_decoder("e4e"), LIMIT),
    "ReStyle-pSp loop": (encoders.encoder_and_decoder("psp"), LIMIT),
    "ReStyle-e4e loop": (encoders.encoder_and_decoder("e4e"), LIMIT),
    "ArcFace Backbone": (encoders.arcface, LIMIT),
    "LPIPS alex": (encoders.lpips, LIMIT),
    "LPIPS vgg": (encoders.lpips, LIMIT),
    "VGG16 perceptual features (Keras-style preprocessing)": (encoders.keras_vgg16, LIMIT),
}


@torch.no_grad()
def check(path: Path, manifests: Path = MANIFESTS, device: str = "cpu", fill: Filler | None = None) -> Difference:
    """Run one case file. A shared `fill` avoids drawing the same weights again. Raises CaseError or StateDictError."""
    case = Case(path, manifests, torch.device(device), fill or Filler())
    name = str(case.meta.get("network"))
    if name not in RUNNERS:
        raise CaseError(f"unknown network {name!r}: choose from {', '.join(RUNNERS)}")
    run, limit = RUNNERS[name]
    with _exact():
        return case.compare(run(case), limit)


@contextmanager
def _exact() -> Iterator[None]:
    """Turn on full float32 on a GPU, which by default rounds the factors of convolutions to ten bits."""
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before
