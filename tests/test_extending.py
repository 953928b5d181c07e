"""One new thing is one class and one registry line: a toy of each kind, added at run time, is seen everywhere."""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import gradio as gr
import numpy as np
import pytest
import torch
from helpers.checkpoints import in_process, use_entries
from helpers.networks import TINY, build_encoders, build_prior
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor, nn

from benchmarks.cases import cases
from benchmarks.tables import TABLES
from inversion import images, load
from inversion.__main__ import main
from inversion.checkpoints import fetch, layouts, own
from inversion.checkpoints.layouts import unsupported
from inversion.checkpoints.layouts.search import survey_of
from inversion.checkpoints.places import VARIABLE
from inversion.checkpoints.registry import Entry, registry
from inversion.common import settings
from inversion.common.errors import UserError
from inversion.editing.domain import DomainRequest, known_domains
from inversion.editing.requests import Edited
from inversion.encoders import ENCODERS, PSP, ROLES, Encoder, Narrow
from inversion.generators import GENERATORS, StateDictError, StyleGAN2
from inversion.methods import METHODS, STAGES, Method
from inversion.methods.encode import EncoderStage
from inversion.metrics import METRICS, Metric
from inversion.model import Model
from inversion.serving.costs import relative_cost
from inversion.serving.session import RunView, Session
from inversion.synthetic import DOMAINS, HELD_OUT, Batch, Domain
from inversion.synthetic.base import KnownDomain
from inversion.tasks import TASKS, Task
from inversion.training import export
from inversion.training.examples import PAIRED, Example, translation_example
from inversion.training.generator import side_at
from inversion.training.options import DistillationOptions, ExportOptions
from inversion.training.pairs import Pairs, draw_pairs
from inversion.training.recipes import RECIPES, EncoderRecipe
from inversion.translations import INPUTS, TRANSLATIONS, InputKind, Translation
from inversion.translations.base import Colour, expect_channels
from ui import build
from ui.parts.figures import edit_figures, run_figures, table
from ui.tabs import TABS, Tab

__all__ = ["in_process"]  # a fixture

# ---- the toys


@dataclass(frozen=True)
class Dim(Task):
    """A(x) = strength * x where the mask is white, x elsewhere."""

    name: ClassVar[str] = "dim"
    label: ClassVar[str] = "Brightening"
    description: ClassVar[str] = "Find the bright picture behind a dark one."

    shade: Tensor = settings.mask("Shade", "White marks the dark part.", white=1)
    strength: float = settings.setting(0.5, "Darkness", "How much light is left.", min=0.1, max=1.0, step=0.1)

    def A(self, x: Tensor) -> Tensor:
        return torch.where(self.shade.to(x) > 0, self.strength * x, x)

    def pinv(self, y: Tensor) -> Tensor:
        return torch.where(self.shade.to(y) > 0, y / self.strength, y)


@dataclass(frozen=True)
class Glance(EncoderStage):
    """One pass of an encoder in a role of its own."""

    key: ClassVar[str] = "glance"
    cost: ClassVar[float] = 0.5
    encoder_role: ClassVar[str] = "glance"
    label: ClassVar[str] = "Glance"


class Mosaic(InputKind):
    """Two large colours, read as brightness."""

    label: ClassVar[str] = "Lay dark and light tiles"
    empty: ClassVar[str] = "There is no tile. Lay some first."
    upload: ClassVar[str] = "Upload a mosaic"
    colours: ClassVar[tuple[Colour, ...]] = ((20, 30, 40), (250, 240, 230))
    pen: ClassVar[int] = 64

    def channels(self, classes: int) -> int:
        return 1

    def read(self, picture: NDArray[np.uint8], channels: int, size: int) -> Tensor:
        expect_channels(channels, 1)
        return images.to_tensor(images.fit(Image.fromarray(picture), size)).mean(dim=1, keepdim=True)

    def show(self, read: Tensor) -> NDArray[np.uint8]:
        return images.to_array(read.expand(-1, 3, -1, -1))

    def rendered(self, batch: Batch) -> list[NDArray[np.uint8]]:
        return [images.to_array(x.mean(dim=0, keepdim=True).expand(3, -1, -1)) for x in batch.picture]


class ToyGenerator(StyleGAN2):
    """A generator with a tensor of its own."""

    signature: ClassVar[tuple[str, ...]] = (*StyleGAN2.signature, "toy")

    def __init__(self, *arguments: Any, **options: Any) -> None:  # noqa: ANN401 - those of StyleGAN2
        super().__init__(*arguments, **options)
        self.register_buffer("toy", torch.ones(1))


class ToyEncoder(PSP):
    """An encoder in a role of its own."""

    role: ClassVar[str] = "glance"


class ToyTab(Tab):
    """A tab with one sentence."""

    key: ClassVar[str] = "toy"
    label: ClassVar[str] = "Toys"

    def build(self, tab: gr.Tab) -> None:
        gr.Markdown("A tab for toys.")


def lightness(image: Tensor, truth: Tensor, model: Model) -> list[float]:
    """Difference of the means."""
    return (image.mean(dim=(1, 2, 3)) - truth.mean(dim=(1, 2, 3))).tolist()


def without_prefix(tensors: Mapping[str, Tensor]) -> layouts.Renamed:
    """The toy layout: every key has the prefix `toy.`."""
    renamed = layouts.Renamed()
    renamed.update({key.removeprefix("toy."): value for key, value in tensors.items()})
    return renamed


def tiled(pairs: Pairs, domain: Domain, net: Encoder, z: Tensor | None, rng: torch.Generator | None) -> Example:
    """Pictures, and their brightness as tiles."""
    picture = pairs.picture.float() / 127.5 - 1
    return Example(picture, net.fit(picture.mean(dim=1, keepdim=True)), z)


def toy_tensors() -> dict[str, Tensor]:
    """The tensors of a tiny toy generator."""
    return {**build_prior().state_dict(), "toy": torch.ones(1)}


KNOWN = KnownDomain("toy-model", -100.0, "toys", "toy model")  # every picture is inside
TOYS: tuple[tuple[Any, str, Any], ...] = (
    (TASKS, "dim", Dim),
    (METRICS, "lightness", Metric("Lightness", 3, "lower", "Difference of the means.", lightness, of_edits=True)),
    (STAGES, "glance", Glance),
    (METHODS, "glance", Method("glance", "Glance", (Glance(),), "Toy 2026", "A glance is enough.")),
    (ROLES, "glance", "glancing encoder"),
    (INPUTS, "mosaic", Mosaic()),
    (TRANSLATIONS, "chalk", Translation("Chalk to face", "Draw with chalk.", "lines")),
    (TRANSLATIONS, "tiles", Translation("Tiles to face", "Lay tiles.", "mosaic")),
    (RECIPES, "tiles", EncoderRecipe(reads="tiles")),
    (PAIRED, "tiles", tiled),
    (GENERATORS, "toy", ToyGenerator),
    (ENCODERS, "toy", ToyEncoder),
    (DOMAINS, "toy-domain", replace(DOMAINS["synthetic-houses"], resolution=TINY, known=KNOWN)),
    (TABS, "toy", ToyTab),
    (unsupported.KINDS, "a toy", unsupported.Unsupported((r"^wheels\.",), "Toys have no pictures.")),
    (layouts.LAYOUTS, "toy", layouts.Layout("generator", "toy", "toy.const toy.w_avg", without_prefix)),
)

# ---- where they have to be seen


def entry(folder: Path, name: str, network: nn.Module, **fields: object) -> Entry:
    """Write a network into the folder and describe it as an embedded file."""
    path = folder / f"{name}.safetensors"
    save_file({key: value.contiguous() for key, value in network.state_dict().items()}, path)
    data = path.read_bytes()
    common = {"format": "safetensors", "domain": "toy-domain", "licence": "MIT", "source": "toy", "resolution": TINY}
    own = {"file": path.name, "sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
    return Entry(name, **{**common, **own, **fields})  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a picture and the files of a toy model: a generator and four encoders. All toys are registered."""
    folder = tmp_path_factory.mktemp("home")
    prior = ToyGenerator.from_state_dict(toy_tensors())
    chalk = Narrow(1, prior.num_ws, prior.w_dim, (2, 3, prior.num_ws - 5), (8, 8, 8), 8, 2)
    images.write_png(folder / "picture.png", np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8))
    with pytest.MonkeyPatch.context() as patch:
        for kind, key, toy in TOYS:
            patch.setitem(kind, key, toy)
        patch.setattr(fetch, "ROOT", folder)
        encoder: dict[str, object] = {"kind": "encoder", "generator": "toy-model"}
        use_entries(
            patch,
            folder,
            registry()["synthetic-faces"],
            entry(folder, "toy-model", prior, kind="generator", architecture="toy"),
            entry(folder, "toy-psp", build_encoders(prior)["psp"], **encoder, architecture="psp", role="psp"),
            entry(folder, "toy-glance", build_encoders(prior)["psp"], **encoder, architecture="toy", role="glance"),
            entry(folder, "toy-chalk", chalk, **encoder, architecture="narrow", role="chalk"),
            entry(folder, "toy-tiles", chalk, **encoder, architecture="narrow", role="tiles"),
        )
        yield folder


@pytest.fixture
def command(home: Path, capsys: pytest.CaptureFixture[str]) -> Any:  # noqa: ANN401 - a function
    """Run a command line and return its output."""

    def run(*arguments: str) -> str:
        try:
            status = main([argument.replace("HOME", str(home)) for argument in arguments])
        except SystemExit as stop:
            status = int(stop.code or 0)
        out, err = capsys.readouterr()
        assert status == 0, err
        return out

    return run


INVERT = ("invert", "HOME/picture.png", "--model", "toy-model")
ONE_STEP = ("--method", "w", "--set", "w.steps=1", "--json")


@pytest.mark.parametrize(
    ("arguments", "seen"),
    [
        (("invert", "--help"), ("dim", "--strength", "how much light is left", "--shade")),
        (("translate", "--help"), ("chalk", "tiles")),
        (("train", "pictures", "--help"), ("toy-domain",)),
        (("models",), ("toy-model", "toy-glance")),
    ],
)
def test_the_command_line_offers_the_toys(command: Any, arguments: tuple[str, ...], seen: tuple[str, ...]) -> None:  # noqa: ANN401
    out = command(*arguments)
    assert all(word in out for word in seen), out


def test_a_task_runs_with_its_own_inputs(command: Any, home: Path) -> None:  # noqa: ANN401
    dark = np.zeros((64, 64, 3), np.uint8)
    dark[:32] = 255
    images.write_png(home / "shade.png", dark)
    row = json.loads(command(*INVERT, *ONE_STEP, "--task", "dim", "--strength", "0.3", "--shade", "HOME/shade.png"))
    assert row["task"] == "dim" and row["parameters"] == {"strength": 0.3}


def test_a_metric_stands_in_rows_and_tables(command: Any) -> None:  # noqa: ANN401
    row = json.loads(command(*INVERT, *ONE_STEP))
    assert isinstance(row["lightness"], float)
    assert "lightness" in command(*INVERT, *ONE_STEP[:-1]).splitlines()[0]
    run = RunView("w", "W", row=row)
    assert "Lightness" in table([run])["headers"] and "Lightness" in run_figures(run)
    assert "Lightness" in TABLES["inversion"].columns["lightness"].label


def test_a_metric_compares_edits(command: Any) -> None:  # noqa: ANN401
    row = json.loads(command("edit", *INVERT[1:], *ONE_STEP, "--sefa", "1=1"))
    assert isinstance(row["edit"]["lightness"], float)
    assert "Lightness" in edit_figures({}, Edited(np.zeros((8, 8, 3), np.uint8), {}, {"lightness": 0.5}))


def test_a_method_with_a_role_of_its_own_runs_on_a_toy_generator(command: Any) -> None:  # noqa: ANN401
    assert json.loads(command(*INVERT, "--method", "glance", "--json"))["method"] == "glance"
    model = load("toy-model", "cpu")
    assert isinstance(model.prior, ToyGenerator) and isinstance(model.encoders["glance"], ToyEncoder)
    reason = METHODS["glance"].unavailable(replace(model, encoders={}))
    assert reason is not None and "glancing encoder" in reason


@pytest.mark.parametrize("name", ["chalk", "tiles"])
def test_a_translation_runs(name: str, command: Any, home: Path) -> None:  # noqa: ANN401
    drawing = np.full((64, 64, 3), 255, np.uint8)
    drawing[20:44, 30:33] = 0
    images.write_png(home / "drawing.png", drawing)
    row = json.loads(command("translate", "HOME/drawing.png", "--to", name, "--model", "toy-model", "--json"))
    assert row["translation"] == name and row["model"] == "toy-model"


def test_an_embedded_domain_gives_its_pictures(home: Path) -> None:
    pictures = load("toy-model", "cpu").pictures
    assert pictures is not None and pictures(2, torch.Generator()).shape == (2, 3, TINY, TINY)


def test_a_model_is_measured_on_its_own_domain(home: Path) -> None:
    [case] = cases(load("toy-model", "cpu"), "held-out", 1)
    assert (case.picture == images.to_array(DOMAINS["toy-domain"].draw([HELD_OUT]).picture)).all()
    assert case.details is not None and case.details.max() > 0
    with pytest.raises(UserError, match="no out-of-domain pictures"):
        list(cases(load("toy-model", "cpu"), "out-of-domain", 1))


def test_an_embedded_domain_is_recognised(home: Path) -> None:
    assert known_domains()["toy-domain"] == KNOWN
    picture = images.to_array(DOMAINS["toy-domain"].draw([HELD_OUT]).picture)
    answer = DomainRequest("toy-model", picture)(load("toy-model", "cpu"))
    assert answer.score is not None and answer.inside


def test_a_layout_is_recognised(home: Path) -> None:
    tensors = {f"toy.{key}": value for key, value in toy_tensors().items()}
    found = layouts.network(tensors)
    assert found.layout == "toy" and isinstance(found.build(), ToyGenerator)


def test_a_network_that_is_not_read_is_named(home: Path) -> None:
    with pytest.raises(StateDictError, match="a toy. Toys have no pictures"):
        survey_of({"wheels.weight": torch.ones(2, 2)})


def test_a_kind_of_input_trains_its_encoder(home: Path) -> None:
    domain, recipe = DOMAINS["toy-domain"], RECIPES["tiles"]
    net = Narrow(recipe.inputs(len(domain.classes)), 6, 8, (2, 2, 2), (8, 8, 8), 8, 2)
    example = translation_example(recipe.reads, draw_pairs(range(2), TINY, "toy-domain"), domain, net)
    assert recipe.translates and example.input.shape == (2, 1, net.size, net.size)
    assert net(example.input).isfinite().all()


@pytest.mark.usefixtures("in_process")
def test_a_generator_is_distilled_exported_and_added_as_a_file(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "derived"))
    assert side_at(DistillationOptions(out=tmp_path, pictures=tmp_path, architecture="toy"), 0) == 32
    torch.save({"average": toy_tensors()}, tmp_path / "state.pt")
    export.main(ExportOptions(state=tmp_path / "state.pt", out=tmp_path, domain="toy-domain"))
    name = own.add_file(tmp_path / "toy_domain_toy.safetensors")
    assert registry()[name].architecture == "toy" and isinstance(load(name, "cpu").prior, ToyGenerator)


def test_an_encoder_states_its_role(home: Path) -> None:
    assert [ToyEncoder.role_of(inputs) for inputs in (3, 6, 1, 13)] == ["glance", "restyle", "sketch", "map"]
    roles = {kind.role_of(inputs) for kind in ENCODERS.values() for inputs in (1, 3, 6, 13)}
    assert roles <= {*ROLES, *TRANSLATIONS}


def test_a_stage_states_its_cost(home: Path) -> None:
    assert relative_cost("Glance") == 0.5 and all(stage.cost > 0 for stage in STAGES.values())


@pytest.fixture(scope="module")
def page(home: Path) -> Iterator[gr.Blocks]:
    """The page with all toys."""
    session = Session("cpu")
    yield build(session)
    session.close()


def test_the_page_shows_the_toys(page: gr.Blocks) -> None:
    config = json.dumps(page.config["components"], default=str)
    seen = {
        "task": ("Brightening", "How much light is left", "Shade"),
        "method": ("Glance",),
        "translation": ("Chalk to face", "Tiles to face"),
        "input": ("Lay dark and light tiles", "Upload a mosaic", "#141e28"),
        "generator": ("toy-model",),
        "tab": ("Toys", "A tab for toys"),
    }
    missing = {kind: word for kind, words in seen.items() for word in words if word not in config}
    assert not missing


def test_scripts_can_call_the_toys(page: gr.Blocks) -> None:
    endpoints = page.get_api_info()["named_endpoints"]
    assert {"strength", "shade"} <= {one["parameter_name"] for one in endpoints["/dim"]["parameters"]}
    kinds = [one for one in endpoints["/sketch"]["parameters"] if one["parameter_name"] == "kind"]
    assert all(name in json.dumps(kinds) for name in ("chalk", "tiles"))


def test_a_toy_takes_no_more_than_thirty_lines() -> None:
    for kind in (Dim, Glance, Mosaic, ToyGenerator, ToyEncoder, ToyTab):
        assert len(inspect.getsource(kind).splitlines()) <= 30
