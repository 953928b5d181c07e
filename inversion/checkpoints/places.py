"""Where the package keeps its files: what ships with it, and what it derives from downloads and the user's files."""

from __future__ import annotations

import os
import sys
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]
ROOT = PACKAGE.parent  # where the paths of embedded files begin
VARIABLE = "INVERSION_CACHE"  # the environment variable that replaces the folder of derived files
NAME = "inversion-hub"


def folder() -> Path:
    """The folder of derived files: converted copies, hashes of first downloads, the list of the user's own models.

    It lies outside the Hub's cache, which may be read-only. A folder that an earlier version has made within the Hub's
    cache stays in use if it is writable.
    """
    chosen = os.environ.get(VARIABLE)
    if chosen:
        return Path(chosen).expanduser()
    from huggingface_hub import constants

    earlier = Path(constants.HF_HUB_CACHE) / NAME
    if earlier.is_dir() and os.access(earlier, os.W_OK):
        return earlier
    return _user_cache() / NAME


def _user_cache() -> Path:
    """The platform's folder for caches of the current user."""
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
