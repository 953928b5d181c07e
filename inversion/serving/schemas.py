"""The catalogue as JSON for machines: models, tasks, methods and metrics, with a JSON Schema of every group of fields.

`settings` of a method and `inputs` of a task are schemas (draft 2020-12) of the objects that endpoints and `compare`
take. A mask or a picture is a schema of type string whose `format` is "mask" or "picture".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from inversion.common.settings import SettingValue
from inversion.methods import METHODS, PRESETS, STAGES
from inversion.metrics import METRICS
from inversion.serving import catalogue
from inversion.serving.catalogue import FieldCard

DIALECT = "https://json-schema.org/draft/2020-12/schema"
TYPES: Mapping[type, str] = {bool: "boolean", int: "integer", float: "number", str: "string"}
HIDDEN = ("note",)  # of a model's card, text for the page

Schema = dict[str, Any]


def document() -> Schema:
    """Everything that can be chosen, as plain JSON. Checks which files exist; opens no file and uses no network."""
    models = catalogue.models()
    return {
        "schema_dialect": DIALECT,
        "default_model": catalogue.DEFAULT_MODEL,
        "models": {
            key: {name: value for name, value in asdict(card).items() if name not in HIDDEN}
            | {"options": fields_schema(f"Options of {key}", catalogue.model_fields(key))}
            for key, card in models.items()
        },
        "tasks": {
            key: {
                "label": card.label,
                "description": card.description,
                "keeps_measured_part": card.merges,
                "inputs": fields_schema(f"Inputs of {card.label}", card.fields),
            }
            for key, card in catalogue.tasks().items()
        },
        "methods": {
            key: {
                "label": card.label,
                "paper": card.paper,
                "description": card.description,
                "kind": card.kind,
                "settings": fields_schema(f"Settings of {card.label}", card.fields),
                "presets": {name: METHODS[key].preset(name) for name in PRESETS},
            }
            for key, card in catalogue.methods().items()
        },
        "stages": {
            key: {"label": stage.label, "kind": stage.kind, "needs": sorted(stage.needs)}
            for key, stage in STAGES.items()
        },
        "metrics": {
            key: {"label": one.label, "unit": one.unit, "better": one.better, "description": one.help}
            for key, one in METRICS.items()
        },
    }


def fields_schema(title: str, cards: Iterable[FieldCard]) -> Schema:
    """The JSON Schema of an object with these fields; other names are not allowed."""
    properties = {card.name: field_schema(card) for card in cards}
    needed = [name for name, schema in properties.items() if "default" not in schema]
    return {
        "$schema": DIALECT,
        "title": title,
        "type": "object",
        "properties": properties,
        "required": needed,
        "additionalProperties": False,
    }


def field_schema(card: FieldCard) -> Schema:
    """The JSON Schema of a field: type, bounds, default, a title and a sentence."""
    sentence = (card.help or f"{card.label} of {card.owner}").rstrip(".") + "."
    schema: Schema = {"title": card.label, "description": sentence}
    if card.kind != "number":
        return schema | {"type": "string", "format": card.kind}
    default: SettingValue = card.default if card.default is not None else 0
    schema |= {"type": TYPES[type(default)], "default": default}
    if card.choices:
        schema["enum"] = list(card.choices)
    if not isinstance(default, bool | str):
        schema |= {name: value for name, value in (("minimum", card.low), ("maximum", card.high)) if value is not None}
    if card.menu:
        schema["examples"] = list(card.menu)
    return schema
