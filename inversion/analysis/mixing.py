"""pSp: what the layers of a code carry, by style mixing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import torch

from inversion.analysis.base import Analysis, Case, Events, Run
from inversion.analysis.measures import samples
from inversion.analysis.report import Column, Report, Shown, Table
from inversion.common.plot import Plot, Series
from inversion.common.settings import setting
from inversion.directions.base import attribute_label
from inversion.model import prior_of

if TYPE_CHECKING:
    from torch import Tensor

    from inversion.model import Model

GROUPS = (("Coarse", 0, 3), ("Middle", 3, 7), ("Fine", 7, 64))  # as pSp's map2style: styles 0-2, 3-6, 7 and later
NAMED = 3  # attributes that the table names for a layer
AVERAGED = 4  # random styles that the curve averages over


class Layer(NamedTuple):
    """What a style carries: the change of the picture in 8-bit units, and the attributes that change most."""

    number: int
    change: float
    attributes: str


@dataclass(frozen=True)
class StyleMixing(Analysis):
    """Random styles replace those of the code, in groups and one by one."""

    key: ClassVar[str] = "mixing"
    label: ClassVar[str] = "What the layers carry"
    paper: ClassVar[str] = "Richardson et al. 2021, arXiv 2008.00951"
    claim: ClassVar[str] = "Coarse styles carry pose and shape, middle styles features and hair, fine styles colour."
    look: ClassVar[str] = "In each row a random picture gives its coarse, middle or fine styles to yours."
    where: ClassVar[str] = "Section 3.3, style mixing and multi-modal synthesis; layers as in figure 2."
    needs: ClassVar[frozenset[str]] = frozenset({"prior"})

    styles: int = setting(3, "Random pictures", "Rows of the matrix.", min=1, max=8, step=1)

    def runs(self) -> Sequence[Run]:
        return [Run("pSp", "psp", {}, self.effort)]

    def unavailable(self, model: Model) -> str | None:
        if model.prior is not None and model.prior.num_ws < 2:
            return f"the generator of {model.name} has a single style"
        return super().unavailable(model)

    def __call__(self, case: Case) -> Events:
        yield Report([case.shown()])
        prior = prior_of(case.model)
        result = yield from case.invert(self.runs()[0])
        if result.code is None:
            raise TypeError("pSp gives a code")
        own, drawn = result.code.ws(prior), samples(prior, max(self.styles, AVERAGED), case.seed)
        pictures: list[Shown] = []
        for one in drawn[: self.styles]:
            pictures += [case.shown("A random picture", "", _render(case, one[None])), case.shown("Your picture")]
            for name, first, last in GROUPS:
                if first < prior.num_ws:
                    mixed = _render(case, _replaced(own, one[None], first, last))
                    pictures.append(case.shown(name, f"styles {first} to {min(last, prior.num_ws) - 1}", mixed))
            across = 2 + sum(first < prior.num_ws for _, first, _ in GROUPS)
            yield Report([*pictures], across=across)
        layers = [_layer(case, own, drawn[:AVERAGED], number) for number in range(prior.num_ws)]
        curve = Series("Change", [(layer.number, layer.change) for layer in layers])
        plot = Plot("Change by one style", "Style", "Mean change in 8-bit units", (curve,))
        columns = (Column("Style"), Column("Change"), Column("Attributes that change most"))
        table = Table(columns, tuple((str(n), change, words) for n, change, words in layers))
        yield Report(pictures, [plot], table, _finding(case, own, drawn[:AVERAGED]), across)


def _render(case: Case, styles: Tensor) -> Tensor:
    with torch.no_grad():
        return prior_of(case.model).synthesis(styles).clamp(-1, 1)


def _replaced(own: Tensor, other: Tensor, first: int, last: int) -> Tensor:
    """Own styles (1, num_ws, w_dim) with those of other (B, num_ws, w_dim) from first to last - 1."""
    mixed = own.repeat(len(other), 1, 1)
    mixed[:, first:last] = other[:, first:last]
    return mixed


def _layer(case: Case, own: Tensor, drawn: Tensor, number: int) -> Layer:
    before, after = _render(case, own), _render(case, _replaced(own, drawn, number, number + 1))
    change = 127.5 * (after - before).square().flatten(1).mean(dim=1).sqrt().mean().item()
    moved = _attributes(case, before, after)
    most = sorted(moved, key=lambda name: -moved[name])[:NAMED]
    return Layer(number, change, ", ".join(attribute_label(name, case.model.domain) for name in most))


def _attributes(case: Case, before: Tensor, after: Tensor) -> dict[str, float]:
    """Mean absolute change of every attribute; empty without a predictor."""
    predictor = case.model.predictor
    if predictor is None:
        return {}
    with torch.no_grad():
        change = (predictor.heads(after)[0] - predictor.heads(before)[0]).abs().mean(dim=0)
    return dict(zip(predictor.names, change.tolist(), strict=True))


def _finding(case: Case, own: Tensor, drawn: Tensor) -> str:
    """The attributes that each group of styles changes more than the other groups do."""
    before, moved = _render(case, own), {}
    for name, first, last in GROUPS:
        if first < own.shape[1]:
            moved[name] = _attributes(case, before, _render(case, _replaced(own, drawn, first, last)))
    if not any(moved.values()):
        return "The model has no predictor of attributes, so judge by eye what each group carries."
    parts = []
    for name, changes in moved.items():
        shares = {key: value / sum(other[key] for other in moved.values()) for key, value in changes.items()}
        strong = [key for key in changes if changes[key] > 0.15]
        best = sorted(strong, key=lambda key: -shares[key])[:NAMED]
        labels = ", ".join(attribute_label(key, case.model.domain) for key in best)
        parts.append(f"{name} styles: {labels or 'nothing of their own'}")
    return f"What each group changes more than the others, by the predictor. {'; '.join(parts)}."
