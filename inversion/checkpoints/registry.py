"""What may be loaded: the strict reader of checkpoints.yaml, and the errors that a model may end in."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterator
from dataclasses import MISSING, dataclass, fields
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, get_args

import yaml

from inversion.common.errors import UserError
from inversion.encoders import ENCODERS
from inversion.generators import GENERATORS

ROOT = Path(__file__).resolve().parents[2]
REGISTRY = ROOT / "checkpoints.yaml"
DEFAULT = "synthetic-faces"  # the model that is used unless another one is chosen

Kind = Literal["generator", "discriminator", "predictor", "encoder", "identity", "perceptual", "detector", "directions"]
Format = Literal["safetensors", "torch", "nvidia-pickle", "tensorflow-pickle", "onnx", "numpy"]
KINDS: tuple[str, ...] = get_args(Kind)
FORMATS: tuple[str, ...] = get_args(Format)
REPO_TYPES = ("model", "space", "dataset")
GRADES = ("A", "A-", "B")
CROPS = ("none", "ffhq")
PERCEPTUALS = ("none", "lpips", "keras-vgg16")
SERVE_ALL = ("identity", "perceptual", "detector")  # may belong to no generator in particular
COMMIT = "[0-9a-f]{40}"
Rule = tuple[object, str, str]  # whether it holds, the field, what the field must be


class HubError(UserError):
    """A model that cannot be had; one line that names the entry and says what to do."""


class RegistryError(HubError):
    """checkpoints.yaml is not what it must be; names entry and field."""


class BadCheckpoint(HubError):
    """A file is not the one that was registered, or does not hold what its entry says."""


@dataclass(frozen=True)
class Entry:
    """One file of the registry: embedded (`file`), on the Hub (`repo_id`), or with neither to be got by hand.

    Without `sha256` the hash of the first download is kept beside the cache, and another one is refused from then on.
    """

    name: str
    kind: Kind
    format: Format
    architecture: str  # of the network that is used, where a file holds several
    domain: str
    licence: str  # shown beside the picture
    source: str  # a page or a command that says where the file comes from
    resolution: int = 0  # a side in pixels
    sha256: str | None = None  # of the file as served; without it `note` says so
    bytes: int | None = None
    file: str | None = None  # a path in the repository
    repo_id: str | None = None
    filename: str | None = None
    repo_type: str = "model"
    revision: str | None = None  # a commit, so that the file cannot change under us; or "main", and `note` says so
    grade: str | None = None  # how sure we are of a file that is not embedded; see the head of checkpoints.yaml
    role: str | None = None  # of an encoder: where methods find it in `Model.encoders`
    generator: str | None = None  # the generator that anything else belongs to
    crop: str = "none"  # how pictures of this domain are cut
    perceptual: str = "none"  # the perceptual network that fits the domain
    note: str = ""

    def __post_init__(self) -> None:
        for rule in (self._plain_rules, self._origin_rules, self._hash_rules):
            for ok, name, wanted in rule():
                if not ok:
                    raise RegistryError(f"{self.name}: {name} must be {wanted}, not {getattr(self, name)!r}")

    @property
    def by_hand(self) -> bool:
        """Nobody can download it for the user."""
        return self.file is None and self.repo_id is None

    def _plain_rules(self) -> Iterator[Rule]:
        """What a field may say by itself."""
        yield re.fullmatch(r"[A-Za-z0-9][\w.-]*", self.name), "name", "letters, digits, dots and dashes"
        yield _one_of("kind", self.kind, KINDS)
        yield _one_of("format", self.format, FORMATS)
        yield _one_of("architecture", self.architecture, architectures(self.kind))
        yield _one_of("repo_type", self.repo_type, REPO_TYPES)
        yield _one_of("crop", self.crop, CROPS)
        yield _one_of("perceptual", self.perceptual, PERCEPTUALS)
        if self.kind == "encoder":
            yield re.fullmatch("[a-z0-9_]+", self.role or ""), "role", "lower-case letters, digits and underscores"
        else:
            yield self.role is None, "role", "left out unless the kind is encoder"
        yield self.resolution >= (0 if self.kind in SERVE_ALL else 1), "resolution", "a side in pixels"
        yield self.bytes is None or self.bytes > 0, "bytes", "the size of the file"
        yield self.sha256 is None or re.fullmatch("[0-9a-f]{64}", self.sha256), "sha256", "64 hex digits"
        if self.kind not in SERVE_ALL:
            belongs = (self.kind == "generator") == (self.generator is None)
            yield belongs, "generator", "given exactly where the kind is another"

    def _origin_rules(self) -> Iterator[Rule]:
        """Where the file comes from, and that nothing else is said about it."""
        yield self.file is None or self.repo_id is None, "file", "given, or else repo_id, and not both"
        yield self.file is None or _inside(self.file), "file", "a path inside the repository"
        yield self.repo_id is None or self.filename, "filename", "given with repo_id"
        yield self.file is None or self.filename is None, "filename", "left out of what is embedded"
        yield self.filename is None or _inside(self.filename), "filename", "a path inside the repository"
        yield self.repo_id is None or re.fullmatch(r"[\w.-]+/[\w.-]+", self.repo_id), "repo_id", "owner/name"
        yield (self.repo_id is None) == (self.revision is None), "revision", "given exactly where repo_id is"
        pinned = self.revision is None or re.fullmatch(COMMIT, self.revision)
        floating = self.revision == "main" and "revision" in self.note
        yield pinned or floating, "revision", "a commit, 40 hex digits, or main with a note on the revision"
        if self.file is None:
            yield _one_of("grade", self.grade, GRADES)
            yield self.source.startswith("https://"), "source", "an https address"
        else:
            yield self.grade is None, "grade", "left out of what is embedded"
            yield not self.source.startswith("http:"), "source", "an https address"

    def _hash_rules(self) -> Iterator[Rule]:
        """Embedded files are known to the byte; of others a note says what is not."""
        if self.file is not None:
            yield self.sha256 is not None, "sha256", "64 hex digits"
            yield self.bytes is not None, "bytes", "the size of the file"
        yield self.sha256 is not None or "sha256" in self.note, "sha256", "given, or else note must say why not"


def architectures(kind: Kind) -> tuple[str, ...]:
    """The architectures that an entry of this kind may name."""
    return {
        "generator": tuple(GENERATORS),
        "discriminator": ("stylegan2-discriminator",),
        "predictor": ("predictor",),
        "encoder": tuple(ENCODERS),
        "identity": ("arcface",),
        "perceptual": PERCEPTUALS[1:],
        "detector": ("yunet",),
        "directions": ("directions",),
    }[kind]


def registry(path: Path | None = None) -> dict[str, Entry]:
    """Every entry of the registry by name, from `REGISTRY` unless `path` is given.

    RegistryError names the first wrong entry and field.
    """
    path = REGISTRY if path is None else path
    try:
        return dict(_parsed(path.name, path.read_text(encoding="utf-8")))
    except (yaml.YAMLError, OSError, UnicodeDecodeError) as error:
        raise RegistryError(f"{path.name}: {' '.join(str(error).split())}") from None


@lru_cache(maxsize=4)
def _parsed(name: str, text: str) -> dict[str, Entry]:
    """The entries of a registry file's text; kept, because reading them takes a tenth of a second."""
    content = _StrictLoader(text).get_single_data()
    if not isinstance(content, dict):
        raise RegistryError(f"{name}: it must map names to entries")
    entries = {str(key): _entry(str(key), values) for key, values in content.items()}
    for entry in entries.values():
        owner = entries.get(entry.generator or "")
        if entry.generator is not None and (owner is None or owner.kind != "generator"):
            raise RegistryError(f"{entry.name}: generator {entry.generator!r} is not registered as one")
    return entries


def _one_of(name: str, value: str | None, choices: tuple[str, ...]) -> Rule:
    return value in choices, name, f"one of {', '.join(choices)}"


def _inside(file: str) -> bool:
    return bool(file) and "\\" not in file and not Path(file).is_absolute() and ".." not in Path(file).parts


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
        wanted = int if str(spec.type).startswith("int") else str
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
