"""Contracts of every method and stage, over the registries, on a tiny model with all networks."""

from __future__ import annotations

import ast
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from helpers.networks import TINY
from helpers.runs import QUICK, finish, quick, same_result, same_tensors, state
from helpers.tasks import example_mask, example_task
from torch import Tensor

from inversion import methods
from inversion.generators import StyleGAN2
from inversion.losses import Objective, pixel
from inversion.methods import METHODS, STAGES, Method, Result, SettingError, Step, parse_method, tuned
from inversion.methods.base import Outcome, Problem
from inversion.methods.run import RunOptions, invert
from inversion.model import Model
from inversion.tasks import TASKS, Inpaint, Reconstruct

DRAWS = {"z", "projector", "mganprior", "pulse", "clone", "dip"}  # methods whose result depends on the seed
SELF_EVIDENT = {"Steps", "Learning rate", "Optimiser"}  # labels that need no help text


@pytest.mark.parametrize("key", METHODS)
class TestEveryMethod:
    def test_yields_steps_then_one_result(self, key: str, model: Model, pictures: Tensor) -> None:
        method, y = quick(key), pictures[:1]
        steps, result = finish(invert(model, Reconstruct(), y, method, options=RunOptions(preview_every=0)))
        assert result.image.shape == y.shape and result.image.isfinite().all()
        for stage in {step.stage for step in steps}:
            of_stage = [step for step in steps if step.stage == stage]
            assert [step.index for step in of_stage] == sorted(step.index for step in of_stage)
            assert of_stage[-1].index == of_stage[-1].total
            assert result.curves[f"{stage}.total"] == [step.losses["total"] for step in of_stage]
        assert (
            next(step for step in steps if step.stage != "random").image is not None
        )  # the first preview comes at once
        assert result.steps == sum(4 for stage in method.stages if stage.kind != "embed")
        assert result.recipe["settings"] == method.settings() and result.recipe["seed"] == 0
        assert result.recipe["perceptual_loss"] == "discriminator"
        assert result.seconds > 0 and result.message == ""

    def test_the_code_renders_the_image(self, key: str, model: Model, prior: StyleGAN2, pictures: Tensor) -> None:
        _, result = finish(invert(model, Reconstruct(), pictures[:1], quick(key)))
        if METHODS[key].stages[-1].standalone:
            assert result.code is None and result.weights is None
            return
        assert result.code is not None
        assert (result.weights is not None) == (METHODS[key].stages[-1].kind == "refine")
        of = prior if result.weights is None else tuned(prior, result.weights)
        assert torch.equal(result.code.render(of), result.image)

    def test_the_seed_determines_the_result(self, key: str, model: Model, pictures: Tensor) -> None:
        runs = [finish(invert(model, Reconstruct(), pictures[:1], quick(key), seed=s))[1] for s in (7, 7, 8)]
        assert same_result(runs[0], runs[1])
        assert torch.equal(runs[0].image, runs[2].image) == (key not in DRAWS)

    def test_lowers_the_loss_and_keeps_the_best(self, key: str, model: Model, pictures: Tensor) -> None:
        method, y = quick(key), pictures[:1]
        if key == "dip":  # show the best output instead of the mean
            method = method.configured({"dip.average": 0, "dip.jitter": 0})
        _, result = finish(invert(model, Reconstruct(), y, method))
        last = method.stages[-1].key
        ranked = result.curves[f"{last}.{'pyramid' if key == 'clone' else 'total'}"]
        pixels = result.curves[f"{last}.pixel"]
        first = 3 if key == "projector" else 0  # before, noise is added to the style
        best = min(range(first, len(ranked)), key=ranked.__getitem__)
        assert best > first or key in ("projector", "restyle") or len(ranked) == 1
        assert pixel(result.image - y).item() == pytest.approx(pixels[best], rel=1e-4)

    def test_the_model_is_never_changed(self, key: str, model: Model, pictures: Tensor) -> None:
        before = state(model)
        events = invert(model, Reconstruct(), pictures[:1], quick(key))
        next(events)
        assert isinstance(events, Iterator)
        events.close()  # type: ignore[attr-defined]
        finish(invert(model, Reconstruct(), pictures[:1], quick(key)))
        assert same_tensors(state(model), before)

    def test_closing_stops_within_a_step(self, key: str, model: Model, pictures: Tensor) -> None:
        calls = 0
        objective = Objective.__call__

        def counted(self: Objective, x: Tensor) -> dict[str, Tensor]:
            nonlocal calls
            calls += 1
            return objective(self, x)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Objective, "__call__", counted)
            events = invert(model, Reconstruct(), pictures[:1], quick(key))
            next(events), next(events)
            before = calls
            events.close()  # type: ignore[attr-defined]
            assert calls == before
            assert list(events) == []

    def test_two_threads_and_another_run_can_take_turns(self, key: str, model: Model, pictures: Tensor) -> None:
        """No torch mode stays open across a yield; the consumer's mode and an interleaved run have no effect."""
        _, alone = finish(invert(model, Reconstruct(), pictures[:1], quick(key)))
        events = invert(model, Reconstruct(), pictures[:1], quick(key))
        other = invert(model, Reconstruct(), pictures[1:2], quick(key), seed=1)
        modes: list[tuple[bool, bool]] = []

        def take() -> Step | Result | None:
            event = next(events, None)
            next(other, None)
            modes.append((torch.is_grad_enabled(), torch.is_inference_mode_enabled()))
            return event

        seen: list[Step | Result] = []
        with ThreadPoolExecutor(1) as one, ThreadPoolExecutor(1) as two:
            turn = 0
            while (event := (one, two)[turn % 2].submit(take).result()) is not None:
                seen.append(event)
                turn += 1
        assert isinstance(seen[-1], Result) and same_result(seen[-1], alone)
        assert set(modes) == {(True, False)}

    def test_the_torch_mode_of_the_consumer_does_not_matter(self, key: str, model: Model, pictures: Tensor) -> None:
        _, alone = finish(invert(model, Reconstruct(), pictures[:1], quick(key)))
        with torch.no_grad():
            _, inside = finish(invert(model, Reconstruct(), pictures[:1], quick(key)))
        assert same_result(alone, inside)

    def test_the_budget_ends_the_run_with_the_best_picture(self, key: str, model: Model, pictures: Tensor) -> None:
        method = parse_method(key)
        slow = method.configured({name: 10_000 for name, _, spec in method.specs() if spec.name == "steps"})
        if slow == method:
            pytest.skip("it makes no steps")
        start = time.perf_counter()
        _, result = finish(invert(model, Reconstruct(), pictures[:1], slow, options=RunOptions(budget=0.2)))
        assert time.perf_counter() - start < 3
        assert "budget" in result.message and result.image.isfinite().all()

    @pytest.mark.parametrize("name", TASKS)
    def test_runs_on_every_task(self, key: str, name: str, model: Model, pictures: Tensor) -> None:
        task = example_task(name)
        y = task.measure(pictures[:1], torch.Generator().manual_seed(0))
        steps, result = finish(invert(model, task, y, quick(key), options=RunOptions(preview_every=0)))
        assert result.recipe["task"]["name"] == name
        if task.merges:
            assert (task.A(result.image) - y).abs().max() <= 1e-5 and result.image.abs().max() <= 1
            shown = next(step.image for step in steps if step.image is not None)
            assert (task.A(shown) - y).abs().max() <= 1e-5


def test_refine_stages_take_one_picture(model: Model, pictures: Tensor) -> None:
    for key in (key for key, method in METHODS.items() if method.stages[-1].kind == "refine"):
        with pytest.raises(SettingError, match="one picture"):
            finish(invert(model, Reconstruct(), pictures[:2], quick(key)))


@pytest.mark.parametrize("key", [key for key, m in METHODS.items() if m.stages[-1].kind != "refine"])
def test_pictures_of_a_batch_do_not_depend_on_each_other(key: str, model: Model, pictures: Tensor) -> None:
    _, together = finish(invert(model, Reconstruct(), pictures, quick(key)))
    for i in range(len(pictures)):
        _, alone = finish(invert(model, Reconstruct(), pictures[i : i + 1], quick(key)))
        # Not equal to the bit: a batch may use other convolution kernels.
        assert (together.image[i] - alone.image[0]).abs().max() < 5e-3


@pytest.mark.parametrize("key", METHODS)
def test_every_preset_has_a_paper_and_a_short_description(key: str) -> None:
    method = METHODS[key]
    assert method.key == key and method.label and "arXiv" in method.paper
    assert method.description.endswith(".") and len(method.description) <= 120


def lines_that_name_the_task(source: str) -> list[int]:
    """Lines that read `task.name` or the registry of tasks. The recipe of a result may do so."""
    tree = ast.parse(source)
    recipes = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name == "_recipe"]
    allowed = {id(inner) for recipe in recipes for inner in ast.walk(recipe)}
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute | ast.Name) and id(node) not in allowed:
            text = ast.unparse(node)
            if text.endswith("task.name") or text in ("TASKS", "task_class", "make_task"):
                found.append(node.lineno)
    return found


@pytest.mark.parametrize("path", sorted(Path(methods.__file__).parent.glob("*.py")), ids=lambda path: path.stem)
def test_no_stage_looks_at_the_name_of_the_task(path: Path) -> None:
    """A stage reads only properties of `Task`, never its name."""
    assert lines_that_name_the_task(path.read_text(encoding="utf-8")) == []


def test_the_law_finds_a_stage_that_looks_at_the_name_of_the_task() -> None:
    source = "def split(problem, task):\n    if problem.task.name == 'inpaint':\n        return task.name, TASKS\n"
    assert sorted(lines_that_name_the_task(source)) == [2, 3, 3]


@pytest.mark.parametrize("key", STAGES)
class TestEveryStage:
    def test_stands_alone_in_a_method(self, key: str, model: Model, pictures: Tensor) -> None:
        stage = STAGES[key]()
        method = Method(key, stage.label, (stage,)).configured(
            {f"{key}.{name}": value for name, value in QUICK.items() if hasattr(stage, name)}
        )
        _, result = finish(invert(model, Reconstruct(), pictures[:1], method))
        assert (result.code is None) == stage.standalone and result.image.shape == (1, 3, 32, 32)

    def test_stops_on_a_plateau_if_asked_to(
        self, key: str, model: Model, pictures: Tensor, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        stage = STAGES[key]()
        if not hasattr(stage, "steps"):
            pytest.skip("it makes no steps")
        monkeypatch.setattr("inversion.methods.base.PLATEAU", 1.0)  # nothing counts as an improvement
        small = {f"{key}.{name}": value for name, value in QUICK.items() if hasattr(stage, name)}
        method = Method(key, stage.label, (stage,)).configured({**small, f"{key}.steps": 12, f"{key}.patience": 2})
        _, result = finish(invert(model, Reconstruct(), pictures[:1], method))
        assert result.steps < 12 and "no improvement over 2 steps" in result.message

    def test_describes_itself_and_its_fields(self, key: str) -> None:
        stage = STAGES[key]()
        assert stage.key == key and stage.label and stage.kind in ("embed", "optimise", "refine")
        assert not str(vars(STAGES[key])["__doc__"]).startswith(
            f"{STAGES[key].__name__}("
        )  # the docstring that dataclass generates
        for name, _, spec in Method(key, stage.label, (stage,)).specs():
            assert spec.metadata["label"], name
            assert spec.metadata["help"].endswith(".") or spec.metadata["label"] in SELF_EVIDENT, f"{name} needs a help"
            bounded = "choices" in spec.metadata or {"min", "max"} <= set(spec.metadata)
            assert bounded or isinstance(spec.default, bool), f"{name} needs bounds for its slider"

    def test_is_not_offered_without_what_it_needs(self, key: str, model: Model) -> None:
        method = Method(key, key, (STAGES[key](),))
        assert method.unavailable(model) is None
        if not STAGES[key].needs:
            assert method.unavailable(Model("empty")) is None
            return
        reason = method.unavailable(Model("empty"))
        assert reason is not None and "empty" in reason
        with pytest.raises(SettingError, match="empty"):
            next(invert(Model("empty"), Reconstruct(), torch.zeros(1, 3, 32, 32), method))


def test_nan_inside_a_run_keeps_the_best_picture(model: Model, pictures: Tensor) -> None:
    calls = 0
    objective = Objective.__call__

    def poisoned(self: Objective, x: Tensor) -> dict[str, Tensor]:
        nonlocal calls
        calls += 1
        terms = objective(self, x)
        return {k: v * float("nan") for k, v in terms.items()} if calls > 3 else terms

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Objective, "__call__", poisoned)
        steps, result = finish(invert(model, Reconstruct(), pictures[:1], quick("wplus", wplus__steps=50)))
    assert len(steps) == 3 and "not a number" in result.message and result.image.isfinite().all()


def test_outcome_of_a_stage_is_not_merged(model: Model, pictures: Tensor) -> None:
    task = Inpaint(example_mask(TINY))
    y = task.A(pictures[:1])
    stage = STAGES["mean"]()
    problem = Problem(model, task, y, Objective(task, y, model))
    *_, outcome = stage(problem, None, torch.Generator())
    assert isinstance(outcome, Outcome) and (task.A(outcome.image) - y).abs().max() > 1e-3
