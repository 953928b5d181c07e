"""The model of the tests of methods."""

from __future__ import annotations

import pytest

from inversion.model import Model


@pytest.fixture(scope="session")
def model(full_model: Model) -> Model:
    """A model on which every method can run."""
    return full_model
