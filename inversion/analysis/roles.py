"""mGANprior: what each code stands for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import torch

from inversion.analysis.base import Analysis, Case, Events, Run
from inversion.analysis.codes import AS_PUBLISHED
from inversion.analysis.measures import psnr
from inversion.analysis.report import Column, Report, Shown, Table
from inversion.analysis.segments import Segments, segments_of
from inversion.common.settings import setting
from inversion.methods.codes import Mixture, MultiCode
from inversion.model import prior_of

if TYPE_CHECKING:
    from torch import Tensor

STEPS = 90


class Role(NamedTuple):
    """What a code changes: a map (R, R) in [0, 1], the class that it overlaps most with, and all overlaps."""

    channels: int  # that its strong weights switch off
    change: Tensor
    best: str
    iou: float
    mean_iou: float  # over all classes


@dataclass(frozen=True)
class RolesOfCodes(Analysis):
    """Switches off the strong channels of one code after the other."""

    key: ClassVar[str] = "roles"
    label: ClassVar[str] = "What each code stands for"
    paper: ClassVar[str] = "Gu et al. 2020, arXiv 1912.07116"
    claim: ClassVar[str] = "Each code takes care of its own parts of the picture, such as hair or background."
    look: ClassVar[str] = "Bright areas change if a code's strong channels are switched off; they should form a part."
    where: ClassVar[str] = "Section 4.2, analysis on inverted codes: role of each latent code."

    codes: int = setting(8, "Codes", "That are composed.", min=2, max=30, step=1)
    threshold: float = setting(
        0.2,
        "Threshold",
        "Channels with a larger weight are switched off.",
        min=0.0,
        max=2.0,
        step=0.05,
    )

    def runs(self) -> Sequence[Run]:
        settings = {**AS_PUBLISHED, "multicode.codes": self.codes, "multicode.steps": STEPS}
        return [Run(f"{self.codes} codes", "mganprior", settings, self.effort)]

    def __call__(self, case: Case) -> Events:
        segments = segments_of(case)
        first = [case.shown(), *([] if segments is None else [Shown("Parts", segments.source, segments.coloured)])]
        yield Report(first)
        result = yield from case.invert(self.runs()[0])
        code, prior = result.code, prior_of(case.model)
        mixture = code.mixture(prior) if isinstance(code, MultiCode) else code
        if not isinstance(mixture, Mixture):
            raise TypeError("mGANprior gives several codes")
        pictures = [*first, case.shown("All codes", f"{psnr(result.image, case.picture):.2f} dB", result.image)]
        roles: list[Role] = []
        for n in range(self.codes):
            roles.append(self._role(mixture, n, case, segments))
            pictures.append(_shown(n, roles[-1], case))
            done = n + 1 == self.codes
            yield Report([*pictures], table=_table(roles), finding=_finding(roles, segments) if done else "")

    def _role(self, mixture: Mixture, n: int, case: Case, segments: Segments | None) -> Role:
        """The change by switching off the strong channels of code n (paper: alpha > 0.2)."""
        prior, alpha = prior_of(case.model), mixture.alpha.clone()
        strong = alpha[:, n] > self.threshold
        alpha[:, n][strong] = 0
        with torch.no_grad():
            before, after = (replace(mixture, alpha=a).render(prior).clamp(-1, 1) for a in (mixture.alpha, alpha))
        change = (after - before).abs().mean(dim=1)[0]
        change = (change / change.flatten().quantile(0.995).clamp_min(1e-6)).clamp(0, 1)
        if segments is None:
            return Role(int(strong.sum()), change, "", 0.0, 0.0)
        overlaps = segments.overlaps(change > change.mean() + change.std())
        best = max(overlaps, key=overlaps.__getitem__)
        return Role(int(strong.sum()), change, best, overlaps[best], sum(overlaps.values()) / len(overlaps))


def _shown(n: int, role: Role, case: Case) -> Shown:
    """The change as a heat map over the grey picture."""
    grey = case.picture.mean(dim=1)[0] * 0.2 - 0.65
    heat = torch.stack([grey + 1.7 * role.change, grey + 1.1 * role.change, grey], dim=0)[None].clamp(-1, 1)
    figures = f"{role.best}, IoU {role.iou:.2f}" if role.best else f"{role.channels} channels"
    return case.shown(f"Code {n + 1}", figures, heat)


def _table(roles: Sequence[Role]) -> Table:
    columns = (Column("Code"), Column("Strong channels", 0), Column("Best class"), Column("IoU"), Column("Mean IoU"))
    rows = [(str(i), r.channels, r.best, r.iou, r.mean_iou) for i, r in enumerate(roles, 1)]
    return Table(columns, tuple(rows))


def _finding(roles: Sequence[Role], segments: Segments | None) -> str:
    if segments is None:
        return "There is no segmentation of this picture, so the areas have no names: judge them by eye."
    best = sum(role.iou for role in roles) / len(roles)
    chance = sum(role.mean_iou for role in roles) / len(roles)
    classes = len({role.best for role in roles})
    text = f"The mean IoU of a code with its best class is {best:.2f}, with any class {chance:.2f}"
    held = best >= 2 * chance and classes > 1
    sentence = "codes specialise here" if held else "codes do not specialise here"
    return f"{text}; {classes} classes are the best of a code: {sentence}."
