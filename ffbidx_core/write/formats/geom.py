"""The geometry of a run as a CrystFEL geometry file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ...model.detector.geometry_file import geometry_text
from ...model.detector.panels import Geometry
from ...model.records.results import Results
from ...read.geometry.dials import is_experiments
from ...read.indexed_frames import geometry_of
from ...read.run_inputs import RunInputs


def geom_pieces(pieces: Iterable[Results], inputs: RunInputs) -> Iterator[bytes]:
    """Yield the geometry with which a run indexed its frames, for `indexamajig -g`, with its beam and panels.

    It is the text that the user gave, changed only where the run changed the geometry.

    Raises
    ------
    UsageError
        If spots have no pixels.
    InputError
        If an input no longer exists.
    """
    for number, results in enumerate(pieces):
        if number == 0:
            yield crystfel_text(geometry_of(results, inputs)).encode("utf-8", "surrogateescape")


def crystfel_text(geometry: Geometry) -> str:
    """The text of a geometry in a form that CrystFEL can open."""
    if is_experiments(geometry.text):
        return geometry_text(geometry)
    return geometry.text if "adu_per_" in geometry.text else f"adu_per_photon = 1\n{geometry.text}"
