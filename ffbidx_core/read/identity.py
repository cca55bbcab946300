"""By what input files are known again."""

from __future__ import annotations

import os
from collections.abc import Iterable

from ..errors import InputError
from ..model.run import InputIdentity
from .inputs import Source
from .probe import check_opens


def identities(sources: Iterable[Source]) -> list[InputIdentity]:
    """Size and time of modification of each source's file, -1 where there is none."""
    known: dict[str, tuple[int, int]] = {}
    found = []
    for source in sources:
        if source.path not in known:
            known[source.path] = _size_and_time(source.path)
        # Kept as text, which names of files need not be.
        name = source.path.encode("utf-8", "backslashreplace").decode()
        found.append(InputIdentity(name, -1 if source.index is None else source.index, *known[source.path]))
    return found


def _size_and_time(path: str) -> tuple[int, int]:
    try:
        check_opens(path)
        found = os.stat(path)
    except (InputError, OSError, ValueError):
        return -1, -1
    return found.st_size, found.st_mtime_ns
