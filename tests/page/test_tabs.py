"""Laws of the registry of tabs, and the tab that is made from the other registries."""

from __future__ import annotations

from html import unescape

from inversion.checkpoints.registry import registry
from inversion.methods import METHODS
from inversion.metrics import METRICS
from inversion.serving import catalogue
from inversion.translations import TRANSLATIONS
from ui.parts.markup import head
from ui.tabs import all_tabs
from ui.tabs.about import licences_html, methods_html, metrics_html, paper_link
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


def test_a_column_with_two_results_names_both_for_the_viewer() -> None:
    assert 'data-left="before" data-right="after"' in head("W", "", "red", ("before", "after"))
    assert "data-" not in head("W", "", "red")
