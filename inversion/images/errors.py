"""The refusal of a file."""

from __future__ import annotations

from inversion.common.errors import UserError


class BadImage(UserError):
    """A file that is not a picture we accept; the text says why, and what to do."""
