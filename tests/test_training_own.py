"""Training of encoders on a user's own files, and of pSp's full network."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.training import train
from safetensors.torch import load_file, save_file

from inversion import images
from inversion.common.errors import UserError
from inversion.encoders import ENCODERS, Narrow
from inversion.encoders.backbones import IRSE, stages
from inversion.generators import StyleGAN2
from inversion.model import Model
from inversion.synthetic.faces import FACES
from inversion.training import data, encoder, generator, networks, options
from inversion.training.models import label_classes
from inversion.training.options import EncoderOptions
from inversion.training.recipes import RECIPES
from inversion.translations import input_of

SIDE, COUNT = 32, 3
TAUGHT = [key for key, recipe in RECIPES.items() if recipe.translates]
TINY = Model("tiny", resolution=SIDE, domain="lions")


def small(reads: str) -> Narrow:
    """A small encoder for a translation."""
    return Narrow(input_of(reads).channels(label_classes(TINY)), 6, 8, (2, 2, 2), (8, 8, 8), 8, 2)


def write_pairs(folder: Path, reads: str) -> list[np.ndarray]:
    """COUNT pairs in the folders inputs and targets; returns the inputs."""
    batch = FACES.draw(range(COUNT), SIDE)
    inputs = input_of(reads).rendered(batch)
    for name, pictures in ((data.INPUTS, inputs), (data.TARGETS, [images.to_array(x) for x in batch.picture])):
        (folder / name / "deep").mkdir(parents=True)
        for number, picture in enumerate(pictures):
            images.write_png(folder / name / "deep" / f"{number}.png", picture)
    return inputs


@pytest.mark.parametrize("reads", TAUGHT)
def test_every_translation_learns_from_pairs_of_a_folder(reads: str, tmp_path: Path) -> None:
    inputs, net, kind = write_pairs(tmp_path, reads), small(reads), input_of(reads)
    given = EncoderOptions(out=tmp_path, pairs=tmp_path)
    source = data.example_source(given, RECIPES[reads], net, TINY)
    rows = torch.arange(source.count)
    found = source.examples(rows, torch.Generator())
    assert source.count == COUNT - 1
    assert found.z is None
    expected = [kind.read(picture, net.inputs, net.size) for picture in inputs]
    assert torch.equal(found.input, torch.cat(expected[1:]))
    assert torch.equal(source.held_out.input, expected[0])
    assert torch.equal(images.quantise(found.target), images.quantise(FACES.draw([1, 2], SIDE).picture))
    (tmp_path / data.INPUTS / "deep" / "1.png").unlink()
    with pytest.raises(UserError, match=r"no input for 1 pictures, such as 1\.png"):
        data.example_source(given, RECIPES[reads], net, TINY)


@pytest.mark.parametrize("reads", TAUGHT)
def test_only_sketches_are_made_of_pictures(reads: str, tmp_path: Path) -> None:
    write_pairs(tmp_path, reads)
    given = EncoderOptions(out=tmp_path, images=tmp_path / data.TARGETS)
    if reads != "sketch":
        with pytest.raises(UserError, match="needs pairs"):
            data.example_source(given, RECIPES[reads], small(reads), TINY)
        return
    images.write_png(tmp_path / data.TARGETS / "even.png", np.full((SIDE, SIDE, 3), 90, np.uint8))
    net = small(reads)
    source = data.example_source(given, RECIPES[reads], net, TINY)
    found = source.examples(torch.arange(source.count), torch.Generator().manual_seed(0))
    ink = (found.input < 0.5).float().mean(dim=(1, 2, 3))
    assert found.input.shape == (COUNT, 1, net.size, net.size)
    assert ink[-1] == 0
    assert ((ink[:-1] > 0.01) & (ink[:-1] < 0.5)).all()


def test_an_unreadable_input_is_named(tmp_path: Path) -> None:
    write_pairs(tmp_path, "sketch")
    images.write_png(tmp_path / data.INPUTS / "deep" / "2.png", np.full((SIDE, SIDE, 3), 255, np.uint8))
    source = data.example_source(EncoderOptions(out=tmp_path, pairs=tmp_path), RECIPES["sketch"], small("sketch"), TINY)
    with pytest.raises(UserError, match=r"2\.png: No lines"):
        source.examples(torch.tensor([1]), torch.Generator())


@pytest.mark.parametrize("recipe", ["psp", "e4e", "sketch"])
def test_the_full_network_trains_from_arcface_and_is_exported(
    recipe: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = partial(IRSE, units=stages((16, 1), (20, 1), (24, 1), (32, 1)))
    prior = generator.build(16, torch.float32, width=1 / 32).freeze()
    assert isinstance(prior, StyleGAN2)
    write_pairs(tmp_path, "sketch")
    start = {f"backbone.{k}": torch.rand_like(v) / 9 for k, v in body().state_dict().items() if v.is_floating_point()}
    save_file(start, str(tmp_path / "arcface.safetensors"))
    monkeypatch.setattr(networks, "IRSE", body)
    monkeypatch.setattr(networks, "HALVINGS", 2)
    monkeypatch.setattr(encoder.hub, "load", lambda *_, **__: Model("tiny", prior, 16, domain="lions"))
    files = [
        "--images",
        tmp_path / data.TARGETS,
        "--out",
        tmp_path / "net",
        "--start",
        tmp_path / "arcface.safetensors",
    ]
    length = ["--network", "psp", "--steps", 2, "--batch", 2]
    train("encoder", "--recipe", recipe, *files, *length)
    tensors = load_file(tmp_path / "net" / "encoder.safetensors")
    made = ENCODERS["e4e" if recipe == "e4e" else "psp"].from_state_dict(tensors)
    assert made.num_ws == prior.num_ws
    assert made.inputs == (1 if recipe == "sketch" else 3)
    name = "backbone.body.0.res_layer.1.weight"
    assert (tensors[name].float() - start[name]).abs().max() < 0.2
    assert made(torch.zeros(1, made.inputs, made.size, made.size)).isfinite().all()


def test_a_file_without_fitting_tensors_is_no_start(tmp_path: Path) -> None:
    save_file({"other": torch.zeros(1)}, str(tmp_path / "other.safetensors"))
    with pytest.raises(UserError, match="--start"):
        networks.copy_matching_weights(small("sketch"), tmp_path / "other.safetensors")


def test_the_networks_of_the_command_are_those_that_are_built() -> None:
    assert list(options.NETWORKS) == list(networks.BUILDERS)
