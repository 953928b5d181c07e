"""Settings of a platform that must be made before torch is imported."""

from __future__ import annotations

import os
import sys

FALLBACK = "PYTORCH_ENABLE_MPS_FALLBACK"


def allow_fallback() -> None:
    """On macOS, let torch run operations on the CPU that Apple's GPU lacks. Torch reads this when it is imported."""
    if sys.platform == "darwin":
        os.environ.setdefault(FALLBACK, "1")
