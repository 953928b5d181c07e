"""Whether a picture is in the domain of an embedded model, over all domains that have a measure."""

from __future__ import annotations

import numpy as np
import pytest

from inversion import images
from inversion.checkpoints import hub
from inversion.checkpoints.registry import registry
from inversion.editing.domain import DOMAINS, OUTSIDE, DomainRequest
from inversion.methods import METHODS
from inversion.model import Model
from inversion.synthetic import DOMAINS as RENDERED
from inversion.synthetic import HELD_OUT

pytestmark = pytest.mark.weights


def render(domain: str) -> np.ndarray:
    return images.to_array(RENDERED[domain].draw([HELD_OUT]).picture)


@pytest.mark.parametrize("domain", list(DOMAINS))
def test_renders_are_inside_and_other_renders_belong_to_their_own_model(domain: str) -> None:
    model = hub.load(DOMAINS[domain].model, device="cpu")
    for other in DOMAINS:
        answer = DomainRequest(model.name, render(other))(model)
        assert answer.inside == (other == domain) and answer.score is not None
        assert answer.better == (None if other == domain else DOMAINS[other].model)
        assert answer.inside == (answer.text == "") and answer.methods == (() if answer.inside else OUTSIDE)


def test_other_pictures_name_the_methods_that_reach_them() -> None:
    model = hub.load(hub.DEFAULT, device="cpu")
    noise = np.random.default_rng(0).integers(0, 255, (128, 128, 3), dtype=np.uint8)
    answer = DomainRequest(model.name, noise)(model)
    assert answer.better is None and all(METHODS[key].label in answer.text for key in answer.methods)


def test_a_model_without_a_measure_says_nothing() -> None:
    answer = DomainRequest("other", render(hub.DEFAULT))(Model("other"))
    assert answer.inside and answer.score is None and answer.text == ""


def test_every_domain_has_a_registered_model() -> None:
    assert all(registry()[known.model].domain == domain for domain, known in DOMAINS.items())
