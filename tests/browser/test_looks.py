"""Contrast, names, faults that axe-core knows, controls by keyboard, and what is on the screen without scrolling."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.accessibility import faults, unreached
from helpers.browser import choose, open_tab, rectangles, set_steps, shoot, status, still, unfold, upload
from playwright.sync_api import Page, expect

from ui.tabs import TaskTab, all_tabs

pytestmark = pytest.mark.browser

WITHOUT_RUN = ("About", "Compare", "History", "Models")  # tabs
EDITORS = ("inpaint", "sketch")  # tabs with a canvas, which comes when they are opened
SIZES = {"desk": (1440, 900), "phone": (390, 844)}
OWN_PART = "[role=tabpanel]:not([style*='display: none'])"  # the tab that is open
# Texts with a contrast below 4.5 (WCAG AA), with their ratios. Disabled controls do not count, as in WCAG.
FAINT = (Path(__file__).parent / "contrast.js").read_text(encoding="utf-8")
HANDLE = "#reconstruct-column-0 [role=slider][aria-label^=Compare]"
WRAPPED = "gradio_config.dependencies.filter(one => Object.getPrototypeOf(one) === Object.prototype).length"


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_text_can_be_read_and_axe_finds_nothing_serious(visit: Callable[..., Page], theme: str) -> None:
    page = visit(*SIZES["desk"], color_scheme=theme)
    for tab in page.get_by_role("tab").all():
        tab.click()
        page.get_by_role("tabpanel").filter(visible=True).first.wait_for()
        if tab.get_attribute("data-tab-id") in EDITORS:
            page.locator(f"{OWN_PART} canvas").filter(visible=True).first.wait_for()
        still(page)
        shoot(page, f"looks-{theme}-{tab.inner_text()}")
        assert page.evaluate(FAINT) == {}, tab.inner_text()
        if theme == "light":  # only colours depend on the theme, and only the tab's own part on the tab
            part = None if tab.get_attribute("data-tab-id") == "reconstruct" else OWN_PART
            assert faults(page, part, ["color-contrast"]) == [], tab.inner_text()


def test_all_tabs_and_run_are_in_reach(visit: Callable[..., Page]) -> None:
    page = visit(*SIZES["desk"])
    names = [tab.inner_text() for tab in page.get_by_role("tab").all()]
    for name in names:
        open_tab(page, name)
        for width, height in SIZES.values():
            page.set_viewport_size({"width": width, "height": height})
            page.evaluate("window.scrollTo(0, 0)")
            expect(page.get_by_role("tab", name=name)).to_be_in_viewport(ratio=1)
            assert page.evaluate("document.documentElement.scrollWidth") <= width, name
            run = page.locator(".run-bar").filter(visible=True).locator("button").first
            if name not in WITHOUT_RUN:
                for where in ("0", "document.body.scrollHeight"):
                    page.evaluate(f"window.scrollTo(0, {where})")
                    expect(run).to_be_in_viewport(ratio=0.9)
                page.evaluate("window.scrollTo(0, 0)")
            links, dots = (
                page.locator(f"footer > {one}").filter(visible=True).count() for one in ("button", ".divider")
            )
            assert dots == links - 1


def test_a_phone_shows_stored_results_before_the_methods_and_those_of_another_picture_after_them(
    visit: Callable[..., Page], picture: Path
) -> None:
    page = visit(*SIZES["phone"])
    expect(page.locator("#reconstruct-column-0 img").first).to_be_in_viewport(ratio=0.4)
    result, methods = rectangles(page, "#reconstruct-column-0", "#reconstruct-methods")
    assert result["y"] + result["height"] <= methods["y"]
    upload(page, "reconstruct", picture)
    expect(page.locator("#reconstruct-other")).to_contain_text("previous picture")
    methods, result = rectangles(page, "#reconstruct-methods", "#reconstruct-column-0")
    assert methods["y"] + methods["height"] <= result["y"]


def test_the_page_opens_with_results_and_every_tab_shows_all_on_one_screen(visit: Callable[..., Page]) -> None:
    page = visit(*SIZES["desk"])
    assert page.evaluate(WRAPPED) == 0, "Svelte wraps events in proxies, and the page loads slowly"
    expect(status(page)).to_contain_text("Precomputed")
    expect(page.locator("#reconstruct-column-2 img").first).to_be_in_viewport()
    for key, tab in all_tabs().items():
        if not issubclass(tab, TaskTab):
            continue
        open_tab(page, tab.label)
        page.locator(f"#{key}-examples button").first.click()
        expect(status(page, key)).to_contain_text("Press Run to compute it live")
        expect(page.locator(f"#{key}-picture")).to_be_in_viewport(ratio=1)
        for part in ("methods", "run", "cancel", "status", "column-0 .head", "column-0 img"):
            expect(page.locator(f"#{key}-{part}").first).to_be_in_viewport(ratio=0.9)
        expect(page.locator(f"#{key}-other")).to_be_empty()
        methods, run = rectangles(page, f"#{key}-methods", f"#{key}-run")
        assert methods["y"] + methods["height"] <= run["y"] and methods["height"] > 150, key
    assert page.locator("#edit-sliders .move").count() == 0, "a stored result has no code to edit"


def test_run_and_results_share_a_screen_and_the_keyboard_reaches_all(visit: Callable[..., Page], picture: Path) -> None:
    page = visit(*SIZES["desk"])
    upload(page, "reconstruct", picture)
    page.wait_for_selector("#reconstruct-picture img")
    choose(page, "reconstruct", {"W", "W+"})
    set_steps(page, "reconstruct", 3)
    page.evaluate("window.scrollTo(0, 0)")
    page.click("#reconstruct-run")
    expect(status(page)).to_contain_text("Done")
    page.evaluate("window.scrollTo(0, 0)")
    for part in ("picture img", "methods", "run", "cancel", "status", "column-0 .head", "column-0 img"):
        expect(page.locator(f"#reconstruct-{part}").first).to_be_in_viewport(ratio=0.9)
    examples = page.locator("#reconstruct-examples button")
    examples.nth(5).click()  # the photo, of which no results are stored
    expect(page.locator("#reconstruct-other")).to_contain_text("previous picture")
    page.click("#reconstruct-run")
    expect(page.locator("#reconstruct-other")).to_be_empty()
    expect(status(page)).to_contain_text("Done")
    page.get_by_role("button", name="Example 1", exact=True).filter(visible=True).focus()
    page.keyboard.press("Enter")
    expect(status(page)).to_contain_text("Precomputed")
    expect(page.locator("#reconstruct-other")).to_be_empty()
    page.locator(HANDLE).focus()
    [before] = rectangles(page, HANDLE)
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    assert rectangles(page, HANDLE)[0]["x"] > before["x"] + 10
    unfold(page)
    assert faults(page) == []
    for tab in ("Reconstruct", "Inpaint", "Edit", "Sketch"):
        open_tab(page, tab)
        page.get_by_role("button", name="Advanced").filter(visible=True).wait_for()
        if tab.lower() in EDITORS:
            page.locator("canvas").filter(visible=True).first.wait_for()
        unfold(page)
        assert unreached(page) == [], tab


def test_a_run_on_a_phone_shows_where_something_happens(visit: Callable[..., Page], picture: Path) -> None:
    page = visit(*SIZES["phone"], color_scheme="dark", device_scale_factor=2)
    upload(page, "reconstruct", picture)
    page.wait_for_selector("#reconstruct-picture img")
    choose(page, "reconstruct", {"W", "W+"})
    set_steps(page, "reconstruct", 3)
    page.click("#reconstruct-run")
    expect(status(page)).to_contain_text("Done")
    expect(status(page)).to_be_in_viewport(ratio=0.9)
    assert page.evaluate("document.documentElement.scrollWidth") <= SIZES["phone"][0]
    shoot(page, "looks-phone-done")
    first, second = rectangles(page, "#reconstruct-column-0", "#reconstruct-column-1")
    assert abs(first["y"] - second["y"]) < 2 and second["x"] < SIZES["phone"][0], "the next result peeks in"


# Texts of the open page, and of attributes that are read aloud, in which Latin letters are more than names.
ENGLISH = """names => {
  const texts = [], walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walk.nextNode(); node; node = walk.nextNode()) {
    const {parentElement: box, data} = node;
    if (box.checkVisibility() && !box.closest('script, style, code, pre, textarea')) texts.push(data);
  }
  for (const name of ['aria-label', 'title', 'placeholder', 'alt'])
    document.querySelectorAll(`[${name}]`).forEach(one => one.checkVisibility() && texts.push(one.getAttribute(name)));
  document.querySelectorAll('input[role=listbox]').forEach(one => one.checkVisibility() && texts.push(one.value));
  const known = new RegExp(names, 'g');
  return [...new Set(texts.map(text => text.trim()))].filter(text =>
    /[a-z]{3,} [a-z]{2,}|^[A-Z]?[a-z]{3,}$/.test(text.replace(known, '')));
}"""
NAMES = (
    r"\S+ et al\. \d+,?|Creswell and Bharath|arXiv \S+|Deep Image Prior|NVIDIA Source Code License|\(non-commercial\)"
    r"|trained on MS1M|Inversion Hub|\w+(-\w+)+|(MIT|BSD)\S*|weights|Encoder|Projector|Hybrid|Clone|centre|yunet|ffhq"
    r"|brecahad|metfaces|imagenet|disney princess|Gradio|absent|aligned|remote"
)


def test_a_korean_browser_shows_a_korean_page(visit: Callable[..., Page]) -> None:
    page = visit(*SIZES["desk"], locale="ko-KR")
    assert page.evaluate("document.documentElement.lang") == "ko"
    expect(status(page)).to_contain_text("미리 계산된 결과")
    open_tab(page, "색 입히기")
    page.locator("#colorize-run").click()
    expect(page.get_by_text("먼저 이미지를 올리거나 붙여넣거나 예제를 고르세요.")).to_be_visible()
    for tab in page.get_by_role("tab").all():
        tab.click()
        page.locator(OWN_PART).filter(visible=True).first.wait_for()
        left = page.evaluate(ENGLISH, NAMES)
        assert not left, f"{tab.inner_text()}: {left}"
    drawn = "[...document.querySelectorAll('svg style')].map(one => one.textContent)"
    assert all(rules.isascii() for rules in page.evaluate(drawn)), "rules of icons are no texts"
