"""Decoding refuses hostile files, orientation and modes are right, and no metadata of an upload is written."""

from __future__ import annotations

import pickle
import struct
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.photos import encoded
from PIL import Image, PngImagePlugin

from inversion import images
from inversion.images import BadImage


def gradient(width: int = 48, height: int = 32) -> Image.Image:
    """An upright picture with no symmetry."""
    y, x = np.mgrid[:height, :width]
    array = np.stack([x * 5 % 256, y * 7 % 256, (x + 2 * y) % 256], axis=2).astype(np.uint8)
    return Image.fromarray(array)


def png_claiming(width: int, height: int, body: bytes = b"\0" * 64) -> bytes:
    """A PNG whose header claims a size that its body does not have."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(body)) + chunk(b"IEND", b"")


def webp_claiming(width: int, height: int) -> bytes:
    """A lossless WebP of a few bytes whose header claims a size."""
    body = b"\x2f" + struct.pack("<I", width - 1 | (height - 1) << 14) + b"\0" * 9
    chunk = b"VP8L" + struct.pack("<I", len(body)) + body
    return b"RIFF" + struct.pack("<I", len(chunk) + 4) + b"WEBP" + chunk


HOSTILE = {
    "bomb": png_claiming(30_000, 30_000),
    "bomb under Pillow's own limit": png_claiming(5_000, 4_000),
    "bomb that is cut": png_claiming(7_000, 7_000)[:-20],
    "webp of 64 million pixels": webp_claiming(8_000, 8_000),
    "real bomb": encoded(Image.new("L", (9000, 9000))),
    "no width": png_claiming(0, 10),
    "one pixel": encoded(Image.new("RGB", (1, 1))),
    "a line of 16 million pixels": png_claiming(16_000_000, 1),
    "very long": png_claiming(20_000, 100),
    "svg": b"<svg xmlns='http://www.w3.org/2000/svg' width='9999999' height='9999999'/>",
    "pdf": encoded(gradient(), "PDF"),
    "jpeg 2000": encoded(gradient(), "JPEG2000"),
    "icon": encoded(gradient(), "ICO"),
    "pickle": pickle.dumps({"a": 1}),
    "cut png": encoded(gradient())[:-200],
    "cut jpeg": encoded(gradient(), "JPEG")[:300],
    "empty": b"",
    "text": b"hello" * 100,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_are_refused_at_once(name: str) -> None:
    start = time.perf_counter()
    with pytest.raises(BadImage) as caught:
        images.read(HOSTILE[name])
    assert time.perf_counter() - start < 0.25 and len(str(caught.value)) > 10 and "\n" not in str(caught.value)


def test_large_files_and_odd_paths_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadImage, match="larger than"):
        images.read(b"\0" * (images.MAX_BYTES + 1))
    for path in (tmp_path / "absent.png", tmp_path, Path("/dev/zero")):
        with pytest.raises(BadImage, match="There is no file|is a (folder|pipe)"):
            images.read(path)


def test_mutated_files_give_a_picture_or_bad_image() -> None:
    rng = np.random.default_rng(0)
    bases = [encoded(gradient(), form) for form in ("PNG", "JPEG", "WEBP")]
    decoded = 0
    for i in range(1500):
        data = bytearray(bases[i % 3])
        for _ in range(rng.integers(1, 8)):
            data[rng.integers(len(data))] = rng.integers(256)
        try:
            decoded += images.read(bytes(data)).mode == "RGB"
        except BadImage:
            continue
    assert 100 < decoded < 1400


@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_come_out_upright(orientation: int) -> None:
    """A picture that is stored turned, with an EXIF note, is the same picture."""
    turns = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = gradient() if orientation == 1 else gradient().transpose(turns[orientation])
    exif = Image.Exif()
    exif[0x0112] = orientation
    for form, options in (("JPEG", {"quality": 100, "subsampling": 0}), ("PNG", {}), ("WEBP", {"lossless": True})):
        read = images.read(encoded(stored, form, exif=exif, **options))
        assert read.size == (48, 32)
        assert np.abs(np.asarray(read, float) - np.asarray(gradient(), float)).mean() <= 2


def test_modes() -> None:
    grey = gradient().convert("L")
    deep = Image.fromarray(np.asarray(grey, np.uint16) * 257)
    for mode, image in {
        "L": grey,
        "1": grey.convert("1", dither=Image.Dither.NONE),
        "I;16": deep,
        "LA": grey.convert("LA"),
        "P": gradient().quantize(256),
        "RGBA": gradient().convert("RGBA"),
    }.items():
        read = images.read(encoded(image))
        assert read.mode == "RGB" and read.size == (48, 32), mode
        expected = {"RGBA": gradient(), "P": gradient()}.get(mode, grey)
        if mode != "1":
            error = np.abs(np.asarray(read, float) - np.asarray(expected.convert("RGB"), float))
            assert error.mean() <= (8 if mode == "P" else 1), mode
    assert images.read(encoded(gradient().convert("CMYK"), "JPEG")).mode == "RGB"


@pytest.mark.parametrize(("top", "says"), [(255, False), (1017, True), (4095, True), (60000, False)])
def test_a_picture_of_16_bits_is_not_nearly_black_in_silence(top: int, says: bool) -> None:
    values = np.asarray(gradient().convert("L"), np.float64)
    deep = Image.fromarray((values / values.max() * top).astype(np.uint16))
    notes = images.decode(encoded(deep)).notes
    assert any(f"{top} of 65535" in note for note in notes) == says


def test_transparency_is_laid_on_white() -> None:
    image = gradient().convert("RGBA")
    image.putalpha(Image.linear_gradient("L").resize(image.size).point(lambda value: 255 * (value > 127)))
    clear = np.asarray(image)[..., 3] == 0
    assert clear.any() and np.asarray(images.read(encoded(image)))[clear].min() == 255
    palette = gradient().quantize(8)
    read = images.read(encoded(palette, transparency=0))
    assert np.asarray(read)[np.asarray(palette) == 0].min() == 255


def test_fit_cuts_the_central_square_and_leaves_the_right_size_alone() -> None:
    square = gradient(32, 32)
    assert images.fit(square, 32) is square
    wide = Image.new("RGB", (96, 32), "red")
    wide.paste(square, (32, 0))
    assert images.fit(wide, 32).tobytes() == square.tobytes()
    for size in (16, 64):
        assert images.fit(gradient(), size).size == (size, size)


def test_fit_does_not_alias() -> None:
    stripes = np.zeros((256, 256, 3), np.uint8)
    stripes[:, ::2] = 255
    small = np.asarray(images.fit(Image.fromarray(stripes), 32), float)[4:-4, 4:-4]
    assert np.abs(small - 127.5).max() < 4


def test_round_trip_is_exact() -> None:
    array = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    x = images.to_tensor(array)
    assert x.shape == (1, 3, 64, 64) and x.dtype == torch.float32 and x.min() >= -1 and x.max() <= 1
    assert np.array_equal(images.to_array(x), array)
    assert np.array_equal(images.to_array(x[0] * 3), images.to_array((x * 3).clamp(-1, 1)))
    with pytest.raises(ValueError, match="expected one"):
        images.to_array(x.repeat(2, 1, 1, 1))
    with pytest.raises(BadImage):
        images.to_tensor(array[..., 0])


def test_written_pictures_carry_nothing_of_the_upload(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x010E] = "SECRET exif"
    exif.get_ifd(0x8825)[1] = "N"
    text = PngImagePlugin.PngInfo()
    text.add_text("Author", "SECRET text")
    text.add_itxt("XML:com.adobe.xmp", "SECRET xmp")
    upload = encoded(gradient(), exif=exif, pnginfo=text, icc_profile=b"SECRET icc" * 20)
    assert upload.count(b"SECRET")
    read = images.read(upload)
    assert not read.info and not read.getexif()
    for recipe in (None, {"seed": 3}):
        path = tmp_path / "out.png"
        images.write_png(path, images.to_array(images.to_tensor(read)), recipe)
        data = path.read_bytes()
        assert b"SECRET" not in data and b"eXIf" not in data and b"iCCP" not in data
        assert (b"tEXt" in data) == (recipe is not None)
        assert images.read(path).tobytes() == read.tobytes()
    assert Image.open(path).info == {"inversion": '{"seed": 3}'}


def test_a_pixel_with_any_paint_on_it_is_not_known() -> None:
    mask = np.zeros((128, 128), np.uint8)
    mask[33, 65] = 255
    known = images.known_pixels(mask, 32)
    assert known.sum() == 32 * 32 - 1 and known[0, 0, 8, 16] == 0


def test_the_limit_holds_in_the_whole_process() -> None:
    assert Image.MAX_IMAGE_PIXELS is not None and Image.MAX_IMAGE_PIXELS * 2 <= images.MAX_PIXELS
