"""In-Domain: attributes that are read off inverted codes."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

import torch

from inversion import metrics
from inversion.analysis.base import Analysis, Case, Events, Run
from inversion.analysis.measures import Edits, samples
from inversion.analysis.report import Column, Report, Shown, Table
from inversion.common.plot import Plot, Series
from inversion.common.settings import setting
from inversion.directions.base import attribute_label
from inversion.editing.analysis import average_precision, boundary_distances, precision_recall
from inversion.model import prior_of
from inversion.synthetic import DOMAINS, HELD_OUT

if TYPE_CHECKING:
    from torch import Tensor

    from inversion.model import Model

OPTIMISED, IN_DOMAIN = "W+ from the mean", "In-Domain"
SHOWN = 4  # faces that are shown besides your own


@dataclass(frozen=True)
class Faces:
    """Pictures (B, 3, R, R), and which of them have an attribute: name -> booleans (B,), some True and some False."""

    pictures: Tensor
    having: Mapping[str, Tensor]


@dataclass(frozen=True, eq=False)
class Reading:
    """What is read off the codes of a run. scores: attribute -> signed distances (B,) to its boundary."""

    label: str
    psnr: float  # dB, mean over the faces
    scores: Mapping[str, Tensor]
    areas: Mapping[str, float] = field(default_factory=dict)  # attribute -> area under its precision-recall curve

    @property
    def area(self) -> float | None:
        """The mean area, None without an attribute."""
        return statistics.fmean(self.areas.values()) if self.areas else None


@dataclass(frozen=True)
class AttributesOfCodes(Analysis):
    """Inverts faces of the domain together with the picture, and sorts their codes by each attribute's boundary."""

    key: ClassVar[str] = "attributes"
    label: ClassVar[str] = "Attributes in codes"
    paper: ClassVar[str] = "Zhu et al. 2020, arXiv 2004.00049"
    claim: ClassVar[str] = (
        "Attributes can be read off in-domain codes, and less surely off codes that were only optimised."
    )
    look: ClassVar[str] = "The nearer a curve is to the upper right corner, the better its codes carry the attribute."
    where: ClassVar[str] = "Section 4.2, semantic analysis of the inverted codes: precision-recall curves."
    needs: ClassVar[frozenset[str]] = frozenset({"predictor", "directions"})

    faces: int = setting(
        8, "Faces", "That are inverted with your picture. More faces make smoother curves.", min=4, max=64, step=1
    )

    def runs(self) -> Sequence[Run]:
        return [
            Run("Encoder of In-Domain", "guided", {}, self.effort),
            Run(IN_DOMAIN, "indomain", {"indomain.steps": 40}, self.effort),
            Run(OPTIMISED, "wplus", {"mean.encoder": False, "wplus.steps_from_mean": 70}, self.effort),
            Run("pSp", "psp", {}, self.effort),
        ]

    @property
    def cost(self) -> float:
        """As in every analysis; each step is of all pictures."""
        return super().cost * (1 + self.faces)

    def __call__(self, case: Case) -> Events:
        faces = _faces(case, self.faces)
        pictures = torch.cat([case.picture, faces.pictures])
        shown = _row(case, "Your picture", pictures)
        yield Report(shown, across=1 + SHOWN)
        readings: list[Reading] = []
        runs = [run for run in self.runs() if run.configured.unavailable(case.model) is None]
        for run in runs:
            result = yield from case.invert(run, pictures)
            if result.code is None:
                raise TypeError(f"{run.label} gives a code")
            ws = result.code.ws(prior_of(case.model))
            readings.append(_reading(case.model, run.label, metrics.psnr(result.image, pictures), ws, faces))
            shown += _row(case, run.label, result.image, _own(case, readings[-1], result.image))
            finding = _finding(readings) if len(readings) == len(runs) else ""
            yield Report([*shown], _plots(case, readings, faces), _table(case, readings, faces), finding, 1 + SHOWN)


def _faces(case: Case, count: int) -> Faces:
    """Held-out faces of an embedded domain with the truth; for others, samples and what the predictor sees in them."""
    model, names = case.model, Edits(case.model).names
    if model.domain in DOMAINS:
        domain = DOMAINS[model.domain]
        drawn = domain.draw(range(HELD_OUT + 100, HELD_OUT + 100 + count), case.picture.shape[-1])
        pictures = drawn.picture.to(case.picture)
        values = {name: drawn.factors[:, domain.names.index(name)] for name in names}
    else:
        prior = prior_of(model)
        with torch.no_grad():
            pictures = prior.synthesis(samples(prior, count, case.seed)).clamp(-1, 1)
            seen = model.predictor.attributes(pictures) if model.predictor is not None else {}
        values = {name: seen[name].cpu() - seen[name].median().item() for name in names}
    having = {name: value > 0 for name, value in values.items() if 0 < int((value > 0).sum()) < count}
    return Faces(pictures, having)


def _reading(model: Model, label: str, psnrs: Sequence[float], ws: Tensor, faces: Faces) -> Reading:
    """The scores of all codes, your own first, relative to the mean code, and the areas over the faces."""
    known = {name: model.directions[name] for name in faces.having if model.directions[name].normal is not None}
    mean = prior_of(model).w_avg[None]
    scores = {name: (boundary_distances(ws, one) - boundary_distances(mean, one)).cpu() for name, one in known.items()}
    areas = {name: average_precision(score[1:], faces.having[name]) for name, score in scores.items()}
    return Reading(label, statistics.fmean(psnrs[1:]), scores, areas)


def _row(case: Case, title: str, pictures: Tensor, figures: str = "") -> list[Shown]:
    """Your picture with a title and figures, and some of the faces (B, 3, R, R) beside it."""
    own, *others = pictures[: 1 + SHOWN].split(1)
    return [case.shown(title, figures, own), *(case.shown("", "", one) for one in others)]


def _own(case: Case, reading: Reading, image: Tensor) -> str:
    """PSNR of your picture, and how many attributes its code has as the predictor sees them in the picture."""
    psnr = f"{metrics.psnr(image[:1], case.picture)[0]:.2f} dB"
    if case.model.predictor is None or not reading.scores:
        return psnr
    with torch.no_grad():
        seen = case.model.predictor.attributes(case.picture)
    right = sum(bool(seen[name] > 0) == bool(score[0] > 0) for name, score in reading.scores.items())
    return f"{psnr}, {right} of {len(reading.scores)} attributes"


def _plots(case: Case, readings: Sequence[Reading], faces: Faces) -> list[Plot]:
    """A plot for each attribute with a curve for each run."""
    plots = []
    for name, having in faces.having.items():
        curves = {one.label: precision_recall(one.scores[name][1:], having) for one in readings if name in one.scores}
        series = tuple(
            Series(label, [(0.0, precision[0].item()), *zip(recall.tolist(), precision.tolist(), strict=True)])
            for label, (precision, recall) in curves.items()
        )
        plots.append(Plot(attribute_label(name, case.model.domain), "Recall", "Precision", series))
    return plots


def _table(case: Case, readings: Sequence[Reading], faces: Faces) -> Table:
    names = [Column(attribute_label(name, case.model.domain)) for name in faces.having]
    rows = [(one.label, one.psnr, one.area, *(one.areas.get(name) for name in faces.having)) for one in readings]
    return Table((Column("Run"), Column("PSNR in dB"), Column("Mean area", 3), *names), tuple(rows))


def _finding(readings: Sequence[Reading]) -> str:
    by_label = {one.label: one for one in readings}
    if not {OPTIMISED, IN_DOMAIN} <= by_label.keys():
        return "The model has no domain-guided encoder, so there is nothing to compare with."
    alone, guided = by_label[OPTIMISED], by_label[IN_DOMAIN]
    if alone.area is None or guided.area is None:
        return "No attribute is present in some faces and absent in others: take more faces."
    better = sum(area > alone.areas[name] for name, area in guided.areas.items())
    worse = sum(area < alone.areas[name] for name, area in guided.areas.items())
    text = f"The mean area is {guided.area:.3f} for In-Domain and {alone.area:.3f} for W+ from the mean"
    text += f", larger for {better} and smaller for {worse} of {len(guided.areas)} attributes"
    held = "in-domain codes carry them better here"
    return f"{text}: {held if guided.area > alone.area else 'in-domain codes carry them no better here'}."
