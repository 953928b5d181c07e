"""Small public checkpoints: every layout's keys from its manifest, with a quarter of the channels."""

from __future__ import annotations

import json
import pickle
import sys
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from inversion.parity.fill import Filler

GOLDENS = Path(__file__).parents[1] / "goldens"
MANIFESTS = {path.stem: path for path in sorted((GOLDENS / "manifests").glob("*.json"))}
EQUALISED = ("rosinality", "nvidia", "genforce", "mgan", "idinvert_g", "psp_full_32_decoder")
BINOMIAL = {3: (1.0, 2.0, 1.0), 4: (1.0, 3.0, 3.0, 1.0)}


def manifest(name: str) -> dict[str, tuple[list[int], str]]:
    """Keys, shapes and types of a published network."""
    return json.loads(MANIFESTS[name].read_text(encoding="utf-8"))


def meta(name: str) -> dict[str, Tensor]:
    """A published network's tensors in full size, without their values."""
    return {
        key: torch.empty(shape, dtype=getattr(torch, dtype), device="meta")
        for key, (shape, dtype) in manifest(name).items()
    }


@cache
def _small(name: str, channels: bool) -> dict[str, Tensor]:
    shapes = {
        key: (_quarter(shape) if channels and not key.endswith("noise_const") else shape, dtype)
        for key, (shape, dtype) in manifest(name).items()
    }
    tensors = Filler()(shapes, "equalised" if name.startswith(EQUALISED) else "plain")
    for key, (shape, dtype) in manifest(name).items():
        leaf = key.rsplit(".", 1)[-1]
        if leaf in ("kernel", "resample_filter"):
            row = torch.tensor(BINOMIAL[shape[-1]])
            tensors[key] = torch.outer(row, row).expand(shape) / 16.0
        elif key not in tensors:
            tensors[key] = torch.zeros(shape, dtype=getattr(torch, dtype))
    return tensors


def small(name: str, prefix: str = "", channels: bool = True) -> dict[str, Tensor]:
    """A published network's tensors, filled as in the goldens; `channels`: with a quarter of the channels."""
    return {prefix + key: value.clone() for key, value in _small(name, channels).items()}


def _quarter(shape: Sequence[int]) -> list[int]:
    """Divide the dimensions that count channels, not pixels or pictures, by four."""
    counts = {0, 1}
    if len(shape) == 3:
        counts = {0}
    elif len(shape) == 5:
        counts = {1, 2}
    elif len(shape) == 4 and (tuple(shape[:2]) == (3, 3) or (tuple(shape[:2]) == (1, 1) and shape[-1] == 3)):
        counts = {2, 3}  # kernels stored (height, width, in, out)
    return [max(1, (n + 3) // 4) if i in counts and n not in (1, 3, 6, 19) else n for i, n in enumerate(shape)]


# --- files, as their authors write them ---

CONTAINED: dict[str, tuple[str, str]] = {  # layout -> (manifest, container of its files)
    "rosinality": ("rosinality_g64", "g_ema"),
    "rosinality-discriminator": ("rosinality_d64", "bare"),
    "nvidia": ("nvidia_ada_g64_tiny", "pickle"),
    "nvidia-discriminator": ("nvidia_ada_d64_tiny", "bare"),
    "genforce-stylegan2": ("genforce_stylegan2_g64", "models"),
    "genforce-discriminator": ("genforce_stylegan2_d1024", "bare"),
    "genforce-stylegan": ("genforce_stylegan_g128", "smooth"),
    "genforce-pggan": ("genforce_pggan_g64", "bare"),
    "mganprior-stylegan2": ("mgan_stylegan2_1024", "bare"),
    "mganprior-pggan": ("mgan_pggan_64", "bare"),
    "idinvert": ("idinvert_g256", "bare"),
    "idinvert-encoder": ("idinvert_e64", "bare"),
    "idinvert-vgg16": ("idinvert_vgg16", "bare"),
    "psp": ("psp_encoder_n8", "psp"),
    "single-w": ("psp_encoder_w", "psp"),
    "single-wplus": ("psp_encoder_wplus_n8", "psp"),
    "arcface": ("arcface_ir_se50", "bare"),
    "torchvision": ("lpips_alex_features", "bare"),
    "lpips": ("lpips_alex", "bare"),
}
WIDTH = 128  # of w in the small networks


def checkpoint(layout: str) -> dict[str, Any]:
    """The content of a small file of a layout, in its authors' container."""
    name, container = CONTAINED[layout]
    tensors = small(name, channels=layout != "torchvision")  # LPIPS's published heads have the full channels
    mean = torch.linspace(-1.0, 1.0, WIDTH)
    if container == "psp":
        parts = small(name, "encoder.") | small("psp_full_32_decoder", "decoder.")
        return {"state_dict": parts, "latent_avg": mean.repeat(8, 1), "opts": {"output_size": 1024, "label_nc": 0}}
    return {
        "bare": tensors,
        "g_ema": {"g_ema": tensors, "latent_avg": mean},
        "models": {"models": {"generator": tensors, "generator_smooth": tensors}},
        "smooth": {"generator_smooth": tensors},
        "pickle": {"G_ema": tensors, "D": small("nvidia_ada_d64_tiny")},
    }[container]


def write(layout: str, path: Path) -> Path:
    """Write a small file of a layout."""
    content = checkpoint(layout)
    if CONTAINED[layout][1] == "pickle":
        write_nvidia(path, content)
    else:
        torch.save(content, path)
    return path


class _Persistent:
    """Pickles like a module of NVIDIA's `torch_utils.persistence`: with its source text."""

    def __init__(self, class_name: str, source: str, state: dict[str, Any]) -> None:
        self.meta = {"type": "class", "version": 6, "module_src": source, "class_name": class_name, "state": state}

    def __reduce__(self) -> tuple[Any, ...]:
        return sys.modules["torch_utils.persistence"]._reconstruct_persistent_obj, (self.meta,)


BUFFERS = ("w_avg", "resample_filter", "noise_const")  # what NVIDIA's networks do not train


def persistent(tensors: Mapping[str, Tensor], source: str = "", **kwargs: object) -> _Persistent:
    """A network of NVIDIA's, built of the modules in the tensors' names."""
    children: dict[str, dict[str, Tensor]] = {}
    own: dict[str, dict[str, Tensor | None]] = {"_parameters": {"absent": None}, "_buffers": {}}
    for key, value in tensors.items():
        child, dot, rest = key.partition(".")
        if dot:
            children.setdefault(child, {})[rest] = value
        else:
            buffer = key in BUFFERS
            own["_buffers" if buffer else "_parameters"][key] = value if buffer else nn.Parameter(value)
    state: dict[str, Any] = {
        **own,
        "_modules": {name: persistent(part, source, **kwargs) for name, part in children.items()},
        "training": False,
        "_non_persistent_buffers_set": set(),
        "_backward_hooks": OrderedDict(),
        "_init_args": (),
        "_init_kwargs": sys.modules["dnnlib.util"].EasyDict(kwargs),
        "weight_gain": np.float64(0.5),
        **({"conv_clamp": kwargs["conv_clamp"]} if "conv_clamp" in kwargs and not children else {}),
    }
    return _Persistent("Generator", source, state)


@contextmanager
def vendor() -> Iterator[None]:
    """Modules under the names in NVIDIA's files, while a file is written."""
    names: dict[str, tuple[str, Any]] = {
        "torch_utils.persistence": ("_reconstruct_persistent_obj", lambda meta: meta),
        "dnnlib.util": ("EasyDict", type("EasyDict", (dict,), {})),
        "dnnlib.tflib.network": ("Network", type("Network", (), {})),
    }
    modules = {}
    for name, (member, value) in names.items():
        value.__module__, value.__qualname__, value.__name__ = name, member, member
        modules[name] = ModuleType(name)
        setattr(modules[name], member, value)
    parents = {part: ModuleType(part) for part in ("torch_utils", "dnnlib", "dnnlib.tflib")}
    before = {name: sys.modules.get(name) for name in (*parents, *modules)}
    sys.modules.update(parents | modules)
    try:
        yield
    finally:
        for name, module in before.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module


def write_nvidia(
    path: Path, networks: Mapping[str, Mapping[str, Tensor]], source: str = "", protocol: int = 4, **kwargs: object
) -> Path:
    """Write a pickle as StyleGAN2-ADA does; `source` is the text that its own loader would run."""
    with vendor(), path.open("wb") as file:
        parts = {name: persistent(tensors, source, **kwargs) for name, tensors in networks.items()}
        extra = {"training_set_kwargs": sys.modules["dnnlib.util"].EasyDict(path="x.zip"), "augment_pipe": None}
        pickle.dump(extra | parts, file, protocol)
    return path


def write_tuned(path: Path, tensors: Mapping[str, Tensor], source: str = "") -> Path:
    """Write a generator as PTI does: the persistent module itself in torch's archive."""
    with vendor():
        torch.save(persistent(tensors, source), path)
    return path


def write_tensorflow(path: Path, builder: str = "G_main") -> Path:
    """Write a pickle as NVIDIA's TensorFlow code does; `builder` is the function that builds its networks."""
    with vendor(), path.open("wb") as file:
        network = sys.modules["dnnlib.tflib.network"].Network()
        network.__dict__ |= {"build_func_name": builder, "variables": [("lod", np.zeros(3, np.float32))]}
        pickle.dump((network, network, network), file, 2)
    return path
