"""The job of a run: its frames, divided into batches, and the input cells of each batch."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from ..errors import ParameterError, UsageError
from ..model.basis import ConventionalCells, as_given
from ..model.cell_numbers import CellNumbers
from ..model.detector.beam_shift import BeamShift
from ..model.detector.distortion import NO_DISTORTION, Distortion
from ..model.detector.panels import Geometry, GivenGeometry
from ..model.lattice import InputCell, Lattice
from ..model.records.frame import FrameBlock, Place
from ..model.records.results import ResultsHeader
from ..model.records.run import InputIdentity, Learned, RunRecord
from ..parameters import SAVE_SECONDS, Parameters
from ..read import Source, count_frames, read_blocks
from ..read.arrays import SpotArrays
from ..read.batches import batches
from ..read.cells.input_cell import check_lattices
from ..read.files.identity import identities
from ..read.files.probe import Prober
from ..read.geometry.any import parse_geometry
from ..read.geometry.choose import shifted_geometry
from ..read.spans import Span, Stretch, span_of
from ..version import VERSION, versions

if TYPE_CHECKING:
    from ..read.growing.follow import Follower

BATCH_SIZE = {"cuda": 16384}
"""Default batch size of a backend; a GPU needs many frames to be busy."""
FEW = 128
"""Default batch size of all other backends."""
LARGEST_BLOCK = 4096
MOST_READERS = 4
"""Number of threads that filter spots while another one reads; the library that reads files has a single lock."""


@dataclass(frozen=True)
class Job:
    """The frames that a run indexes, and the settings with which it does so.

    Attributes
    ----------
    sources
        Spot files and single frames in them, as `expand_inputs` returns them.
    parameters
    cells : (M, 3, 3) float64 or None
        Input cells for all frames, rows a, b, c, angstrom; None: the cells in the inputs are used.
    lattices : tuple of Lattice
        Lattice of each of `cells`; a centred cell is searched for by its primitive cell. Empty: all are primitive.
    geometry : Geometry, ShiftAlone or None
        Geometry for inputs with peaks in detector pixels; None: the geometry in the inputs is used.
    half_pixel_shift : bool or None
        Whether half a pixel is added to the peaks; kept in the record of the run.
    limit_cells
        Whether `parameters.max_input_cells` is a limit; if not, it is set to the number of cells.
    backend, device, threads
        Arguments of `get_backend`.
    batch_size
        Number of frames computed together; None: the default of the backend. The results do not depend on it.
    d_min, d_max
        Resolution limits in angstrom.
    every, max_frames
        Every how many frames one is taken, and after how many frames the run ends.
    keep_all
        Whether every refined cell is kept, and not only the crystals.
    output
        Name of the output, for the summary.
    save_seconds
        Time in seconds after which finished frames are saved.
    span : Stretch or None
        The share of the frames that this job has (a `Span` if it is one of several jobs); None: all frames.
    follow : Follower or None
        Follows files that grow and appear; `sources` is then empty.
    config
        The options that the user gave; kept in the record of the run.
    arrays : SpotArrays or None
        Frames in memory; `sources` is then empty.
    notes : tuple of str
        Notes from before the run, to be kept in the results.
    cell_search
        The search that found the cells, kept in the record of the run; empty if the cells were given.
    prober : Prober or None
        Opens each file first, so that one that hangs does not delay the others.
    """

    sources: Sequence[Source]
    parameters: Parameters
    cells: ConventionalCells | None = None
    lattices: tuple[Lattice, ...] = ()
    geometry: GivenGeometry | None = None
    half_pixel_shift: bool | None = None
    limit_cells: bool = False
    backend: str = "auto"
    device: str | None = None
    threads: int | None = None
    batch_size: int | None = None
    d_min: float | None = None
    d_max: float | None = None
    every: int = 1
    max_frames: int | None = None
    keep_all: bool = False
    output: str = ""
    save_seconds: float = SAVE_SECONDS
    span: Stretch | None = None
    follow: Follower | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    arrays: SpotArrays | None = None
    notes: tuple[str, ...] = ()
    cell_search: Mapping[str, Any] = field(default_factory=dict)
    prober: Prober | None = None

    def __post_init__(self) -> None:
        for name in ("threads", "batch_size"):
            if (number := getattr(self, name)) is not None and number < 1:
                raise ParameterError(name, number, "at least 1")
        if not self.save_seconds >= 0:
            raise ParameterError("save_seconds", self.save_seconds, "at least 0")
        self.parameters.check_retry()

    def on(self, backend: str) -> Job:
        """The job with the default batch size of a backend, unless one was given."""
        return dataclasses.replace(self, batch_size=self.batch_size or BATCH_SIZE.get(backend, FEW))

    def with_cells(self, cells: Sequence[InputCell], notes: tuple[str, ...] = ()) -> Self:
        """The job with input cells for all frames, and notes on them; without cells, those in the inputs are used."""
        if not cells:
            return self
        check_lattices(cells)
        vectors, lattices = as_given(np.stack([each.cell for each in cells])), tuple(each.lattice for each in cells)
        return dataclasses.replace(self, cells=vectors, lattices=lattices, notes=(*self.notes, *notes))

    @property
    def paths(self) -> list[str]:
        """The names of the input files; of a job that follows its inputs, those that it was given."""
        return [source.path for source in (self.sources if self.follow is None else self.follow.sources)]

    @property
    def block_size(self) -> int:
        """Number of frames that are read together: at most a batch, and so few that several threads share one."""
        return min(self.batch_size or FEW, LARGEST_BLOCK)

    def share(self, number: int, of: int) -> Job:
        """The job with the share `number` of `of` shares of the frames, counted from 1."""
        span = span_of(self.sources, number, of, **self.counted)
        return dataclasses.replace(self, span=span)

    @property
    def counted(self) -> dict[str, Any]:
        """How frames are counted for shares and tasks, by the parameters of `span_of` and `Cutter`."""
        return {name: getattr(self, name) for name in ("geometry", "every", "max_frames", "prober")}

    def with_beam_shift(self, shift: BeamShift, distortion: Distortion = NO_DISTORTION) -> Job:
        """The job with its beam shifted by `shift`, and then the distortion of its detector corrected."""
        if not shift and not distortion:
            return self
        geometry = shifted_geometry(self.paths, self.geometry, shift, self.prober, distortion)
        return dataclasses.replace(self, geometry=geometry)

    def with_panels(self, text: str) -> Job:
        """The job with the geometry in `text`, in which a run has moved panels."""
        given = self.geometry if isinstance(self.geometry, Geometry) else None
        made = parse_geometry("the geometry with moved panels", text)
        if given is not None:
            made = dataclasses.replace(made, half_pixel_shift=given.half_pixel_shift, by_hand=given.by_hand)
        return dataclasses.replace(self, geometry=made)

    def as_learned(self, learned: Learned) -> Job:
        """The job with the beam and the detector that were learned."""
        place = learned.beam_shift, learned.distortion
        return self.with_panels(learned.geometry) if learned.geometry else self.with_beam_shift(*place)

    @property
    def start(self) -> Place:
        """The place of the first frame of the job."""
        return Place() if self.span is None else self.span.start

    def blocks(self, start: Place | None = None) -> Iterator[FrameBlock]:
        """Yield the frames of the job from a place on, as blocks in the order of the files."""
        return self._read(start or self.start, None if self.span is None else self.span.end)

    def first_blocks(self) -> Iterator[FrameBlock]:
        """Yield the frames of all inputs, or of those begun if they are followed, whatever share the job has."""
        begun = self.sources if self.follow is None else [Source(known.path) for known in self.follow.inputs]
        return dataclasses.replace(self, sources=begun, follow=None)._read(Place(), None)

    def _read(self, start: Place, end: int | None) -> Iterator[FrameBlock]:
        return read_blocks(
            self.sources,
            frames_per_block=self.block_size,
            d_min=self.d_min,
            d_max=self.d_max,
            every=self.every,
            max_frames=self.max_frames,
            geometry=self.geometry,
            start=start,
            end=end,
            by_intensity=self.parameters.retry,
            follow=self.follow,
            arrays=self.arrays,
            threads=min(MOST_READERS, self.threads or os.cpu_count() or 1),
            prober=self.prober,
        )

    def batches(self, blocks: Iterable[FrameBlock]) -> Iterator[FrameBlock]:
        """Yield the blocks of the job, joined and divided into batches."""
        return batches(blocks, self.batch_size or FEW, own_cells=self.cells is None)

    def record(self, backend: str) -> RunRecord:
        """The record of the job: settings and inputs on which its results depend, options and versions."""
        settings: dict[str, Any] = {"ffbidx_version": VERSION, "backend": backend}
        settings["parameters"] = json.loads(self.parameters.as_json())
        settings["cells"] = None if self.cells is None else self.cells.tolist()
        settings |= self.geometry_and_lattices
        settings |= {name: getattr(self, name) for name in ("d_min", "d_max", "every", "max_frames", "keep_all")}
        if isinstance(self.span, Span):
            settings["shard"], settings["positions"] = self.span.name, self.span.positions
        inputs = identities(self.sources, self.prober) if self.follow is None else self.follow.inputs
        if self.arrays is not None:
            inputs = (self.arrays.identity,)
        is_growing, search = self.follow is not None, dict(self.cell_search)
        return RunRecord(settings, inputs, dict(self.config), is_growing, versions(backend), search)

    @property
    def begun_inputs(self) -> tuple[InputIdentity, ...] | None:
        """For a job that follows its inputs, the inputs that it has begun so far; None for any other job."""
        return None if self.follow is None else self.follow.inputs

    @property
    def in_force(self) -> Parameters:
        """The parameters of the search, with no more output cells than may be kept."""
        p = self.parameters
        return p.replace(n_output_cells=min(p.n_output_cells, p.max_output_cells))

    def header(self, backend: str, device: str) -> ResultsHeader:
        """The header of the results: how they are made, with the names of the backend and of its device."""
        p = self.in_force
        return ResultsHeader(VERSION, p.method, p.as_json(), backend, device, **self.geometry_and_lattices)

    def cells_of(self, block: FrameBlock) -> ConventionalCells:
        """The input cells (M, 3, 3) of a block as the user gave them, rows a, b, c, angstrom.

        Raises
        ------
        UsageError
            If there are no input cells.
        ParameterError
            If there are more input cells than the limit.
        """
        cells = block.cells if self.cells is None else self.cells
        if cells is None or len(cells) == 0:
            raise UsageError(f"{block.sources[0]}: has no input cell of its own; give one with --cell FILE")
        if self.limit_cells and len(cells) > self.parameters.max_input_cells:
            wanted = f"at least the {len(cells)} input cells"
            raise ParameterError("max_input_cells", self.parameters.max_input_cells, wanted)
        return cells

    def centrings(self, n_cells: int) -> list[str]:
        """The centring of each input cell of a block."""
        given = [lattice.centring for lattice in self.lattices] if self.cells is not None else []
        return given or ["P"] * n_cells

    @property
    def lattices_of_rows(self) -> tuple[Lattice, ...]:
        """The lattice of each distinct one of `cells`, in the order in which results number them."""
        if self.cells is None:
            return ()
        numbers = CellNumbers().of(self.cells).tolist()
        return tuple(dict(zip(numbers, self.lattices, strict=False)).values())

    @property
    def geometry_and_lattices(self) -> dict[str, str]:
        """Geometry, half-pixel shift and lattices in the form that the results keep."""
        return {
            "geometry": self.geometry.text if self.geometry else "",
            "half_pixel_shift": {None: "", True: "yes", False: "no"}[self.half_pixel_shift],
            "lattices": " ".join(lattice.code for lattice in self.lattices_of_rows),
        }

    def count_frames(self) -> int | None:
        """The number of frames of the job; None if it is not known before reading them."""
        if self.span is not None:
            return self.span.n_frames
        if self.follow is not None:
            return self.max_frames
        n = count_frames(self.sources, self.geometry, self.prober) if self.arrays is None else self.arrays.n_frames
        if n is None:
            return self.max_frames
        n = -(-n // self.every)
        return n if self.max_frames is None else min(n, self.max_frames)
