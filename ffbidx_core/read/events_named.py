"""Frames that inputs name by their events, as CrystFEL's list_events writes them."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import replace

from ..errors import InputError
from ..model.detector.panels import GivenGeometry
from .files.inputs import NO_SUCH_FRAME, Source
from .formats.open import open_spots


def with_events_found(sources: Sequence[Source], geometry: GivenGeometry | None) -> list[Source]:
    """Sources with the number of the frame for each event that is named; files are opened where one of theirs is.

    Parameters
    ----------
    geometry
        Says where events are in the files.

    Returns
    -------
    list of Source
        An event that the file has not gets a number that no frame has, so that it is reported with all else that
        cannot be read.
    """
    known: dict[str, Mapping[str, int]] = {}
    found = []
    for source in sources:
        if source.event:
            if source.path not in known:
                known[source.path] = _events_of(source.path, geometry)
            source = replace(source, index=known[source.path].get(source.event, NO_SUCH_FRAME))
        found.append(source)
    return found


def _events_of(path: str, geometry: GivenGeometry | None) -> Mapping[str, int]:
    with contextlib.suppress(InputError), contextlib.closing(open_spots(path, geometry)) as file:
        # Only files of events have them; their reader needs h5py, which text is read without.
        numbers: Mapping[str, int] = getattr(file, "event_numbers", {})
        return numbers
    return {}
