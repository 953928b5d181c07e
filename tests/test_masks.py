"""Masks as people make them mark what was meant, and say how they were read."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from helpers.photos import encoded, scene
from PIL import Image, ImageDraw, ImageFilter

from inversion import images
from inversion.images import BadImage

SIDE = 96
WHOLE = (0, 0, SIDE - 1, SIDE - 1)


def disc(inside: int = 255, outside: int = 0, mode: str = "L") -> Image.Image:
    """A disc off the centre."""
    page = Image.new(mode, (SIDE, SIDE), outside)
    ImageDraw.Draw(page).ellipse((20, 30, 60, 70), fill=inside)
    return page


HOLE = np.asarray(disc()) > 0


def layer(colour: tuple[int, ...], cover: Image.Image | None = None) -> Image.Image:
    """Paint of one colour on a clear layer."""
    page = Image.new("RGB", (SIDE, SIDE), colour).convert("RGBA")
    page.putalpha(cover or disc())
    return page


def erased(photo: Image.Image, low: int = 0) -> Image.Image:
    """A photo whose hole was made transparent."""
    page = photo.convert("RGBA")
    page.putalpha(disc(low, 255))
    return page


def palette(colours: list[tuple[int, ...]], numbers: Image.Image) -> Image.Image:
    """A palette picture of class numbers."""
    page = Image.frombytes("P", numbers.size, numbers.tobytes())
    page.putpalette([value for colour in colours for value in colour])
    return page


def coloured(inside: tuple[int, ...], outside: tuple[int, ...]) -> Image.Image:
    return Image.composite(Image.new("RGB", (SIDE, SIDE), inside), Image.new("RGB", (SIDE, SIDE), outside), disc())


photo = scene(SIDE, SIDE)
soft = disc().filter(ImageFilter.GaussianBlur(1))
two = layer((255, 0, 0))
ImageDraw.Draw(two).ellipse((28, 40, 44, 60), fill=(0, 0, 255, 255))
classes = Image.fromarray(HOLE.astype(np.uint8) + (np.asarray(two.getchannel("B")) > 0))
OBJECTS = np.where(np.asarray(two.getchannel("B")) > 0, 2000, 1000).astype(np.uint16) * HOLE
MEANT = {
    "white on black": disc(),
    "white on black, jpeg": disc(),
    "grey on black": disc(127),
    "numbers of two objects in 16 bits": Image.fromarray(OBJECTS),
    "bilevel": disc(1, 0, "1"),
    "0 and 1": disc(1),
    "0 and 1 in 16 bits": Image.fromarray(HOLE.astype(np.uint16)),
    "0 and 255 in 16 bits": Image.fromarray(HOLE.astype(np.uint16) * 255),
    "0 and 1 in colour": disc(1).convert("RGB"),
    "0 and 1 with an opaque alpha": disc(1).convert("LA"),
    "palette, 1 is white": palette([(0, 0, 0), (255, 255, 255)], disc(1)),
    "palette, 0 is white": palette([(255, 255, 255), (0, 0, 0)], disc(0, 1)),
    "palette of VOC": palette([(0, 0, 0), (128, 0, 0)], disc(1)),
    "palette of two objects": palette([(0, 0, 0), (128, 0, 0), (0, 128, 0)], classes),
    "red on black": coloured((255, 0, 0), (0, 0, 0)),
    "red on white": coloured((255, 0, 0), (255, 255, 255)),
    "red on black, jpeg": coloured((255, 0, 0), (0, 0, 0)),
    "dark red on white, jpeg": coloured((128, 0, 0), (255, 255, 255)),
    "red on black, soft edge": Image.merge("RGB", (soft, Image.new("L", soft.size), Image.new("L", soft.size))),
    "black layer": layer((0, 0, 0)),
    "white layer": layer((255, 255, 255)),
    "green layer, soft edge": layer((36, 150, 126), soft),
    "half transparent layer": layer((255, 0, 0), disc(120)),
    "layer of two colours": two,
    "layer in grey": layer((255, 255, 255)).convert("LA"),
    "erased photo": erased(photo),
    "erased photo that kept its colours": erased(photo),
    "half erased photo": erased(photo, 90),
    "erased grey photo": erased(photo.convert("L").convert("RGB")).convert("LA"),
    "erased black page": erased(Image.new("RGB", (SIDE, SIDE))),
    "erased white page": erased(Image.new("RGB", (SIDE, SIDE), "white")),
    "soft mask": soft,
}  # fmt: skip


def iou(one: np.ndarray, other: np.ndarray) -> float:
    return float((one & other).sum() / (one | other).sum())


@pytest.mark.parametrize("kind", MEANT)
@pytest.mark.parametrize("invert", [False, True])
def test_the_hole_is_what_was_meant(kind: str, invert: bool) -> None:
    data = encoded(MEANT[kind], "JPEG", quality=90) if kind.endswith("jpeg") else encoded(MEANT[kind])
    read = images.decode_mask(data, invert=invert)
    assert read.pixels.dtype == np.uint8 and set(np.unique(read.pixels)) == {0, 255}
    assert iou(read.pixels > 0, invert != HOLE) >= 0.98
    assert all(note.endswith(".") for note in read.notes)
    assert bool(read.notes) == any(word in kind for word in ("layer", "erased", "grey on", "VOC", "two", "red")), kind


def painted() -> Image.Image:
    """A photo whose hole is painted over."""
    return Image.composite(Image.new("RGB", photo.size, (0, 255, 0)), photo, disc())


@pytest.mark.parametrize("form", ["PNG", "JPEG"])
@pytest.mark.parametrize("made", [photo, painted()], ids=["plain", "painted over"])
def test_a_photo_is_not_taken_for_a_mask(made: Image.Image, form: str) -> None:
    with pytest.raises(BadImage, match="looks like a photo. Give a picture that is white"):
        images.decode_mask(encoded(made, form))


def test_a_photo_with_a_clear_disc_and_flat_parts_is_a_photo() -> None:
    flat = photo.copy()
    flat.paste((250, 250, 250), (0, 0, SIDE, 40))
    assert iou(images.read_mask(encoded(erased(flat))) > 0, HOLE) == 1


def test_a_mask_of_another_size_is_scaled_and_says_so() -> None:
    large = disc().resize((3 * SIDE, 3 * SIDE), Image.Resampling.NEAREST)
    read = images.decode_mask(encoded(large), (SIDE, SIDE))
    assert iou(read.pixels > 0, HOLE) >= 0.98 and "scaled from 288x288 to 96x96" in read.notes[0]
    with pytest.raises(BadImage, match="proportions"):
        images.read_mask(encoded(large), (SIDE, 2 * SIDE))


@pytest.mark.parametrize(
    ("mask", "says"),
    [
        (Image.new("L", (SIDE, SIDE)), "marks no hole.*invert"),
        (Image.new("L", (SIDE, SIDE), 255), "whole picture"),
        (Image.new("RGBA", (SIDE, SIDE)), "transparent everywhere"),
        (Image.new("1", (SIDE, SIDE)), "marks no hole"),
    ],
)
def test_a_mask_without_a_hole_or_of_nothing_else_says_why(mask: Image.Image, says: str) -> None:
    with pytest.raises(BadImage, match=says):
        images.read_mask(encoded(mask))


def test_a_picture_with_many_greys_is_no_silent_mask() -> None:
    shades = Image.fromarray(HOLE.astype(np.uint8) * 90 + (np.asarray(two.getchannel("B")) > 0) * np.uint8(165))
    for picture in (photo.convert("L"), shades):
        assert "greys between" in images.decode_mask(encoded(picture)).notes[0]


@pytest.mark.parametrize("grey", [127, 128])
def test_the_part_of_a_trimap_that_is_not_decided_belongs_to_the_hole(grey: int) -> None:
    wide = disc().filter(ImageFilter.MaxFilter(7))
    read = images.decode_mask(encoded(Image.composite(disc(), wide.point(lambda value: value and grey), disc())))
    assert np.array_equal(read.pixels, np.asarray(wide)) and "grey belongs to the hole" in read.notes[0]


@pytest.mark.parametrize("sigma", [3, 6])
def test_a_soft_mask_is_cut_at_half_and_says_so(sigma: int) -> None:
    gradient = disc().filter(ImageFilter.GaussianBlur(sigma))
    read = images.decode_mask(encoded(gradient))
    assert np.array_equal(read.pixels > 0, np.asarray(gradient) >= 128) and "closer to white" in read.notes[0]


def test_small_class_numbers_mark_what_is_not_background() -> None:
    for numbers in (classes, classes.convert("RGB")):
        read = images.decode_mask(encoded(numbers))
        assert iou(read.pixels > 0, HOLE) == 1 and "not 0" in read.notes[0]


@pytest.mark.parametrize("colour", [(0, 0, 0), (255, 255, 255), (36, 150, 126)])
def test_the_paint_of_a_layer_is_where_it_is_not_clear(colour: tuple[int, ...]) -> None:
    assert np.array_equal(images.read_layer(encoded(layer(colour))) > 0, HOLE)
    assert not images.read_layer(encoded(Image.new("RGBA", (SIDE, SIDE)))).any()
    assert np.array_equal(images.read_layer(encoded(coloured((9, 9, 9), (255, 255, 255)))) > 0, HOLE)


def test_the_erased_part_of_a_picture_is_a_mask_of_it() -> None:
    for low in (0, 100):
        found = images.decode(encoded(erased(photo, low))).erased
        assert found is not None and np.array_equal(found > 0, HOLE)
    soft = photo.convert("RGBA")
    soft.putalpha(disc(0, 255).filter(ImageFilter.GaussianBlur(2)))
    found = images.decode(encoded(soft)).erased
    assert found is not None and not (HOLE & (found == 0)).any()  # a soft edge is mixed with the colour of the page
    for whole in (photo, photo.convert("RGBA"), erased(photo, 240)):
        assert images.decode(encoded(whole)).erased is None


def test_masks_are_cropped_like_their_pictures() -> None:
    mask = np.zeros((32, 48), np.uint8)
    mask[10:20, 20:30] = 200
    known = images.known_pixels(mask, 32)
    assert known.shape == (1, 1, 32, 32) and set(known.unique().tolist()) == {0.0, 1.0}
    assert torch.equal(known[0, 0] == 0, torch.from_numpy(mask[:, 8:40] > 0))
