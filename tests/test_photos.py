"""Photos as phones and cameras make them are read as the plain sRGB picture, or refused with a way out."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.photos import (
    ADOBE_RGB,
    DISPLAY_P3,
    encoded,
    in_display_p3,
    in_profile,
    interlaced,
    many_scans,
    profile,
    scene,
    with_gain_map,
    with_gamma,
)
from PIL import Image, features

from inversion import METHODS, images, invert, load
from inversion.checkpoints.convert import file_size
from inversion.checkpoints.registry import BadCheckpoint
from inversion.images import BadImage
from inversion.synthetic import DOMAINS
from inversion.tasks import Reconstruct

P3 = profile("Display P3", DISPLAY_P3, 2.2)
ADOBE = profile("Adobe RGB (1998)", ADOBE_RGB, 2.19921875)
JPEG = {"quality": 95, "subsampling": 0}
WHITE = (0.3127, 0.329)  # of D65


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(body, zlib.crc32(kind)))


def after_header(png: bytes, more: bytes) -> bytes:
    return png[:33] + more + png[33:]


def stating(image: Image.Image, primaries: int, transfer: int) -> bytes:
    """A PNG without a profile that states its colours by numbers (cICP)."""
    return after_header(encoded(Image.fromarray(np.asarray(image))), chunk(b"cICP", bytes([primaries, transfer, 0, 1])))


def by_chunks(image: Image.Image, gamma: float, *positions: float) -> bytes:
    """A PNG without a profile that states its gamma and its white, red, green and blue (gAMA, cHRM)."""
    more = chunk(b"gAMA", struct.pack(">I", round(100_000 / gamma)))
    if positions:
        more += chunk(b"cHRM", struct.pack(">8I", *(round(100_000 * value) for value in positions)))
    return after_header(encoded(Image.fromarray(np.asarray(image))), more)


def with_boxes(avif: bytes, primaries: int, transfer: int) -> bytes:
    """An AVIF file that states other colours (nclx)."""
    place = avif.index(b"colrnclx") + 8
    return avif[:place] + struct.pack(">HH", primaries, transfer) + avif[place + 4 :]


PNG = encoded(scene())
MPO = encoded(scene(), "MPO", save_all=True, append_images=[scene(48, 32)], **JPEG)
FRAMES = {"save_all": True, "append_images": [scene().rotate(180)], "duration": 100}
PALETTE = scene().quantize(64)

# Kind -> file, what its notes contain (None: there is no note), largest mean difference to the plain picture.
SAME: dict[str, tuple[bytes, str | None, float]] = {
    "jpeg": (encoded(scene(), "JPEG", **JPEG), None, 2),
    "progressive jpeg": (encoded(scene(), "JPEG", progressive=True, **JPEG), None, 2),
    "mpo": (MPO, None, 2),
    "gain map": (with_gain_map(encoded(scene(), "JPEG", **JPEG), encoded(scene(24, 16).convert("L"), "JPEG")), None, 2),
    "display p3 jpeg": (encoded(in_profile(scene(), P3), "JPEG", icc_profile=P3, **JPEG), "from Display P3", 2),
    "display p3 png": (encoded(in_profile(scene(), P3), icc_profile=P3), "from Display P3", 1),
    "display p3 webp": (
        encoded(in_profile(scene(), P3), "WEBP", lossless=True, icc_profile=P3), "from Display P3", 1),
    "display p3 with alpha": (
        encoded(in_profile(scene(), P3).convert("RGBA"), icc_profile=P3), "from Display P3", 1),
    "adobe rgb tiff": (encoded(in_profile(scene(), ADOBE), "TIFF", icc_profile=ADOBE), "from Adobe RGB", 1),
    "adobe rgb jpeg": (encoded(in_profile(scene(), ADOBE), "JPEG", icc_profile=ADOBE, **JPEG), "from Adobe RGB", 2),
    "broken profile": (encoded(scene(), icc_profile=b"nonsense" * 30), "cannot be read", 0),
    "profile of another kind": (encoded(scene(), icc_profile=P3.replace(b"RGB ", b"CMYK")), None, 0),
    "jpeg without an end marker": (encoded(scene(), "JPEG", **JPEG)[:-2], "end of the file is missing", 2),
    "png without an end chunk": (PNG[:-12], "end of the file is missing", 0),
    "png in the middle of its end": (PNG[:-6], "end of the file is missing", 0),
    "bytes behind the end": (encoded(scene(), "JPEG", **JPEG) + b"\xff\xda\0\7trailer" * 50, None, 2),
    "long text": (after_header(PNG, chunk(b"tEXt", b"workflow\0" + b"x" * 2_000_000)), None, 0),
    "long compressed text": (
        after_header(PNG, chunk(b"zTXt", b"prompt\0\0" + zlib.compress(bytes(80_000_000)))), None, 0),
    "long international text": (
        after_header(PNG, chunk(b"iTXt", b"prompt\0\1\0\0\0" + zlib.compress(bytes(2_000_000)))), None, 0),
    "text with a wrong checksum": (after_header(PNG, chunk(b"tEXt", b"a\0b")[:-1] + b"?"), None, 0),
    "animated png": (encoded(scene(), **FRAMES), "several frames", 0),
    "animated webp": (encoded(scene(), "WEBP", lossless=True, **FRAMES), "several frames", 1),
    "animated gif": (encoded(PALETTE, "GIF", save_all=True, append_images=[PALETTE.rotate(180)]), "several", 8),
    "gif": (encoded(PALETTE, "GIF"), None, 8),
    "tiff": (encoded(scene(), "TIFF"), None, 0),
    "lzw tiff": (encoded(scene(), "TIFF", compression="tiff_lzw"), None, 0),
    "pages": (encoded(scene(), "TIFF", save_all=True, append_images=[scene(24, 16)]), "several frames", 0),
    "bmp": (encoded(scene(), "BMP"), None, 0),
    "big tiff": (encoded(scene(), "TIFF", big_tiff=True), None, 0),
    "png that states display p3": (stating(in_display_p3(scene()), 12, 13), "from Display P3", 0.5),
    "png with the primaries of display p3": (
        by_chunks(in_display_p3(scene()), 2.2, *WHITE, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06), "from Display P3", 0.5),
    "png of linear light": (by_chunks(with_gamma(scene(), 1), 1), "from another colour space", 1),
    "png of an old screen": (by_chunks(with_gamma(scene(), 1.8), 1.8), "from another colour space", 0.5),
    "png with the numbers of srgb": (
        by_chunks(scene(), 2.2, *WHITE, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06), None, 0),
    "png with impossible numbers": (by_chunks(scene(), 2.2, 0, 0, 0, 0, 0, 0, 0, 0), None, 0),
    "png that states srgb and a gamma": (after_header(by_chunks(scene(), 1), chunk(b"sRGB", b"\0")), None, 0),
    "png that states srgb": (stating(scene(), 1, 13), None, 0),
    "hdr png": (stating(scene(), 9, 16), "high dynamic range", 0),
    "transparent everywhere": (
        encoded(Image.merge("RGBA", (*scene().split(), Image.new("L", (96, 64))))), "everywhere", 0),
}  # fmt: skip
if features.check("avif"):
    SAME["avif"] = (encoded(scene(), "AVIF", quality=95), None, 3)
    wide = encoded(in_display_p3(scene()), "AVIF", quality=95)
    SAME["avif that states display p3"] = (with_boxes(wide, 12, 13), "from Display P3", 3)


def difference(one: Image.Image, other: Image.Image) -> float:
    return float(np.abs(np.asarray(one, float) - np.asarray(other, float)).mean())


@pytest.mark.parametrize("kind", SAME)
def test_the_picture_is_that_of_the_plain_file(kind: str) -> None:
    data, says, most = SAME[kind]
    read = images.decode(data)
    assert read.picture.mode == "RGB" and read.picture.size == scene().size and not read.picture.info
    assert difference(read.picture, scene()) <= most
    assert len(read.notes) == (says is not None), read.notes
    assert says is None or (says in read.notes[0] and read.notes[0].endswith("."))


def test_display_p3_red_is_the_red_that_was_meant() -> None:
    numbers = in_profile(Image.new("RGB", (16, 16), (230, 40, 40)), P3)
    assert np.abs(np.asarray(numbers)[0, 0].astype(int) - (211, 61, 52)).max() <= 3
    read = np.asarray(images.read(encoded(numbers, icc_profile=P3)))[0, 0]
    assert np.abs(read.astype(int) - (230, 40, 40)).max() <= 2


def test_adobe_rgb_that_only_exif_names_is_converted() -> None:
    exif = Image.Exif()
    exif[0x8769] = {0xA001: 65535, 0xA005: {1: "R03"}}
    read = images.decode(encoded(in_profile(scene(), ADOBE), "JPEG", exif=exif, **JPEG))
    assert difference(read.picture, scene()) <= 2 and "Adobe RGB" in read.notes[0]


@pytest.mark.weights
def test_an_encoder_sees_the_plain_picture() -> None:
    whole = load("synthetic-faces")
    face = DOMAINS["synthetic-faces"].pictures(1, torch.Generator().manual_seed(11), 256)
    plain = Image.fromarray(images.to_array(face))

    def inverted(data: bytes) -> Image.Image:
        y = images.to_tensor(images.fit(images.read(data), whole.resolution))
        *_, result = invert(whole, Reconstruct(), y, METHODS["psp"])
        return Image.fromarray(images.to_array(result.image))

    expected = inverted(encoded(plain))
    assert difference(inverted(encoded(in_profile(plain, P3), icc_profile=P3)), expected) <= 1
    large = plain.resize((4800, 4800), Image.Resampling.LANCZOS)
    for photo, options in (
        (plain, {"save_all": True, "append_images": [plain.reduce(2)], "quality": 92}),
        (in_profile(plain, ADOBE), {"icc_profile": ADOBE, "quality": 92}),
        (large, {"quality": 90}),
    ):
        form = "MPO" if "save_all" in options else "JPEG"
        assert difference(inverted(encoded(photo, form, **options)), expected) <= 2


def test_profiles_of_srgb_change_nothing() -> None:
    from PIL import ImageCms

    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    read = images.decode(encoded(scene(), icc_profile=srgb))
    assert read.picture.tobytes() == scene().tobytes() and not read.notes


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("form", ["JPEG", "PNG"])
def test_a_cut_file_keeps_the_pixels_that_are_there(form: str, progressive: bool) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (128, 128, 3), dtype=np.uint8)
    options = {"progressive": progressive, **JPEG} if form == "JPEG" else {}
    image = Image.fromarray(noise)
    whole = interlaced(image) if form == "PNG" and progressive else encoded(image, form, **options)
    full, cut = images.read(whole), images.decode(whole[: len(whole) * 6 // 10])
    assert len(cut.notes) == 1 and any(word in cut.notes[0] for word in ("missing part is grey", "lines", "blurred"))
    if not progressive:
        assert difference(cut.picture.crop((0, 0, 128, 64)), full.crop((0, 0, 128, 64))) == 0
        assert set(np.asarray(cut.picture)[-8:].ravel()) == {128}


@pytest.mark.parametrize("progressive", [False, True])
def test_a_jpeg_with_fewer_rows_than_it_states_says_so(progressive: bool) -> None:
    whole = encoded(scene(), "JPEG", progressive=progressive)
    frame = whole.index(b"\xff\xc2" if progressive else b"\xff\xc0")
    taller = whole[: frame + 5] + struct.pack(">H", 128) + whole[frame + 7 :]
    assert images.decode(taller).notes == ("The last rows of the picture are plain grey, as in a damaged file.",)
    assert images.decode(whole).notes == ()


@pytest.mark.parametrize("form", ["GIF", "TIFF", "BMP"])
def test_a_cut_file_of_another_format_says_so_too(form: str) -> None:
    data = encoded(scene().convert("P") if form == "GIF" else scene(), form)
    try:
        assert "cut off" in images.decode(data[: len(data) * 2 // 3]).notes[0]
    except BadImage as error:
        assert "cut off" in str(error)


def test_large_photos_are_shrunk_by_a_whole_factor() -> None:
    photo = Image.new("RGB", (5712, 4284), (200, 90, 40))
    photo.paste((20, 60, 220), (0, 0, 2856, 2142))
    for data in (encoded(photo, "JPEG"), encoded(photo, compress_level=1)):
        read = images.decode(data)
        assert read.picture.size == (2856, 2142) and "2856x2142" in read.notes[0]
        assert difference(read.picture, photo.reduce(2)) <= 2


def test_a_turned_large_photo_is_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    photo = Image.new("RGB", (5200, 3900), "navy")
    photo.paste((250, 250, 250), (0, 0, 2600, 3900))
    read = np.asarray(images.read(encoded(photo, "JPEG", exif=exif)))
    assert read.shape[:2] == (2600, 1950) and read[:1200].min() > 200 and read[1400:, :, 0].max() < 60


def test_decoding_48_million_pixels_takes_bounded_memory(tmp_path: Path) -> None:
    path = tmp_path / "large.jpg"
    small = scene(1008, 756).resize((8064, 6048), Image.Resampling.NEAREST)
    small.save(path, quality=85)
    del small
    script = f"""
import resource, sys
from inversion import images
images.read({str(path.with_name("small.png"))!r})
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
size = images.read({str(path)!r}).size
print(*size, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""
    scene().save(path.with_name("small.png"))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    width, height, growth = (int(word) for word in done.stdout.split())
    assert (width, height) == (4032, 3024) and growth <= 200


@pytest.mark.parametrize("coding", ["12 bits", "lossless", "hierarchical"])
def test_a_jpeg_of_a_rare_kind_is_not_called_damaged(coding: str) -> None:
    data = bytearray(encoded(scene(), "JPEG", **JPEG))
    frame = data.index(b"\xff\xc0")
    where, value = {"12 bits": (4, 12), "lossless": (1, 0xC3), "hierarchical": (1, 0xC5)}[coding]
    data[frame + where] = value
    with pytest.raises(BadImage, match="rare kind, such as 12 bits or lossless. Export it"):
        images.read(bytes(data))


@pytest.mark.parametrize(("size", "says"), [((400, 20), True), ((20, 200), True), ((200, 40), False)])
def test_a_long_strip_is_not_used_in_silence(size: tuple[int, int], says: bool) -> None:
    notes = images.decode(encoded(scene().resize(size))).notes
    assert len(notes) == says and all(f"strip of {size[0]}x{size[1]} pixels" in note for note in notes)


def test_a_jpeg_of_very_many_scans_is_refused_before_it_is_decoded() -> None:
    bomb = many_scans(2048, 2048, 2000)
    began = time.process_time()
    with pytest.raises(BadImage, match="scans"):
        images.read(bomb)
    assert time.process_time() - began < 0.5
    images.read(many_scans(64, 64, 20))


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(99), "HEIC photo"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic" + bytes(99), "pillow-heif"),
        (b"\0\0\0\x14ftypqt  \0\0\0\0qt  " + bytes(99), "video"),
        (b"\0\0\0\x18ftypcrx \0\0\0\1crx isom" + bytes(99), "camera raw"),
        (b"II*\0\x10\0\0\0CR\2\0" + bytes(99), "camera raw"),
        (b"IIRO\x08\0\0\0" + bytes(99), "camera raw"),
        (b"IIU\0\x18\0\0\0" + bytes(99), "camera raw"),
        (encoded(scene(), "TIFF", tiffinfo={50706: b"\1\4\0\0"}), "camera raw"),
        (encoded(scene(), "TIFF", tiffinfo={254: 1}), "camera raw"),
        (b"II*\0\x08\0\0\0" + bytes(99), "TIFF file is damaged or of a rare kind"),
        (b"\xff\x0a" + bytes(99), "JPEG XL"),
        (b"8BPS\0\1" + bytes(99), "Photoshop"),
        (b"%PDF-1.7" + bytes(99), "PDF"),
        (b"\x1aE\xdf\xa3" + bytes(99), "video"),
        (b"RIFF\0\0\0\0AVI LIST" + bytes(99), "video"),
        ("그림은 메일로".encode(), "a text"),
    ],
)  # fmt: skip
def test_other_formats_are_named_with_a_way_out(data: bytes, says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(BadImage, match=says) as caught:
        images.read(data)
    assert "JPEG" in str(caught.value) and "PNG" in str(caught.value)


def test_heic_is_read_if_its_decoder_is_installed() -> None:
    heif = pytest.importorskip("pillow_heif")
    buffer = io.BytesIO()
    heif.from_pillow(scene()).save(buffer, quality=95)
    assert difference(images.read(buffer.getvalue()), scene()) <= 3


def test_a_missing_avif_decoder_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "check", lambda name: name != "avif")
    with pytest.raises(BadImage, match="AVIF picture, which needs"):
        images.read(b"\0\0\0\x1cftypavif\0\0\0\0avifmif1miaf" + bytes(99))


def test_deep_and_floating_pictures_keep_their_greys() -> None:
    grey = np.asarray(scene().convert("L"))
    for image in (
        Image.fromarray(grey.astype(np.uint16) * 257),
        Image.fromarray(grey.astype(np.int32) * 257),
        Image.fromarray(grey.astype(np.float32) / 255),
        Image.fromarray(grey.astype(np.uint16)),  # numbers below 256, as in label maps
    ):
        assert difference(images.read(encoded(image, "TIFF")).convert("L"), Image.fromarray(grey)) <= 1


def test_a_webp_without_its_metadata_is_whole_and_one_without_pixels_is_refused() -> None:
    whole = scene(96, 64)
    for options in ({"quality": 90}, {"lossless": True}):
        exif = encoded(whole, "WEBP", exif=b"Exif\0\0" + bytes(40), **options)
        for lost in (1, 20, 45):
            read = images.decode(exif[:-lost])
            assert read.picture.tobytes() == images.read(exif).tobytes() and "seems to be complete" in read.notes[0]
        plain = encoded(whole, "WEBP", **options)
        for lost in (4, len(plain) // 2, len(plain) - 14):
            with pytest.raises(BadImage, match="WebP file is cut off: only .* bytes are there. Copy or download"):
                images.decode(plain[:-lost])


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow has no AVIF")
def test_a_cut_avif_says_how_much_is_missing() -> None:
    with pytest.raises(BadImage, match="7 of .* bytes are missing. Copy or download it again"):
        images.decode(encoded(scene(96, 64), "AVIF")[:-7])


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"<svg xmlns='x'/>", "SVG drawing.*Export"),
        (b"<!DOCTYPE html><html>", "web page.*open the link"),
        (b"version https://git-lfs.github.com/spec/v1", "git lfs pull"),
        (b'{"error": "quota"}', "JSON text.*again"),
        (b"\x1f\x8b\x08", "packed file.*Export"),
        (b"\x93NUMPY\x01", "NumPy array.*Export"),
        (b"P6 8 8 255", "Netpbm picture.*Export"),
        (b"v/1\x01", "OpenEXR picture.*Export"),
        (bytes(128) + b"DICM", "DICOM picture.*Export"),
        (bytes(range(1, 60)), "not a PNG.*Export"),
    ],
)
def test_files_of_other_kinds_are_named_with_the_way_out(data: bytes, says: str) -> None:
    with pytest.raises(BadImage, match=says):
        images.decode(data)


def test_names_that_are_no_files_say_why(tmp_path: Path) -> None:
    (tmp_path / "loop.png").symlink_to("loop.png")
    os.mkfifo(tmp_path / "pipe.png")
    for name, says in (("loop.png", "leads to no file"), ("pipe.png", "pipe or device"), ("", "is a folder")):
        with pytest.raises(BadImage, match=says):
            images.decode(tmp_path / name)
    with pytest.raises(BadImage, match="is a web address. Download the picture"):
        images.decode("https://example.org/face.png")
    with pytest.raises(BadCheckpoint, match="is a web address: download the file"):
        file_size(Path("https://example.org/g.pkl"))
