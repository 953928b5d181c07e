"""The plan of a run, known before it begins: stages, steps and memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from inversion.analysis import Analysis, analysis_of
from inversion.methods import parse_method
from inversion.serving.runs import Request
from inversion.translations import TRANSLATIONS


@dataclass(frozen=True)
class Plan:
    """The stages of a run as (label, steps).

    short: it makes a few passes through an encoder, and so ends within one turn. tunes: it holds a copy of a network
    with gradients and the state of an optimiser.
    """

    stages: tuple[tuple[str, int], ...]
    short: bool
    tunes: bool

    @classmethod
    def of(cls, method: str, settings: Mapping[str, object]) -> Plan:
        """The plan of a method with these settings. Raises SettingError."""
        stages = parse_method(method).configured(settings).stages
        kinds = {stage.kind for stage in stages}
        steps = tuple((stage.label, int(getattr(stage, "steps", 1))) for stage in stages)
        return cls(steps, short=kinds == {"embed"}, tunes="refine" in kinds)


def analysis_in(request: Request) -> Analysis:
    """The analysis of a request that has one, with its settings. Raises SettingError."""
    return analysis_of(request.analysis).configured(request.settings)


def plan_of(request: Request) -> Plan:
    """The plan of a request; an analysis is one stage with the steps of all its runs. Raises SettingError."""
    if request.translation:
        return Plan(((TRANSLATIONS[request.translation].label, 1),), short=True, tunes=False)
    if not request.analysis:
        return Plan.of(request.method, request.settings)
    analysis = analysis_in(request)
    tunes = any(stage.kind == "refine" for run in analysis.runs() for stage in run.configured.stages)
    return Plan(((analysis.label, analysis.steps),), short=False, tunes=tunes)
