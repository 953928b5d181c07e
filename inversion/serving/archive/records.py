"""Jobs and their results as JSON and files, and back.

A part is a file: its name -> a function that makes its bytes. In the JSON, {"file": NAME} stands for the pixels of a
part. Pictures are PNG files without loss, codes and weights safetensors files, codes to start from `.npz` files.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from inversion import images
from inversion.align import Crop
from inversion.analysis import ANALYSES
from inversion.common.rows import Row, RowView
from inversion.serving.archive.reports import read_report, report_record
from inversion.serving.jobs import Job, RunView
from inversion.serving.runs import CroppedPicture, Request
from inversion.translations import TRANSLATIONS

if TYPE_CHECKING:
    from torch import Tensor

    from inversion.checkpoints.codes import SavedCode
    from inversion.methods.codes import PlainCode

Parts = dict[str, Callable[[], bytes]]
Read = Callable[[str], bytes]  # name of a part -> its bytes
# Fields of a request that are JSON already.
PLAIN = (
    *("task", "method", "analysis", "translation", "model", "settings", "seed"),
    *("measured", "budget", "notes", "options", "name"),
)
RUN = tuple(f.name for f in fields(RunView) if f.name not in ("image", "version", "remaining", "report"))
NOISE = "code.noise."


def request_record(requests: tuple[Request, ...]) -> tuple[list[Row], Parts]:
    """The requests of a job, with the pictures that they share stored once."""
    parts: Parts = {}
    names: dict[int, str] = {}

    def stored(value: np.ndarray) -> Row:
        if id(value) not in names:
            names[id(value)] = f"input-{len(names)}.png"
            parts[names[id(value)]] = partial(images.packed_png, value)
        return {"file": names[id(value)]}

    def plain(value: object) -> object:
        if isinstance(value, CroppedPicture):
            return {**stored(value.pixels), "crop": crop_record(value.crop)}
        return stored(value) if isinstance(value, np.ndarray) else value

    rows = []
    for request in requests:
        row: Row = {name: _listed(getattr(request, name)) for name in PLAIN}
        row |= {"picture": stored(request.picture), "crop": crop_record(request.crop)}
        row["inputs"] = {name: plain(value) for name, value in request.inputs.items()}
        if request.start is not None:
            file = names.setdefault(id(request.start), f"start-{len(names)}.npz")
            parts[file] = partial(_packed_start, request.start)
            row["start"] = {"file": file, "name": request.start.name, "layout": request.start.layout}
        rows.append(row)
    return rows, parts


def read_requests(rows: list[Row], read: Read) -> tuple[Request, ...]:
    """The requests of a job. Raises what `read` raises."""
    pictures: dict[str, np.ndarray] = {}

    def pixels(part: RowView) -> np.ndarray:
        name = part["file"]
        if name not in pictures:
            pictures[name] = images.unpacked_png(read(name))
        return pictures[name]

    def value(plain: Any) -> Any:  # noqa: ANN401 - an input of a task
        if not isinstance(plain, Mapping):
            return plain
        return CroppedPicture(pixels(plain), read_crop(plain["crop"])) if "crop" in plain else pixels(plain)

    starts: dict[str, SavedCode] = {}

    def start(row: RowView | None) -> SavedCode | None:
        if row is not None and row["file"] not in starts:
            starts[row["file"]] = _read_start(row, read)
        return None if row is None else starts[row["file"]]

    return tuple(
        Request(
            **{name: row[name] for name in PLAIN if name in row and name != "notes"},
            notes=tuple(row["notes"]),
            picture=pixels(row["picture"]),
            crop=read_crop(row["crop"]),
            inputs={name: value(plain) for name, plain in row["inputs"].items()},
            start=start(row.get("start")),
        )
        for row in rows
    )


def crop_record(crop: Crop) -> Row:
    """A crop as JSON."""
    return {**asdict(crop), "quad": _listed(crop.quad), "faces": _listed(crop.faces)}


def read_crop(row: RowView) -> Crop:
    """The crop that `crop_record` has written, to the last bit."""
    quads = {"quad": row["quad"] and _quad(row["quad"]), "faces": tuple(map(_quad, row["faces"]))}
    return Crop(**{**row, **quads})


def job_record(job: Job) -> Row:
    """The state of a job as JSON, without pictures and requests."""
    runs = [{name: _listed(getattr(run, name)) for name in RUN} for run in job.runs]
    for run, row in zip(job.runs, runs, strict=True):
        if run.report is not None and run.over:
            row["report"] = report_record(run.report)
    facts = {"task": job.task, "model": job.model, "tab": job.tab, "picture": job.picture, "ending": job.ending}
    facts |= {"about": _listed(job.about), "square": _listed(job.square)}
    return {**facts, "models": list(job.models), "crop": crop_record(job.crop), "notes": list(job.notes), "runs": runs}


def measured_parts(job: Job) -> Parts:
    """Original and measurement of a job; one file if they are equal."""
    parts: Parts = {}
    if job.truth is not None:
        parts["truth.png"] = partial(images.packed_png, job.truth)
    if job.measured is not None and not (job.truth is not None and np.array_equal(job.truth, job.measured)):
        parts["measured.png"] = partial(images.packed_png, job.measured)
    return parts


def result_parts(index: int, image: np.ndarray, code: PlainCode | None, weights: Mapping[str, Tensor] | None) -> Parts:
    """The result of a run."""
    parts: Parts = {f"run-{index}.png": partial(images.packed_png, image)}
    if code is not None or weights is not None:
        parts[f"run-{index}.safetensors"] = partial(_packed_tensors, code, weights)
    return parts


def read_job(key: str, record: RowView, read: Read, files: Mapping[str, int]) -> Job:
    """The job, which is over, without its requests. Raises what `read` raises."""
    empty = np.zeros((1, 1, 3), np.uint8)
    requests = [
        Request(
            record["task"],
            run["method"],
            empty,
            model,
            crop=read_crop(record["crop"]),
            analysis=run["method"] if run["method"] in ANALYSES else "",
            translation=run["method"] if run["method"] in TRANSLATIONS else "",
        )
        for run, model in zip(record["runs"], record["models"], strict=True)
    ]
    runs = []
    for index, run in enumerate(record["runs"]):
        name = f"run-{index}.png"
        image = images.unpacked_png(read(name)) if name in files else None
        track = tuple((seconds, psnr) for seconds, psnr in run["track"])
        report = read_report(run["report"], index, read, files) if "report" in run else None
        runs.append(RunView(**{**run, "track": track, "report": report}, image=image, version=1))
    job = Job(key, tuple(requests), runs, version=1, notes=tuple(record["notes"]), ending=record["ending"])
    job.tab, job.picture, job.requests, job.about = record["tab"], record["picture"], (), record.get("about", {})
    square = record.get("square", record["crop"]["quad"])  # older records have the crop alone
    job.square = square and _quad(square)
    if "truth.png" in files:
        job.truth = job.measured = images.unpacked_png(read("truth.png"))
    if "measured.png" in files:
        job.measured = images.unpacked_png(read("measured.png"))
    return job


def read_tensors(data: bytes) -> tuple[PlainCode | None, Mapping[str, Tensor] | None]:
    """Code and tuned weights of a result."""
    from safetensors.torch import load

    tensors = load(data)
    facts = json.loads(_metadata(data).get("facts", "{}"))
    weights = {name.removeprefix("weights."): one for name, one in tensors.items() if name.startswith("weights.")}
    code = None
    if facts["code"] is not None:
        parts = {name: one for name, one in tensors.items() if name.startswith("code.")}
        noise = tuple(parts.pop(f"{NOISE}{i}") for i in range(sum(name.startswith(NOISE) for name in parts)))
        code = {**facts["code"], **{name.removeprefix("code."): one for name, one in parts.items()}}
        code |= {"noise": noise} if facts["noise"] else {}
    return code, weights if facts["tuned"] else None


def _packed_tensors(code: PlainCode | None, weights: Mapping[str, Tensor] | None) -> bytes:
    from safetensors.torch import save

    tensors: dict[str, Tensor] = {f"weights.{name}": one for name, one in (weights or {}).items()}
    plain: dict[str, str | int] = {}
    for name, part in (code or {}).items():
        if isinstance(part, str | int):
            plain[name] = part
        elif isinstance(part, tuple):
            tensors |= {f"{NOISE}{i}": one for i, one in enumerate(part)}
        else:
            tensors[f"code.{name}"] = part
    facts = {"code": None if code is None else plain, "noise": "noise" in (code or {}), "tuned": weights is not None}
    apart: dict[str, Tensor] = {}
    for name, one in tensors.items():  # the format refuses tensors that share memory
        shared = any(one.data_ptr() == other.data_ptr() for other in apart.values())
        apart[name] = one.clone().contiguous() if shared else one.contiguous()
    return save(apart, {"facts": json.dumps(facts)})


def _metadata(data: bytes) -> dict[str, str]:
    """The texts in the header of a safetensors file."""
    length = int.from_bytes(data[:8], "little")
    header: dict[str, Any] = json.loads(data[8 : 8 + length])
    return header.get("__metadata__", {})


def _packed_start(start: SavedCode) -> bytes:
    from inversion.checkpoints.codes import packed

    return packed(start)


def _read_start(row: RowView, read: Read) -> SavedCode:
    from inversion.checkpoints.codes import read_code

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "start.npz"
        path.write_bytes(read(row["file"]))
        return replace(read_code(path), name=row["name"], layout=row["layout"])


def _quad(points: Any) -> Any:  # noqa: ANN401 - four points
    return tuple((float(x), float(y)) for x, y in points)


def _listed(value: Any) -> Any:  # noqa: ANN401 - of JSON
    """A value with lists for tuples, and plain mappings."""
    if isinstance(value, Mapping):
        return {key: _listed(one) for key, one in value.items()}
    return [_listed(one) for one in value] if isinstance(value, list | tuple) else value
