"""Frames that are named by their events, as in the lists of CrystFEL's list_events."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import replace

from ..errors import InputError
from ..model.detector.panels import GivenGeometry
from .files.inputs import NO_SUCH_FRAME, Source
from .files.probe import Prober
from .formats.open import open_spots


def with_events_found(
    sources: Sequence[Source], geometry: GivenGeometry | None, prober: Prober | None = None
) -> list[Source]:
    """Find the frame numbers of the events that sources name; only files with a named event are opened.

    Parameters
    ----------
    sources
        Input files, or frames of them by number or event.
    geometry
        Geometry that says where events are in the files.
    prober
        Opens each file first, so that one that hangs does not delay the others.

    Returns
    -------
    list of Source
        Sources with frame numbers. An event that its file lacks gets a number that no frame has, so that it is reported
        together with everything else that cannot be read.
    """
    known: dict[str, Mapping[str, int]] = {}
    found = []
    for source in sources:
        if source.event:
            if source.path not in known:
                known[source.path] = _events_of(source.path, geometry, prober)
            source = replace(source, index=known[source.path].get(source.event, NO_SUCH_FRAME))
        found.append(source)
    return found


def _events_of(path: str, geometry: GivenGeometry | None, prober: Prober | None) -> Mapping[str, int]:
    """Frame number of each event in a file; empty for a file without events or one that cannot be read."""
    with contextlib.suppress(InputError), contextlib.closing(open_spots(path, geometry, prober)) as file:
        # Looked up by name, since importing the class would load h5py, which text files do not need.
        numbers: Mapping[str, int] = getattr(file, "event_numbers", {})
        return numbers
    return {}
