"""What every tab needs to know."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from inversion.serving.catalogue import MethodCard, ModelCard
from inversion.serving.session import Session


@dataclass(frozen=True)
class Desk:
    """The session that computes, what there is to choose from, and example pictures: shared by all tabs of a page."""

    session: Session
    methods: Mapping[str, MethodCard]
    models: Mapping[str, ModelCard]
    examples: Sequence[Path]
