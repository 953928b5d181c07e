"""Languages of the page. A new language is one file, `CODE.json`, and one line in `LANGUAGES`.

The strings of the page are written in English where they are used. A file maps each of them to its translation; `{}`
stands for a number, a name or a unit, and `{0}`, `{1}` in a translation for places in another order. Long texts are
looked up sentence by sentence. `ui/static/translate.js` translates what the page shows, in browsers of that language
only. (`gr.I18n` reaches neither HTML, choices nor anything that the server sends later.)
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

from ui.static import script

LANGUAGES = {"ko": "한국어"}  # code -> its own name
FOLDER = Path(__file__).parent


def words(language: str) -> dict[str, str]:
    """English -> the language."""
    found: dict[str, str] = json.loads((FOLDER / f"{language}.json").read_text(encoding="utf-8"))
    return found


@cache
def translator(language: str) -> str:
    """The script that translates the page."""
    constants = {"WORDS": words(language), "LANGUAGE": language}
    parts = [f"const {name} = {json.dumps(value, ensure_ascii=False)};" for name, value in constants.items()]
    return f"(() => {{\n{''.join(parts)}\n{script('translate')}}})();"


def chooser() -> str:
    """The script in the head of the page: it loads the translator of the browser's language, if there is one."""
    return script("language").replace("LANGUAGES", json.dumps(sorted(LANGUAGES)))
