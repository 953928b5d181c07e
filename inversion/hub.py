"""From a name in checkpoints.yaml to a Model: strict registry, download, sha256 before parsing, networks in memory."""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Callable, Hashable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, get_args

import torch
import yaml
from safetensors import SafetensorError
from safetensors.torch import load as parse_safetensors
from torch import Tensor, nn

from inversion.generators import GENERATORS, Discriminator, Prior, StateDictError
from inversion.perceptual import Perceptual, cached_lpips

ROOT = Path(__file__).resolve().parent.parent
REGISTRY = ROOT / "checkpoints.yaml"
DEFAULT = "synthetic-faces"

Kind = Literal["generator", "discriminator", "predictor", "encoder", "identity"]
Format = Literal["safetensors"]
KINDS: tuple[str, ...] = get_args(Kind)
FORMATS: tuple[str, ...] = get_args(Format)
REPO_TYPES = ("model", "space", "dataset")
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


class HubError(Exception):
    """A model that cannot be had; one line that names the entry and says what to do."""


class RegistryError(HubError):
    """checkpoints.yaml is not what it must be; names entry and field."""


class BadCheckpoint(HubError):
    """A file is not the one that was registered, or does not hold what its entry says."""


@dataclass(frozen=True)
class Entry:
    """One file of the registry: embedded (`file`, a path in the repository) or on the Hub (`repo_id` and so on)."""

    name: str
    kind: Kind
    sha256: str  # of the file as served
    bytes: int
    format: Format
    architecture: str
    resolution: int
    domain: str
    licence: str  # shown beside the picture
    source: str  # a page or a command that says where the file comes from
    file: str | None = None
    repo_id: str | None = None
    filename: str | None = None
    repo_type: str = "model"
    revision: str | None = None  # a commit, so that the file cannot change under us
    generator: str | None = None  # the generator that anything else belongs to
    crop: str = "none"  # how pictures of this domain are cut: none, ffhq, ...
    perceptual: str = "none"  # the perceptual network that fits the domain
    note: str = ""

    def __post_init__(self) -> None:
        for ok, name, wanted in (
            (self.kind in KINDS, "kind", f"one of {', '.join(KINDS)}"),
            (self.format in FORMATS, "format", f"one of {', '.join(FORMATS)}"),
            (
                self.kind != "generator" or self.architecture in GENERATORS,
                "architecture",
                f"one of {', '.join(GENERATORS)}",
            ),
            (self.repo_type in REPO_TYPES, "repo_type", f"one of {', '.join(REPO_TYPES)}"),
            (re.fullmatch("[0-9a-f]{64}", self.sha256), "sha256", "64 hex digits"),
            (self.bytes > 0, "bytes", "the size of the file"),
            (self.resolution > 0, "resolution", "a side in pixels"),
            ((self.file is None) != (self.repo_id is None), "file", "given, or else repo_id, and not both"),
            (self.repo_id is None or self.filename, "filename", "given with repo_id"),
            (
                self.repo_id is None or re.fullmatch("[0-9a-f]{40}", self.revision or ""),
                "revision",
                "a commit, 40 hex digits",
            ),
            (not self.source.startswith("http:"), "source", "an https address"),
            (
                (self.kind == "generator") == (self.generator is None),
                "generator",
                "given exactly where the kind is another",
            ),
            (self.file is None or _inside(self.file), "file", "a path inside the repository"),
        ):
            if not ok:
                raise RegistryError(f"{self.name}: {name} must be {wanted}, not {getattr(self, name)!r}")


@dataclass
class Model:
    """What a run works with. Networks are frozen and on `device`; what the model lacks is None or empty."""

    name: str
    prior: Prior | None = None
    resolution: int = 0
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    entry: Entry | None = None
    discriminator: Discriminator | None = None
    encoders: dict[str, nn.Module] = field(default_factory=dict)
    perceptual: Perceptual | None = None  # LPIPS, never a stand-in
    identity: nn.Module | None = None  # ArcFace, never a stand-in
    predictor: Any | None = None  # an inversion.predictor.Predictor
    pictures: Callable[[int, torch.Generator], Tensor] | None = None  # (n, rng) -> (n, 3, R, R) of the domain
    domain: str = ""
    licence: str = ""
    sha256: str = ""  # of the generator's file


def registry(path: Path = REGISTRY) -> dict[str, Entry]:
    """Every entry of the registry by name. RegistryError names the first that is wrong."""
    try:
        content = _StrictLoader(path.read_text(encoding="utf-8")).get_single_data()
    except (yaml.YAMLError, OSError, UnicodeDecodeError) as error:
        raise RegistryError(f"{path.name}: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise RegistryError(f"{path.name}: it must map names to entries")
    entries = {str(name): _entry(str(name), values) for name, values in content.items()}
    for entry in entries.values():
        if entry.generator is not None and entry.generator not in entries:
            raise RegistryError(f"{entry.name}: generator {entry.generator!r} is not registered")
    return entries


_models: dict[Hashable, Model] = {}
_lock = threading.RLock()


def load(name: str = DEFAULT, device: str = "auto", dtype: str = "auto") -> Model:
    """The model `name` with all that is registered for its generator and at hand; kept in memory once it has loaded.

    device: auto, cpu, cuda; dtype: auto, float32, bfloat16, float16 (of the generator's convolutions). Raises HubError.
    """
    where = _device(device)
    precision = _dtype(dtype, where)
    key = (name, str(where), precision)
    with _lock:
        if key not in _models:
            _models[key] = _build(name, where, precision)  # a load that fails leaves nothing behind
        return _models[key]


def tensors_of(entry: Entry) -> dict[str, Tensor]:
    """The entry's tensors on the CPU in float32, from a file whose size and sha256 are the registered ones."""
    path = _path(entry)
    try:
        data = path.read_bytes() if path.stat().st_size == entry.bytes else b""
    except OSError as error:
        raise BadCheckpoint(f"{entry.name}: cannot read {path.name} ({error.strerror})") from None
    if hashlib.sha256(data).hexdigest() != entry.sha256:
        raise BadCheckpoint(
            f"{entry.name}: {path.name} is not the registered file (size or sha256 differ): get it again"
        )
    try:
        tensors = parse_safetensors(data)
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise BadCheckpoint(
            f"{entry.name}: {path.name} is no safetensors file ({' '.join(str(error).split())})"
        ) from None
    for key, tensor in tensors.items():
        if not bool(tensor.isfinite().all()):
            raise BadCheckpoint(f"{entry.name}: {key} holds values that are not numbers")
    return {key: tensor.float() if tensor.is_floating_point() else tensor for key, tensor in tensors.items()}


def _build(name: str, device: torch.device, dtype: torch.dtype) -> Model:
    """Read every file that belongs to the generator `name` and put the model together."""
    entries = registry()
    entry = entries.get(name)
    if entry is None or entry.kind != "generator":
        known = ", ".join(e.name for e in entries.values() if e.kind == "generator")
        raise HubError(f"unknown model {name!r}: choose from {known}")
    prior = network(entry, GENERATORS[entry.architecture].from_state_dict).to(device).freeze(dtype)
    if prior.resolution != entry.resolution:
        raise BadCheckpoint(f"{name}: it makes {prior.resolution} pixels, the registry says {entry.resolution}")
    model = Model(
        name,
        prior,
        entry.resolution,
        device,
        entry,
        perceptual=cached_lpips(device),
        domain=entry.domain,
        licence=entry.licence,
        sha256=entry.sha256,
    )
    for other in (e for e in entries.values() if e.generator == name):
        _attach(model, other)
    if entry.domain == "synthetic-faces":
        from inversion import synthetic

        model.pictures = lambda n, rng: synthetic.pictures(n, rng, entry.resolution).to(device)
    return model


def _attach(model: Model, entry: Entry) -> None:
    """Add a network that belongs to the model's generator."""
    if entry.kind == "discriminator":
        discriminator = network(entry, Discriminator.from_state_dict)
        model.discriminator = discriminator.to(model.device).eval().requires_grad_(False)
    elif entry.kind == "predictor":
        from inversion.predictor import Predictor

        model.predictor = network(entry, Predictor.from_state_dict).to(model.device).eval().requires_grad_(False)


def network(entry: Entry, build: Callable[[Mapping[str, Tensor]], Any]) -> Any:  # noqa: ANN401 - whatever `build` makes
    """The entry's network; BadCheckpoint names the keys that are missing, unknown or of the wrong shape."""
    try:
        return build(tensors_of(entry))
    except StateDictError as error:
        raise BadCheckpoint(f"{entry.name}: {error}") from None


def _path(entry: Entry) -> Path:
    """Where the entry's file lies, after a download from the Hub if need be."""
    if entry.file is not None:
        path = ROOT / entry.file
        if not path.is_file():
            raise BadCheckpoint(f"{entry.name}: {entry.file} is missing: get the repository again with all its files")
        return path
    from huggingface_hub import hf_hub_download  # slow to import, and the embedded models do without

    try:
        found = hf_hub_download(
            entry.repo_id or "", entry.filename or "", repo_type=entry.repo_type, revision=entry.revision
        )
    except Exception as error:  # network, disk, access and moved repositories all raise their own
        reason = type(error).__name__
        raise HubError(
            f"{entry.name}: cannot get {entry.filename} from {entry.repo_id} ({reason}): is there a network?"
        ) from None
    return Path(found)


def _device(name: str) -> torch.device:
    if name not in ("auto", "cpu", "cuda"):
        raise HubError(f"unknown device {name!r}: choose from auto, cpu, cuda")
    if name == "cuda" and not torch.cuda.is_available():
        raise HubError("there is no CUDA device here: choose cpu or auto")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


def _dtype(name: str, device: torch.device) -> torch.dtype:
    """auto: bfloat16 where the device multiplies it natively (half the time, the same figures), else float32."""
    if name in DTYPES:
        return DTYPES[name]
    if name != "auto":
        raise HubError(f"unknown dtype {name!r}: choose from auto, {', '.join(DTYPES)}")
    if device.type == "cuda":
        native = torch.cuda.get_device_capability(device)[0] >= 8
    else:
        native = torch.cpu._is_avx512_bf16_supported()
    return torch.bfloat16 if native else torch.float32


def _inside(file: str) -> bool:
    return not Path(file).is_absolute() and ".." not in Path(file).parts


def _entry(name: str, values: object) -> Entry:
    """One parsed entry; RegistryError names the field."""
    if not isinstance(values, dict):
        raise RegistryError(f"{name}: an entry maps fields to values")
    specs = {f.name: f for f in fields(Entry) if f.name != "name"}
    for key in values:
        if key not in specs:
            raise RegistryError(f"{name}: unknown field {key!r}")
    for key, spec in specs.items():
        if key not in values and spec.default is MISSING:
            raise RegistryError(f"{name}: {key} is missing")
        wanted = int if spec.type == "int" else str
        if key in values and (not isinstance(values[key], wanted) or isinstance(values[key], bool)):
            raise RegistryError(
                f"{name}: {key} must be {'a whole number' if wanted is int else 'text'}, not {values[key]!r}"
            )
    return Entry(name=name, **values)


class _StrictLoader(yaml.SafeLoader):
    """SafeLoader keeps the last of two equal keys in silence; this one refuses."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"{key!r} stands here twice", key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)
