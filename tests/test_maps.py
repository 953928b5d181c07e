"""Label maps and sketches as people make them: class numbers, other palettes, white on clear."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from helpers.drawings import SIDE, some_uploads
from helpers.photos import encoded, scene
from numpy.typing import NDArray
from PIL import Image

from inversion import images
from inversion.synthetic.faces import CLASSES
from inversion.translations import INPUTS
from inversion.translations.drawings import CELEBA_PALETTE, PALETTE, DrawingError, classes, lines

Array = NDArray[np.uint8]
README = Path(__file__).resolve().parents[1] / "README.md"
COUNT = len(CLASSES)


@pytest.fixture(scope="module")
def numbers() -> Array:
    """A map of class numbers (SIDE, SIDE)."""
    return classes(some_uploads()["map"][0], COUNT, SIDE).astype(np.uint8)


def indexed(numbers: Array, colours: object) -> bytes:
    page = Image.fromarray(numbers).convert("L")
    page = Image.frombytes("P", page.size, page.tobytes())
    page.putpalette(np.asarray(colours, np.uint8).ravel().tolist())
    return encoded(page)


def smooth(numbers: Array, colours: object) -> bytes:
    """Three times as large, with smoothed edges."""
    page = Image.fromarray(np.asarray(colours, np.uint8)[numbers])
    return encoded(page.resize((3 * SIDE, 3 * SIDE), Image.Resampling.BICUBIC))


OTHER = np.random.default_rng(3).integers(0, 256, (len(PALETTE), 3))
MAPS: dict[str, tuple[Callable[[Array], bytes], str | None]] = {
    "our colours": (lambda n: encoded(Image.fromarray(np.asarray(PALETTE, np.uint8)[n])), None),
    "our colours as a palette": (lambda n: indexed(n, PALETTE), None),
    "grey values": (lambda n: encoded(Image.fromarray(n)), "class numbers"),
    "grey values, 255 is not decided": (
        lambda n: encoded(Image.fromarray(np.where(n == 0, 255, n).astype(np.uint8))), "255 as background"),
    "grey values in 16 bits": (lambda n: encoded(Image.fromarray(n.astype(np.uint16))), "class numbers"),
    "grey values in three channels": (lambda n: encoded(Image.fromarray(n).convert("RGB")), "class numbers"),
    "grey values as a palette": (lambda n: indexed(n, [[i] * 3 for i in range(19)]), "class numbers"),
    "colours of CelebAMask-HQ": (
        lambda n: encoded(Image.fromarray(np.asarray(CELEBA_PALETTE, np.uint8)[n])), "CelebAMask-HQ"),
    "colours of CelebAMask-HQ as a palette": (lambda n: indexed(n, CELEBA_PALETTE), "CelebAMask-HQ"),
    "numbers of another palette": (lambda n: indexed(n, OTHER), "numbers of its palette"),
    "numbers of a palette with black": (lambda n: indexed(n, [(0, 0, 0), *OTHER[1:]]), "numbers of its palette"),
    "numbers of a palette with white": (lambda n: indexed(n, [(255, 255, 255), *OTHER[1:]]), "numbers of its palette"),
}  # fmt: skip


@pytest.mark.parametrize("kind", MAPS)
def test_every_kind_of_map_is_the_same_map(kind: str, numbers: Array) -> None:
    make, says = MAPS[kind]
    decoded = INPUTS["map"].decode(make(numbers))
    assert (classes(np.asarray(decoded.picture), COUNT, SIDE) == numbers).all()
    assert len(decoded.notes) == (says is not None) and (says is None or says in decoded.notes[0])


@pytest.mark.parametrize("name", INPUTS)
def test_a_small_input_is_named(name: str) -> None:
    page = Image.new("RGB", (24, 30), PALETTE[1] if name == "map" else (250, 250, 250))
    page.paste(PALETTE[2] if name == "map" else (0, 0, 0), (5, 5, 9, 20))
    assert any("only 24x30 pixels" in note for note in INPUTS[name].decode(encoded(page)).notes)


@pytest.mark.parametrize("factor", [256, 257])
def test_values_of_8_bits_that_were_enlarged_to_16_are_the_same_map(factor: int, numbers: Array) -> None:
    decoded = INPUTS["map"].decode(encoded(Image.fromarray(numbers.astype(np.uint16) * factor)))
    assert (classes(np.asarray(decoded.picture), COUNT, SIDE) == numbers).all()


def test_an_array_of_class_numbers_is_read_like_a_file(numbers: Array) -> None:
    read = INPUTS["map"].read(np.repeat(numbers[..., None], 3, axis=2), COUNT, SIDE)
    assert (read[0].argmax(dim=0).numpy() == numbers).all()


def test_smoothed_colours_of_celebamask_make_no_other_class(numbers: Array) -> None:
    found = classes(np.asarray(INPUTS["map"].decode(smooth(numbers, CELEBA_PALETTE)).picture), COUNT, SIDE)
    assert (found == numbers).mean() > 0.97 and set(np.unique(found)) <= set(np.unique(numbers))


def test_the_readme_lists_the_palette() -> None:
    found = re.findall(r"(\d+)\s`#([0-9a-f]{6})`", README.read_text(encoding="utf-8"))
    assert found == [(str(i), "{:02x}{:02x}{:02x}".format(*colour)) for i, colour in enumerate(PALETTE)]


def test_a_class_that_the_model_does_not_know_is_named(numbers: Array) -> None:
    unknown = np.where(numbers == numbers.max(), 18, numbers).astype(np.uint8)
    picture = np.asarray(INPUTS["map"].decode(encoded(Image.fromarray(unknown))).picture)
    with pytest.raises(DrawingError, match=f"the class 18.*0 to {COUNT - 1}"):
        classes(picture, COUNT, SIDE)


def test_a_picture_that_is_no_label_map_is_refused_when_it_is_uploaded(numbers: Array) -> None:
    beyond = Image.fromarray(numbers * 10 + 5)  # every palette
    for page, says in ((beyond, "which is no class"), (scene(SIDE, SIDE), "not a label map")):
        with pytest.raises(DrawingError, match=says):
            INPUTS["map"].decode(encoded(page))


@pytest.mark.parametrize("ink", [(0, 0, 0), (255, 255, 255), (40, 60, 200)])
def test_a_sketch_on_a_clear_layer_is_the_sketch_on_paper(ink: tuple[int, int, int], tmp_path: Path) -> None:
    drawn = some_uploads()["lines"][0]
    grey = Image.fromarray(drawn).convert("L")
    layer = Image.new("RGB", grey.size, ink).convert("RGBA")
    layer.putalpha(grey.point(lambda value: 255 - value))
    buffer = io.BytesIO()
    layer.save(buffer, "PNG")
    read = np.asarray(INPUTS["lines"].decode(buffer.getvalue()).picture.convert("L"))
    assert np.abs(lines(read, SIDE) - lines(np.asarray(grey), SIDE)).mean() < 0.02


def test_a_white_drawing_on_clear_says_what_stands_behind_it() -> None:
    page = Image.new("RGBA", (64, 64))
    page.paste((255, 255, 255, 255), (20, 20, 40, 24))
    decoded = images.decode(encoded(page))
    assert np.asarray(decoded.picture).min() == 0 and "black" in decoded.notes[0]


@pytest.mark.parametrize(
    ("kind", "number"),
    [*((kind, n) for kind in ("grey values", "palette") for n in (len(PALETTE), 117, 254)), ("grey values", 1000)],
)
def test_a_number_of_no_class_is_named(kind: str, number: int, numbers: Array) -> None:
    strange = numbers.astype(np.uint8 if number < 256 else np.uint16)
    strange[:20, :20] = number
    colours = np.random.default_rng(4).integers(0, 256, (256, 3))
    data = encoded(Image.fromarray(strange)) if kind == "grey values" else indexed(strange, colours)
    with pytest.raises(DrawingError, match=f"the number {number}, which is no class. .* from 0 to at most 18"):
        INPUTS["map"].decode(data)


@pytest.mark.parametrize("share", [0.0, 0.1])
def test_regions_in_colours_of_no_class_are_noted(share: float, numbers: Array) -> None:
    page = np.asarray(PALETTE, np.uint8)[numbers]
    page[: round(share * len(page))] = (7, 77, 177)
    for data in (encoded(Image.fromarray(page)), encoded(Image.fromarray(page), "JPEG", quality=80, subsampling=0)):
        notes = INPUTS["map"].decode(data).notes
        assert any("colours of no class" in note for note in notes) == bool(share)
