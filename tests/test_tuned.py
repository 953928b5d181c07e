"""Tuned generators as files: they load as models, take codes of their base, and edit as before."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from helpers import foreign
from helpers.checkpoints import in_process, own_folder
from helpers.networks import same_networks
from helpers.runs import run
from safetensors.torch import load_file
from torch import Tensor

from inversion.checkpoints import hub, own
from inversion.checkpoints.layouts import network
from inversion.checkpoints.registry import registry
from inversion.checkpoints.tuned import packed_generator, write_tuned
from inversion.checkpoints.vendor import packed_nvidia
from inversion.methods import tuned
from inversion.methods.starts import load_code, save_code
from inversion.model import Model

__all__ = ["in_process", "own_folder"]  # fixtures
pytestmark = pytest.mark.usefixtures("in_process", "own_folder")


def close(one: Tensor, other: Tensor) -> bool:
    """Whether pictures differ by rounding only: weights that lie elsewhere in memory may be summed in another order."""
    return float((one - other).abs().max()) < 1e-4


@pytest.mark.parametrize("name", ["stylegan2", "pggan", "stylegan", "in-domain"])
@pytest.mark.parametrize("method", ["random+pti", "random+clone"])
def test_a_tuned_generator_loads_again_as_a_model(
    name: str, method: str, model: Model, other_models: dict[str, Model], pictures: Tensor, tmp_path: Path
) -> None:
    base = {"stylegan2": model, **other_models}[name]
    sure = {"clone__probability": 1.0} if "clone" in method else {}
    result = run(base, method, pictures[:1], **sure)
    assert result.weights and result.code is not None and base.prior is not None
    path = tmp_path / "my face.safetensors"
    write_tuned(path, replace(base, domain="cats", licence="CC0"), result.weights, method)
    key = own.add_file(path)
    loaded = hub.load(key, "cpu", "float32")
    wanted = tuned(base.prior, result.weights)
    assert loaded.prior is not None and same_networks(loaded.prior, wanted) and key.startswith("my-face-")
    assert close(result.code.render(loaded.prior), result.code.render(wanted))
    assert (loaded.domain, loaded.licence, loaded.base_sha256) == ("cats", "CC0", base.sha256)
    theirs = packed_nvidia(base, result.weights)  # in NVIDIA's names, for other scripts
    assert (theirs is not None) == (name == "stylegan2")
    if theirs is not None:
        state = torch.load(io.BytesIO(theirs), weights_only=True)["G_ema"]
        assert same_networks(network(state).build(), wanted)


def test_a_code_of_the_base_fits_the_tuned_model(model: Model, pictures: Tensor, tmp_path: Path) -> None:
    result = run(model, "pti", pictures[:1])
    assert result.code is not None and result.weights is not None
    save_code(tmp_path / "face.npz", result.code, model)
    write_tuned(tmp_path / "face.safetensors", model, result.weights)
    loaded = hub.load(own.add_file(tmp_path / "face.safetensors"), "cpu", "float32")
    assert loaded.prior is not None
    assert close(load_code(tmp_path / "face.npz", loaded).render(loaded.prior), result.image)


@pytest.mark.weights
def test_what_belongs_to_the_base_serves_the_tuned_model(tmp_path: Path) -> None:
    base = hub.load("synthetic-faces", "cpu")
    assert base.prior is not None
    name, weight = next(iter(base.prior.tunable()))
    write_tuned(tmp_path / "g.safetensors", base, {name: weight.detach() * 1.01}, "pti")
    key = own.add_file(tmp_path / "g.safetensors")
    entry = registry()[key]
    assert (entry.base, entry.base_sha256) == ("synthetic-faces", base.sha256)
    assert (entry.domain, entry.crop) == (base.domain, registry()["synthetic-faces"].crop)
    loaded = hub.load(key, "cpu")
    assert loaded.directions.keys() == base.directions.keys() and set(loaded.encoders) == set(base.encoders)
    assert loaded.predictor is not None and loaded.discriminator is not None
    write_tuned(tmp_path / "h.safetensors", loaded, {name: weight.detach() * 1.02}, "pti")  # tuned again
    again = hub.load(own.add_file(tmp_path / "h.safetensors"), "cpu")
    assert again.directions.keys() == base.directions.keys() and again.base_sha256 == loaded.sha256


def test_a_false_statement_about_the_base_lends_nothing(model: Model, tmp_path: Path) -> None:
    claims = replace(model, name="synthetic-faces", sha256="1" * 64)  # the hash is not the registered one
    write_tuned(tmp_path / "g.safetensors", claims, {})
    key = own.add_file(tmp_path / "g.safetensors")
    entry = registry()[key]
    assert entry.base is None and entry.base_sha256 == "1" * 64


def test_the_file_is_complete(model: Model, tmp_path: Path) -> None:
    write_tuned(tmp_path / "g.safetensors", model, {})
    assert model.prior is not None
    names = {f"generator.{name}" for name in model.prior.state_dict()}
    assert load_file(tmp_path / "g.safetensors").keys() == names
    with pytest.raises(ValueError, match="no tensor nope"):
        packed_generator(model, {"nope": torch.ones(1)})


THEIRS = foreign.small("nvidia_ada_g64_tiny")
WIDTH = len(THEIRS["mapping.fc0.bias"])
WITHOUT_NOISE = {key: value for key, value in THEIRS.items() if ".noise_" not in key}
CONDITIONAL = {"mapping.embed.weight": torch.randn(WIDTH, 5), "mapping.embed.bias": torch.zeros(WIDTH)}
CONDITIONAL["mapping.fc0.weight"] = torch.randn(WIDTH, 2 * WIDTH)


@pytest.mark.parametrize(
    ("theirs", "clamp"),
    [(THEIRS, None), (THEIRS, 256.0), (WITHOUT_NOISE, None), ({**THEIRS, **CONDITIONAL}, None)],
    ids=["plain", "clamped", "without noise", "conditional"],
)
def test_a_generator_leaves_under_the_names_of_nvidias_own(
    theirs: dict[str, Tensor], clamp: float | None, tmp_path: Path
) -> None:
    """The state dict is that of the vendor's network bit for bit, and comes back as the same generator."""
    limit = {} if clamp is None else {"synthesis.conv_clamp": torch.tensor(clamp)}
    prior = network({**theirs, **limit}).build()
    data = packed_nvidia(Model("g", prior, 64), {})  # type: ignore[arg-type]
    assert data is not None
    file = torch.load(io.BytesIO(data), weights_only=True)
    state, arguments = file["G_ema"], file["init_kwargs"]
    assert state.keys() == theirs.keys()
    assert all(torch.equal(state[key], value) or key.endswith("filter") for key, value in theirs.items())
    shapes = (arguments["img_resolution"], arguments["z_dim"], arguments["c_dim"], arguments["mapping_kwargs"])
    assert shapes == (64, WIDTH, 5 if "mapping.embed.bias" in theirs else 0, {"num_layers": 2})
    synthesis = arguments["synthesis_kwargs"]
    assert (synthesis["channel_base"], synthesis["channel_max"], synthesis.get("conv_clamp")) == (256, 8, clamp)
    (tmp_path / "g-nvidia.pt").write_bytes(data)
    again = hub.load(own.add_file(tmp_path / "g-nvidia.pt"), "cpu", "float32")
    assert again.prior is not None and same_networks(again.prior, prior)
