"""The version of the hub, as in pyproject.toml."""

VERSION = "0.1.0"
