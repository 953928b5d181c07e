"""The registry of files that may be loaded: the strict reader of checkpoints.yaml, and the errors of loading."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterator
from dataclasses import MISSING, dataclass, fields
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, get_args

import yaml

from inversion.checkpoints.places import PACKAGE, ROOT, folder
from inversion.common.echo import brief, printable
from inversion.common.errors import UserError
from inversion.common.lazy import LazyClasses
from inversion.encoders import ENCODERS
from inversion.generators import GENERATORS

INSTALLED = PACKAGE / "checkpoints.yaml"  # in the repository it lies beside the package
REGISTRY = INSTALLED if INSTALLED.is_file() else ROOT / "checkpoints.yaml"
DEFAULT = "synthetic-faces"  # the default model

Kind = Literal[
    "generator", "discriminator", "predictor", "encoder", "identity", "perceptual", "detector", "directions", "axes"
]
Format = Literal["safetensors", "torch", "nvidia-pickle", "tensorflow-pickle", "onnx", "numpy"]
KINDS: tuple[str, ...] = get_args(Kind)
FORMATS: tuple[str, ...] = get_args(Format)
REPO_TYPES = ("model", "space", "dataset")
GRADES = ("A", "A-", "B")
CROPS = ("none", "ffhq", "synthetic-faces")  # other than none and ffhq: the keys of `align.FRAMES`, which is not light
# Networks that a file may hold, by the kind of its entry and their architecture.
NETWORKS: dict[str, LazyClasses[Any]] = {
    "generator": GENERATORS,
    "encoder": ENCODERS,
    "discriminator": LazyClasses({"stylegan2-discriminator": "inversion.generators.stylegan2:Discriminator"}),
    "identity": LazyClasses({"arcface": "inversion.encoders.arcface:ArcFace"}),
    "perceptual": LazyClasses(
        {
            "lpips": "inversion.perception.networks:LPIPSNetwork",
            "keras-vgg16": "inversion.perception.networks:KerasVGG16",
        }
    ),
}
OTHERS = {
    "predictor": ("predictor",),
    "detector": ("yunet", "cascade"),
    "directions": ("directions",),
    "axes": ("axes",),
}
PERCEPTUALS = ("none", *NETWORKS["perceptual"])
SERVE_ALL = ("identity", "perceptual", "detector")  # these kinds need not belong to one generator
COMMIT = "[0-9a-f]{40}"
TYPES = {"int": (int, "a whole number"), "bool": (bool, "true or false"), "str": (str, "text")}  # of an entry's fields
Rule = tuple[object, str, str]  # true if the rule holds, the field, the description of valid values


class HubError(UserError):
    """A model or a file that is not available. The text is one line that names it and says what to do."""


class RegistryError(HubError):
    """An error in checkpoints.yaml. The text names entry and field."""


class BadCheckpoint(HubError):
    """A file that is not the registered one, or whose content does not fit its entry."""


@dataclass(frozen=True)
class Entry:
    """One file of the registry: embedded (`file`), on the Hub (`repo_id`), or, with neither, a manual download.

    Without `sha256`, the hash of the first download is stored beside the cache, and a different file is refused later.
    Raises RegistryError for a wrong field.
    """

    name: str
    kind: Kind
    format: Format
    architecture: str  # of the network that is used, if the file holds several
    domain: str
    licence: str  # shown beside the picture
    source: str  # where the file comes from: a page or a command
    resolution: int = 0  # a side in pixels
    sha256: str | None = None  # of the file as downloaded; if unknown, `note` says so
    bytes: int | None = None
    file: str | None = None  # a path in the repository
    repo_id: str | None = None
    filename: str | None = None
    repo_type: str = "model"
    revision: str | None = None  # a commit, so that the file cannot change; or "main", and `note` says so
    grade: str | None = None  # trustworthiness of the origin; see the head of checkpoints.yaml
    role: str | None = None  # of an encoder: its key in `Model.encoders`
    generator: str | None = None  # the entry of the generator that this one belongs to
    crop: str = "none"  # how pictures of this domain are cropped
    perceptual: str = "none"  # the perceptual network for this domain
    classes: int = 0  # of a conditional generator
    own: bool = False  # whether it is a file that the user has added; see `own`
    base: str | None = None  # of a tuned generator: the entry that it was tuned from, which lends what belongs to it
    base_sha256: str | None = None  # of the file of that entry, also if it is not registered here
    note: str = ""

    def __post_init__(self) -> None:
        for rule in (self._plain_rules, self._origin_rules, self._hash_rules):
            for ok, name, wanted in rule():
                if not ok:
                    raise RegistryError(
                        f"{_short(self.name)}: {name} must be {wanted}, not {brief(getattr(self, name))}"
                    )

    @property
    def by_hand(self) -> bool:
        """Whether the user has to download the file manually."""
        return self.file is None and self.repo_id is None

    def _plain_rules(self) -> Iterator[Rule]:
        """Rules for single fields."""
        yield re.fullmatch(r"[A-Za-z0-9][\w.-]*", self.name), "name", "letters, digits, dots, dashes and underscores"
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
        for name, sha256 in (("sha256", self.sha256), ("base_sha256", self.base_sha256)):
            yield sha256 is None or re.fullmatch("[0-9a-f]{64}", sha256), name, "64 hex digits"
        yield self.base is None or self.own, "base", "left out unless the file is your own"
        if self.kind not in SERVE_ALL:
            belongs = (self.kind == "generator") == (self.generator is None)
            yield belongs, "generator", "given, unless the kind is generator, where it must be left out"

    def _origin_rules(self) -> Iterator[Rule]:
        """Rules for the origin: embedded, Hub or manual, and no field of another origin."""
        yield self.file is None or self.repo_id is None, "file", "given, or repo_id, but not both"
        yield self.file is None or _inside(self.file), "file", "a path inside the repository"
        yield self.repo_id is None or self.filename, "filename", "given with repo_id"
        yield self.file is None or self.filename is None, "filename", "left out if the file is embedded"
        yield self.filename is None or _inside(self.filename), "filename", "a path inside the repository"
        yield self.repo_id is None or re.fullmatch(r"[\w.-]+/[\w.-]+", self.repo_id), "repo_id", "owner/name"
        yield (self.repo_id is None) == (self.revision is None), "revision", "given if and only if repo_id is given"
        pinned = self.revision is None or re.fullmatch(COMMIT, self.revision)
        floating = self.revision == "main" and "revision" in self.note
        yield pinned or floating, "revision", "a commit, 40 hex digits, or main with a note on the revision"
        yield not self.own or self.by_hand, "own", "left out for files of the repository or of the Hub"
        if self.own:
            yield self.grade is None, "grade", "left out for a file of your own"
        elif self.file is None:
            yield _one_of("grade", self.grade, GRADES)
            yield self.source.startswith("https://"), "source", "an https address"
        else:
            yield self.grade is None, "grade", "left out if the file is embedded"
            yield not self.source.startswith("http:"), "source", "an https address"

    def _hash_rules(self) -> Iterator[Rule]:
        """Rules for hash and size: embedded files have both; for other files a note says what is unknown."""
        if self.file is not None:
            yield self.sha256 is not None, "sha256", "64 hex digits"
            yield self.bytes is not None, "bytes", "the size of the file"
        yield self.sha256 is not None or "sha256" in self.note, "sha256", "given, or note must say why it is unknown"


def architectures(kind: Kind) -> tuple[str, ...]:
    """The architectures that an entry of this kind may name."""
    return tuple(NETWORKS[kind]) if kind in NETWORKS else OTHERS[kind]


def registry(path: Path | None = None) -> dict[str, Entry]:
    """Every entry by name: the user's own files, the latest first, then those of `REGISTRY`. With `path`, only its own.

    Raises RegistryError, which names the first wrong entry and field.
    """
    entries = read_entries(REGISTRY if path is None else path)
    for entry in entries.values():
        owner = entries.get(entry.generator or "")
        if entry.generator is not None and (owner is None or owner.kind != "generator"):
            raise RegistryError(f"{entry.name}: generator {brief(entry.generator)} is not a registered generator")
    if path is not None or not own_path().is_file():
        return entries
    own = read_entries(own_path())
    return {name: entry for name, entry in own.items() if entry.generator in {None, *own, *entries}} | entries


def lineage(name: str) -> list[str]:
    """A model, and the models that it was tuned from, which lend it what belongs to them."""
    entries, names = registry(), [name]
    while (owner := entries.get(names[-1])) is not None and owner.base is not None and owner.base not in names:
        names.append(owner.base)
    return names


def weight_bytes(model: str) -> int:
    """Bytes of the files of a model: its generator and the networks that belong to it; 0 if they are unknown."""
    return sum(entry.bytes or 0 for entry in registry().values() if model in (entry.name, entry.generator))


def own_path() -> Path:
    """The list of the files that the user has added."""
    return folder() / "own.yaml"


def read_entries(path: Path) -> dict[str, Entry]:
    """The entries of a registry file by name. Raises RegistryError."""
    try:
        return dict(_parsed(path.name, path.read_text(encoding="utf-8")))
    except OSError as error:
        raise RegistryError(f"{path.name}: cannot read {path} ({error.strerror or 'no such file'})") from None
    except RegistryError:
        raise
    except Exception as error:  # PyYAML raises anything from AttributeError to RecursionError on damaged text
        mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
        place = f" in line {mark.line + 1}: {problem}" if mark is not None and problem else ""
        raise RegistryError(f"{path.name} is not a valid list{place}. Correct or remove {path}") from None


@lru_cache(maxsize=8)
def _parsed(name: str, text: str) -> dict[str, Entry]:
    """The entries in a registry file's text. Cached, because parsing takes a tenth of a second."""
    content = _StrictLoader(text).get_single_data()
    if not isinstance(content, dict):
        raise RegistryError(f"{name}: the file must map names to entries")
    return {str(key): _entry(str(key), values) for key, values in content.items()}


def _short(name: str) -> str:
    """The name of an entry in an error: a damaged list may have names of any length."""
    return printable(name[:80])


def _one_of(name: str, value: str | None, choices: tuple[str, ...]) -> Rule:
    return value in choices, name, f"one of {', '.join(choices)}"


def _inside(file: str) -> bool:
    return bool(file) and "\\" not in file and not Path(file).is_absolute() and ".." not in Path(file).parts


def _entry(name: str, values: object) -> Entry:
    """One parsed entry. RegistryError names the wrong field."""
    if not isinstance(values, dict):
        raise RegistryError(f"{_short(name)}: an entry must map fields to values")
    specs = {f.name: f for f in fields(Entry) if f.name != "name"}
    for key in values:
        if key not in specs:
            raise RegistryError(f"{_short(name)}: unknown field {brief(key)}")
    for key, spec in specs.items():
        if key not in values and spec.default is MISSING:
            raise RegistryError(f"{_short(name)}: {key} is missing")
        wanted, text = TYPES.get(str(spec.type).split(" ")[0], TYPES["str"])
        if key in values and type(values[key]) is not wanted:
            raise RegistryError(f"{_short(name)}: {key} must be {text}, not {brief(values[key])}")
    return Entry(name=name, **values)


# The parser in C is ten times as fast; PyYAML can be installed without it.
_SafeLoader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _StrictLoader(_SafeLoader):  # type: ignore[misc, valid-type]
    """SafeLoader that refuses duplicate keys; yaml's own silently keeps the last one."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, object]:
        seen: set[Hashable] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"{brief(key)} is given twice", key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)
