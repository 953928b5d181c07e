"""Whether a picture is in the domain of an embedded model, over all domains that have a measure."""

from __future__ import annotations

import numpy as np
import pytest

from inversion import images
from inversion.checkpoints import hub
from inversion.checkpoints.registry import registry
from inversion.editing.domain import DomainRequest, known_domains, outside_methods
from inversion.methods import METHODS
from inversion.model import Model
from inversion.synthetic import DOMAINS, HELD_OUT

pytestmark = pytest.mark.weights


def render(domain: str) -> np.ndarray:
    return images.to_array(DOMAINS[domain].draw([HELD_OUT]).picture)


@pytest.mark.parametrize("domain", list(known_domains()))
def test_renders_are_inside_and_other_renders_belong_to_their_own_model(domain: str) -> None:
    model = hub.load(known_domains()[domain].model, device="cpu")
    for other in known_domains():
        answer = DomainRequest(model.name, render(other))(model)
        assert answer.inside == (other == domain) and answer.score is not None
        assert answer.better == (None if other == domain else known_domains()[other].model)
        able = tuple(key for key in outside_methods() if METHODS[key].unavailable(model) is None)
        assert answer.inside == (answer.text == "") and answer.methods == (() if answer.inside else able)


def test_other_pictures_name_the_methods_that_reach_them() -> None:
    model = hub.load(hub.DEFAULT, device="cpu")
    noise = np.random.default_rng(0).integers(0, 255, (128, 128, 3), dtype=np.uint8)
    answer = DomainRequest(model.name, noise)(model)
    assert answer.better is None and all(METHODS[key].label in answer.text for key in answer.methods)
    answer = DomainRequest(model.name, noise, outside=("pti",))(model)
    assert answer.methods == ("pti",) and METHODS["clone"].label not in answer.text
    answer = DomainRequest("synthetic-faces-pggan", noise)(hub.load("synthetic-faces-pggan", device="cpu"))
    assert answer.methods == ("mganprior",)  # PGGAN has no styles to tune from


def test_methods_that_tune_or_mix_codes_reach_other_pictures() -> None:
    assert outside_methods() == ("mganprior", "pti", "clone")  # the page names them


def test_a_model_without_a_measure_says_nothing() -> None:
    answer = DomainRequest("other", render(hub.DEFAULT))(Model("other"))
    assert answer.inside and answer.score is None and answer.text == ""


def test_every_domain_has_a_registered_model() -> None:
    assert all(registry()[known.model].domain == domain for domain, known in known_domains().items())
