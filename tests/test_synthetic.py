"""The embedded face domain: exact repetition, ground truth that agrees with the pictures, factors that act."""

import pytest
import torch

from inversion.synthetic import CLASSES, HELD_OUT, OUT_OF_DOMAIN, faces, pictures
from inversion.synthetic.factors import FACTORS, IDENTITY, INDEX, NAMES, POSE, factors, latents, mates, turned_to_front
from inversion.synthetic.renderer import render

SEEDS = list(range(HELD_OUT, HELD_OUT + 6))


def middle() -> torch.Tensor:
    """A plain face: every factor at the middle of its range."""
    return torch.zeros(1, len(FACTORS))


def test_a_seed_is_one_face_whatever_the_batch() -> None:
    together, alone = faces(SEEDS, 32), [faces([seed], 32) for seed in SEEDS]
    for i, one in enumerate(alone):
        assert torch.equal(together.factors[i], one.factors[0])
        assert (together.picture[i] - one.picture[0]).abs().max() <= 2 / 255


def test_factors_are_uniform_and_pictures_in_range() -> None:
    u = factors(latents(range(4000)))
    assert u.abs().max() < 1
    assert u.mean(0).abs().max() < 0.06
    assert (u.square().mean(0) - 1 / 3).abs().max() < 0.03  # variance of the uniform distribution
    x = faces(SEEDS, 64).picture
    assert x.shape == (6, 3, 64, 64)
    assert x.min() >= -1
    assert x.max() <= 1
    assert torch.isfinite(x).all()


def test_the_segmentation_covers_every_pixel_once() -> None:
    drawn = faces(SEEDS, 64)
    assert torch.allclose(drawn.segmentation.sum(1), torch.ones(6, 64, 64), atol=1e-5)
    assert drawn.segmentation.min() >= 0
    share = drawn.segmentation.mean((0, 2, 3))
    for name in ("background", "face", "hair", "neck", "clothes", "eyes", "mouth", "brows", "nose"):
        assert share[CLASSES.index(name)] > 0.001, name
    assert share[CLASSES.index("extra")] == 0  # only out of the domain


def test_sketches_are_dark_lines_on_paper() -> None:
    sketch = faces(SEEDS, 64).sketch
    assert sketch.shape == (6, 1, 64, 64)
    assert (sketch > 0.5).float().mean() > 0.5
    assert (sketch < -0.5).float().mean() > 0.01


@pytest.mark.parametrize("name", NAMES)
def test_every_factor_changes_the_picture(name: str) -> None:
    shown = {
        "glasses_shape": "glasses",
        "glasses_colour": "glasses",
        "glasses_size": "glasses",
        "beard_length": "beard",
        "hair_wave": "hair_length",
    }
    base = middle()
    if name in shown:
        base[0, INDEX[shown[name]]] = 0.9
    low, high = base.clone(), base.clone()
    low[0, INDEX[name]], high[0, INDEX[name]] = -0.9, 0.9
    pair = render(torch.cat([low, high]), 96).picture
    assert (pair[0] - pair[1]).abs().max() > 0.05


def test_the_same_face_turned_to_the_front_keeps_all_but_the_pose() -> None:
    u = factors(latents(SEEDS))
    front = turned_to_front(u)
    pose = [INDEX[name] for name in POSE]
    rest = [i for i in range(len(NAMES)) if i not in pose]
    assert torch.equal(front[:, rest], u[:, rest])
    assert front[:, pose].abs().max() == 0
    picture = render(turned_to_front(middle()), 64).picture
    even = (picture - picture.flip(3)).abs().mean()  # hair parts and light fall to a side, the head does not
    turned = middle()
    turned[0, INDEX["yaw"]] = 0.9
    odd = render(turned, 64).picture
    assert even < 0.5 * (odd - odd.flip(3)).abs().mean()


def test_mates_share_what_makes_the_person() -> None:
    u = factors(latents([3, 4]))
    other = mates(u, [3, 4])
    for name in NAMES:
        assert torch.equal(u[:, INDEX[name]], other[:, INDEX[name]]) == (name in IDENTITY)


def test_out_of_domain_faces_wear_something_extra() -> None:
    drawn = faces([OUT_OF_DOMAIN, OUT_OF_DOMAIN + 1, OUT_OF_DOMAIN + 2], 64)
    worn = drawn.segmentation[:, CLASSES.index("extra")].mean((1, 2))
    assert (worn > 0.002).all()


def test_the_stream_repeats_with_its_generator() -> None:
    first = pictures(2, torch.Generator().manual_seed(5), 32)
    again = pictures(2, torch.Generator().manual_seed(5), 32)
    assert torch.equal(first, again)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_pixels_agree_across_devices() -> None:
    here, there = faces(SEEDS, 64), faces(SEEDS, 64, device="cuda")
    assert torch.equal(here.factors, there.factors)
    assert (here.picture - there.picture.cpu()).abs().max() <= 2 / 255
