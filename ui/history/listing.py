"""The list of a browser's runs as HTML. All text from users is escaped here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from html import escape

from inversion.serving.catalogue import MethodCard, ModelCard
from inversion.serving.history import HistoryEntry
from ui.history.reader import tab_of
from ui.parts.markup import DOT

STATES = {"running": "running", "done": "", "cancelled": "cancelled", "failed": "failed", "interrupted": "interrupted"}
EMPTY = "No runs yet. What you run in a tab appears here."


def listing(
    entries: Sequence[HistoryEntry],
    tabs: Mapping[str, str],
    models: Mapping[str, ModelCard],
    methods: Mapping[str, MethodCard],
) -> str:
    """All runs. tabs: key -> label of those that open runs. models, methods: to run with."""
    if not entries:
        return f'<p class="note">{EMPTY}</p>'
    return "".join(_entry(entry, tabs, _choices(entry, models, methods)) for entry in entries)


def _entry(entry: HistoryEntry, tabs: Mapping[str, str], choices: str) -> str:
    """One run with its pictures and buttons."""
    tab = tab_of(entry.tab, entry.task, tabs)
    title = escape(tabs.get(tab) or entry.tab.capitalize() or entry.task)
    state = STATES[entry.state]
    when = datetime.fromtimestamp(entry.made, timezone.utc)
    names = ", ".join(dict.fromkeys(entry.labels))
    pictures = "".join(
        f'<img src="data:image/jpeg;base64,{data}" alt="{escape(name)}" title="{escape(name)}">'
        for data, name in zip(entry.thumbnails, ("Your picture", *entry.labels), strict=False)
    )
    time = f'<time datetime="{when.isoformat()}">{when:%Y-%m-%d %H:%M} UTC</time>'
    mark = f'<i class="{entry.state}">{state}</i>' if state else ""
    buttons = "".join(
        f'<button type="button" data-do="{do}" aria-label="{label}: {title}, {escape(names)}">{label}</button>'
        for do, label in (("open", "Open"), ("again", "Run again"), ("link", "Copy link"), ("delete", "Delete"))
        if (tab or do == "delete") and not (entry.state == "running" and do in ("again", "delete"))
    )
    return (
        f'<article class="past" data-key="{escape(entry.key)}" data-tab="{escape(tab)}">'
        f'<div class="past-pictures">{pictures}</div>'
        f'<div class="past-words"><b>{title}</b>{mark}<p>{escape(names)}{DOT}{escape(entry.model)}{DOT}{time}</p></div>'
        f'<div class="past-buttons">{buttons}{choices if tab else ""}</div></article>'
    )


def _choices(entry: HistoryEntry, models: Mapping[str, ModelCard], methods: Mapping[str, MethodCard]) -> str:
    """The menu of other models and methods."""
    others = [card for card in models.values() if card.key != entry.model and (card.cached or card.embedded)]
    known = all(key in methods or "+" in key for key in entry.methods)  # else an analysis or a translation
    alike = entry.tab != "grid" or len(set(entry.methods)) == 1
    groups = {
        "Another model": [("model", card.key, card.key) for card in others],
        "Another method": [("method", key, card.label) for key, card in methods.items() if {key} != {*entry.methods}]
        if known and alike
        else [],
    }
    inside = "".join(
        f'<optgroup label="{label}">'
        + "".join(f'<option value="{kind}:{escape(key)}">{escape(name)}</option>' for kind, key, name in options)
        + "</optgroup>"
        for label, options in groups.items()
        if options
    )
    first = '<option value="">Run with\N{HORIZONTAL ELLIPSIS}</option>'
    return f'<select data-do="with" aria-label="Run with another model or method">{first}{inside}</select>'
