"""Laws of the registry of tabs, and the tab that is made from the other registries."""

from __future__ import annotations

import time
from collections.abc import Iterator
from html import unescape
from pathlib import Path

import numpy as np
import pytest
from helpers.page import laid_out
from helpers.serving import Served
from helpers.waiting import until

from inversion import images
from inversion.checkpoints.registry import registry
from inversion.methods import METHODS
from inversion.metrics import METRICS
from inversion.serving import catalogue
from inversion.serving.session import JobView, Request, RunView
from inversion.tasks import TASKS
from inversion.translations import TRANSLATIONS
from ui.parts import results
from ui.parts.inputs import InputError
from ui.parts.kept_masks import marked, with_hole
from ui.parts.markup import head, paper_link
from ui.parts.plots import quality_plot
from ui.parts.results import lines
from ui.parts.uploads import Painted
from ui.tabs import all_tabs, task_tab
from ui.tabs.about import licences_html, methods_html, metrics_html
from ui.tabs.sketch import OWN_TABS, Sketch


def test_every_tab_has_a_label_of_its_own() -> None:
    tabs = all_tabs()
    labels = [tab.label for tab in tabs.values()]
    assert len(set(labels)) == len(labels) and all(labels)
    assert {"denoise", "frontalize", "compare", "about"} <= tabs.keys()


def test_every_translation_is_in_one_tab() -> None:
    only = [tab.only for tab in all_tabs().values() if issubclass(tab, Sketch) and tab.only]
    assert sorted(only) == sorted(OWN_TABS) and set(OWN_TABS) < set(TRANSLATIONS)


def test_about_names_every_method_metric_and_licence() -> None:
    methods, metrics = unescape(methods_html(catalogue.methods())), unescape(metrics_html())
    for method in METHODS.values():
        assert f"<dt>{method.label}</dt>" in methods and method.description in methods
        assert method.paper.split("arXiv ")[-1] in methods
    assert all(f"<dt>{metric.label}</dt><dd>{metric.help}" in metrics for metric in METRICS.values())
    licences = unescape(licences_html(registry())).lower()
    assert all(one.licence.lower() in licences and one.name in licences for one in registry().values())
    assert 'href="https://arxiv.org/abs/1912.04958"' in paper_link("Karras et al. 2020, arXiv 1912.04958")


def test_a_mask_is_kept_and_reads_as_the_same_mask(tmp_path: Path) -> None:
    picture = np.random.default_rng(0).integers(0, 255, (40, 48, 3), np.uint8)
    mask = np.zeros((40, 48), np.uint8)
    mask[10:20, 5:30] = 255
    images.write_png(tmp_path / "mask.png", mask)
    images.write_png(tmp_path / "both.png", with_hole(picture, mask))
    for name in ("mask.png", "both.png"):
        assert (images.decode_mask(tmp_path / name, mask.shape).pixels == mask).all(), name
        painted = Painted(picture, np.zeros_like(mask))
        assert (marked(painted, str(tmp_path / name), False) == mask).all()
    both = images.decode(tmp_path / "both.png")
    assert both.erased is not None and (both.erased == mask).all()
    assert (marked(Painted(picture, mask), None, False) == mask).all()
    with pytest.raises(InputError, match="Paint over a part"):
        marked(Painted(picture, np.zeros_like(mask)), None, False)


def test_pictures_can_be_sent_to_every_tab_with_an_upload() -> None:
    takes = {key for key, tab in all_tabs().items() if tab.takes_pictures}
    assert takes == {*TASKS, "edit", "frontalize", "analyse", "grid", "compare"}


def test_a_column_with_two_results_names_both_for_the_viewer() -> None:
    assert 'data-left="before" data-right="after"' in head("W", "", "red", ("before", "after"))
    assert "data-" not in head("W", "", "red")


def test_the_plot_says_which_curves_start_where_an_earlier_run_ended(site: Served, picture: Path) -> None:
    upload, said = np.asarray(images.read(picture)), []
    for _ in range(2):
        settings = {"w": {"w.steps": 7}, "wplus": {"wplus.steps": 1}}
        key = site.session.submit([Request("reconstruct", m, upload, settings=own) for m, own in settings.items()])
        until(lambda key=key: site.session.snapshot(key).over)
        view = site.session.snapshot(key)
        assert [run.state for run in view.runs] == ["done", "done"]
        said.append(quality_plot(lines(view)))
    assert ["The curve starts where an earlier run ended: W." in text for text in said] == [False, True]


@pytest.mark.parametrize(("every", "tables"), [(1e9, [0, 3]), (0.0, [0, 1, 3]), (0.05, [0, 2, 3])])
def test_the_table_of_a_run_comes_seldom_but_misses_nothing(
    every: float, tables: list[int], site: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    panel = laid_out(task_tab("reconstruct"), site).panel
    monkeypatch.setattr(results, "TABLE_EVERY", every)

    def views() -> Iterator[JobView]:
        for version, state, wait in ((1, "queued", 0), (2, "running", 0), (2, "running", 0.1), (3, "cancelled", 0)):
            time.sleep(wait)  # nothing changes meanwhile
            yield JobView("key", "reconstruct", (RunView("w", "W", state=state, version=version),), 0, version)

    monkeypatch.setattr(site.session, "follow", lambda key: views())
    updates = list(panel.updates(site.session, "key", "measured"))
    assert [index for index, update in enumerate(updates) if panel.table in update] == tables
