"""Good files of every format that is read, small, for mutations; among the pickles also hostile ones."""

from __future__ import annotations

import io
import os
import pickle
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageCms, PngImagePlugin, features

from inversion.checkpoints.registry import REGISTRY

if TYPE_CHECKING:
    from torch import Tensor

    from inversion.methods.codes import PlainCode
    from inversion.model import Model

SIDE = 24  # pixels of pictures
ENTRIES = 5  # of the registry
JOB, OWNER = "key", "owner"  # of the run in `results`
RECIPE = '{"method": "w", "settings": {"w.steps": 2}, "seed": 0, "notes": []}'


def pictures() -> list[bytes]:
    """Pictures in every format and in many modes, with profiles, metadata, frames and recipes."""
    y, x = np.mgrid[:SIDE, : SIDE + 8] * 8
    rgb = Image.fromarray(np.stack([x, y, (x + y) // 2], axis=2).astype(np.uint8))
    rgba = rgb.copy()
    rgba.putalpha(Image.fromarray((x % 255).astype(np.uint8)))
    info = PngImagePlugin.PngInfo()
    info.add_text("inversion", RECIPE)
    info.add_itxt("XML:com.adobe.xmp", "<x:xmpmeta/>")
    exif = Image.Exif()
    exif[0x0112] = 6
    facts: dict[str, Any] = {"icc_profile": ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()}
    facts["exif"] = exif
    files = [_saved(rgb, "PNG", pnginfo=info, **facts), _saved(rgba, "PNG"), _saved(rgb.quantize(16), "PNG")]
    files += [_saved(rgb.convert(mode), "PNG") for mode in ("L", "LA", "1", "I;16")]
    files += [_saved(rgb, "PNG", save_all=True, append_images=[rgb.rotate(90)])]
    files += [_saved(rgb, "JPEG", **facts), _saved(rgb, "JPEG", progressive=True), _saved(rgb.convert("L"), "JPEG")]
    files += [_saved(rgb.convert("CMYK"), "JPEG", quality=30), _saved(rgb, "MPO", save_all=True, append_images=[rgb])]
    files += [_saved(rgba, "WEBP", lossless=True), _saved(rgb, "WEBP", **facts)]
    files += [_saved(rgb, "WEBP", save_all=True, append_images=[rgb.rotate(90)])]
    files += [_saved(rgb, "GIF", save_all=True, append_images=[rgb.rotate(90)]), _saved(rgb, "BMP")]
    files += [_saved(rgb, "TIFF", compression=name) for name in ("raw", "tiff_lzw", "tiff_adobe_deflate", "packbits")]
    files += [_saved(rgb.convert("F"), "TIFF"), _saved(rgb.convert("1"), "TIFF", compression="group4")]
    return [*files, *([_saved(rgb, "AVIF")] if features.check("avif") else [])]


def masks() -> list[bytes]:
    """Masks: black and white, greys, class numbers, alpha, palettes."""
    y, x = np.mgrid[:SIDE, :SIDE]
    hole = ((x > 6) & (x < 16) & (y > 4)).astype(np.uint8)
    layer = np.zeros((SIDE, SIDE, 4), np.uint8)
    layer[hole > 0] = (200, 30, 30, 255)
    arrays = [hole * 255, hole, hole * 3, (x * 10).astype(np.uint8), layer]
    made = [_saved(Image.fromarray(one), "PNG") for one in arrays]
    made += [_saved(Image.fromarray(hole * 255).convert("1"), "PNG"), _saved(Image.fromarray(hole * 255), "JPEG")]
    return [*made, _saved(Image.fromarray(hole * 255).convert("P"), "GIF")]


def registries() -> list[bytes]:
    """Lists of checkpoints: a part of ours, as YAML and as JSON; and one that names a value many times."""
    import yaml

    parsed = yaml.safe_load(REGISTRY.read_text(encoding="utf-8"))
    few = {name: parsed[name] for name in list(parsed)[:ENTRIES]}
    levels = [f"&a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 12)]
    bomb = yaml.safe_dump(few) + f"bomb:\n  kind: [&a0 [x, x], {', '.join(levels)}]\n"
    return [yaml.safe_dump(few, sort_keys=False).encode(), str(few).replace("'", '"').encode(), bomb.encode()]


def rows() -> list[bytes]:
    """Files of rows and of hashes: JSON and CSV."""
    learnt = '{"yunet@main": {"sha256": "' + "0" * 64 + '", "bytes": 5}}'
    table = 'picture,task,psnr\na.png,reconstruct,1.5\n"b, c.png",inpaint,\n'
    return [f"[{RECIPE}, {RECIPE}]".encode(), RECIPE.encode(), learnt.encode(), table.encode(), b""]


def codes() -> list[bytes]:
    """Codes: ours of several kinds, and arrays of other projects."""
    import torch

    from inversion.checkpoints.codes import SavedCode, packed

    def draw(*shape: int) -> Tensor:
        return torch.linspace(-1, 1, int(np.prod(shape))).reshape(shape)

    ws, noise = draw(1, 6, 32), (draw(1, 1, 4, 4), draw(1, 1, 8, 8))
    saved = [
        SavedCode("w", ws, model="tiny", sha256="0" * 64),
        SavedCode("wplus", ws, noise=noise, model="tiny", options={"truncation": 0.7}, tuned=True),
        SavedCode("multicode", ws, {"z": draw(1, 3, 32), "alpha": draw(1, 3, 8)}, layer=2),
    ]
    arrays = [draw(6, 32).numpy(), draw(32).numpy(), draw(1, 6, 32).double().numpy()]
    plain = [_numpy(np.save, array) for array in arrays]
    return [*map(packed, saved), *plain, _numpy(np.savez, w=arrays[0]), _numpy(np.savez_compressed, w=arrays[0])]


def checkpoints(marker: Path) -> list[bytes]:
    """Networks, directions and codes in the formats of other projects; and pickles that would write `marker`."""
    import torch

    from inversion.checkpoints.tuned import packed_generator
    from inversion.checkpoints.vendor import packed_nvidia

    model = tiny_model()
    nvidia = packed_nvidia(model, {}) or b""
    state = torch.load(io.BytesIO(nvidia), weights_only=True)["G_ema"]
    content = {"g_ema": state, "iteration": 3, "args": {"size": 16}}
    files = [packed_generator(model, {}, "pti"), nvidia, _torch(content), _torch(content, archive=False)]
    files += [_pickled(state, f"open({str(marker)!r}, 'w')"), _pickled(state, "", protocol=2)]
    files += [pickle.dumps(_Call(function, argument)) for function, argument in _attacks(marker)]
    files += [_torch({"latent": torch.zeros(1, 6, 32), "x": _Call(os.system, f"touch {marker}")})]
    return [*files, *codes()[-4:]]


def tiny_model() -> Model:
    """A StyleGAN2 of 16 pixels with random weights."""
    import torch

    from inversion.generators import StyleGAN2
    from inversion.model import Model

    torch.manual_seed(0)
    prior = StyleGAN2(16, 8, 8, {4: 4, 8: 4, 16: 4}, mapping_layers=2, noise=False).freeze()
    return Model("tiny", prior, 16, sha256="0" * 64)


class _Call:
    """An object whose pickle calls a function when it is loaded."""

    def __init__(self, function: Any, argument: str) -> None:  # noqa: ANN401 - any function
        self.function, self.argument = function, argument

    def __reduce__(self) -> tuple[Any, ...]:
        return self.function, (self.argument,)


def _attacks(marker: Path) -> Iterator[tuple[Any, str]]:
    """Functions and arguments that write the marker."""
    yield os.system, f"touch {marker}"
    yield eval, f"open({str(marker)!r}, 'w')"
    yield exec, f"open({str(marker)!r}, 'w')"
    yield os.mkdir, str(marker)


def _pickled(state: Mapping[str, Tensor], source: str, protocol: int = 4) -> bytes:
    """A pickle as StyleGAN2-ADA writes it. source: the text that its own loader would run."""
    with _vendor() as persistence:

        class Persistent:
            def __init__(self, tensors: Mapping[str, Tensor]) -> None:
                parts: dict[str, dict[str, Tensor]] = {}
                own: dict[str, Tensor] = {}
                for key, value in tensors.items():
                    child, dot, rest = key.partition(".")
                    if dot:
                        parts.setdefault(child, {})[rest] = value
                    else:
                        own[key] = value
                modules = {name: Persistent(part) for name, part in parts.items()}
                state = {"_parameters": own, "_buffers": {}, "_modules": modules, "training": False}
                self.meta = {"type": "class", "version": 6, "module_src": source, "class_name": "G", "state": state}

            def __reduce__(self) -> tuple[Any, ...]:
                return persistence._reconstruct_persistent_obj, (self.meta,)

        return pickle.dumps({"G_ema": Persistent(state), "augment_pipe": None}, protocol)


@contextmanager
def _vendor() -> Iterator[Any]:
    """A module under the name in NVIDIA's files, while a file is written."""

    def rebuild(meta: object) -> object:
        return meta

    name = "torch_utils.persistence"
    rebuild.__module__, rebuild.__qualname__ = name, "_reconstruct_persistent_obj"
    module: Any = ModuleType(name)
    module._reconstruct_persistent_obj = rebuild
    before = {key: sys.modules.get(key) for key in ("torch_utils", name)}
    sys.modules |= {"torch_utils": ModuleType("torch_utils"), name: module}
    try:
        yield module
    finally:
        for key, value in before.items():
            del sys.modules[key]
            if value is not None:
                sys.modules[key] = value


def _saved(image: Image.Image, form: str, **options: Any) -> bytes:  # noqa: ANN401 - of Pillow
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def _numpy(save: Any, *arrays: Any, **named: Any) -> bytes:  # noqa: ANN401 - of NumPy
    file = io.BytesIO()
    save(file, *arrays, **named)
    return file.getvalue()


def _torch(content: object, archive: bool = True) -> bytes:
    import torch

    file = io.BytesIO()
    torch.save(content, file, _use_new_zipfile_serialization=archive)
    return file.getvalue()


def results(folder: Path) -> dict[str, bytes]:
    """The files of a folder of `--results` with one run in it, by their paths."""
    import torch

    from inversion.checkpoints.codes import SavedCode
    from inversion.serving.archive.archive import Archive
    from inversion.serving.jobs import Job, RunView
    from inversion.serving.limits import Limits
    from inversion.serving.runs import Finished, Request

    pixels = np.arange(16 * 16 * 3, dtype=np.uint8).reshape(16, 16, 3)
    start = SavedCode("w", torch.zeros(1, 1, 8), name="mine.npz")
    request = Request("reconstruct", "w", pixels, settings={"w.steps": 2}, start=start, notes=("a note",))
    archive = Archive(folder, Limits())
    job = Job(JOB, (request,), [RunView("w", "W")], owner=OWNER)
    archive.add(job)
    job.truth = job.measured = pixels
    code: PlainCode = {"kind": "w", "rows": torch.zeros(1, 1, 8)}
    event = Finished(pixels, {"psnr": 30.0, "seconds": 2.0}, {"w.loss": [1.0]}, code, {"conv": torch.zeros(2, 3)})
    job.take(0, event)
    archive.keep(job, 0, event)
    archive.release(job)
    archive.close()
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
