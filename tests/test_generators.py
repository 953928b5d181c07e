"""Laws of every generator, on tiny random networks."""

import copy
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from inversion.generators import GENERATORS, PGGAN, Discriminator, Prior, StateDictError, StyleGAN, StyleGAN2
from inversion.generators.ops import EPSILON
from inversion.generators.plain import PlainConv
from inversion.generators.stylegan import styled

CHANNELS = {4: 6, 8: 5, 16: 4}
SIZES = {"z_dim": 8, "w_dim": 7, "mapping_layers": 2}
PRIORS: dict[str, Callable[[], Prior]] = {
    "stylegan2": lambda: StyleGAN2(16, channels=CHANNELS, noise=False, **SIZES),
    "stylegan2-noise": lambda: StyleGAN2(16, channels=CHANNELS, **SIZES),
    "stylegan": lambda: StyleGAN(16, channels=CHANNELS, **SIZES),
    "stylegan-in-domain": lambda: StyleGAN(16, channels=CHANNELS, noise=False, in_domain=True, **SIZES),
    "pggan": lambda: PGGAN(16, z_dim=8, channels=CHANNELS),
}


def build(name: str) -> Prior:
    """Tiny generator whose noise, if any, is felt."""
    torch.manual_seed(0)
    prior = PRIORS[name]()
    with torch.no_grad():
        for key, parameter in prior.named_parameters():
            if key.endswith(("noise_strength", "noise_weight")):
                parameter.fill_(0.3)
            if key == "const":  # ones have no variance for StyleGAN to normalise
                parameter.copy_(torch.randn_like(parameter))
    return prior


@pytest.fixture(params=PRIORS)
def prior(request: pytest.FixtureRequest) -> Prior:
    return build(request.param)


def codes(prior: Prior, batch: int = 3) -> Tensor:
    """Different rows of w for every layer."""
    rng = torch.Generator().manual_seed(1)
    return torch.randn(batch, prior.num_ws, prior.w_dim, generator=rng)


def slope(loss, parameters: list[Tensor], step: float = 1e-6) -> tuple[float, float]:  # noqa: ANN001
    """Directional derivative by autograd and by central differences."""
    rng = torch.Generator().manual_seed(2)
    moves = [torch.randn(p.shape, generator=rng, dtype=p.dtype) for p in parameters]
    gradients = torch.autograd.grad(loss(), parameters)
    starts = [p.detach().clone() for p in parameters]
    values = []
    for sign in (1.0, -1.0):
        for p, start, move in zip(parameters, starts, moves, strict=True):
            p.data.copy_(start + sign * step * move)
        values.append(loss().item())
    for p, start in zip(parameters, starts, strict=True):
        p.data.copy_(start)
    expected = sum(float((g * m).sum()) for g, m in zip(gradients, moves, strict=True))
    return expected, (values[0] - values[1]) / (2 * step)


def test_every_generator_is_tried() -> None:
    assert {type(PRIORS[name]()) for name in PRIORS} == set(GENERATORS.values())


def test_split_law(prior: Prior) -> None:
    ws = codes(prior)
    noise = [torch.randn(1, 1, *shape) for shape in prior.noise_shapes] or None
    for maps in (None, noise):
        whole = prior.synthesis(ws, maps)
        assert whole.shape == (3, 3, prior.resolution, prior.resolution)
        for k in range(prior.num_layers + 1):
            state = prior.head(ws, k, maps)
            assert state.features.shape[1:] == (prior.channels(k), prior.size(k), prior.size(k))
            torch.testing.assert_close(prior.tail(state, k, ws, maps), whole, rtol=0, atol=0)


@pytest.mark.parametrize("batch", [1, 3])
def test_frozen_and_trainable_forms_agree(prior: Prior, batch: int) -> None:
    frozen = copy.deepcopy(prior).freeze()
    found: list[list[Tensor]] = []
    for form in (frozen, prior):
        ws = codes(prior, batch).requires_grad_()
        noise = [torch.ones(1, 1, *shape).cumsum(3).sin_().requires_grad_() for shape in prior.noise_shapes]
        picture = form.synthesis(ws, noise or None)
        found.append([picture, *torch.autograd.grad(picture.square().sum(), [ws, *noise])])
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-3)


def test_frozen_weights_get_no_gradient_and_zero_styles_give_finite_ones(prior: Prior) -> None:
    with torch.no_grad():
        for name, parameter in prior.named_parameters():
            if "affine" in name:
                parameter.zero_()
    ws = codes(prior, 1).requires_grad_()
    prior.freeze().synthesis(ws).sum().backward()
    assert ws.grad is not None and bool(ws.grad.isfinite().all())
    assert all(parameter.grad is None for parameter in prior.parameters())


def test_folded_blur_equals_the_separate_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inversion.generators.modulated.FOLD_FROM", 8)
    monkeypatch.setattr("inversion.generators.modulated.folds_blur", lambda *_: True)
    prior = build("stylegan2-noise").freeze()
    ws = codes(prior)
    expected = prior.synthesis(ws)
    folded = prior.freeze(torch.bfloat16).synthesis(ws)
    assert folded.dtype == torch.float32
    assert (folded - expected).norm() < 0.03 * expected.norm()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision(prior: Prior, dtype: torch.dtype) -> None:
    ws = codes(prior)
    expected = prior.freeze().synthesis(ws)
    found = prior.freeze(dtype).synthesis(ws)
    assert found.dtype == torch.float32
    assert (found - expected).norm() < 0.05 * expected.norm()


@pytest.mark.parametrize("mean", [0.0, 300.0])
def test_normalised_maps_keep_their_digits_if_the_mean_is_far_above_the_deviation(mean: float) -> None:
    x = (torch.randn(2, 8, 64, 64) + mean).contiguous(memory_format=torch.channels_last)
    scale, move = torch.randn(2, 8), torch.randn(2, 8)
    found = styled(x, scale, move)
    x, scale, move = x.double(), scale.double()[:, :, None, None], move.double()[:, :, None, None]
    variance, centre = torch.var_mean(x, dim=(2, 3), correction=0, keepdim=True)
    expected = (x - centre) * torch.rsqrt(variance + EPSILON) * scale + move
    torch.testing.assert_close(found.double(), expected, rtol=0, atol=3e-5)


def test_doubling_equals_nearest_neighbours_then_convolution() -> None:
    conv = PlainConv(5, 4, up=True)
    x, bias = torch.randn(2, 5, 6, 6), torch.randn(4)
    doubled = F.interpolate(x, scale_factor=2, mode="nearest")
    expected = F.conv2d(doubled, conv.weight * conv.scale, bias, padding=1)
    torch.testing.assert_close(conv(x, torch.float32, bias), expected)


def test_prepared_weights_never_go_stale(prior: Prior) -> None:
    frozen = copy.deepcopy(prior).freeze()
    ws = codes(prior)
    before = frozen.synthesis(ws)
    changed = {name: weight.detach() * 1.5 for name, weight in frozen.tunable()}
    clone = frozen.clone()
    with torch.no_grad():
        for _, weight in clone.tunable():
            weight.mul_(1.5)
    z = torch.randn(2, prior.z_dim)
    torch.testing.assert_close(torch.func.functional_call(frozen, changed, (z,)), clone(z))
    torch.testing.assert_close(frozen.synthesis(ws), before, rtol=0, atol=0)
    frozen.load_state_dict(clone.state_dict())
    torch.testing.assert_close(frozen(z), clone(z))


def test_sizes_are_inferred(prior: Prior) -> None:
    again = type(prior).from_state_dict(prior.state_dict())
    z = torch.randn(2, prior.z_dim)
    torch.testing.assert_close(again(z), prior(z), rtol=0, atol=0)
    assert (again.spaces, again.noise_shapes, again.num_ws) == (prior.spaces, prior.noise_shapes, prior.num_ws)


def test_unknown_keys_are_named_and_missing_ones_refused(prior: Prior) -> None:
    tensors = prior.state_dict()
    with pytest.raises(StateDictError, match="extra.key"):
        type(prior).from_state_dict({**tensors, "extra.key": torch.zeros(1)})
    for key in tensors.keys() - {"w_avg"}:
        with pytest.raises(StateDictError):
            type(prior).from_state_dict({k: v for k, v in tensors.items() if k != key})


def test_missing_average_is_measured(prior: Prior) -> None:
    tensors = {key: value for key, value in prior.state_dict().items() if key != "w_avg"}
    again = type(prior).from_state_dict(tensors)
    expected = prior.measure_w_avg(20_000, torch.Generator().manual_seed(9))
    if isinstance(prior, PGGAN):
        expected = torch.zeros(1, prior.z_dim)  # the mean of z
    assert again.w_avg.shape == (prior.num_ws, prior.w_dim)
    assert not again.w_avg.requires_grad
    torch.testing.assert_close(again.w_avg, expected, rtol=0, atol=0.05)


def test_rows_of_the_mapping(prior: Prior) -> None:
    ws = prior.mapping(torch.randn(2, prior.z_dim))
    assert ws.shape == (2, prior.num_ws, prior.w_dim)
    same = bool((ws == ws[:, :1]).all())
    assert same != getattr(prior, "in_domain", False)
    assert ("w" in prior.spaces) == (same and not isinstance(prior, PGGAN))


def test_length_of_z_does_not_matter(prior: Prior) -> None:
    z = torch.randn(2, prior.z_dim)
    torch.testing.assert_close(prior(3.0 * z), prior(z), rtol=1e-3, atol=1e-3)


def test_truncation(prior: Prior) -> None:
    prior.w_avg.copy_(torch.randn_like(prior.w_avg))
    ws = codes(prior)
    torch.testing.assert_close(prior.truncate(ws, 0.0), prior.w_avg.expand_as(ws))
    torch.testing.assert_close(prior.truncate(ws, 0.5, layers=2)[:, 2:], ws[:, 2:], rtol=0, atol=0)


@pytest.mark.parametrize("batch", [1, 3])  # one picture: factors scale the weights
def test_generator_gradients(prior: Prior, batch: int) -> None:
    prior = prior.double()
    prior.compute_dtype = torch.float64
    ws = codes(prior, batch).double().requires_grad_()
    weights = [weight for _, weight in prior.tunable()]
    expected, found = slope(lambda: prior.synthesis(ws).square().sum(), [ws, *weights])
    assert found == pytest.approx(expected, rel=1e-5)


def test_discriminator_penalty_gradients() -> None:
    torch.manual_seed(0)
    discriminator = Discriminator(16, CHANNELS, compute_dtype=torch.float64).double()

    def penalty() -> Tensor:
        x = torch.linspace(-1, 1, 4 * 3 * 256, dtype=torch.float64).view(4, 3, 16, 16).sin().requires_grad_()
        (gradient,) = torch.autograd.grad(discriminator(x).sum(), x, create_graph=True)
        return gradient.square().sum()

    expected, found = slope(penalty, [p for p in discriminator.parameters() if p.ndim > 1])
    assert found == pytest.approx(expected, rel=1e-4)


def test_discriminator_round_trip() -> None:
    discriminator = Discriminator(16, CHANNELS)
    x = torch.randn(4, 3, 16, 16)
    again = Discriminator.from_state_dict(discriminator.state_dict())
    torch.testing.assert_close(again(x), discriminator(x), rtol=0, atol=0)
    assert [f.shape[-1] for f in again.features(x)] == [16, 8, 4]
    with pytest.raises(StateDictError, match="conv.bias"):
        Discriminator.from_state_dict({k: v for k, v in discriminator.state_dict().items() if k != "conv.bias"})
