"""Contracts of every method and stage, over the registries, on a tiny model that lacks nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from inversion.generators import StyleGAN2
from inversion.losses import LossWeights, Objective, pixel
from inversion.methods import METHODS, STAGES, Method, MultiCode, Result, SettingError, Step, parse_method, tuned
from inversion.methods.base import Outcome, Problem, Schedule, descend
from inversion.methods.codes import W, WPlus, Z
from inversion.methods.multicode import OptimiseMultiCode
from inversion.methods.pti import PTI, default_lr
from inversion.methods.run import invert
from inversion.model import Model
from inversion.tasks import TASKS, Colorize, Inpaint, Reconstruct, Task, make_task

QUICK = {"steps": 4, "codes": 3, "candidates": 4, "batch": 2, "eps": 0.1}
DRAWS = {"z", "projector", "mganprior", "pulse", "clone", "dip"}  # methods whose result depends on the seed


@pytest.fixture(scope="session")
def model(full_model: Model) -> Model:
    """Every method can run on it."""
    return full_model


def quick(key: str, **changes: object) -> Method:
    """The method with few steps and codes."""
    method = parse_method(key)
    settings: dict[str, object] = {name: QUICK[spec.name] for name, _, spec in method.specs() if spec.name in QUICK}
    return method.configured({**settings, **{k.replace("__", "."): v for k, v in changes.items()}})


def task_named(name: str) -> Task:
    mask = torch.ones(1, 1, 32, 32)
    mask[..., 8:20, 8:20] = 0
    return make_task(name, mask=mask, factor=4, sigma=0.1)


def finish(events: Iterator[Step | Result]) -> tuple[list[Step], Result]:
    seen = list(events)
    result = seen.pop()
    assert isinstance(result, Result)
    steps = [event for event in seen if isinstance(event, Step)]
    assert len(steps) == len(seen)
    return steps, result


def state(model: Model) -> dict[str, Tensor]:
    """Every tensor of the model's networks, and of their gradients."""
    networks = {"prior": model.prior, "discriminator": model.discriminator, **model.encoders}
    tensors = {f"{name}.{k}": v.clone() for name, n in networks.items() if n for k, v in n.state_dict().items()}
    assert not any(p.requires_grad or p.grad is not None for n in networks.values() if n for p in n.parameters())
    return tensors


def same_tensors(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(v, b[k]) for k, v in a.items())


def same_result(a: Result, b: Result) -> bool:
    codes = [{} if r.code is None else r.code.tensors() for r in (a, b)]
    return (
        torch.equal(a.image, b.image)
        and repr(a.curves) == repr(b.curves)
        and same_tensors(*codes)
        and same_tensors(a.weights or {}, b.weights or {})
    )


@pytest.mark.parametrize("key", METHODS)
class TestEveryMethod:
    def test_yields_steps_then_one_result(self, key: str, model: Model, pictures: Tensor) -> None:
        method, y = quick(key), pictures[:1]
        steps, result = finish(invert(model, Reconstruct(), y, method, preview_every=0))
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

    def test_image_is_what_the_code_renders(self, key: str, model: Model, prior: StyleGAN2, pictures: Tensor) -> None:
        _, result = finish(invert(model, Reconstruct(), pictures[:1], quick(key)))
        if METHODS[key].stages[-1].alone:
            assert result.code is None and result.weights is None
            return
        assert result.code is not None
        assert (result.weights is not None) == (METHODS[key].stages[-1].kind == "refine")
        of = prior if result.weights is None else tuned(prior, result.weights)
        assert torch.equal(result.code.render(of), result.image)

    def test_same_seed_same_bits_other_seed_other_start(self, key: str, model: Model, pictures: Tensor) -> None:
        runs = [finish(invert(model, Reconstruct(), pictures[:1], quick(key), seed=s))[1] for s in (7, 7, 8)]
        assert same_result(runs[0], runs[1])
        assert torch.equal(runs[0].image, runs[2].image) == (key not in DRAWS)

    def test_lowers_the_loss_and_keeps_the_best(self, key: str, model: Model, pictures: Tensor) -> None:
        method, y = quick(key), pictures[:1]
        if key == "dip":  # else it shows a mean of what it made
            method = method.configured({"dip.average": 0, "dip.jitter": 0})
        _, result = finish(invert(model, Reconstruct(), y, method))
        last = method.stages[-1].key
        ranked = result.curves[f"{last}.{'pyramid' if key == 'clone' else 'total'}"]
        pixels = result.curves[f"{last}.pixel"]
        first = 3 if key == "projector" else 0  # it shakes the code until then
        best = min(range(first, len(ranked)), key=ranked.__getitem__)
        assert best > first or key in ("projector", "restyle") or len(ranked) == 1
        assert pixel(result.image - y).item() == pytest.approx(pixels[best], rel=1e-4)

    def test_nothing_shared_is_ever_written(self, key: str, model: Model, pictures: Tensor) -> None:
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

    def test_two_threads_may_take_turns(self, key: str, model: Model, pictures: Tensor) -> None:
        """R21: no mode may stay open across a yield, and whatever mode the consumer is in does not matter."""
        _, alone = finish(invert(model, Reconstruct(), pictures[:1], quick(key)))
        events = invert(model, Reconstruct(), pictures[:1], quick(key))
        modes: list[tuple[bool, bool]] = []

        def take() -> Step | Result | None:
            event = next(events, None)
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

    def test_the_consumer_s_mode_does_not_matter(self, key: str, model: Model, pictures: Tensor) -> None:
        _, alone = finish(invert(model, Reconstruct(), pictures[:1], quick(key)))
        with torch.no_grad():
            _, inside = finish(invert(model, Reconstruct(), pictures[:1], quick(key)))
        assert same_result(alone, inside)

    def test_budget_ends_it_with_the_best_so_far(self, key: str, model: Model, pictures: Tensor) -> None:
        method = parse_method(key)
        slow = method.configured({name: 10_000 for name, _, spec in method.specs() if spec.name == "steps"})
        if slow == method:
            pytest.skip("it makes no steps")
        start = time.perf_counter()
        _, result = finish(invert(model, Reconstruct(), pictures[:1], slow, budget=0.2))
        assert time.perf_counter() - start < 3
        assert "budget" in result.message and result.image.isfinite().all()

    @pytest.mark.parametrize("name", TASKS)
    def test_runs_on_every_task(self, key: str, name: str, model: Model, pictures: Tensor) -> None:
        task = task_named(name)
        y = task.measure(pictures[:1], torch.Generator().manual_seed(0))
        steps, result = finish(invert(model, task, y, quick(key), preview_every=0))
        assert result.recipe["task"]["name"] == name
        if task.merges:
            assert (task.A(result.image) - y).abs().max() <= 1e-5 and result.image.abs().max() <= 1
            shown = next(step.image for step in steps if step.image is not None)
            assert (task.A(shown) - y).abs().max() <= 1e-5


def test_refining_takes_one_picture(model: Model, pictures: Tensor) -> None:
    for key in (key for key, method in METHODS.items() if method.stages[-1].kind == "refine"):
        with pytest.raises(SettingError, match="one picture"):
            finish(invert(model, Reconstruct(), pictures[:2], quick(key)))


@pytest.mark.parametrize("key", [key for key, m in METHODS.items() if m.stages[-1].kind != "refine"])
def test_a_picture_s_result_does_not_depend_on_its_neighbours(key: str, model: Model, pictures: Tensor) -> None:
    _, together = finish(invert(model, Reconstruct(), pictures, quick(key)))
    for i in range(len(pictures)):
        _, alone = finish(invert(model, Reconstruct(), pictures[i : i + 1], quick(key)))
        # Not to the bit: a batch may take other convolution kernels.
        assert (together.image[i] - alone.image[0]).abs().max() < 5e-3


@pytest.mark.parametrize("key", STAGES)
class TestEveryStage:
    def test_stands_alone_in_a_method(self, key: str, model: Model, pictures: Tensor) -> None:
        stage = STAGES[key]()
        method = Method(key, stage.label, (stage,)).configured(
            {f"{key}.{name}": value for name, value in QUICK.items() if hasattr(stage, name)}
        )
        _, result = finish(invert(model, Reconstruct(), pictures[:1], method))
        assert (result.code is None) == stage.alone and result.image.shape == (1, 3, 32, 32)

    def test_says_what_it_is_and_what_its_fields_take(self, key: str) -> None:
        stage = STAGES[key]()
        assert stage.key == key and stage.label and stage.kind in ("embed", "optimise", "refine") and stage.__doc__
        for name, _, spec in Method(key, stage.label, (stage,)).specs():
            assert spec.metadata["label"], name
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


# --- the loop ---


def quadratic(x: Tensor, target: Tensor) -> Callable[[], tuple[dict[str, Tensor], Tensor]]:
    def loss() -> tuple[dict[str, Tensor], Tensor]:
        total = (x - target).square().flatten(1).sum(dim=1)
        return {"total": total}, x.view(len(x), 1, 1, -1)

    return loss


def run_loop(loop: Iterator[Step]) -> tuple[list[Step], str]:
    steps = []
    while True:
        try:
            steps.append(next(loop))
        except StopIteration as stop:
            return steps, stop.value


class TestLoop:
    def test_each_picture_keeps_its_own_best_iterate(self) -> None:
        target = torch.tensor([[0.0], [1.0]])
        x = torch.tensor([[0.1], [-4.0]]).requires_grad_(True)
        run_loop(
            descend("s", quadratic(x, target), [([x], 1.0)], 5)
        )  # much too fast for the first, right for the second
        assert x[0].item() == pytest.approx(0.1) and abs(x[1].item() - 1) < 0.5

    def test_last_iterate_counts(self) -> None:
        x = torch.tensor([[4.0]]).requires_grad_(True)
        steps, message = run_loop(descend("s", quadratic(x, torch.zeros(1, 1)), [([x], 0.5)], 2))
        assert [step.index for step in steps] == [0, 1, 2] and message == ""
        assert x.item() == pytest.approx(3.0, abs=0.01)

    @pytest.mark.parametrize("shared", [False, True])
    def test_nan_ends_it_with_the_best_so_far(self, shared: bool) -> None:
        x = torch.tensor([[4.0]]).requires_grad_(True)
        seen: list[float] = []

        def loss() -> tuple[dict[str, Tensor], Tensor]:
            seen.append(x.item())
            total = x.square().sum(dim=1) * (float("nan") if len(seen) == 3 else 1)
            return {"total": total}, x.view(1, 1, 1, 1)

        steps, message = run_loop(descend("s", loss, [([x], 0.5)], 100, shared=shared))
        assert len(steps) == 2 and "step 2" in message
        assert x.item() == seen[1]

    def test_one_picture_s_nan_leaves_the_others_alone(self) -> None:
        x = torch.tensor([[4.0], [4.0]]).requires_grad_(True)
        weight = torch.tensor([float("nan"), 1.0])

        def loss() -> tuple[dict[str, Tensor], Tensor]:
            return {"total": x.square().sum(dim=1) * weight}, x.view(2, 1, 1, 1)

        run_loop(descend("s", loss, [([x], 0.5)], 4))
        assert x[0].item() == 4.0 and x[1].item() < 3.0

    def test_sending_true_ends_it(self) -> None:
        x = torch.tensor([[4.0]]).requires_grad_(True)
        loop = descend("s", quadratic(x, torch.zeros(1, 1)), [([x], 0.5)], 100)
        next(loop)
        with pytest.raises(StopIteration):
            loop.send(True)

    def test_ends_when_enough(self) -> None:
        x = torch.tensor([[4.0]]).requires_grad_(True)
        loop = descend("s", quadratic(x, torch.zeros(1, 1)), [([x], 0.5)], 100, enough=lambda t: t["total"] < 5)
        steps, _ = run_loop(loop)
        assert steps[-1].losses["total"] < 5 and len(steps) < 10

    def test_every_group_has_its_rate_and_the_schedule_scales_it(self) -> None:
        schedule = Schedule(ramp=0.1, decay=0.5)
        factors = [schedule(i, 100) for i in range(100)]
        assert factors[0] < 0.2 and factors[20] == 1 and factors[75] == pytest.approx(0.5) and factors[99] < 0.01
        assert all(a <= b for a, b in zip(factors[:10], factors[1:11], strict=True))
        a, b = (torch.zeros(1, 1).requires_grad_(True) for _ in range(2))

        def loss() -> tuple[dict[str, Tensor], Tensor]:
            total = (a + b - 10).square().sum(dim=1)
            return {"total": total}, a.view(1, 1, 1, 1)

        run_loop(descend("s", loss, [([a], 0.1), ([b], 0.3)], 1))
        assert b.item() == pytest.approx(3 * a.item(), rel=1e-3)


def test_nan_inside_a_run_keeps_the_best_picture(model: Model, pictures: Tensor) -> None:
    """R29."""
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


# --- codes ---


def codes(prior: StyleGAN2) -> list[Z | W | WPlus | MultiCode]:
    rng = torch.Generator().manual_seed(0)
    k = 3
    return [
        Z(torch.randn(2, prior.z_dim, generator=rng)),
        W(torch.randn(2, prior.w_dim, generator=rng)),
        WPlus(torch.randn(2, prior.num_ws, prior.w_dim, generator=rng)),
        MultiCode(
            torch.randn(2, 3, prior.z_dim, generator=rng),
            torch.randn(2, 3, prior.channels(k), generator=rng),
            torch.randn(2, prior.num_ws, prior.w_dim, generator=rng),
            k,
        ),
    ]


@pytest.mark.parametrize("index", range(4))
def test_codes_render_move_and_show_their_tensors(index: int, prior: StyleGAN2) -> None:
    code = codes(prior)[index]
    assert code.render(prior).shape == (2, 3, 32, 32)
    assert code.ws(prior).shape == (2, prior.num_ws, prior.w_dim)
    assert all(len(t) == 2 for t in code.tensors().values())
    direction = torch.ones(prior.z_dim if code.space == "z" else prior.w_dim)
    assert not torch.equal(code.moved(direction, 1.0).render(prior), code.render(prior))
    assert torch.equal(code.moved(direction, 0.0).render(prior), code.render(prior))


@pytest.mark.parametrize("layer", [1, 2, 3, 5, 7])
def test_one_code_of_weight_one_is_the_plain_generator(layer: int, prior: StyleGAN2) -> None:
    """Eq. 3 of the paper with N = 1, alpha = 1, and the code's own styles behind the split."""
    z = torch.randn(2, prior.z_dim, generator=torch.Generator().manual_seed(1))
    multi = MultiCode(z[:, None], torch.ones(2, 1, prior.channels(layer)), prior.mapping(z), layer)
    assert (multi.render(prior) - Z(z).render(prior)).abs().max() < 1e-5


def test_multicode_is_linear_in_its_importance_before_the_split(prior: StyleGAN2) -> None:
    """N equal codes with alpha = 1/N are one code with alpha = 1."""
    z = torch.randn(1, 1, prior.z_dim, generator=torch.Generator().manual_seed(1))
    rows, C = prior.mapping(z[0]), prior.channels(3)
    one = MultiCode(z, torch.ones(1, 1, C), rows, 3)
    five = MultiCode(z.expand(1, 5, -1), torch.full((1, 5, C), 0.2), rows, 3)
    assert (one.render(prior) - five.render(prior)).abs().max() < 1e-5


def test_multicode_split_by_task_size_or_layer(prior: StyleGAN2) -> None:
    stage = OptimiseMultiCode()
    assert prior.size(stage.split(prior, Reconstruct())) == 32
    assert prior.size(stage.split(prior, Colorize())) == 16
    assert stage.split(prior, Colorize()) == 5  # the last convolution at 16 pixels
    assert replace(stage, size=8).split(prior, Reconstruct()) == 3
    assert replace(stage, size=8, layer=6).split(prior, Reconstruct()) == 6
    with pytest.raises(SettingError, match="at most 32"):
        replace(stage, size=64).split(prior, Reconstruct())
    with pytest.raises(SettingError, match="at most 7"):
        replace(stage, layer=8).split(prior, Reconstruct())


def test_multicode_sgd_is_an_option(model: Model, pictures: Tensor) -> None:
    method = quick("mganprior", multicode__optimiser="sgd", multicode__lr=1.0)
    _, result = finish(invert(model, Reconstruct(), pictures[:1], method))
    assert min(result.curves["multicode.total"]) < result.curves["multicode.total"][0]


def test_noise_maps_are_optimised_only_where_there_are_any(
    model: Model, noisy_prior: StyleGAN2, pictures: Tensor
) -> None:
    method = quick("wplus", wplus__noise=True)
    with pytest.raises(SettingError, match="noise"):
        finish(invert(model, Reconstruct(), pictures[:1], method))
    noisy = replace(model, prior=noisy_prior)
    _, result = finish(invert(noisy, Reconstruct(), pictures[:1], method))
    assert isinstance(result.code, WPlus) and len(result.code.noise) == noisy_prior.num_layers
    assert "wplus.noise" in result.curves


# --- tuning ---


class TestPTI:
    def run(self, model: Model, task: Task, y: Tensor, **changes: object) -> Result:
        return finish(invert(model, task, y, quick("pti", **changes)))[1]

    def test_returns_the_weights_it_changed_on_the_cpu(self, model: Model, prior: StyleGAN2, pictures: Tensor) -> None:
        result = self.run(model, Reconstruct(), pictures[:1])
        assert result.weights is not None
        tunable = dict(prior.tunable())
        assert result.weights and set(result.weights) <= set(tunable)
        assert all(w.device.type == "cpu" and not torch.equal(w, tunable[k]) for k, w in result.weights.items())
        assert not any(name.startswith("dense") for name in result.weights)

    def test_locality_is_on_where_the_task_leaves_something_open(self, model: Model, pictures: Tensor) -> None:
        grey = Colorize()
        assert "pti.locality" in self.run(model, grey, grey.A(pictures[:1])).curves
        assert "pti.locality" not in self.run(model, Reconstruct(), pictures[:1]).curves
        assert "pti.locality" in self.run(model, Reconstruct(), pictures[:1], pti__locality="on").curves
        assert "pti.locality" not in self.run(model, grey, grey.A(pictures[:1]), pti__locality="off").curves

    def test_locality_holds_the_generator(self, model: Model, prior: StyleGAN2, pictures: Tensor) -> None:
        moved = []
        z = torch.randn(8, prior.z_dim, generator=torch.Generator().manual_seed(9))
        for weight in (0.0, 2.0):
            result = self.run(
                model, Reconstruct(), pictures[:1], pti__steps=20, pti__locality="on", pti__locality_weight=weight
            )
            assert result.weights is not None
            moved.append((tuned(prior, result.weights)(z) - prior(z)).square().mean().item())
        assert moved[1] < 0.7 * moved[0]

    def test_stops_early_when_asked(self, model: Model, pictures: Tensor) -> None:
        result = self.run(model, Reconstruct(), pictures[:1], pti__steps=50, pti__stop_psnr=1.0)
        assert len(result.curves["pti.total"]) == 1

    def test_takes_one_picture(self, model: Model, pictures: Tensor) -> None:
        with pytest.raises(SettingError, match="one picture"):
            self.run(model, Reconstruct(), pictures)

    def test_tunes_any_kind_of_code(self, model: Model, prior: StyleGAN2, pictures: Tensor) -> None:
        for key in ("random+z+pti", "mganprior+pti", "w+pti"):
            _, result = finish(invert(model, Reconstruct(), pictures[:1], quick(key)))
            assert result.weights and result.code is not None
            assert torch.equal(result.code.render(tuned(prior, result.weights)), result.image)

    def test_small_generators_move_faster(self, prior: StyleGAN2) -> None:
        assert default_lr(prior) > default_lr(StyleGAN2(256)) == 3e-4


# --- names and settings ---


@pytest.mark.parametrize(
    ("text", "stages"),
    [
        ("pti", ["mean", "wplus", "pti"]),
        ("mean+wplus+pti", ["mean", "wplus", "pti"]),
        ("w+wplus", ["mean", "w", "wplus"]),
        ("random+z+pti", ["random", "z", "pti"]),
        ("mganprior+pti", ["mean", "multicode", "pti"]),
        ("psp+wplus+clone", ["psp", "wplus", "clone"]),
        ("restyle+pti", ["restyle", "pti"]),
        ("psp+indomain", ["psp", "indomain"]),
        ("indomain+clone", ["guided", "indomain", "clone"]),
        ("z+pti", ["random", "z", "pti"]),
        ("pulse+pti", ["pulse", "pti"]),
        ("hybrid+pti", ["encoder", "wplus", "pti"]),
        ("multicode", ["mean", "multicode"]),
    ],
)
def test_combinations(text: str, stages: list[str]) -> None:
    assert [stage.key for stage in parse_method(text).stages] == stages


@pytest.mark.parametrize(
    "text", ["", "nope", "wplus+nope", "pti+wplus", "wplus+wplus", "w+mean", "w++pti", "wplus+pti+clone", "dip+pti"]
)
def test_bad_combinations_are_refused(text: str) -> None:
    with pytest.raises(SettingError):
        parse_method(text)


def test_settings_are_read_strictly() -> None:
    method = parse_method("pti")
    changed = method.configured({"wplus.steps": "20", "wplus.noise": "true", "pti.locality": "on", "pti.lr": 0.01})
    assert changed.settings()["wplus.steps"] == 20 and changed.settings()["wplus.noise"] is True
    assert changed.settings()["pti.lr"] == 0.01 and method.settings()["wplus.steps"] != 20
    assert method.configured({"wplus.steps": 20.0}).settings()["wplus.steps"] == 20  # a slider's 20


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("wplus.steps", 10.7),
        ("wplus.steps", 0),
        ("wplus.steps", 10**9),
        ("wplus.steps", "many"),
        ("wplus.steps", None),
        ("wplus.steps", True),
        ("wplus.lr", float("nan")),
        ("wplus.lr", float("inf")),
        ("wplus.lr", -1),
        ("wplus.noise", 1),
        ("pti.locality", "maybe"),
        ("pti.locality", 3),
        ("wplus.speed", 1),
        ("w.steps", 1),
        ("steps", 1),
    ],
)
def test_bad_settings_are_refused_by_name(name: str, value: object) -> None:
    with pytest.raises(SettingError, match=name):
        parse_method("pti").configured({name: value})


def test_loss_weights_are_checked() -> None:
    with pytest.raises(ValueError, match="pixel"):
        LossWeights(pixel=-1)


def test_outcome_of_a_stage_is_not_merged(model: Model, pictures: Tensor) -> None:
    task = Inpaint(task_named("inpaint").mask)  # type: ignore[attr-defined]
    y = task.A(pictures[:1])
    stage = STAGES["mean"]()
    problem = Problem(model, task, y, Objective(task, y, model))
    *_, outcome = stage(problem, None, torch.Generator())
    assert isinstance(outcome, Outcome) and (task.A(outcome.image) - y).abs().max() > 1e-3


def test_pti_alone_starts_at_the_mean(model: Model, pictures: Tensor) -> None:
    _, result = finish(invert(model, Reconstruct(), pictures[:1], Method("pti", "PTI", (PTI(steps=1),))))
    assert isinstance(result.code, WPlus)
