"""Texts as the page shows them: `ui/static/translate.js` itself, run by the Node that Playwright brings."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

import playwright

from inversion.methods import METHODS
from ui.languages import words
from ui.static import script

NODE = next((Path(playwright.__file__).parent / "driver").glob("node*"))
# What the script needs of a browser. It translates the questions of `confirm`, which gives them back here.
BROWSER = """
const window = {confirm: text => text, prompt: text => text}, document = {documentElement: {}};
class MutationObserver { observe() {} }
"""
ANSWER = "process.stdout.write(JSON.stringify(TEXTS.map(text => window.confirm(text))));"
ENGLISH = re.compile("[A-Za-z]{3}")
LABELS = sorted((re.escape(method.label) for method in METHODS.values()), key=len, reverse=True)
NAMES = re.compile("|".join([*LABELS, r"\b[A-Z]\w*[A-Z]\w*"]))  # methods, and words such as PSNR and IoU


def translated(texts: Iterable[str], language: str, own: Mapping[str, str] | None = None) -> dict[str, str]:
    """Text -> what the page shows in its place. own: English -> translation, instead of those of the language."""
    given = list(dict.fromkeys(texts))
    constants = {"TEXTS": given, "WORDS": dict(own or words(language)), "LANGUAGE": language}
    declared = "".join(f"const {name} = {json.dumps(value)};\n" for name, value in constants.items())
    program = f"{BROWSER}{declared}{script('translate')}{ANSWER}"
    done = subprocess.run([NODE, "-"], input=program, capture_output=True, text=True, check=True)  # noqa: S603
    return dict(zip(given, json.loads(done.stdout), strict=True))


def english_left(texts: Iterable[str], language: str, names: str = "") -> dict[str, str]:
    """The texts of which the page shows a part in English, and what it shows. names: a pattern of what may stay."""
    known = re.compile(f"{names}|{NAMES.pattern}") if names else NAMES
    shown = translated(texts, language)
    return {text: own for text, own in shown.items() if ENGLISH.search(known.sub("", own))}
