"""Every published layout is recognised, checked key by key and built; sizes come from shapes alone."""

from __future__ import annotations

import re

import pytest
import torch
from helpers.foreign import MANIFESTS, meta, small
from torch import Tensor

from inversion.checkpoints.layouts import LAYOUTS, identify, network
from inversion.checkpoints.layouts.search import networks
from inversion.encoders import E4E, PSP, SingleW
from inversion.generators import Prior, StateDictError, StyleGAN2

ENCODERS = [name for name in MANIFESTS if name.startswith(("psp_encoder", "e4e_encoder", "restyle_"))]
ENCODERS = [name for name in ENCODERS if "checkpoint" not in name]
WHOLE = [name for name in MANIFESTS if "checkpoint" in name]
SMALL = {  # one manifest of every layout
    "rosinality": "rosinality_g64",
    "nvidia": "nvidia_ada_g64",
    "genforce-stylegan2": "genforce_stylegan2_g64",
    "mganprior-stylegan2": "mgan_stylegan2_1024",
    "genforce-stylegan": "genforce_stylegan_g128",
    "idinvert": "idinvert_g256",
    "genforce-pggan": "genforce_pggan_g64",
    "mganprior-pggan": "mgan_pggan_64",
    "rosinality-discriminator": "rosinality_d64",
    "nvidia-discriminator": "nvidia_ada_d64",
    "genforce-discriminator": "genforce_stylegan2_d1024",
    "psp": "psp_encoder_n8",
    "single-wplus": "psp_encoder_wplus_n8",
    "idinvert-encoder": "idinvert_e64",
    "arcface": "arcface_ir_se50",
    "single-w": "psp_encoder_w",
    "idinvert-vgg16": "idinvert_vgg16",
    "torchvision": "lpips_alex_features",
    "lpips": "lpips_alex",
}
# Keys that a file may lack.
OPTIONAL = (".kernel", ".resample_filter", "lod", "truncation", "w_avg", "num_batches_tracked", ".shift", ".scale")


def known(name: str, width: int = 512) -> dict[str, Tensor]:
    """Arguments of a layout besides the tensors."""
    return {"latent_avg": torch.zeros(width)} if name in ENCODERS or name.startswith("rosinality_g") else {}


@pytest.mark.parametrize("name", [name for name in MANIFESTS if name not in WHOLE and "decoder" not in name])
def test_full_size_networks_are_recognised_and_fit(name: str) -> None:
    tensors = meta(name)
    found = network(tensors, **known(name))
    built = found.build()
    size = next((int(part) for part in name.replace("_g", "_").replace("_d", "_").split("_") if part.isdigit()), 0)
    if found.kind in ("generator", "discriminator") and size:
        assert built.resolution == size
    if found.kind == "encoder" and size >= 256 and "idinvert" not in name:
        assert (built.num_ws, built.size) == (2 * size.bit_length() - 4, 256)


@pytest.mark.parametrize("name", WHOLE)
def test_full_size_checkpoints_give_networks_of_the_published_sizes(name: str) -> None:
    checkpoint = {"state_dict": meta(name), "latent_avg": torch.zeros(18, 512, device="meta"), "opts": {}}
    encoder, decoder = networks(checkpoint)
    built, prior = encoder.build(), decoder.build()
    assert isinstance(built, PSP) and isinstance(prior, StyleGAN2)
    assert (built.num_ws, prior.num_ws, prior.resolution) == (18, 18, 1024)
    assert built.reads == ("pair" if name.startswith("restyle") else "picture")


def tensors_of(layout: str) -> dict[str, Tensor]:
    """A small file of a layout; a bare trunk needs the channels that LPIPS's published heads have."""
    return small(SMALL[layout], channels=layout != "torchvision")


def needed(layout: str) -> list[str]:
    """Some of the keys that a file must have and whose tensors are read."""
    keys = [key for key in tensors_of(layout) if not key.endswith(OPTIONAL)]
    keys = [key for key in keys if not key.startswith(("lins.", "noises.")) and ".output" not in key]
    keys = [key for key in keys if not (layout.endswith("pggan") and key.startswith("output"))]  # most are not read
    return keys[:: max(1, len(keys) // 6)]


@pytest.mark.parametrize("layout", LAYOUTS)
class TestSmall:
    """Every layout on real tensors."""

    def test_builds(self, layout: str) -> None:
        tensors = tensors_of(layout)
        assert identify(tensors) == layout
        before = {key: value.clone() for key, value in tensors.items()}
        built = network(tensors, **known(SMALL[layout], 128)).build()
        assert not any(value.is_meta for value in (*built.parameters(), *built.buffers()))
        assert all(torch.equal(tensors[key], before[key]) for key in before)
        if isinstance(built, Prior) and built.resolution <= 256:
            with torch.no_grad():
                picture = built.freeze()(torch.randn(1, built.z_dim))
            assert picture.shape[1:] == (3, built.resolution, built.resolution) and bool(picture.isfinite().all())

    def test_constants_may_be_missing(self, layout: str) -> None:
        least = {key: value for key, value in tensors_of(layout).items() if not key.endswith(OPTIONAL)}
        least = {key: value for key, value in least.items() if not key.startswith(("lins.", "noises."))}
        network(least, **known(SMALL[layout], 128)).build()

    def test_a_missing_key_is_named(self, layout: str) -> None:
        tensors = tensors_of(layout)
        for key in [*needed(layout), *LAYOUTS[layout].signature.split()]:
            # Backbones and trunks are modules of their own here, so that their names get a prefix.
            named = rf"missing (backbone\.|trunk\.)?{re.escape(key)}(,|$)"
            with pytest.raises(StateDictError, match=named):
                network({k: v for k, v in tensors.items() if k != key}, **known(SMALL[layout], 128)).build()

    def test_an_unknown_key_is_named(self, layout: str) -> None:
        module = needed(layout)[0].split(".")[0]
        with pytest.raises(StateDictError, match=rf"{module}\.thing"):
            network({**tensors_of(layout), f"{module}.thing": torch.zeros(1)}, **known(SMALL[layout], 128)).build()

    def test_a_foreign_module_is_left_out(self, layout: str) -> None:
        found = network({**tensors_of(layout), "extra.thing": torch.zeros(1)}, **known(SMALL[layout], 128))
        assert found.tensors.extra == ["extra.thing"]
        found.build()

    def test_a_wrong_shape_is_refused(self, layout: str) -> None:
        tensors = tensors_of(layout)
        for key in needed(layout):
            for wrong in (torch.zeros(0), torch.zeros(7, 5), torch.zeros(1, 2, 3, 4, 5)):
                with pytest.raises(StateDictError):
                    network({**tensors, key: wrong}, **known(SMALL[layout], 128)).build()


def test_an_unknown_layout_is_refused_and_a_key_named() -> None:
    with pytest.raises(StateDictError, match=r"layout is unknown.*some\.thing"):
        identify({"some.thing": torch.zeros(1)})
    with pytest.raises(StateDictError, match="no tensors but only these parts: epoch"):
        networks({"epoch": 3})


def test_another_filter_is_refused() -> None:
    tensors = small("rosinality_g64")
    tensors["convs.0.conv.blur.kernel"] = torch.ones(4, 4)
    with pytest.raises(StateDictError, match="convs.0.conv.blur.kernel"):
        network(tensors)


def test_a_growing_network_is_refused() -> None:
    for name, key in (("mgan_pggan_64", "lod"), ("mgan_stylegan_128", "synthesis.lod")):
        with pytest.raises(StateDictError, match=key):
            network({**small(name), key: torch.tensor(1.5)})


def test_a_rosinality_file_holds_generator_mean_style_and_discriminator() -> None:
    checkpoint = {"g_ema": small("rosinality_g64"), "latent_avg": torch.randn(128), "d": small("rosinality_d64")}
    generator, discriminator = networks(checkpoint)
    prior = generator.build()
    assert isinstance(prior, Prior)
    assert (generator.kind, discriminator.kind) == ("generator", "discriminator")
    torch.testing.assert_close(prior.w_avg, checkpoint["latent_avg"].expand(10, -1))
    discriminator.build()


def test_a_genforce_file_gives_its_averaged_generator() -> None:
    weights = {f"module.{key}": value for key, value in small("genforce_stylegan2_g64").items()}
    (found,) = networks({"models": {"generator": weights, "generator_smooth": weights}})
    assert found.layout == "genforce-stylegan2"
    found.build()


def test_an_nvidia_file_holds_generator_and_discriminator() -> None:
    found = networks({"G_ema": small("nvidia_ada_g64_tiny"), "D": small("nvidia_ada_d64_tiny"), "augment_pipe": None})
    assert [part.kind for part in found] == ["generator", "discriminator"]


def inversion_file(encoder: str, **around: object) -> dict[str, object]:
    """A small pSp file."""
    return {"state_dict": {**small(encoder, "encoder."), **small("psp_full_32_decoder", "decoder.")}, **around}


def test_psp_file_with_its_mean() -> None:
    mean = torch.randn(8, 128)
    encoder, decoder = networks(inversion_file("psp_encoder_n8", latent_avg=mean, opts={"output_size": 1024}))
    built = encoder.build()
    assert isinstance(built, PSP) and not isinstance(built, E4E)
    torch.testing.assert_close(built.latent_avg, mean)
    x = torch.randn(1, 3, 256, 256)
    with torch.no_grad():
        torch.testing.assert_close(built(x), built.offsets(x) + mean)
    assert decoder.build().get_buffer("w_avg").shape == (8, 128)


def test_missing_mean_is_measured() -> None:
    encoder, decoder = networks(inversion_file("psp_encoder_n8"))
    prior, built = decoder.build(), encoder.build()
    assert isinstance(prior, Prior) and isinstance(built, PSP)
    expected = prior.measure_w_avg(20_000, torch.Generator().manual_seed(3))
    torch.testing.assert_close(built.latent_avg, expected, rtol=0, atol=0.05 * float(expected.abs().max()))


def test_encoder_trained_without_a_mean_gets_none() -> None:
    encoder, _ = networks(inversion_file("psp_encoder_n8", opts={"start_from_latent_avg": False}))
    assert not encoder.tensors["latent_avg"].any()


def test_the_file_or_the_caller_decides_the_type_of_encoder() -> None:
    options = {"encoder_type": "Encoder4Editing", "stylegan_size": 32}
    assert isinstance(networks(inversion_file("e4e_encoder_n8", opts=options))[0].build(), E4E)
    assert isinstance(networks(inversion_file("e4e_encoder_n8"), encoder="e4e")[0].build(), E4E)
    single = networks(inversion_file("psp_encoder_w", latent_avg=torch.zeros(1, 128)))[0].build()
    assert isinstance(single, SingleW) and single.num_ws == 8


def test_surplus_styles_of_an_encoder_are_cut() -> None:
    encoder, _ = networks(inversion_file("psp_encoder_256"))
    built = encoder.build()
    assert isinstance(built, PSP) and built.num_ws == 8
