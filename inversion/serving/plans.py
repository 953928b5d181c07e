"""The plan of a run, known before it begins: what it is called, its stages, steps and memory."""

from __future__ import annotations

from dataclasses import dataclass

from inversion.analysis import Analysis, analysis_of
from inversion.checkpoints.registry import lineage, registry
from inversion.methods import Method, Stage, parse_method
from inversion.methods.encode import STARTS
from inversion.serving.runs import Request
from inversion.translations import TRANSLATIONS, TranslationOptions


@dataclass(frozen=True)
class Plan:
    """A label, and the stages of a run as (label, steps).

    short: it makes a few passes through an encoder, and so ends within one turn. parts: the stages of its methods,
    which take memory and time.
    """

    label: str
    stages: tuple[tuple[str, int], ...]
    short: bool = False
    parts: tuple[Stage, ...] = ()

    @property
    def tunes(self) -> bool:
        """Whether it holds a copy of a network with gradients and the state of an optimiser."""
        return any(stage.kind == "refine" for stage in self.parts)

    @classmethod
    def of(cls, method: Method, model: str) -> Plan:
        """The plan of a method on a registered model."""
        steps = tuple((stage.label, steps) for stage, steps in method.expected_steps(_has_start(model)))
        short = all(stage.kind == "embed" for stage in method.stages)
        return cls(method.label, steps, short, method.stages)


def plan_of(request: Request) -> Plan:
    """The plan of a request; an analysis is one stage with the steps of all its runs. Raises SettingError."""
    if request.translation:
        options_of(request)
        label = TRANSLATIONS[request.translation].label
        return Plan(label, ((label, 1),), short=True)
    if request.analysis:
        analysis = analysis_in(request)
        parts = tuple(stage for run in analysis.runs() for stage in run.configured.stages)
        return Plan(analysis.label, ((analysis.label, analysis.steps),), parts=parts)
    return Plan.of(method_of(request), request.model)


def _has_start(model: str) -> bool:
    """Whether a model has an encoder from which methods may start. A missing file counts as being there."""
    owners, roles = lineage(model), {stage.encoder_role for stage in STARTS}
    return any(one.generator in owners and one.role in roles for one in registry().values())


def method_of(request: Request) -> Method:
    """The method of a request that has one, with its settings and its start. Raises SettingError."""
    method = parse_method(request.method)
    method = method.configured(request.settings) if request.settings else method
    return method if request.start is None else method.from_start()


def analysis_in(request: Request) -> Analysis:
    """The analysis of a request that has one, with its settings. Raises SettingError."""
    return analysis_of(request.analysis).configured(request.settings)


def options_of(request: Request) -> TranslationOptions:
    """The options of a request that has a translation. Raises SettingError."""
    return TranslationOptions(**{**request.settings, "seed": request.seed})  # type: ignore[arg-type]
