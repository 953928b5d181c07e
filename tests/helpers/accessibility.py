"""Problems that axe-core finds on a page, and controls that the Tab key does not reach."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

SERIOUS = ("serious", "critical")
MOST_CONTROLS = 300  # of a page
STRIDE = 12  # presses between two looks
ROUNDS = 3  # a late answer may replace controls, and their marks, during a round

# Marks what gets the focus, and counts the elements that got it for the first time.
MARK = """() => {
  window.reached = 0;
  window.marking ??= document.addEventListener('focusin', ({target}) => {
    if (target.hasAttribute('data-reached')) return;
    target.setAttribute('data-reached', '');
    window.reached += 1;
  }) || true;
}"""
# A group of radio buttons is one stop: arrows choose within it. Cells of a table are reached by arrows, too.
UNREACHED = """() => {
  const all = 'a[href], button, input, select, textarea, summary, canvas, [role=slider], [role=button], [tabindex]';
  const groups = new Set([...document.querySelectorAll('input[type=radio][data-reached]')]
    .map(one => one.closest('fieldset, .wrap')));
  return [...document.querySelectorAll(all)].filter(one =>
    !one.hasAttribute('data-reached') && !one.disabled && !one.closest('[role=grid], [inert], [aria-hidden=true]')
    && one.tabIndex >= 0 && !(one.type === 'radio' && groups.has(one.closest('fieldset, .wrap')))
    && one.checkVisibility({opacityProperty: true, visibilityProperty: true}) && one.getClientRects().length
  ).map(one => one.outerHTML.slice(0, 160));
}"""


def faults(page: Page, part: str | None = None, without: Sequence[str] = ()) -> list[str]:
    """Serious and critical violations on the page as it is, or in a part of it, one line each.

    part: a selector. without: rules that are not checked.
    """
    rules = {rule: {"enabled": False} for rule in without}
    options: dict[str, Any] = {"resultTypes": ["violations"], "preload": False, "rules": rules}
    found = Axe().run(page, context=part, options=options).response["violations"]
    return [
        f"{one['id']}: {' '.join(map(str, node['target']))}: {' '.join(node['failureSummary'].split())}"
        for one in found
        if one["impact"] in SERIOUS
        for node in one["nodes"]
    ]


def unreached(page: Page) -> list[str]:
    """Visible controls that the Tab key does not reach from the first tab on, as HTML."""
    left: list[str] = []
    for _ in range(ROUNDS):
        page.evaluate(MARK)
        page.get_by_role("tab").first.focus()
        reached = -1
        while reached < (reached := page.evaluate("window.reached")) < MOST_CONTROLS:
            for _ in range(STRIDE):
                page.keyboard.press("Tab")
        left = page.evaluate(UNREACHED)
        page.evaluate("document.querySelectorAll('[data-reached]').forEach(one => one.removeAttribute('data-reached'))")
        if not left:
            break
    return left
