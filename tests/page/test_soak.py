"""The users of `benchmarks.soak` on the page of the tests."""

from __future__ import annotations

import pytest
from helpers.serving import Served

from benchmarks.soaking import users


def test_a_user_gets_results_and_damaged_uploads_get_words(site: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(users, "RUNS", (("reconstruct", {"methods": ["w"], "settings": {"w.steps": 2}}),))
    figures = users.Figures()
    user = users.User(site.url, 0, figures, end=0.0)
    user.run()
    user.attack()
    [wait] = figures.waits
    assert not figures.problems and figures.counts == {"results": 1, "hostile uploads": 1}
    assert wait.queue == 1 and wait.alone > 0 and figures.open == 0
