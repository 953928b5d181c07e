"""Input that an error or a log repeats: few characters of it, and printable ones only."""

from __future__ import annotations

import logging
import re
import reprlib

LONGEST_ECHO = 80  # characters of input
LONGEST_ADDRESS = 200  # of a source that a message names
MOST_LINES = 80  # of a log record
LONGEST_LINE = 400
LONG = re.compile(rf"'[^'\n]{{{LONGEST_ECHO + 1},}}'|\"[^\"\n]{{{LONGEST_ECHO + 1},}}\"|\S{{{LONGEST_ECHO + 1},}}")

_printer = reprlib.Repr()
_printer.maxlevel = 3
_printer.maxstring = _printer.maxother = _printer.maxlong = LONGEST_ECHO


def brief(value: object) -> str:
    """A value as Python writes it, printable and at most LONGEST_ECHO characters long, however large or deep it is."""
    line = printable(" ".join(_printer.repr(value).split()))
    return line if len(line) <= LONGEST_ECHO else f"{line[: LONGEST_ECHO - 3]}..."


def without_echo(text: str) -> str:
    """The text with long quotations and long words cut: an error quotes the input that it is about."""
    return LONG.sub(_cut, text)


def printable(line: str) -> str:
    """A line with every character that could steer a terminal as its escape."""
    return line if line.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in line)


class LogFormatter(logging.Formatter):
    """Formats records, with their tracebacks, in few printable lines without long input."""

    def format(self, record: logging.LogRecord) -> str:
        """As of logging."""
        lines = super().format(record).split("\n")
        if len(lines) > MOST_LINES:
            lines = [*lines[: MOST_LINES // 2], "...", *lines[-MOST_LINES // 2 :]]
        return "\n".join(printable(without_echo(line[: 10 * LONGEST_LINE])[:LONGEST_LINE]) for line in lines)


def _cut(match: re.Match[str]) -> str:
    text = match[0]
    if text.startswith(("http://", "https://")) and len(text) <= LONGEST_ADDRESS:
        return text
    end = text[0] if text[0] in "'\"" and text[-1] == text[0] else ""
    return f"{text[: LONGEST_ECHO - 3 - len(end)]}...{end}"
