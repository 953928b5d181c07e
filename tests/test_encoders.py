"""Laws of the encoders, on tiny random networks."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from helpers.foreign import small
from torch import nn

from inversion.checkpoints.layouts import network
from inversion.encoders import E4E, ENCODERS, PSP, ArcFace, Encoder, InDomain, Narrow, NarrowE4E, SingleW, SingleWPlus
from inversion.encoders.backbones import IRSE, Backbone, ResNet, stages
from inversion.encoders.restyle import average_image, corrections
from inversion.generators import StateDictError, StyleGAN2

STAGES = stages((16, 1), (20, 2), (24, 1), (32, 1))
PYRAMID = (1, 1, 2, 3)  # halvings: the last map is 2 pixels wide, so pictures are 32


def irse(inputs: int = 3) -> Backbone:
    return IRSE(inputs, STAGES)


BUILD: dict[str, Callable[[], Encoder]] = {
    "psp": lambda: PSP(irse(), PYRAMID, w_dim=12),
    "psp-sketch": lambda: PSP(irse(1), PYRAMID, w_dim=12),
    "psp-labels": lambda: PSP(irse(19), PYRAMID, w_dim=12),
    "e4e": lambda: E4E(irse(), PYRAMID, w_dim=12),
    "restyle": lambda: PSP(irse(6), (1, 1, 1, 1), w_dim=12),
    "restyle-resnet": lambda: PSP(ResNet(6, STAGES), (1, 1, 1, 1), w_dim=12),
    "resnet-pyramid": lambda: PSP(ResNet(6, STAGES), PYRAMID, w_dim=12),
    "single-w": lambda: SingleW(irse(), num_ws=4, w_dim=12),
    "single-wplus": lambda: SingleWPlus(irse(), num_ws=4, w_dim=12),
    "indomain": lambda: InDomain((6, 8, 8, 10), num_ws=8, w_dim=12),
    "narrow": lambda: Narrow(3, 6, 12, (1, 2, 3), (8, 10, 12), pyramid=6, head=2),
    "narrow-last": lambda: Narrow(3, 6, 12, (6,), (8, 10, 12), pyramid=6, head=2),
    "narrow-single": lambda: Narrow(1, 6, 12, (1,), (8, 10, 12), pyramid=6, head=2),
    "narrow-e4e": lambda: NarrowE4E(3, 6, 12, (1, 2, 3), (8, 10, 12), pyramid=6, head=2),
}
READS = {"psp-sketch": "sketch", "narrow-single": "sketch", "psp-labels": "labels"} | dict.fromkeys(
    ("restyle", "restyle-resnet", "resnet-pyramid"), "pair"
)


@pytest.fixture(params=BUILD)
def encoder(request: pytest.FixtureRequest) -> Encoder:
    """A tiny encoder with random statistics and a mean style."""
    net = BUILD[request.param]()
    for name, value in net.state_dict().items():
        if name.endswith(("running_mean", "running_var", "latent_avg")):
            value.copy_(torch.rand_like(value) - (0.5 if name.endswith("mean") else -0.5))
    net.eval()
    assert net.reads == READS.get(request.param, "picture")
    return net


def test_every_encoder_is_tried() -> None:
    assert {type(make()) for make in BUILD.values()} == set(ENCODERS.values())


def test_contract(encoder: Encoder) -> None:
    x = encoder.fit(torch.randn(2, encoder.inputs, 2 * encoder.size, 2 * encoder.size)).requires_grad_()
    assert x.shape[-2:] == (encoder.size, encoder.size)
    codes = encoder(x)
    assert codes.shape == (2, encoder.num_ws, encoder.w_dim)
    torch.testing.assert_close(codes, encoder.offsets(x) + encoder.latent_avg)
    codes.sum().backward()
    assert x.grad is not None and (x.grad.abs().sum(dim=(1, 2, 3)) > 0).all()
    torch.testing.assert_close(encoder(x[:1].detach()), codes[:1], rtol=1e-4, atol=1e-5)


def test_sizes_are_inferred(encoder: Encoder) -> None:
    counters = [key for key in encoder.state_dict() if key.endswith("num_batches_tracked")]
    tensors = {key: value for key, value in encoder.state_dict().items() if key not in counters[1:]}
    again = type(encoder).from_state_dict(tensors)
    assert not again.training and not any(p.requires_grad for p in again.parameters())
    assert (again.size, again.num_ws, again.w_dim) == (encoder.size, encoder.num_ws, encoder.w_dim)
    x = torch.randn(1, encoder.inputs, encoder.size, encoder.size)
    with torch.no_grad():
        torch.testing.assert_close(again(x), encoder(x), rtol=0, atol=0)


def test_unknown_keys_are_named_and_missing_ones_refused(encoder: Encoder) -> None:
    tensors = encoder.state_dict()
    with pytest.raises(StateDictError, match="extra.key"):
        type(encoder).from_state_dict({**tensors, "extra.key": torch.zeros(1)})
    for key in list(tensors)[::9]:
        if not key.endswith(("num_batches_tracked", "latent_avg")):  # what files may lack
            with pytest.raises(StateDictError):
                type(encoder).from_state_dict({k: v for k, v in tensors.items() if k != key})


def test_e4e_adds_offsets_to_one_style() -> None:
    e4e = E4E(irse(), PYRAMID, w_dim=12).eval()
    x = torch.randn(1, 3, 32, 32)
    with torch.no_grad():
        rows, codes = e4e.rows(x), e4e.offsets(x)
        torch.testing.assert_close(codes[:, :1], rows[:, :1])
        torch.testing.assert_close(codes[:, 1:], rows[:, :1] + rows[:, 1:])
        for stage in (0, 2, 3):
            staged = e4e.offsets(x, stage=stage)
            torch.testing.assert_close(staged[:, : stage + 1], codes[:, : stage + 1])
            torch.testing.assert_close(staged[:, stage + 1 :], codes[:, :1].expand_as(staged[:, stage + 1 :]))


def test_restyle_starts_at_the_mean_and_corrects() -> None:
    prior = StyleGAN2(8, z_dim=8, w_dim=12, channels={4: 8, 8: 8}, mapping_layers=2).freeze()
    net = BUILD["restyle"]().eval()
    net.latent_avg.normal_()
    x = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        steps = list(corrections(net, prior, x, steps=3))
        start = average_image(net, prior)
        first = net(torch.cat([net.fit(x), start.expand(2, -1, -1, -1)], dim=1))
        again = next(corrections(net, prior, x, start=start))
        second = steps[0][0] + net.offsets(torch.cat([net.fit(x), net.fit(steps[0][1])], dim=1))
    assert len(steps) == 3
    torch.testing.assert_close(steps[0][0], first)
    torch.testing.assert_close(again[0], first)
    torch.testing.assert_close(steps[1][0], second)


def test_arcface_embeds_the_crop() -> None:
    net = network(small("arcface_ir_se50")).build()
    assert isinstance(net, ArcFace)
    x = torch.randn(2, 3, 256, 256)
    with torch.no_grad():
        found = net(x)
        torch.testing.assert_close(found.norm(dim=1), torch.ones(2))
        x[:, :, :35] = 0.0  # outside of what it reads
        torch.testing.assert_close(net(x), found, rtol=0, atol=0)
        crop = nn.functional.adaptive_avg_pool2d(x[:, :, 35:223, 32:220], 112)
        torch.testing.assert_close(net.embed(crop), found)
        assert net(torch.randn(1, 3, 64, 64)).shape == found[:1].shape
