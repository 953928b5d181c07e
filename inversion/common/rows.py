"""Rows: what is written about a result, as a JSON object."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# Keys and types of a row come from registries (METRICS, the fields of TASKS and STAGES): its values have no fixed type.
Row = dict[str, Any]
RowView = Mapping[str, Any]  # a row that is only read
