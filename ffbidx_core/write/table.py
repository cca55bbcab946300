"""The text table of a run: a line per crystal."""

from __future__ import annotations

from ..model.results import Results


def table(results: Results) -> bytes:
    """The text table of results, UTF-8."""
    raise NotImplementedError
