"""One golden case: its file, its inputs, and the comparison of stored and computed outputs."""

from __future__ import annotations

import hashlib
import json
import re
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

import numpy as np
import torch
from torch import Tensor, nn

from inversion.checkpoints.layouts import Found, network
from inversion.common.errors import UserError
from inversion.parity.fill import Family, Filler, image_input, label_input

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from inversion.checkpoints.layouts import Shared

Json = Any  # null, a bool, a number, text, a list or an object; the reader checks the parts that it uses
Computed = dict[str, Tensor | Callable[[], Tensor]]  # output -> its value, or a function that computes it

LIMIT = 2e-5  # of a scaled difference
LOOSE = 2e-4  # for StyleGAN: instance norm at 128 pixels and more amplifies rounding
TIGHT = 5e-6  # for logits and unit embeddings


class CaseError(UserError):
    """A case that cannot be run. The message is one line."""


@dataclass(frozen=True)
class Difference:
    """The largest differences over all outputs of a case."""

    max_abs: float
    scaled: float  # difference / max(1, largest stored value of the output)
    ok: bool


class Case:
    """The arrays and the description of one `.npz` file, with weights filled from its manifests.

    manifests: the folder of the manifests. Raises CaseError if the file is not a golden case.
    """

    def __init__(self, path: Path, manifests: Path, device: torch.device, fill: Filler) -> None:
        self.manifests, self.device, self.fill = manifests, device, fill
        try:
            with np.load(path, allow_pickle=False) as stored:
                self.arrays = {key: stored[key] for key in stored.files}
            self.meta: dict[str, Json] = json.loads(str(self.arrays.pop("meta")))
        except (OSError, EOFError, ValueError, KeyError, BadZipFile, zlib.error) as error:
            raise CaseError(f"{path.name} is not a golden case: {' '.join(str(error).split())}") from None
        self.outputs = [key.removeprefix("out_") for key in self.arrays if key.startswith("out_")]
        if not self.outputs:
            raise CaseError(f"{path.name} stores no outputs")

    def has(self, name: str) -> bool:
        """Whether the case stores the input `name`."""
        return f"in_{name}" in self.arrays

    def input(self, name: str) -> Tensor:
        """The stored input `name`, in the shape of the file. Raises CaseError if it is missing."""
        if not self.has(name):
            raise CaseError(f"there is no in_{name}")
        return torch.from_numpy(self.arrays[f"in_{name}"]).to(self.device)

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of the stored output `name`; () if it is missing."""
        return self.arrays[f"out_{name}"].shape if f"out_{name}" in self.arrays else ()

    def config(self, name: str, default: Json) -> Json:
        """A value of the case's configuration, or the default if it is missing."""
        return self.meta.get("config", {}).get(name, default)

    def bases(self, pattern: str) -> list[str]:
        """Names of outputs that match `pattern`, each once, without the suffixes for the stored part."""
        names = dict.fromkeys(re.sub(r"_(mean|std|corner|crop|sub\d+)$", "", name) for name in self.outputs)
        return [name for name in names if re.fullmatch(pattern, name)]

    def picture(self, name: str = "image") -> Tensor:
        """The stored picture (B, C, H, W), or the one that `meta` describes, checked by hash and sample.

        Raises CaseError if a check fails.
        """
        if self.has(name):
            return self.input(name)
        recipe = self.meta[name]
        make = label_input if str(recipe["recipe"]).startswith("label_input") else image_input
        x = make(recipe["tag"], recipe["n"], recipe["c"], recipe["h"])
        if "multiplied" in recipe["recipe"]:
            x = x * ((torch.arange(len(x)) + 1.0) / 8.0)[:, None, None, None]
        if "sha256" in recipe and hashlib.sha256(x.numpy().tobytes()).hexdigest() != recipe["sha256"]:
            raise CaseError(f"{name} made from tag {recipe['tag']!r} has the wrong sha256")
        sample = self.arrays.get(f"in_{name}_check")
        if sample is not None:
            stride = recipe["h"] // sample.shape[-1]
            if not np.array_equal(x[:, :, ::stride, ::stride].numpy(), sample):
                raise CaseError(f"{name} made from tag {recipe['tag']!r} differs from in_{name}_check")
        return x.to(self.device)

    def found(self, part: str = "", **shared: Unpack[Shared]) -> Found:
        """The network under this package's names; `part` is "encoder" or "decoder" if the case has both.

        Raises CaseError if the case does not have this part.
        """
        manifest, family = str(self.meta["manifest"]), str(self.meta["family"])
        if part:
            pairs = {name: file for file, name in re.findall(r"(\S+) \((encoder|decoder)\)", manifest)}
            families = dict(re.findall(r"(encoder|decoder): (\w+)", family))
            if part not in pairs or part not in families:
                raise CaseError(f"the case names no {part} in {manifest!r} and {family!r}")
            manifest, family = pairs[part], families[part]
        return network(self.filled(manifest, "plain" if family.startswith("plain") else "equalised"), **shared)

    def filled(self, manifest: str, family: Family) -> dict[str, Tensor]:
        """Pseudo-weights {key: tensor} for a manifest. Raises CaseError if the manifest is missing."""
        path = self.manifests / f"{manifest}.json"
        try:
            manifest_of = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            raise CaseError(f"there is no manifest {path.name} in {self.manifests}") from None
        return self.fill(manifest_of, family)

    def compare(self, computed: Computed, limit: float) -> Difference:
        """The largest differences between the stored outputs and the same parts of the computed tensors.

        limit: of scaled differences. Raises CaseError if an output was not computed or has another shape.
        """
        gaps, ratios, ok = [0.0], [0.0], True
        for name in self.outputs:
            value, expected = self._cut(name, computed), self.arrays[f"out_{name}"].astype(np.float64)
            if value.shape != expected.shape:
                raise CaseError(f"out_{name} is {expected.shape}, computed {value.shape}")
            gap = float(np.abs(value - expected).max(initial=0.0))
            scaled = gap / max(1.0, float(np.abs(expected).max(initial=0.0)))
            ok = ok and scaled <= (min(limit, TIGHT) if re.match("logits|embedding", name) else limit)
            gaps.append(gap)
            ratios.append(scaled)
        return Difference(float(np.max(gaps)), float(np.max(ratios)), ok)  # not max(), which can hide a NaN

    def _cut(self, name: str, computed: Computed) -> np.ndarray:
        """The part of an output that is stored: all, a summary, every K-th pixel or a window."""
        base, kind, step = name, "", 1
        if name not in computed:
            match = re.fullmatch(r"(.+)_(mean|std|corner|crop|sub(\d+))", name)
            if match is None or match[1] not in computed:
                raise CaseError(f"nothing computes out_{name}")
            base, kind, step = match[1], match[2], int(match[3] or 1)
        value = computed[base]
        x = (value if isinstance(value, Tensor) else value()).detach().double().cpu()
        if kind in ("mean", "std"):
            flat = x.flatten(1)
            return (flat.mean(dim=1) if kind == "mean" else flat.std(dim=1, correction=0)).numpy()
        if kind == "corner":
            x = x[0, :4, :8, :8]
        elif kind == "crop":
            rows, columns = self._window(name, x.shape[-1])
            x = x[..., rows, columns]
        return x[..., ::step, ::step].numpy() if step > 1 else x.numpy()

    def _window(self, name: str, side: int) -> tuple[slice, slice]:
        """The window that `meta` states for a crop, else the default one."""
        stated = re.search(r"(\d+):(\d+), ?(\d+):(\d+)\]", str(self.meta.get("outputs", {}).get(name, "")))
        if stated is not None:
            top, bottom, left, right = map(int, stated.groups())
            return slice(top, bottom), slice(left, right)
        start, length = 3 * side // 8, self.shape(name)[-1]
        return slice(start, start + length), slice(start, start + length)


def wrong_network(network: nn.Module, wanted: str) -> CaseError:
    """The error of a case whose manifest and description name different networks."""
    return CaseError(f"the manifest describes a {type(network).__name__}, not a {wanted}")


@contextmanager
def recorded_outputs(module: nn.Module, names: Mapping[str, str]) -> Iterator[dict[str, Tensor]]:
    """While it is open, record the first output of every submodule in `names` {output: submodule}.

    Raises CaseError for an unknown submodule.
    """
    recorded: dict[str, Tensor] = {}
    handles = []
    for output, path in names.items():
        try:
            submodule = module.get_submodule(path)
        except AttributeError:
            raise CaseError(f"nothing computes out_{output}: there is no {path}") from None

        def record(_: nn.Module, __: object, value: Tensor, output: str = output) -> None:
            recorded.setdefault(output, value)

        handles.append(submodule.register_forward_hook(record))
    try:
        yield recorded
    finally:
        for handle in handles:
            handle.remove()
