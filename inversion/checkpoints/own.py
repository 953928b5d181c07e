"""The user's own files: converted by the safe child, listed beside the registry, named after file and hash.

    model = add_file(Path("mine.pkl"))                         # a name for `hub.load`
    add_file(Path("mine_encoder.pt"), generator=model)
    remove_file(model)

The list, `own.yaml`, and the converted copies lie in the folder of derived files; the original is not needed again.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import MISSING, asdict, dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

from inversion.checkpoints import codes, store
from inversion.checkpoints.latents import LAYERED, PLAIN
from inversion.checkpoints.registry import (
    CROPS,
    BadCheckpoint,
    Entry,
    HubError,
    Kind,
    own_path,
    read_entries,
    registry,
)
from inversion.encoders import ENCODERS, SAME_TENSORS

if TYPE_CHECKING:
    from inversion.checkpoints.converted import Contents, Part

SUFFIXES = (".safetensors", ".pt", ".pkl", ".pth", ".ckpt", ".bin", ".npy", ".npz")
USES = {  # kind of a part of a file -> how to give it
    "generator": "a model (--model)",
    "encoder": "an encoder (--encoder)",
    "directions": "a direction (--direction)",
    "code": "a code (--start)",
}
Phase = Literal["reading", "converting"]
Progress = Callable[[Phase], None]
HASH_DIGITS = 8  # of the file's hash in a name
UNCHECKED = "Its model is not downloaded yet, so the first run that uses it tells whether it fits."
DEFAULTS = {"domain": "own pictures", "crop": "none", "licence": "licence not stated"}


@dataclass(frozen=True)
class Facts:
    """Facts that a file does not state. None: as before, or the default.

    domain: what its pictures show. crop: how pictures are cropped for it. licence: shown beside every result. role: of
    an encoder, its key in `Model.encoders`.
    """

    domain: str | None = None
    crop: str | None = None
    licence: str | None = None
    role: str | None = None

    def given(self) -> dict[str, str]:
        """The facts that are not None."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    def applied_to(self, entry: Entry) -> Entry:
        """The entry with the given facts."""
        return replace(
            entry,
            domain=self.domain or entry.domain,
            crop=self.crop or entry.crop,
            licence=self.licence or entry.licence,
            role=self.role or entry.role if entry.kind == "encoder" else None,
        )


def looks_like_file(text: str) -> bool:
    """Whether a name of a model on a command line means a file: by its suffix, or because such a file exists."""
    return text.lower().endswith(SUFFIXES) or "/" in text or "\\" in text


def add_file(
    path: Path,
    kind: Kind = "generator",
    generator: str | None = None,
    facts: Facts = Facts(),
    progress: Progress = lambda _: None,
) -> str:
    """Add a file, or find it again by its hash, and return the name of its entry of this kind.

    generator: the model that an encoder or a direction belongs to. progress: called a few times a second; an exception
    that it raises ends the conversion. Raises HubError, and BadCheckpoint if the file cannot be used as that kind.
    """
    if facts.crop is not None and facts.crop not in CROPS:
        raise HubError(f"unknown crop {facts.crop!r}: choose from {', '.join(CROPS)}")
    if kind != "generator" and registry().get(generator or "") is None:
        raise HubError(f"unknown model {generator!r}: give the model that {path.name} belongs to with --model")
    known = _known(path, kind, generator, facts)
    entries = _converted(path, (kind, generator, facts.role), progress) if known is None else known
    _write({entry.name: facts.applied_to(entry) for entry in entries})
    name = next(entry.name for entry in entries if entry.kind == kind)
    if kind != "generator":
        _check_fit(name, new=known is None)
    return name


def change(name: str, facts: Facts) -> None:
    """Change the given facts of one of the user's files. Raises HubError if there is no such file."""
    entries = own()
    if name not in entries:
        raise HubError(f"{name!r} is not a file that you have added: choose from {', '.join(entries) or 'none'}")
    _write({name: facts.applied_to(entries[name])})


def remove_file(name: str) -> list[str]:
    """Remove one of the user's files, everything that belongs to it, and their converted copies. The names of all.

    Raises HubError if there is no such file.
    """
    with store.locked("own"):
        entries = own()
        if name not in entries:
            known = ", ".join(entries) or "none"
            raise HubError(f"{name!r} is not a file that you have added: choose from {known}")
        gone = [entry for entry in entries.values() if name in (entry.name, entry.generator)]
        _save({key: entry for key, entry in entries.items() if entry not in gone})
        used = {entry.sha256 for entry in registry().values()}
        for entry in gone:
            copy = store.converted(str(entry.sha256))
            if entry.sha256 not in used:
                copy.with_suffix(".sha256").unlink(missing_ok=True)
                with suppress(PermissionError):  # Windows keeps the file of a model that is in memory
                    copy.unlink(missing_ok=True)
    return [entry.name for entry in gone]


def own() -> dict[str, Entry]:
    """The entries of the user's own files by name, the latest first. Raises RegistryError if the list is damaged."""
    return read_entries(own_path()) if own_path().is_file() else {}


def _check_fit(name: str, *, new: bool) -> None:
    """Remove an encoder or a direction of the user's that does not fit its model, and raise BadCheckpoint.

    If the model is not downloaded, a note says so instead, until the file is added again. new: added for the first
    time.
    """
    from inversion.checkpoints import assembly, fetch  # imports all networks

    entry = own()[name]
    owner = registry().get(entry.generator or "")
    if owner is None or not (new or UNCHECKED in entry.note):
        return
    waits = fetch.cached(owner) is None
    try:
        if not waits:
            assembly.check_fit(entry)
    except BadCheckpoint as error:
        remove_file(name)
        raise BadCheckpoint(f"{entry.filename} does not fit {owner.name}: {error}") from None
    other = entry.note.removesuffix(UNCHECKED).rstrip()
    _write({name: replace(entry, note=f"{other} {UNCHECKED}".lstrip() if waits else other)})


def _known(path: Path, kind: Kind, generator: str | None, facts: Facts) -> list[Entry] | None:
    """The entries of a file that was added before, if its converted copy is still there."""
    if not path.is_file():
        return None  # the conversion says why
    sha256 = store.digests.of(path)
    found = [entry for entry in own().values() if entry.sha256 == sha256 and entry.kind in (kind, "encoder")]
    if kind != "generator":
        found = [entry for entry in found if entry.kind == kind and entry.generator == generator]
    if kind == "encoder" and facts.role is not None:  # which may decide how it is read
        found = [entry for entry in found if entry.role == facts.role]
    if kind == "directions":  # edits name it after its file
        found = [entry for entry in found if entry.filename == path.name]
    good = any(entry.kind == kind for entry in found) and store.intact(store.converted(sha256))
    return found if good else None


def _converted(path: Path, wanted: tuple[Kind, str | None, str | None], progress: Progress) -> list[Entry]:
    """Convert a file into the folder of derived files. Returns its entries. wanted: kind, generator and role."""
    from inversion.checkpoints import convert  # imports all networks

    kind, generator, role = wanted
    encoder = role if role in SAME_TENSORS else None
    convert.file_size(path)  # refuses folders and pipes before anything is read
    contents = convert.inspect(path, encoder, convert.Limits(watch=partial(progress, "reading")))
    if kind == "directions":
        contents = _as_directions(contents)
    kinds = [part.kind for part in contents.networks]
    if kind not in kinds:
        flags = " or ".join(USES[found] for found in kinds if found in USES)
        hint = f"give it as {flags}" if flags else "give another file"
        raise BadCheckpoint(f"{path.name}: it holds no {kind}, only {', '.join(kinds)}: {hint}")
    copy = store.converted(contents.sha256)
    with store.locked(copy.stem):
        if not store.intact(copy) or (encoder is not None and kind == "encoder"):
            written = convert.convert(path, copy, encoder, convert.Limits(watch=partial(progress, "converting")))
            if (written if kind != "directions" else _as_directions(written)) != contents:
                copy.unlink()
                raise BadCheckpoint(f"{path.name} changed while it was read: try again")
            if written.networks[0].kind == "code":
                store.write(copy, codes.plain_array(codes.read_code(copy)))
            store.seal(copy)
    name = name_of(path, contents.sha256)
    parts = {part.kind: part for part in contents.networks}
    if kind != "generator":
        return [_entry(parts[kind], contents, path, (name, generator))]
    made = [_tuned(_entry(parts["generator"], contents, path, (name, None)), copy)]
    return made + ([_entry(parts["encoder"], contents, path, (f"{name}-encoder", name))] if "encoder" in parts else [])


def _as_directions(contents: Contents) -> Contents:
    """The contents of a file whose lone array the user states to be a direction; it may have the shape of a code."""
    parts = tuple(
        replace(part, kind="directions", architecture="directions")
        if (part.kind, part.layout) == ("code", PLAIN)
        else part
        for part in contents.networks
    )
    return replace(contents, networks=parts, notes=tuple(note for note in contents.notes if note == LAYERED))


def _tuned(entry: Entry, copy: Path) -> Entry:
    """The entry of a generator, with the facts of the model that it was tuned from if it is a tuned one."""
    from inversion.checkpoints.converted import header_of, tuning_of  # imports all networks

    stated = tuning_of(header_of(copy))
    base = registry().get(stated.get("model", ""))
    if not stated:
        return entry
    known = base is not None and store.expected(base)[0] == stated.get("sha256")
    crop = stated.get("crop", "none")
    return replace(
        entry,
        domain=stated.get("domain") or entry.domain,
        licence=stated.get("licence") or entry.licence,
        crop=crop if crop in CROPS else "none",
        perceptual=base.perceptual if base is not None and known else entry.perceptual,
        base=base.name if base is not None and known else None,
        base_sha256=stated.get("sha256") if re.fullmatch("[0-9a-f]{64}", stated.get("sha256", "")) else None,
    )


def name_of(path: Path, sha256: str) -> str:
    """The name of a file's entry: its stem, and the first digits of its hash."""
    stem = re.sub(r"[^\w.-]+", "-", path.stem).strip("-.").lstrip("_") or "model"
    stem = stem if stem[0].isascii() else f"model-{stem}"
    return f"{stem}-{sha256[:HASH_DIGITS]}"


def _entry(part: Part, contents: Contents, path: Path, names: tuple[str, str | None]) -> Entry:
    """The entry of one network of a file. names: its own, and its generator's."""
    owner = registry().get(names[1] or "")
    facts = dict(DEFAULTS) if owner is None else {key: getattr(owner, key) for key in DEFAULTS}
    several = part.layout != "tensor"
    return Entry(
        name=names[0],
        kind=cast(Kind, part.kind),
        format="numpy" if part.kind == "directions" and not several else "safetensors",
        architecture=part.architecture,
        source=f"your file {path.name}",
        resolution=part.resolution or (owner.resolution if owner else 0),
        sha256=contents.sha256,
        bytes=contents.bytes,
        filename=path.name,
        role=ENCODERS[part.architecture].role_of(part.inputs) if part.kind == "encoder" else None,
        generator=names[1],
        classes=part.classes,
        own=True,
        note=" ".join(contents.notes),
        **facts,
    )


def _write(entries: Mapping[str, Entry]) -> None:
    """Put entries at the head of the list. Raises HubError."""
    with store.locked("own"):
        _save({**entries, **{name: entry for name, entry in own().items() if name not in entries}})


def _save(entries: Mapping[str, Entry]) -> None:
    defaults = {spec.name: spec.default for spec in fields(Entry) if spec.default is not MISSING}
    values = {
        name: {key: value for key, value in asdict(entry).items() if key != "name" and value != defaults.get(key)}
        for name, entry in entries.items()
    }
    store.write(own_path(), json.dumps(values, indent=1, ensure_ascii=False).encode())  # JSON is YAML
