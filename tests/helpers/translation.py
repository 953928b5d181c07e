"""What `ui/static/translate.js` shows in place of a text, in Python."""

from __future__ import annotations

import re
from functools import lru_cache

from ui.languages import words

LIMITS = re.compile(r"^[\s:;,()·|]+|[\s:;,(·|]+$")
SENTENCES, PARTS = re.compile(r"((?<=[.!?]) (?=[A-Z0-9]))"), re.compile("(; |: |, )")
LONGEST = 7  # texts and signs between them
WORD = re.compile("[a-z]{2}", re.IGNORECASE)


class Translator:
    """Texts of the page in a language."""

    def __init__(self, language: str) -> None:
        self.words = words(language)
        places = sorted((key for key in self.words if "{}" in key), key=len, reverse=True)
        self.rules = [(_rule(key), key, re.search("[;:,] ", key) is None) for key in places]
        self.text = lru_cache(maxsize=None)(self._text)

    def _text(self, text: str) -> str:
        text = re.sub(r"\s+", " ", text)
        if not WORD.search(text):
            return text
        if " · " in text:
            return " · ".join(map(self.text, text.split(" · ")))
        sentences = SENTENCES.split(text)
        whole = self.words.get(text) if len(sentences) > 1 else self._core(text) or self._known(text)
        return whole or "".join(self._core(one) or self._in_parts(PARTS.split(one)) for one in sentences)

    def _in_parts(self, parts: list[str]) -> str:
        for end in range(min(LONGEST, len(parts) - (len(parts) % 2 == 0)), 0, -2):
            own = self._core("".join(parts[:end]), "several" if end > 1 else "one")
            if own is not None or end == 1:
                rest = parts[end:]
                return (own or parts[0]) + (rest[0] + self._in_parts(rest[1:]) if rest else "")
        return ""

    def _core(self, text: str, part: str = "") -> str | None:
        inside = LIMITS.sub("", text)
        found = self._known(inside, part) if WORD.search(inside) else None
        if found is not None:
            return text.replace(inside, found, 1)
        own = self._core(text[:-1], part) if part and inside.endswith(".") else None
        return None if own is None else f"{own}."

    def _known(self, text: str, part: str = "") -> str | None:
        for key in (text, text[0].swapcase() + text[1:] if part or " " in text else text):
            if key in self.words:
                return self.words[key]
        for rule, key, one in self.rules:
            found = None if one and part == "several" else rule.fullmatch(text)
            if found:
                return self._filled(self.words[key], found.groups())
        return None

    def _filled(self, own: str, places: tuple[str, ...]) -> str:
        """A translation with its places filled, which have a number or else come in order."""
        left = iter(places)
        return re.sub(r"\{(\d?)\}", lambda at: self.text(places[int(at[1])] if at[1] else next(left)), own)


def _rule(key: str) -> re.Pattern[str]:
    start, *others = map(re.escape, key.split("{}"))
    first = r"([-\d].*)" if len(re.findall("[A-Za-z]", key)) <= 4 else "(.*)"
    return re.compile(start + first + "(.*)".join(others), re.IGNORECASE)
