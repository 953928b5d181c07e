"""What every tab needs to know."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from inversion.serving.catalogue import DEFAULT_MODEL, MethodCard, ModelCard
from inversion.serving.session import Session
from ui.parts.mine import MyJobs


@dataclass(frozen=True)
class Desk:
    """What all tabs of a page share: the session that computes, what there is to choose from, examples, my jobs.

    model: the one that is chosen when the page opens.
    """

    session: Session
    methods: Mapping[str, MethodCard]
    models: Mapping[str, ModelCard]
    examples: Sequence[Path]
    mine: MyJobs
    model: str = DEFAULT_MODEL
