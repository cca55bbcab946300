"""The inputs of a run, as its results record them, and how they are opened again."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from typing import Any

from ..errors import InputError
from ..model.basis import ChangeOfBasis, ConventionalCells, as_given
from ..model.detector.panels import Geometry, GivenGeometry
from ..model.lattice import InputCell, Lattice
from ..model.records.results import Results, ResultsHeader
from ..model.records.run import InputIdentity, RunRecord
from .files.content import is_growing
from .files.identity import identity_now
from .files.probe import Prober
from .formats.hdf5.kept import KeptSpots, keeps_spots
from .formats.open import open_spots
from .formats.spot_file import SpotFile
from .geometry.any import parse_given


@dataclass
class RunInputs:
    """The inputs of a run, from which the spots of its frames are read again.

    Attributes
    ----------
    geometry : Geometry, ShiftAlone or None
        Geometry that was given for the inputs; None for each input's own.
    lattices : tuple of Lattice
        Lattices of the first input cells; those of further cells follow from their axes and angles.
    identities : dict
        Identity that each input had when it was indexed, by its name; empty if inputs are not to be compared.
    folder : str
        Folder of the results, in which inputs and copies of them are looked for besides the current directory.
    kept : str
        Results file that keeps the spots; empty if they are read from the inputs.
    scratch : str
        Folder for bytes that wait to be written; empty for the system's folder of temporary files.
    unchanged : set of str
        Names in `identities` of inputs that were compared already.
    prober : Prober or None
        Opens each input first, so that one that hangs does not delay the others.
    made : dict
        Record of the run for the output, as `record_of` gives it.
    """

    geometry: GivenGeometry | None = None
    lattices: tuple[Lattice, ...] = ()
    identities: dict[str, InputIdentity] = field(default_factory=dict)
    folder: str = ""
    kept: str = ""
    scratch: str = ""
    unchanged: set[str] = field(default_factory=set)
    prober: Prober | None = None
    made: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of_header(
        cls, header: ResultsHeader, geometry: GivenGeometry | None, record: RunRecord, path: str
    ) -> RunInputs:
        """The inputs that a results file records; a geometry that is given replaces the recorded one."""
        lattices = tuple(Lattice.of_code(code) for code in header.lattices.split())
        # Another geometry converts the inputs' peaks to other spots.
        kept = path if geometry is None and keeps_spots(path) else ""
        geometry = geometry or _recorded_geometry(header, _shift_of(header, record))
        return cls(geometry, lattices, {known.path: known for known in record.inputs}, os.path.dirname(path), kept)

    def as_recorded(self, header: ResultsHeader) -> RunInputs:
        """A copy with the geometry that the run had at its end, since the run may have shifted the beam."""
        known = "" if self.geometry is None else self.geometry.text
        shift = self.geometry.half_pixel_shift if isinstance(self.geometry, Geometry) else None
        return self if known == header.geometry else replace(self, geometry=_recorded_geometry(header, shift))

    def beside(self, output: str) -> RunInputs:
        """A copy with scratch files beside an output, whose file system must have room for them anyway."""
        return replace(self, scratch=os.path.dirname(os.path.realpath(output)))

    def lattice_of(self, input_cells: ConventionalCells, row: int) -> Lattice:
        """The lattice of a row of the run's input cells (m, 3, 3)."""
        return self.lattices[row] if row < len(self.lattices) else Lattice.of_cell(input_cells[row])

    def change_of_basis(self, input_cells: ConventionalCells) -> ChangeOfBasis:
        """The changes of basis between the run's input cells (m, 3, 3) and their primitive cells."""
        rows = range(len(input_cells))
        return ChangeOfBasis.of_each(input_cells, [self.lattice_of(input_cells, row).centring for row in rows])

    def input_cell(self, results: Results) -> InputCell | None:
        """The run's input cell, or None if the run has several."""
        is_one = len(results.input_cells) == 1
        return InputCell(as_given(results.input_cells[0]), self.lattice_of(results.input_cells, 0)) if is_one else None


def _recorded_geometry(header: ResultsHeader, shift: bool | None) -> GivenGeometry | None:
    """The geometry that the header of results records, with a half-pixel shift for all inputs; None if there is none.

    A shift of None leaves each input with the one that is usual in its format.
    """
    if not header.geometry:
        return None
    geometry = parse_given("the geometry in the results", header.geometry)
    return replace(geometry, half_pixel_shift=shift) if isinstance(geometry, Geometry) else geometry


def _shift_of(header: ResultsHeader, record: RunRecord) -> bool | None:
    """Whether half a pixel was added to the peaks of all inputs of a run; None if each format had its usual shift.

    Results without the options of their run have only the shift of the first input, which is then used for all.
    """
    if record.config:
        return record.shift_given
    return {"yes": True, "no": False}.get(header.half_pixel_shift)


def open_again(source: str, inputs: RunInputs) -> SpotFile:
    """Open an input of a run again, or a copy of the same name beside the results.

    Raises
    ------
    InputError
        If the file and its copy do not exist, or the file has changed since it was indexed.
    """
    if inputs.kept:
        return KeptSpots(inputs.kept, source)
    known = inputs.identities.get(source)
    path = next((p for p in (source, os.path.join(inputs.folder, source)) if os.path.lexists(p)), None)
    if path is None:
        path = _copy_of(source, known, inputs)
    elif known is not None and source not in inputs.unchanged:
        now = identity_now(path, known, inputs.prober)
        # A file in SWMR mode only grows.
        if (change := now.change(known)) and not (is_growing(path) and now.size >= known.size):
            raise InputError(path, f"has changed since it was indexed: {change}")
        inputs.unchanged.add(source)
    return open_spots(path, inputs.geometry, inputs.prober)


def _copy_of(source: str, known: InputIdentity | None, inputs: RunInputs) -> str:
    """The path of an input's copy, which has the same file name, size and content hash, in the folder of the results.

    Raises
    ------
    InputError
        If there is no such copy.
    """
    path = os.path.join(inputs.folder, os.path.basename(source))
    if known is None or not os.path.lexists(path) or not _is_the_same(path, known, inputs):
        mend = "run this where the inputs are, or copy it beside the results"
        raise InputError(source, f"is no longer there, and its spots are needed: {mend}")
    inputs.unchanged.add(source)
    return path


def _is_the_same(path: str, known: InputIdentity, inputs: RunInputs) -> bool:
    """Whether a file is an input with this identity; another input, or any other file, may have the same name."""
    return known.path in inputs.unchanged or identity_now(path, known, inputs.prober).change(known) is None
