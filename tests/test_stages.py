"""What is particular to one stage: encoders, projector, in-domain, PULSE, Clone, Deep Image Prior; and other priors."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from math import pi

import pytest
import torch
from helpers.networks import build_full, build_other, build_prior
from test_methods import finish, quick, task_named
from torch import Tensor, nn

from inversion.encoders import InDomain
from inversion.encoders.restyle import corrections
from inversion.generators import PGGAN, Discriminator, Prior, StyleGAN2
from inversion.losses import Objective, geodesic_cross, gradient_penalty
from inversion.methods import METHODS, STAGES, Method, MultiCode, Result, SettingError, WPlus, Z, tuned
from inversion.methods.base import descend
from inversion.methods.clone import Clone
from inversion.methods.dip import DeepImagePrior
from inversion.methods.multicode import OptimiseMultiCode, default_size
from inversion.methods.run import invert
from inversion.methods.sphere import Gaussian, one_cycle_drop
from inversion.model import Model
from inversion.tasks import TASKS, Colorize, Inpaint, Reconstruct, Superres, Task

ANYWHERE = ["z", "w", "wplus", "projector", "mganprior", "pulse", "pti", "dip"]  # a generator is enough
OTHERS = ["pggan", "stylegan", "in-domain"]
Z_ONLY = {"z", "encoder", "mganprior", "psp", "e4e", "restyle", "pulse", "dip"}
OFFERED = {"pggan": Z_ONLY, "stylegan": set(METHODS), "in-domain": set(METHODS) - {"w", "projector"}}


def run(model: Model, method: Method | str, y: Tensor, task: Task | None = None, **changes: object) -> Result:
    chosen = quick(method, **changes) if isinstance(method, str) else method
    return finish(invert(model, task or Reconstruct(), y, chosen))[1]


# --- other priors ---


@pytest.fixture(scope="module")
def others(discriminator: Discriminator) -> dict[str, Model]:
    return {name: build_full(build_other(name), discriminator) for name in OTHERS}


@pytest.mark.parametrize(("name", "key"), [(name, key) for name in OTHERS for key in METHODS])
def test_presets_run_on_every_task_of_every_architecture(
    name: str, key: str, others: dict[str, Model], pictures: Tensor
) -> None:
    model = others[name]
    if key not in OFFERED[name]:
        assert "offers no W" in str(METHODS[key].unavailable(model))
        return
    method = quick(key)
    method = method.configured(
        {s: 1 for s in method.settings() if s.endswith((".steps", ".candidates", ".iterations"))}
    )
    for task_name in TASKS:
        task = task_named(task_name)
        y = task.measure(pictures[:1], torch.Generator().manual_seed(0))
        result = run(model, method, y, task)
        assert result.image.shape == pictures[:1].shape and result.image.isfinite().all()
        if task.merges:
            assert (task.A(result.image) - y).abs().max() <= 1e-5


@pytest.mark.parametrize("text", ["random+z+pti", "encoder+z+clone", "pulse+pti", "mganprior+clone"])
def test_a_prior_without_styles_is_tuned_too(text: str, others: dict[str, Model], pictures: Tensor) -> None:
    model = others["pggan"]
    result = run(model, text, pictures[:1])
    assert isinstance(model.prior, Prior) and result.code is not None and result.weights
    assert torch.equal(result.code.render(tuned(model.prior, result.weights)), result.image)


def holed(resolution: int) -> Inpaint:
    """Inpainting with one pixel to fill."""
    mask = torch.ones(1, 1, resolution, resolution)
    mask[..., 0, 0] = 0
    return Inpaint(mask)


@pytest.mark.parametrize(
    ("name", "layer", "codes"),
    [("reconstruct", 8, 20), ("colorize", 6, 20), ("superres", 6, 20), ("inpaint", 4, 30), ("denoise", 6, 20)],
)
def test_multicode_takes_the_paper_s_layers_and_numbers(
    name: str, layer: int, codes: int, others: dict[str, Model], pictures: Tensor
) -> None:
    """Gu et al. 2020: convolutions of a PGGAN of 1024 pixels before the split, and codes, by task."""
    task, stage = task_named(name), OptimiseMultiCode(steps=1)
    published = PGGAN(1024, 4, {4 << i: 1 for i in range(9)})
    assert stage.split(published, holed(1024) if name == "inpaint" else task) == layer
    result = run(others["pggan"], Method("m", "m", (stage,)), task.A(pictures[:1]), task)
    assert isinstance(result.code, MultiCode) and result.code.z.shape[1] == codes


@pytest.mark.parametrize(("factor", "size"), [(2, 16), (8, 8), (16, 4), (32, 4)])
def test_multicode_mixes_coarser_features_than_were_measured(factor: int, size: int) -> None:
    """16 pixels are the paper's (x16 at 1024 pixels); of a small picture they would be as fine as what is known."""
    prior = PGGAN(128, 4, dict.fromkeys((4, 8, 16, 32, 64, 128), 2))
    assert default_size(prior, Superres(factor)) == size
    assert prior.size(OptimiseMultiCode().split(prior, Superres(factor))) == size
    assert default_size(prior, holed(128)) == 4  # a hole is filled from the smallest map


def test_multicode_without_channel_importance_is_a_plain_mean(model: Model, pictures: Tensor) -> None:
    plain = run(model, "mganprior", pictures[:1], multicode__importance=False)
    assert isinstance(plain.code, MultiCode) and (plain.code.alpha == 1 / 3).all()


# --- embed ---


@pytest.fixture(scope="module")
def model(full_model: Model) -> Model:
    return full_model


def test_a_model_without_encoders_offers_the_rest(model: Model) -> None:
    bare = replace(model, encoders={})
    offered = {key for key, method in METHODS.items() if method.unavailable(bare) is None}
    assert offered == {*ANYWHERE, "clone"}
    assert "psp encoder" in str(METHODS["psp"].unavailable(bare)).lower()
    assert "discriminator" in str(METHODS["clone"].unavailable(replace(bare, discriminator=None)))
    assert [key for key, method in METHODS.items() if method.unavailable(Model("empty")) is None] == ["dip"]


@pytest.mark.parametrize("key", ["encoder", "guided", "psp", "e4e"])
def test_encoders_read_pinv_at_their_own_size(key: str, model: Model, prior: StyleGAN2, pictures: Tensor) -> None:
    small = InDomain((6, 8, 8), prior.num_ws, prior.w_dim).eval().requires_grad_(False)
    assert small.size == 16
    name = STAGES[key].name  # type: ignore[attr-defined]
    task = Superres(4)
    result = run(replace(model, encoders={name: small}), Method(key, key, (STAGES[key](),)), task.A(pictures), task)
    assert isinstance(result.code, WPlus)
    expected = small(nn.functional.avg_pool2d(task.pinv(task.A(pictures)), 2))
    torch.testing.assert_close(result.code.rows, expected)


def test_an_encoder_s_only_row_is_a_z_of_usual_length(others: dict[str, Model], pictures: Tensor) -> None:
    result = run(others["pggan"], "encoder", pictures)
    assert isinstance(result.code, Z)
    torch.testing.assert_close(result.code.z.square().mean(dim=1), torch.ones(len(pictures)))


def test_restyle_shows_every_turn_and_keeps_the_best(model: Model, prior: StyleGAN2, pictures: Tensor) -> None:
    method = quick("restyle", restyle__iterations=4)
    steps, result = finish(invert(model, Reconstruct(), pictures, method, preview_every=0))
    assert [step.index for step in steps] == [1, 2, 3, 4] and all(step.image is not None for step in steps)
    objective = Objective(Reconstruct(), pictures, model)
    turns = list(corrections(model.encoders["restyle"], prior, pictures, 4))  # type: ignore[arg-type]
    losses = torch.stack([objective(image)["total"] for _, image in turns])
    assert isinstance(result.code, WPlus)
    for i, best in enumerate(losses.argmin(dim=0).tolist()):
        torch.testing.assert_close(result.code.rows[i], turns[best][0][i])


# --- optimise ---


def test_an_iterate_without_rank_counts_only_until_there_is_one() -> None:
    x = torch.tensor([[4.0]]).requires_grad_(True)
    ranks: Iterator[float] = iter([torch.nan, torch.nan, 5.0, torch.nan, 7.0])
    seen: list[float] = []

    def loss() -> tuple[dict[str, Tensor], Tensor]:
        seen.append(x.item())
        return {"total": x.square().sum(dim=1), "rank": torch.tensor([next(ranks)])}, x.view(1, 1, 1, 1)

    steps = list(descend("s", loss, [([x], 0.5)], 4))
    assert x.item() == seen[2] and all("rank" not in step.losses for step in steps)


def test_iterates_without_rank_leave_the_latest() -> None:
    x = torch.tensor([[4.0]]).requires_grad_(True)

    def loss() -> tuple[dict[str, Tensor], Tensor]:
        return {"total": x.square().sum(dim=1), "rank": torch.tensor([torch.nan])}, x.view(1, 1, 1, 1)

    list(descend("s", loss, [([x], 0.5)], 3))
    assert x.item() == pytest.approx(2.5, abs=0.05)


def test_projector_searches_one_style_and_the_noise_maps(
    model: Model, noisy_prior: StyleGAN2, pictures: Tensor
) -> None:
    assert isinstance(plain := run(model, "projector", pictures[:1]).code, WPlus) and plain.noise == ()
    code = run(replace(model, prior=noisy_prior), "projector", pictures[:2]).code
    assert isinstance(code, WPlus) and (code.rows == code.rows[:, :1]).all()
    assert [m.shape[2:] for m in code.noise] == list(noisy_prior.noise_shapes)
    for m in code.noise:
        assert m.mean(dim=(1, 2, 3)).abs().max() < 1e-5 and (m.square().mean(dim=(1, 2, 3)) - 1).abs().max() < 1e-4
    off = run(replace(model, prior=noisy_prior), "projector", pictures[:1], projector__noise=False).code
    assert isinstance(off, WPlus) and off.noise == ()


def test_projector_shakes_three_quarters_of_the_way(model: Model, pictures: Tensor) -> None:
    """The loss of the last quarter is that of the code; before, noise is on it."""
    curves = [
        run(model, "projector", pictures[:1], projector__steps=8, projector__shake=shake, projector__lr=1e-4).curves
        for shake in (0.0, 1.0)
    ]
    still, shaken = (torch.tensor(c["projector.total"]) for c in curves)
    assert ((still - shaken).abs() > 0.02).tolist() == [True] * 6 + [False] * 3


def test_in_domain_weight_keeps_the_code_where_its_encoder_finds_it(
    model: Model, prior: StyleGAN2, pictures: Tensor
) -> None:
    encoder = model.encoders["indomain"]
    apart = []
    for weight in (0.0, 2.0, 50.0):
        result = run(
            model, "indomain", pictures[:1], indomain__steps=15, indomain__lr=0.1, indomain__domain_weight=weight
        )
        assert isinstance(result.code, WPlus)
        apart.append((result.code.rows - encoder(result.image)).square().mean().item())
    assert apart[0] > 1.05 * apart[1] > 1.1 * apart[2]


def test_pulse_never_leaves_the_sphere(model: Model, prior: StyleGAN2, pictures: Tensor) -> None:
    result = run(model, "pulse", pictures)
    assert isinstance(result.code, WPlus)
    v = Gaussian.of(prior).inverse(result.code.rows)
    torch.testing.assert_close(v.square().mean(dim=2), torch.ones(v.shape[:2]), rtol=1e-3, atol=1e-3)
    assert (v[:, :1] - v[:, 1:]).abs().amax(dim=2).min() > 0.1 and "pulse.cross" in result.curves
    tied = run(model, "pulse", pictures[:1], pulse__tied=True)
    assert isinstance(tied.code, WPlus) and (tied.code.rows == tied.code.rows[:, :1]).all()
    assert "pulse.cross" not in tied.curves


def test_pulse_keeps_z_on_the_sphere_where_there_are_no_styles(others: dict[str, Model], pictures: Tensor) -> None:
    result = run(others["pggan"], "pulse", pictures)
    assert isinstance(result.code, Z)
    torch.testing.assert_close(result.code.z.square().mean(dim=1), torch.ones(len(pictures)))


def test_pulse_searches_some_noise_maps(model: Model, pictures: Tensor) -> None:
    prior = build_prior(noise=True)
    for name, strength in prior.named_parameters():
        if name.endswith("noise_strength"):
            strength.fill_(0.5)
    noisy = replace(model, prior=prior)
    few, none = (run(noisy, "pulse", pictures[:1], pulse__noise_maps=n).code for n in (2, 0))
    assert isinstance(few, WPlus) and isinstance(none, WPlus)
    # The start is the same: what differs was searched for.
    moved = [not torch.equal(a, b) for a, b in zip(few.noise, none.noise, strict=True)]
    assert moved == [True, True] + [False] * (len(moved) - 2)
    assert not few.noise[-1].any()


def test_pulse_says_when_nothing_fits(model: Model, pictures: Tensor) -> None:
    assert "tolerance of 0.002" in run(model, "pulse", pictures[:1], pulse__eps=0.002).message
    # Below the tolerance nothing is gained: the pixel error counts as if it were there.
    flat = run(model, "pulse", pictures[:1], pulse__eps=0.1, pulse__cross=0.0)
    counted = torch.tensor(flat.curves["pulse.total"]) - 0.1 * torch.tensor(flat.curves["pulse.perceptual"])
    counted -= 0.1 * torch.tensor(flat.curves["pulse.pyramid"])
    torch.testing.assert_close(counted, torch.tensor(flat.curves["pulse.pixel"]).clamp_min(0.4))


def test_pulse_goes_on_from_a_code(model: Model, prior: StyleGAN2, pictures: Tensor) -> None:
    space = Gaussian.of(prior)
    ws = space.styles(torch.randn(2, prior.num_ws, prior.w_dim))
    torch.testing.assert_close(space.styles(space.inverse(ws)), ws)
    starts = [run(model, f"{start}pulse", pictures[:1]).curves["pulse.total"][0] for start in ("", "psp+", "e4e+")]
    assert len(set(starts)) == 3


def test_the_gaussian_has_the_mapping_s_moments(prior: StyleGAN2) -> None:
    rng = torch.Generator().manual_seed(5)
    mapped = prior.mapping(torch.randn(4096, prior.z_dim, generator=rng))[:, 0]
    made = Gaussian.of(prior).styles(torch.randn(4096, 1, prior.w_dim, generator=rng))[:, 0]
    assert (made.mean(dim=0) - mapped.mean(dim=0)).abs().max() < 0.2 * mapped.std()
    assert (made.std(dim=0) / mapped.std(dim=0)).log().abs().max() < 0.35


def test_geodesic_cross_measures_angles() -> None:
    """GEOCROSS of PULSE: mean over all ordered pairs, the row with itself included."""
    a, b = torch.eye(4)[:1], torch.eye(4)[1:2]
    rows = torch.stack([torch.cat([a, a]), torch.cat([a, b]), torch.cat([a, -a])])  # (3, 2, 4)
    expected = torch.tensor([0.0, (pi / 2) ** 2, pi**2]) / 2 * 4 / 8
    torch.testing.assert_close(geodesic_cross(rows), expected, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(geodesic_cross(3 * rows), expected, rtol=1e-3, atol=1e-3)
    rows.requires_grad_(True)
    geodesic_cross(rows).sum().backward()
    assert rows.grad is not None and rows.grad.isfinite().all()


def test_one_cycle_drop() -> None:
    factors = [one_cycle_drop(i, 100) for i in range(101)]
    assert factors[0] == pytest.approx(0.1) and factors[45] == pytest.approx(1.0)
    assert factors[90] == pytest.approx(0.1) and factors[100] == pytest.approx(0.001)


# --- refine ---


def clone_run(model: Model, y: Tensor, task: Task | None = None, seed: int = 0, **settings: object) -> Result:
    chosen = {"batch": 2, "steps": 4, **settings}
    method = Method("c", "c", (Clone(),)).configured({f"clone.{name}": value for name, value in chosen.items()})
    return finish(invert(model, task or Reconstruct(), y, method, seed=seed))[1]


class TestClone:
    def test_the_local_term_counts_with_its_probability(self, model: Model, pictures: Tensor) -> None:
        """The indicator 1_p: the picture is looked at in the steps that it picks and, to judge, after the last."""
        curves = {p: clone_run(model, pictures[:1], steps=12, probability=p).curves for p in (0.0, 0.5, 1.0)}
        local = {p: len(found["clone.pyramid"]) for p, found in curves.items()}
        assert local[0.0] == 1 and local[1.0] == 13 and 3 <= local[0.5] <= 11
        assert [len(found["clone.game"]) for found in curves.values()] == [4] * 3  # steps 0, 4, 8 and 12
        paper = clone_run(model, pictures[:1], steps=12, cohesion="adversarial").curves
        assert len(paper["clone.game"]) == 13  # what holds the domain has to count in every step

    def test_total_is_the_paper_s_sum(self, model: Model, pictures: Tensor) -> None:
        weights = {"probability": 1.0, "local_weight": 0.3, "game_weight": 0.5, "held_weight": 2}
        curves = clone_run(model, pictures[:1], **weights).curves
        total, fit, judged, game, moved = (
            torch.tensor(curves[f"clone.{name}"]) for name in ("total", "pyramid", "adversarial", "game", "moved")
        )
        alone = fit + 2.0 * moved
        torch.testing.assert_close(total[1:4], alone[1:4])
        torch.testing.assert_close(total[::4], alone[::4] + 4 * (0.3 * judged + 0.5 * game))  # lazily, but as much
        paper = clone_run(model, pictures[:1], cohesion="adversarial", **weights).curves
        total, fit, judged, game = (
            torch.tensor(paper[f"clone.{name}"]) for name in ("total", "pyramid", "adversarial", "game")
        )
        torch.testing.assert_close(total, fit + 0.3 * judged + 0.5 * game)
        assert "clone.moved" not in paper

    @pytest.mark.parametrize("cohesion", ["samples", "auto"])
    def test_random_samples_move_less_than_with_pti(
        self, cohesion: str, model: Model, prior: StyleGAN2, pictures: Tensor
    ) -> None:
        z = torch.randn(16, prior.z_dim, generator=torch.Generator().manual_seed(9))

        def moved(text: str, **changes: object) -> float:
            weights = run(model, text, pictures[:1], **changes).weights
            assert weights
            return (tuned(prior, weights)(z) - prior(z)).square().mean().item()

        # Not with the adversarial term alone: this discriminator has learnt nothing, and pulls the samples anywhere.
        clone = {"clone__cohesion": cohesion, "clone__lr": 3e-3}
        assert moved("w+clone", clone__steps=12, **clone) < 0.7 * moved("w+pti", pti__steps=12, pti__lr=3e-3)

    def test_the_discriminator_learns_against_the_generator(self, model: Model, pictures: Tensor) -> None:
        """With a generator that stands still its copy gets to know random samples from the domain's pictures."""

        def apart(n: int, rng: torch.Generator) -> Tensor:
            return torch.rand(n, 3, 32, 32, generator=rng)  # nothing the prior makes

        other = replace(model, pictures=apart)
        curve = clone_run(other, pictures[:1], steps=20, lr=0.02, game_weight=0, held_weight=0, probability=0).curves
        fooled = curve["clone.game"]
        assert fooled[-1] > 1.5 * fooled[0]

    def test_without_pictures_its_own_samples_hold_the_generator(self, model: Model, pictures: Tensor) -> None:
        bare = replace(model, pictures=None)
        result = clone_run(bare, pictures[:1])
        assert "no pictures" in result.message and result.weights
        assert result.curves["clone.moved"][0] < 1e-4 and "clone.game" not in result.curves  # nothing has moved yet
        assert clone_run(bare, pictures[:1], cohesion="samples").message == ""
        with pytest.raises(SettingError, match="no pictures"):
            clone_run(bare, pictures[:1], cohesion="adversarial")

    @pytest.mark.parametrize("task", [Reconstruct(), Colorize()])
    def test_what_is_not_measured_is_not_called_real(self, task: Task, model: Model, pictures: Tensor) -> None:
        asked: list[int] = []

        def stream(n: int, rng: torch.Generator) -> Tensor:
            asked.append(n)
            return pictures[:n]

        clone_run(replace(model, pictures=stream), task.A(pictures[:1]), task, steps=8, probability=1.0, batch=3)
        assert asked == [3 if task.merges else 2] * 2  # in steps 0 and 4; the third real picture is y itself

    def test_stops_once_it_is_near_enough(self, model: Model, pictures: Tensor) -> None:
        result = clone_run(model, pictures[:1], probability=1.0, stop_psnr=1.0)
        assert len(result.curves["clone.total"]) == 1


def test_gradient_penalty_of_a_linear_judge() -> None:
    slope = torch.randn(3, 4, 4)
    real = torch.randn(2, 3, 4, 4)
    penalty = gradient_penalty(lambda x: (x * slope).sum(dim=(1, 2, 3)), real)
    torch.testing.assert_close(penalty, slope.square().sum().expand(2))


class TestDeepImagePrior:
    def run(self, y: Tensor, task: Task | None = None, **settings: object) -> Result:
        chosen = {f"dip.{name}": value for name, value in settings.items()}
        method = METHODS["dip"].configured(chosen)
        return finish(invert(Model("nothing"), task or Reconstruct(), y, method))[1]

    def test_needs_no_model(self, pictures: Tensor) -> None:
        state = torch.get_rng_state()
        task = task_named("inpaint")
        result = self.run(task.A(pictures[:1]), task, steps=40)
        curve = result.curves["dip.total"]
        assert min(curve) < 0.5 * curve[0] and result.image.isfinite().all()
        assert torch.equal(torch.get_rng_state(), state)  # all its numbers come from the run's seed

    @pytest.mark.parametrize("network", ["small", "published"])
    def test_networks(self, network: str) -> None:
        stage = DeepImagePrior(network=network)
        net = stage._network(Reconstruct(), 64, torch.Generator().manual_seed(0))
        assert net(torch.rand(1, 32, 64, 64)).shape == (1, 3, 64, 64)
        count = sum(p.numel() for p in net.parameters())
        assert (count > 1_000_000) == (network == "published")

    def test_shows_the_running_mean_or_the_best_output(self, pictures: Tensor) -> None:
        best = self.run(pictures[:1], steps=10, average=0, jitter=0)
        error = (best.image - pictures[:1]).square().mean().item()
        assert error == pytest.approx(min(best.curves["dip.total"]), rel=1e-3)
        mean = self.run(pictures[:1], steps=10, jitter=0)
        assert not torch.equal(mean.image, best.image)
