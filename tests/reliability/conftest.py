"""A page on tiny networks with narrow limits."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from helpers.serving import Served, served
from torch import Tensor

from inversion.model import Model
from inversion.serving.limits import MB, WebLimits

NARROW = WebLimits(body=MB, seconds=1.0, events=4, events_each=30, uploads=3 * MB, uploads_each=2 * MB, sessions=4)


@pytest.fixture(scope="module")
def narrow(model: Model, pictures: Tensor, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The running page."""
    with served(model, tmp_path_factory.mktemp("narrow"), NARROW) as running:
        yield running
