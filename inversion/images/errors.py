"""The refusal of a file."""

from __future__ import annotations

from inversion.common.errors import UserError


class BadImage(UserError):
    """A file or an array that is not an accepted picture. The text says why and what to do."""
