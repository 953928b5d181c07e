"""Texts among files that should hold something else."""

from __future__ import annotations

import codecs


def is_text(head: bytes) -> bool:
    """Whether the first bytes of a file are a text in UTF-8. Its last character may be cut."""
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    return all(letter.isprintable() or letter in "\t\r\n\ufeff" for letter in text)
