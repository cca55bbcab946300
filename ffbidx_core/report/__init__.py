"""The report of a run: its results in pictures and words."""

from __future__ import annotations

import importlib.util

from ..errors import UsageError


def require_matplotlib() -> None:
    """Raise a `UsageError` that names the extra to install if matplotlib is missing."""
    if importlib.util.find_spec("matplotlib") is None:
        raise UsageError("pictures need matplotlib, which is not installed: pip install 'ffbidx[report]'")
