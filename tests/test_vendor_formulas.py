"""Grey, conditional and clamped generators of StyleGAN2-ADA compute the pictures of its published formulas."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from helpers import ada
from helpers.foreign import write_nvidia
from torch import Tensor

from inversion.checkpoints.convert import open_converted
from inversion.checkpoints.transcribe import transcribe
from inversion.generators import StyleGAN2

CLASSES = 5
KINDS: dict[str, dict[str, int | bool]] = {
    "colour": {},
    "grey": {"colours": 1},
    "conditional": {"classes": CLASSES},
    "without noise": {"noise": False},
    "grey and conditional": {"colours": 1, "classes": CLASSES},
}


def opened(tensors: dict[str, Tensor], folder: Path, clamp: float | None) -> StyleGAN2:
    """The generator of a pickle as StyleGAN2-ADA writes it, converted and opened."""
    transcribe(str(write_nvidia(folder / "g.pkl", {"G_ema": tensors}, conv_clamp=clamp)), str(folder / "out"), None)
    prior = open_converted(folder / "out")["generator"]
    assert isinstance(prior, StyleGAN2)
    return prior


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("clamp", [None, 0.7, 256])  # train.py of NVIDIA writes a whole number
@pytest.mark.parametrize("kind", KINDS)
def test_pictures_are_those_of_the_formulas(kind: str, clamp: float | None, frozen: bool, tmp_path: Path) -> None:
    tensors = ada.weights(**KINDS[kind])  # type: ignore[arg-type]
    prior = opened(tensors, tmp_path, clamp)
    prior = prior.freeze() if frozen else prior
    z = torch.randn(3, ada.Z, generator=torch.Generator().manual_seed(1))
    label = torch.full((3, CLASSES), 1 / CLASSES) if prior.classes else None
    w = ada.mapped(tensors, z, label)
    expected = ada.pictures(tensors, w, clamp).expand(-1, 3, -1, -1)
    with torch.no_grad():
        ws = prior.mapping(z)
        assert float((ws - w[:, None]).abs().max()) <= 1e-4
        assert float((prior.synthesis(ws) - expected).abs().max()) <= 1e-4
    if clamp == 0.7:
        assert float((ada.pictures(tensors, w) - ada.pictures(tensors, w, clamp)).abs().max()) > 0.1


@pytest.mark.parametrize("clamp", [None, 0.7])
def test_logits_are_those_of_the_formulas(clamp: float | None, tmp_path: Path) -> None:
    tensors, x = ada.critic(), torch.rand(3, 3, 16, 16, generator=torch.Generator().manual_seed(1)) * 2 - 1
    path = write_nvidia(tmp_path / "both.pkl", {"G_ema": ada.weights(), "D": tensors}, conv_clamp=clamp)
    transcribe(str(path), str(tmp_path / "out"), None)
    network = open_converted(tmp_path / "out")["discriminator"]
    with torch.no_grad():
        assert float((network(x) - ada.logits(tensors, x, clamp)).abs().max()) <= 1e-4
        if clamp is not None:
            assert float((ada.logits(tensors, x) - ada.logits(tensors, x, clamp)).abs().max()) > 0.1


def test_a_conditional_generator_is_good_without_its_discriminator(tmp_path: Path) -> None:
    conditional = ada.critic() | {"mapping.embed.weight": torch.zeros(4, CLASSES), "b4.cmap.weight": torch.zeros(2, 2)}
    networks = {"G_ema": ada.weights(classes=CLASSES), "D": conditional}
    contents = transcribe(str(write_nvidia(tmp_path / "g.pkl", networks)), None, None)
    (part,) = contents.networks
    assert (part.kind, part.classes) == ("generator", CLASSES)
    assert contents.notes[0].endswith("it takes labels, which is not supported.")


def test_gradients_flow_through_a_clamped_generator(tmp_path: Path) -> None:
    prior = opened(ada.weights(), tmp_path, 0.7)
    ws = prior.w_avg[None].clone().requires_grad_(True)
    prior.synthesis(ws).square().sum().backward()
    assert ws.grad is not None and bool(ws.grad.isfinite().all()) and float(ws.grad.abs().sum()) > 0
