"""The embedded domains: repeatable pictures, consistent ground truth, effective factors, and training."""

import re
from itertools import chain
from pathlib import Path

import pytest
import torch
from helpers.checkpoints import clear_caches, use_entries
from helpers.training import read_log, train

from inversion.checkpoints import fetch, hub
from inversion.checkpoints.registry import Entry
from inversion.common.errors import UserError
from inversion.generators import StyleGAN2
from inversion.synthetic import DOMAINS, HELD_OUT, OUT_OF_DOMAIN, Domain, latents
from inversion.training.pictures import PictureFile
from inversion.translations import TRANSLATIONS

SEEDS = list(range(HELD_OUT, HELD_OUT + 6))
# Factors whose part is visible only if another factor shows it.
SHOWN = {
    "glasses_shape": "glasses",
    "glasses_colour": "glasses",
    "glasses_size": "glasses",
    "beard_length": "beard",
    "hair_wave": "hair_length",
    "shutter_hue": "shutters",
}


@pytest.fixture(params=list(DOMAINS))
def domain(request: pytest.FixtureRequest) -> Domain:
    return DOMAINS[request.param]


def test_factors_are_named_in_words(domain: Domain) -> None:
    labels = list(domain.labels.values())
    assert len(set(labels)) == len(domain.names)
    assert not [label for label in labels if not label[0].isupper() or re.search(r"_|\b[xy]\b|yaw|hue", label.lower())]


def test_a_seed_is_one_picture_whatever_the_batch(domain: Domain) -> None:
    together, alone = domain.draw(SEEDS, 32), [domain.draw([seed], 32) for seed in SEEDS]
    for i, one in enumerate(alone):
        assert torch.equal(together.factors[i], one.factors[0])
        assert (together.picture[i] - one.picture[0]).abs().max() <= 2 / 255


def test_different_seeds_are_different_pictures(domain: Domain) -> None:
    x = domain.draw(SEEDS, 32).picture.flatten(1)
    apart = torch.cdist(x, x, p=1) / x.shape[1] + torch.eye(len(x))
    assert apart.min() > 0.05


def test_factors_are_uniform_and_pictures_in_range(domain: Domain) -> None:
    u = domain.factors(latents(range(4000)))
    assert u.shape == (4000, len(domain.names))
    assert u.abs().max() < 1
    assert u.mean(0).abs().max() < 0.06
    assert (u.square().mean(0) - 1 / 3).abs().max() < 0.03  # variance of the uniform distribution
    drawn = domain.draw(SEEDS)
    assert torch.equal(drawn.factors, domain.factors(drawn.z))
    x = drawn.picture
    assert x.shape == (6, 3, domain.resolution, domain.resolution)
    assert x.min() >= -1
    assert x.max() <= 1
    assert torch.isfinite(x).all()


def test_the_segmentation_covers_every_pixel_once(domain: Domain) -> None:
    drawn = domain.draw(range(HELD_OUT, HELD_OUT + 24), 64)
    assert torch.allclose(drawn.segmentation.sum(1), torch.ones(24, 64, 64), atol=1e-5)
    assert drawn.segmentation.min() >= 0
    share = dict(zip(domain.classes, drawn.segmentation.mean((0, 2, 3)).tolist(), strict=True))
    assert share.pop("extra", 0) == 0  # in out-of-domain faces only
    assert min(share.values()) > 0.0005, share


def test_label_rows_mix_as_the_map_does(domain: Domain) -> None:
    drawn = domain.draw(SEEDS[:2], 32)
    rows = torch.rand(len(domain.classes), 2, generator=torch.Generator().manual_seed(0))
    mixed = domain.render(drawn.factors, 32, labels=rows).labels
    assert torch.allclose(mixed, torch.einsum("bkhw,kc->bchw", drawn.segmentation, rows), atol=1e-5)


def test_sketches_are_dark_lines_on_paper(domain: Domain) -> None:
    sketch = domain.draw(SEEDS, 64).sketch
    assert sketch.shape == (6, 1, 64, 64)
    assert (sketch > 0.5).float().mean() > 0.5
    assert (sketch < -0.5).float().mean() > 0.01


@pytest.mark.parametrize(("key", "name"), [(key, name) for key, domain in DOMAINS.items() for name in domain.names])
def test_every_factor_changes_the_picture(key: str, name: str) -> None:
    domain = DOMAINS[key]
    base = torch.zeros(1, len(domain.names))
    if name in SHOWN:
        base[0, domain.names.index(SHOWN[name])] = 0.9
    low, high = base.clone(), base.clone()
    column = domain.names.index(name)
    low[0, column], high[0, column] = -0.9, 0.9
    pair = domain.render(torch.cat([low, high]), 96).picture
    assert (pair[0] - pair[1]).abs().max() > 0.05


def test_pictures_are_finer_copies_of_the_same_scene_at_other_sizes(domain: Domain) -> None:
    fine, coarse = (domain.draw(SEEDS, side).picture for side in (64, 32))
    assert (torch.nn.functional.avg_pool2d(fine, 2) - coarse).abs().mean() < 0.03


def those_with(part: str) -> list[str]:
    """The domains that declare a part."""
    return [key for key, domain in DOMAINS.items() if getattr(domain, part)]


@pytest.mark.parametrize("key", those_with("frontal"))
def test_the_frontal_view_changes_the_pose_only(key: str) -> None:
    domain, z = DOMAINS[key], latents(SEEDS)
    u = domain.factors(z)
    front, pose = domain.turned_to_front(u), domain.columns(domain.frontal)
    others = [i for i in range(len(domain.names)) if i not in pose]
    assert torch.equal(front[:, others], u[:, others])
    assert front[:, pose].abs().max() == 0
    assert torch.allclose(domain.factors(domain.frontal_codes(z)), front, atol=1e-6)
    turned = torch.zeros(1, len(domain.names))
    even = domain.render(turned, 64).picture
    turned[0, domain.names.index("yaw")] = 0.9
    odd = domain.render(turned, 64).picture
    # Hair and light are asymmetric, the head is not.
    assert (even - even.flip(3)).abs().mean() < 0.5 * (odd - odd.flip(3)).abs().mean()
    drawn = domain.draw(SEEDS[:2], 32)
    assert torch.equal(domain.front(drawn), domain.render(front[:2], 32).picture)


@pytest.mark.parametrize("key", those_with("identity"))
def test_pictures_of_one_individual_share_the_identity_factors(key: str) -> None:
    domain = DOMAINS[key]
    u = domain.factors(latents([3, 4]))
    other = domain.same_individuals(u, [3, 4])
    for i, name in enumerate(domain.names):
        assert torch.equal(u[:, i], other[:, i]) == (name in domain.identity)


@pytest.mark.parametrize("key", those_with("extras"))
def test_pictures_from_outside_the_domain_have_something_extra(key: str) -> None:
    domain = DOMAINS[key]
    seeds = [OUT_OF_DOMAIN, OUT_OF_DOMAIN + 1, OUT_OF_DOMAIN + 2]
    unusual, plain = domain.draw(seeds, 64), domain.render(domain.factors(latents(seeds)), 64)
    assert ((unusual.picture - plain.picture).abs().mean((1, 2, 3)) > 0.002).all()
    assert not domain.draw(SEEDS[:1], 32).extras


def test_a_domain_names_only_its_own_factors_and_classes(domain: Domain) -> None:
    assert {*domain.headline, *domain.identity, *domain.frontal, *domain.sliders} <= set(domain.names)
    groups = {factor.group for factor in domain.table}
    assert set(domain.unseen) <= set(TRANSLATIONS) and {*chain(*domain.unseen.values())} <= groups | set(domain.names)
    assert {*domain.detail, *domain.often_omitted, *domain.often_omitted.values()} <= set(domain.classes)


def test_the_stream_repeats_with_its_generator(domain: Domain) -> None:
    first = domain.pictures(2, torch.Generator().manual_seed(5), 32)
    again = domain.pictures(2, torch.Generator().manual_seed(5), 32)
    assert torch.equal(first, again)


def test_a_small_generator_learns_houses_and_ships(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    chosen = ["--domain", "synthetic-houses"]
    train("pictures", *chosen, "--folder", tmp_path, "--count", 32, "--resolution", 16, "--no-compile")
    file = PictureFile(tmp_path, 32, 16, domain="synthetic-houses")
    assert file.ready()
    known = DOMAINS["synthetic-houses"].draw([3], 16).picture[0]
    assert (file.batch(torch.tensor([3]))[0][0] - known).abs().max() < 2 / 255
    for kimg in (0.2, 1.2):
        arguments = [
            "--pictures",
            tmp_path,
            "--out",
            tmp_path / "run",
            "--count",
            32,
            "--resolution",
            16,
            "--width",
            1 / 32,
        ]
        train("generator", *chosen, *arguments, "--batch", 8, "--kimg", kimg)
    log = read_log(tmp_path / "run")
    assert log[-1]["loss"] < 0.8 * log[0]["loss"]
    train("export", *chosen, "--state", tmp_path / "run" / "state.pt", "--out", tmp_path)
    name, _, size, _, sha256 = capsys.readouterr().out.split()
    entry = Entry(
        "houses",
        kind="generator",
        format="safetensors",
        architecture="stylegan2",
        domain="synthetic-houses",
        licence="MIT",
        source="python -m inversion train generator",
        resolution=16,
        sha256=sha256,
        bytes=int(size),
        file=name,
    )
    monkeypatch.setattr(fetch, "ROOT", tmp_path)
    use_entries(monkeypatch, tmp_path, entry)
    clear_caches()
    model = hub.load("houses", device="cpu")
    assert isinstance(model.prior, StyleGAN2)
    assert (model.prior.resolution, model.prior.channels(0)) == (16, 8)
    assert model.pictures is not None
    drawn = DOMAINS["synthetic-houses"].pictures(2, torch.Generator().manual_seed(1), 16)
    assert torch.equal(model.pictures(2, torch.Generator().manual_seed(1)), drawn)


@pytest.mark.parametrize("key", sorted(set(DOMAINS) - set(those_with("identity"))))
def test_only_individuals_have_other_pictures(key: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no individuals"):
        train("pictures", "--domain", key, "--folder", tmp_path, "--same-individual")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_pixels_agree_across_devices(domain: Domain) -> None:
    here, there = domain.draw(SEEDS, 64), domain.draw(SEEDS, 64, device="cuda")
    assert torch.equal(here.factors, there.factors)
    assert (here.picture - there.picture.cpu()).abs().max() <= 2 / 255
