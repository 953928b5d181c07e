"""Checkpoints as the field leaves them lying about: good networks are found, the rest is named."""

from __future__ import annotations

import collections
import gzip
import pickle
import sys
import zipfile
from argparse import Namespace
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from helpers import ada
from helpers.foreign import persistent, small, vendor, write_nvidia
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from inversion.checkpoints.convert import open_converted
from inversion.checkpoints.converted import Contents
from inversion.checkpoints.latents import LAYERED
from inversion.checkpoints.layouts import network
from inversion.checkpoints.layouts.search import networks
from inversion.checkpoints.transcribe import transcribe
from inversion.checkpoints.unpickle import Refused
from inversion.generators import Prior, StateDictError, StyleGAN2

G, D, MEAN = small("rosinality_g64"), small("rosinality_d64"), torch.linspace(-1, 1, 128)
PSP, DECODER = small("psp_encoder_n8"), small("psp_full_32_decoder")


def read(path: Path) -> Contents:
    """The contents of a file."""
    return transcribe(str(path), None, None)


def prefixed(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors under longer names."""
    return {prefix + key: value for key, value in tensors.items()}


class Foreign:
    """An object of a training script, whose class nobody else has."""

    def __init__(self, **state: object) -> None:
        self.__dict__.update(state)


class ForeignDict(dict[str, Any]):
    """A dict of a training script."""


@pytest.fixture(autouse=True)
def _lost_module(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The classes above pickle under a module's name that does not exist afterwards."""
    module = ModuleType("lost_project.training")
    for name, kind in (("Foreign", Foreign), ("ForeignDict", ForeignDict), ("Whole", Whole)):
        monkeypatch.setattr(kind, "__module__", module.__name__)
        setattr(module, name, kind)
    monkeypatch.setitem(sys.modules, "lost_project", ModuleType("lost_project"))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    yield


class Whole(nn.Module):
    """A network that is saved whole, not as a state dict."""

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        super().__init__()
        for key, value in tensors.items():
            here: nn.Module = self
            *path, name = key.split(".")
            for part in path:
                if not hasattr(here, part):
                    here.add_module(part, nn.Module())
                here = here.get_submodule(part)
            here.register_parameter(name, nn.Parameter(value))


# --- where the networks lie ---

PLACES: dict[str, Callable[[], object]] = {
    "g_ema only": lambda: {"g_ema": G},
    "params_ema": lambda: {"params": G, "params_ema": G},
    "bare": lambda: G,
    "module.": lambda: prefixed("module.", G),
    "g_ema with module.": lambda: {"g_ema": prefixed("module.", G)},
    "generator": lambda: {"generator": G},
    "generator. and discriminator.": lambda: prefixed("generator.", G) | prefixed("discriminator.", D),
    "model": lambda: {"model": {"generator": G}, "epoch": 3},
    "state_dict": lambda: {"state_dict": prefixed("module.generator.", G), "epoch": 3},
    "deep": lambda: {"a": {"b": {"c": [{"net": {"g": prefixed("_orig_mod.module.", G)}}]}}},
    "mean within": lambda: {"g_ema": {**G, "latent_avg": MEAN}},
    "numpy mean": lambda: {"g_ema": G, "latent_avg": MEAN.numpy()},
    "numpy figure": lambda: {"g_ema": G, "ada_aug_p": np.float64(0.3), "seed": np.random.default_rng(0)},
    "options": lambda: {"g_ema": G, "args": Namespace(path=Path("x"), device=torch.device("cpu"))},
    "foreign object": lambda: {"g_ema": G, "d": Foreign(a=1), "hook": len},
    "foreign dict": lambda: {"g_ema": ForeignDict(G), "extra": collections.defaultdict(list, a=[Foreign()])},
    "pair": lambda: [G, D],
    "numpy arrays": lambda: {"params": {key: value.numpy() for key, value in G.items()}},
    "lightning": lambda: {"state_dict": prefixed("generator_ema.", G), "callbacks": {"a": Foreign(best=MEAN)}},
    "optimiser": lambda: {"g_ema": G, "g_optim": {"state": {0: {"exp_avg": MEAN}}, "param_groups": []}},
    "whole network": lambda: Whole(G),
    "whole network within": lambda: {"g_ema": Whole(G), "d": Whole(D)},
    "broken discriminator": lambda: {"g_ema": G, "d": {key: D[key] for key in D if key != "convs.1.conv1.0.weight"}},
    "part beside": lambda: {"g_ema": {**prefixed("generator.", G), "res.0.weight": MEAN}},
    "extra module": lambda: {"g_ema": {**G, "augment.weight": MEAN}},
}


@pytest.mark.parametrize("archived", [True, False], ids=["archive", "stream"])
@pytest.mark.parametrize("place", PLACES)
def test_a_good_generator_is_found(place: str, archived: bool, tmp_path: Path) -> None:
    path = tmp_path / "g.pt"
    torch.save(PLACES[place](), path, _use_new_zipfile_serialization=archived)
    contents = transcribe(str(path), str(tmp_path / "out"), None)
    assert [part.kind for part in contents.networks][:1] == ["generator"]
    prior = open_converted(tmp_path / "out")["generator"]
    mean = {"latent_avg": MEAN} if "mean" in place else {}
    wanted = network(G, **mean).build()
    assert isinstance(prior, StyleGAN2) and isinstance(wanted, StyleGAN2)
    assert all(torch.equal(value, wanted.state_dict()[key]) for key, value in prior.state_dict().items())


@pytest.mark.parametrize(
    "change",
    [lambda t: t.to_sparse(), lambda t: t.to("meta"), lambda t: torch.quantize_per_tensor(t, 0.1, 0, torch.qint8)],
    ids=["sparse", "without values", "quantised"],
)
def test_tensors_that_networks_do_not_compute_with_are_named(
    change: Callable[[torch.Tensor], torch.Tensor], tmp_path: Path
) -> None:
    torch.save({"g_ema": {**G, "input.input": change(G["input.input"])}}, tmp_path / "g.pt")
    with pytest.raises(Refused, match="sparse, quantised or without values: save the weights as plain"):
        read(tmp_path / "g.pt")


@pytest.mark.parametrize(
    ("place", "says"),
    [
        ("optimiser", "Left out: g_optim"),
        ("broken discriminator", "discriminator is left out"),
        ("extra module", "augment.weight"),
        ("part beside", "Left out: g_ema.res"),
    ],
)
def test_what_is_left_out_is_noted(place: str, says: str, tmp_path: Path) -> None:
    torch.save(PLACES[place](), tmp_path / "g.pt")
    assert says in " ".join(read(tmp_path / "g.pt").notes)


def test_an_averaged_generator_comes_before_the_trained_one() -> None:
    other = {key: value + 1 for key, value in G.items() if not key.endswith("kernel")}
    (found,) = networks({"g": other, "g_ema": G})
    assert torch.equal(found.tensors["const"], G["input.input"][0])


def test_an_nvidia_file_with_foreign_parts(tmp_path: Path) -> None:
    generator = small("nvidia_ada_g64_tiny")
    with vendor(), (tmp_path / "g.pkl").open("wb") as file:
        content = {"G_ema": persistent(generator), "D": Foreign(), "magnitudes": np.zeros(2), "run": Path("x")}
        content["G_ema"].meta["state"]["magnitude"] = np.ones((2, 2))
        pickle.dump(content, file)
    assert [part.layout for part in read(tmp_path / "g.pkl").networks] == ["nvidia"]
    write_nvidia(tmp_path / "d.pkl", {"G_ema": generator, "D": {"b4.conv.weight": MEAN, "b4.out.weight": MEAN}})
    contents = read(tmp_path / "d.pkl")
    assert [part.layout for part in contents.networks] == ["nvidia"] and "discriminator" in contents.notes[0]


def test_a_generator_tuned_by_pti_in_an_old_stream(tmp_path: Path) -> None:
    tensors = small("nvidia_ada_g64_tiny")
    with vendor():
        torch.save(persistent(tensors), tmp_path / "g.pt", _use_new_zipfile_serialization=False)
    transcribe(str(tmp_path / "g.pt"), str(tmp_path / "out"), None)
    prior = open_converted(tmp_path / "out")["generator"]
    assert torch.equal(prior.get_parameter("const"), tensors["synthesis.b4.const"])


# --- encoders ---


@pytest.mark.parametrize(
    "content",
    [
        {"state_dict": {**prefixed("module.encoder.", PSP), **prefixed("module.decoder.", DECODER)}},
        {"state_dict": {**prefixed("encoder.", PSP), **prefixed("decoder.", DECODER)}, "optimizer": {"state": {}}},
        {**prefixed("encoder.", PSP), **prefixed("decoder.", DECODER), "latent_avg": MEAN.repeat(8, 1)},
        {"model": {"encoder": PSP, "decoder": DECODER, "latent_avg": MEAN.repeat(1, 8, 1)}},
    ],
    ids=["module", "optimiser", "flat", "nested"],
)
def test_an_inversion_file_of_any_form(content: dict[str, Any]) -> None:
    encoder, decoder = networks(content)
    prior = decoder.build()
    assert (encoder.kind, decoder.kind) == ("encoder", "generator") and isinstance(prior, Prior)
    if "optimizer" not in content and "state_dict" not in content:
        torch.testing.assert_close(encoder.build().get_buffer("latent_avg"), MEAN.repeat(8, 1))


def test_an_encoder_alone_waits_for_its_generators_mean(tmp_path: Path) -> None:
    torch.save({"state_dict": prefixed("encoder.", PSP)}, tmp_path / "e.pt")
    contents = transcribe(str(tmp_path / "e.pt"), str(tmp_path / "out"), None)
    assert [part.kind for part in contents.networks] == ["encoder"]
    encoder = open_converted(tmp_path / "out")["encoder"]
    assert bool(encoder.get_buffer("latent_avg").isnan().all())  # so that it cannot be used without one


# --- what is named for what it is ---

X = torch.zeros(4, 4)
KINDS: dict[str, tuple[Mapping[str, Tensor], str]] = {
    "StyleGAN3": ({"synthesis.input.weight": X, "synthesis.L0_36_512.weight": X}, "StyleGAN3 generator"),
    "StyleGAN-XL": ({"mapping.embed_proj.weight": X, "synthesis.input.weight": X}, "StyleGAN-XL generator"),
    "lucidrains": ({"S.net.0.weight": X, "G.blocks.0.to_style1.weight": X}, "lucidrains' layout"),
    "not square": ({**G, "input.input": torch.zeros(1, 128, 4, 8)}, r"not square \(8:4\)"),
    "larger start": ({**G, "input.input": torch.zeros(1, 128, 8, 8)}, "starts from 8x8 pixels"),
    "four channels": ({**G, "to_rgb1.bias": torch.zeros(1, 4, 1, 1)}, "pictures with 4 channels"),
    "resnet": ({**ada.weights(), "synthesis.b8.skip.weight": X}, "'resnet' kind"),
    "orig": ({k: v for k, v in ada.weights().items() if "b4.torgb" not in k and "b8.torgb" not in k}, "'orig' kind"),
    "EG3D": (
        prefixed("backbone.", ada.weights(96)) | {"decoder.net.0.weight": X},
        "an EG3D",
    ),
    "SWAGAN": ({**G, "to_rgbs.0.iwt.ll": X}, "a SWAGAN generator"),
    "FastGAN": ({"init.init.0.weight_orig": X, "feat_8.1.weight_orig": X, "se_64.main.1.weight": X}, "a FastGAN"),
    "support vector machine": ({"coef_": X, "intercept_": X, "classes_": X}, "a linear classifier.*numpy.save"),
    "StyleCLIP": ({"mapper.course_mapping.mapping.0.weight": X}, "a StyleCLIP mapper"),
    "diffusion": ({"model.diffusion_model.input_blocks.0.weight": X}, "a diffusion model"),
    "classifier": ({"layer1.0.conv1.weight": X, "layer4.1.conv1.weight": X, "fc.weight": X}, "a ResNet classifier"),
    "unknown": ({"some.thing": X, "other": X}, "their names .g_ema.some.thing"),
    "quantised": ({**G, "convs.0.conv.weight": G["convs.0.conv.weight"].to(torch.int8)}, "int8 numbers, as quantised"),
    "diverged": (
        {**G, "convs.0.conv.weight": G["convs.0.conv.weight"] / 0},
        "not all numbers of convs.0.conv.weight are finite",
    ),
    "wrong shape": ({**G, "convs.0.conv.weight": torch.zeros(1, 3, 2, 3, 3)}, "convs.0.conv.weight is .*expected"),
    "half a generator": ({k: v for k, v in G.items() if k != "input.input"}, "missing g_ema.input.input"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_other_networks_are_named(kind: str, tmp_path: Path) -> None:
    tensors, says = KINDS[kind]
    torch.save({"g_ema": tensors}, tmp_path / "g.pt")
    with pytest.raises((Refused, StateDictError), match=f"it holds .*{says}") as caught:
        read(tmp_path / "g.pt")
    text = str(caught.value)
    assert "\n" not in text and any(word in text for word in (": use ", ": give ", "so use ")), text


SKIP = {"synthesis.b8.skip.weight": torch.zeros(4, 4, 1, 1)}  # NVIDIA's skip layers have no limit


@pytest.mark.parametrize(("more", "limit", "says"), [({}, 3, "clamp at different values"), (SKIP, None, "'resnet'")])
def test_what_clamps_at_different_values_is_refused(
    more: dict[str, torch.Tensor], limit: int | None, says: str, tmp_path: Path
) -> None:
    with vendor(), (tmp_path / "g.pkl").open("wb") as file:
        made = persistent({**ada.weights(), **more}, conv_clamp=256)
        made.meta["state"]["conv_clamp"] = limit
        pickle.dump({"G_ema": made}, file)
    with pytest.raises(StateDictError, match=says):
        read(tmp_path / "g.pkl")


ACCIDENTS: dict[str, tuple[bytes, str]] = {
    "pointer": (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:cd\nsize 381463000\n",
        "LFS pointer.*381,463,000",
    ),
    "page": (b"<!DOCTYPE html><html>Quota exceeded</html>", "web page"),
    "login": (b"\n\n<html><head><title>Sign in</title>", "web page"),
    "json": (b'{"error": "rate limit"}', "JSON text"),
    "empty": (b"", "empty"),
    "gzip": (gzip.compress(b"x" * 99), "gzip archive: unpack"),
    "zstandard": (b"\x28\xb5\x2f\xfd" + b"\0" * 99, "Zstandard archive: unpack"),
    "matlab": (b"MATLAB 5.0 MAT-file".ljust(124) + b"\0\1IM" + b"\0" * 99, "MATLAB file.*numpy.save"),
    "reserved": (bytes(5000), "zeros only.*download it again"),
    "hdf5": (b"\x89HDF\r\n\x1a\n" + b"\0" * 99, "TensorFlow or Keras"),
    "picture": (b"\x89PNG\r\n\x1a\n" + b"\0" * 99, "a picture, not a checkpoint"),
    "text in UTF-8, cut in a letter": ("모델".encode()[:-1], "a text, not a checkpoint"),
    "text": (b"Google Drive: this file is too large to be scanned", "a text, not a checkpoint"),
    "noise": (bytes(range(200)), "format is unknown"),
}


@pytest.mark.parametrize("name", ACCIDENTS)
def test_accidents_are_recognised(name: str, tmp_path: Path) -> None:
    data, says = ACCIDENTS[name]
    (tmp_path / "g.pt").write_bytes(data)
    with pytest.raises(Refused, match=says):
        read(tmp_path / "g.pt")


def test_tensorflow_checkpoints_are_recognised_by_name(tmp_path: Path) -> None:
    for name in ("model.ckpt-1000.data-00000-of-00001", "model.ckpt-1000.index", "graph.pb"):
        (tmp_path / name).write_bytes(b"\x0a\x0b\x0c" * 9)
        with pytest.raises(Refused, match="TensorFlow file"):
            read(tmp_path / name)


def test_files_of_other_frameworks_are_recognised(tmp_path: Path) -> None:
    (tmp_path / "model.msgpack").write_bytes(b"\x82\xa6params\x81\xa1a\xc7" + bytes(99))
    with zipfile.ZipFile(tmp_path / "model.pt2", "w") as archive:
        archive.writestr("model/archive_format", "pt2")
    for name, says in (("model.msgpack", "a Flax file.*use"), ("model.pt2", "torch.export.*state dict")):
        with pytest.raises(Refused, match=says):
            read(tmp_path / name)


def test_cut_downloads_are_recognised(tmp_path: Path) -> None:
    torch.save({"g_ema": G}, tmp_path / "archive")
    torch.save({"g_ema": G}, tmp_path / "stream", _use_new_zipfile_serialization=False)
    write_nvidia(tmp_path / "pickle", {"G_ema": ada.weights()})
    save_file({key: value.contiguous() for key, value in ada.weights().items()}, tmp_path / "safetensors")
    for path in list(tmp_path.iterdir()):
        data = path.read_bytes()
        for share in (0.3, 0.9, 0.999):
            path.write_bytes(data[: int(len(data) * share)])
            with pytest.raises(Refused, match="incomplete: download it again"):
                read(path)


def test_a_zipped_checkpoint_is_recognised(tmp_path: Path) -> None:
    torch.save(G, tmp_path / "g.pt")
    with zipfile.ZipFile(tmp_path / "g.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(tmp_path / "g.pt", "models/g.pt")
    with pytest.raises(Refused, match=r"contains models/g\.pt: unpack it"):
        read(tmp_path / "g.zip")


# --- directions ---


def test_directions_of_other_projects(tmp_path: Path) -> None:
    np.save(tmp_path / "boundary.npy", np.ones((1, 512)))
    np.save(
        tmp_path / "idinvert.npy", np.array({"boundary": np.ones((1, 512)), "meta_data": {"layers": "0-3"}}, object)
    )
    pca = {"mean": torch.zeros(1, 512), "comp": torch.eye(80, 512)[:, None], "std": torch.ones(80)}
    torch.save(pca, tmp_path / "ffhq_pca.pt")
    torch.save({"age": torch.ones(1, 18, 512), "smile": torch.ones(512)}, tmp_path / "several.pt")
    space = {"lat_comp": np.eye(80, 512)[:, None], "lat_mean": np.zeros((1, 512)), "lat_stdev": np.ones(80)}
    np.savez(tmp_path / "ganspace.npz", act_comp=np.ones((80, 1, 8, 4, 4)), var_ratio=np.ones(80), **space)
    factors = torch.arange(64.0**2).reshape(64, 64)
    torch.save({"ckpt": "g.pt", "eigvec": factors}, tmp_path / "factor.pt")
    several = ("ffhq_pca.pt", "ganspace.npz", "factor.pt")
    for path, layout in (
        ("boundary.npy", "tensor"),
        ("idinvert.npy", "tensor"),
        *((one, "tensors") for one in several),
    ):
        contents = transcribe(str(tmp_path / path), str(tmp_path / "out"), None)
        assert [(part.kind, part.layout) for part in contents.networks] == [("directions", layout)]
        assert (LAYERED in contents.notes) == (path == "idinvert.npy")
    assert read(tmp_path / "several.pt").networks[0].layout == "tensors"
    assert torch.equal(load_file(tmp_path / "out")["component_02"][0], factors[:, 1])


# --- safety ---


class Bomb:
    """Leaves a marker when it is unpickled as usual."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return eval, (f"open({str(self.marker)!r}, 'w')",)


@pytest.mark.parametrize("archived", [True, False])
def test_code_beside_a_good_generator_is_not_run(archived: bool, tmp_path: Path) -> None:
    marker, path = tmp_path / "marker", tmp_path / "g.pt"
    torch.save({"g_ema": G, "hook": Bomb(marker)}, path, _use_new_zipfile_serialization=archived)
    before = set(sys.modules)
    assert read(path).networks[0].kind == "generator"
    assert not marker.exists() and not {name for name in set(sys.modules) - before if "lost" in name}
    pickle.loads(pickle.dumps(Bomb(marker)))  # noqa: S301 - the file is hostile: opened as usual, it leaves its marker
    assert marker.exists()


def test_shared_and_endless_containers_end_quickly(tmp_path: Path) -> None:
    bomb: dict[str, Any] = {"x": MEAN}
    for _ in range(40):
        bomb = {"a": bomb, "b": bomb}
    endless: dict[str, Any] = {"g_ema": G}
    endless["self"] = endless
    torch.save(bomb, tmp_path / "bomb.pt")
    torch.save(endless, tmp_path / "endless.pt")
    with pytest.raises(StateDictError, match="more than 1,000,000 entries"):
        read(tmp_path / "bomb.pt")
    assert read(tmp_path / "endless.pt").networks[0].kind == "generator"
