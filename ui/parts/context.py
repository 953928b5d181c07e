"""The context that all tabs of a page share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from inversion.serving.catalogue import DEFAULT_MODEL, MethodCard, ModelCard
from inversion.serving.session import Session
from ui.parts.own_jobs import OwnJobs


@dataclass(frozen=True)
class PageContext:
    """The session that computes, the available methods and models, examples, and the visitor's jobs.

    model: the model that is selected when the page opens. openers: key -> label of the tabs that open runs.
    """

    session: Session
    methods: Mapping[str, MethodCard]
    models: Mapping[str, ModelCard]
    examples: Sequence[Path]
    own_jobs: OwnJobs
    model: str = DEFAULT_MODEL
    openers: dict[str, str] = field(default_factory=dict)
