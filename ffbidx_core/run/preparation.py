"""The preparation of a run: from its request to its job and its store."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

import numpy as np

from ..errors import InputError, UsageError
from ..model.lattice import InputCell
from ..parameters import OPEN_TIMEOUT, SAVE_SECONDS
from ..read import Source, expand_inputs, with_events_found
from ..read.arrays import NAME, SpotArrays
from ..read.cells.input_cell import centred_cell_of, input_cell_of, read_input_cell
from ..read.files.inputs import STANDARD_INPUT, names_to_follow
from ..read.files.probe import Prober, probing
from ..read.formats.open import open_spots
from ..read.geometry.choose import first_without_pixels
from ..read.growing.follow import Follower
from ..read.indexed_frames import NO_PIXELS, RunInputs, image_of
from ..write import MemoryStore, Output, PartsStore, Store, TableStream
from ..write.formats.sol import check_name
from ..write.keep import keep_spots
from ..write.outputs import RESULTS_FILE, TO_STDOUT, WITH_PIXELS, formats_of, names_of_share
from . import pipeline
from .job import Job
from .request import FOLLOWED_BY_SIZE, RunRequest, is_auto
from .summary import Progress, Summary


@dataclass(frozen=True)
class PreparedRun:
    """A run that is ready to start.

    Attributes
    ----------
        The request from which the run was made.
    sources
        Spot files and single frames; for a run that follows its inputs, the first file that can be read.
    outputs
        Format of each output, keyed by its path; without outputs the results stay in memory.
    job
        The job made from the request.
    """

    request: RunRequest
    sources: Sequence[Source]
    outputs: dict[str, str]
    job: Job

    @classmethod
    def of(
        cls,
        request: RunRequest,
        sources: Sequence[Source],
        follower: Follower | None,
        named: bool,
        find: Callable[[str], object] | None,
    ) -> PreparedRun:
        """The run that a request describes, with the sources that it names; see `prepared`.

        `find` is called with messages of the search for an unknown input cell; None: there is no search.
        """
        paths = request.output_names or ([f"{PurePath(sources[0].path).stem}.ffbidx.h5"] if named else [])
        share = request.share
        if share is not None:
            paths = names_of_share(paths, *share, overwrite=request.overwrite)
        outputs = formats_of(paths, request.output_format)
        return cls(request, sources, outputs, _job_of(request, sources, paths, follower, find))

    def store(self, write: Callable[[bytes], None]) -> Store:
        """The store of the results, made after checking that the outputs can be written.

        Parameters
        ----------
        write
            Function that takes the bytes for standard output.

        Raises
        ------
        UsageError
            If an output needs pixel positions and the first input has none.
        OutputError
            If an output cannot be written, exists already, or is an input.
        """
        if not self.outputs:
            return MemoryStore()
        self._check_pixels()
        self._check_names()
        if list(self.outputs) == [TO_STDOUT]:
            return TableStream(write)
        request, job = self.request, self.job
        inputs = RunInputs(job.geometry, job.lattices_of_rows)
        outputs = [
            Output(path, wanted, inputs, write if path == TO_STDOUT else None) for path, wanted in self.outputs.items()
        ]
        store = PartsStore(outputs, overwrite=request.overwrite, resume=request.resume)
        read = [source.path for source in self.sources] + [os.fspath(cell) for cell in request.cells if _is_file(cell)]
        store.check([*read, os.fspath(request.geometry or "")])
        return store

    def _check_pixels(self) -> None:
        needing = [path for path, wanted in self.outputs.items() if wanted in WITH_PIXELS]
        paths = [source.path for source in self.sources]
        if needing and (without := first_without_pixels(paths, self.job.geometry)):
            raise UsageError(f"-o {needing[0]}: {without}: {NO_PIXELS}")

    def _check_names(self) -> None:
        """Refuse names that a .sol file cannot hold, as far as the first frame shows them."""
        if "sol" not in self.outputs.values():
            return
        geometry = self.job.geometry
        for source in self.sources:
            check_name(source.path)
        for source in self.sources:
            with (
                contextlib.suppress(InputError),
                contextlib.closing(open_spots(source.path, geometry)) as file,
            ):
                for raw in file.read(np.arange(min(file.n_frames, 1))):
                    check_name(*image_of(source.path, 0, raw.ids[0]))
                return

    def index(
        self,
        store: Store,
        *,
        progress: Callable[[Progress], None] = lambda event: None,
        stop: threading.Event | None = None,
    ) -> Summary:
        """Index the frames in this process, or on the workers of a dask cluster; see `pipeline.index`."""
        stop = stop or threading.Event()
        if self.request.dask is None:
            return pipeline.index(self.job, store=store, progress=progress, stop=stop).summary

        from ..devices.dask_cluster import open_cluster
        from .on_cluster import index_on

        where = {name: getattr(self.job, name) for name in ("backend", "device", "threads")}
        with open_cluster(self.request.dask, stop=stop, **where) as cluster:
            return index_on(cluster, self.job, store=store, progress=progress, stop=stop)

    def keep_spots(self) -> None:
        """Add the spots to the results files among the outputs, if the request asks for it."""
        for path, wanted in self.outputs.items():
            if self.request.keep_spots and wanted == RESULTS_FILE:
                keep_spots(path)


@contextmanager
def prepared(
    request: RunRequest,
    *,
    waiting: bool = True,
    named: bool = False,
    show: Callable[[str], object] = lambda text: None,
) -> Iterator[PreparedRun]:
    """A context with the run that a request describes; in it, a child process first opens each input, which may hang.

    Parameters
    ----------
    request
        A request whose `check` passes.
    waiting
        Whether a run that follows its inputs waits here for its first file, which determines format and geometry.
    named
        Whether an output without a name gets the name of the first input; otherwise the results stay in memory.
    show
        Function that is called with a message about what the run waits for.

    Raises
    ------
    InputError, CellError, UsageError, ParameterError
        If inputs, cells, geometries or outputs cannot be used.
    """
    names = request.input_names
    follower = None
    if request.follow:
        stop_file = None if request.stop_file is None else os.fspath(request.stop_file)
        follower = Follower(
            names_to_follow(names), stop_file=stop_file, stop_after=request.stop_after, leave_out=request.output_names
        )
    sources = expand_inputs(names) if follower is None else follower.named
    with probing(_prober_of(request, sources)):
        if follower is not None and waiting:
            sources = _first_sources(request, follower, show)
        yield PreparedRun.of(request, sources, follower, named, show if waiting else None)


def _prober_of(request: RunRequest, sources: Sequence[Source]) -> Prober | None:
    """The prober that opens several inputs in advance, so that one that hangs does not hold up the others."""
    seconds = OPEN_TIMEOUT if request.open_timeout is None else request.open_timeout
    several = bool(request.follow) or len({source.path for source in sources}) > 1
    return Prober(seconds) if several and seconds > 0 else None


def _first_sources(request: RunRequest, follower: Follower, show: Callable[[str], object]) -> list[Source]:
    """Wait for the first file that can be read; errors in the request are raised before the wait."""
    input_cells_of(request)
    for path, wanted in formats_of(request.output_names, request.output_format).items():
        if path != TO_STDOUT:
            output = Output(path, wanted)
            output.check(request.overwrite or request.resume, follower.inputs_among(output.files))
    known = request.chosen([])[0] if request.geometry is not None else None
    return follower.wait(known, show) or follower.named


def _job_of(
    request: RunRequest,
    sources: Sequence[Source],
    paths: Sequence[str],
    follower: Follower | None,
    find: Callable[[str], object] | None,
) -> Job:
    """The job that a request describes."""
    geometry, half_pixel_shift = request.chosen([source.path for source in sources])
    cells = input_cells_of(request)
    if not cells and not request.finds_cell and (own := centred_cell_of(source.path for source in sources)):
        cells = [own]
    named: Sequence[object] = request.input_names if request.spots is None else [NAME]
    if STANDARD_INPUT in named:
        named = follower.named if follower else sources
    output = paths[0] if paths else ""
    job = Job(
        with_events_found(sources, geometry) if follower is None else follower.sources,
        request.parameters_in_force,
        geometry=geometry,
        half_pixel_shift=half_pixel_shift,
        limit_cells=FOLLOWED_BY_SIZE[0] in request.parameters,
        backend=request.backend,
        device=request.device,
        threads=request.threads,
        batch_size=request.batch_size,
        d_min=request.d_min,
        d_max=request.d_max,
        every=request.every,
        max_frames=request.max_frames,
        keep_all=request.keep == "all",
        output="standard output" if output == TO_STDOUT else output,
        save_seconds=SAVE_SECONDS if request.save_every is None else request.save_every,
        follow=follower,
        arrays=None if request.spots is None else SpotArrays(request.spots, request.offsets),
    )
    job = job.with_cells(cells)
    if find is not None and request.finds_cell:
        from .learning.found_cells import found_cells

        search, notes = found_cells(job, cells, find)
        job = job.with_cells([*cells, *(each.input_cell for each in search.cells)], notes)
        job = dataclasses.replace(job, cell_search=search.as_dict())
    share = request.share
    if share is not None:
        job = job.share(*share)
    return dataclasses.replace(job, config=request.options(list(map(str, named))))


def input_cells_of(request: RunRequest) -> list[InputCell]:
    """The known input cells for all frames."""
    return [
        read_input_cell(os.fspath(cell)) if _is_file(cell) else input_cell_of(cell, f"cells[{number}]")
        for number, cell in enumerate(request.cells)
        if not is_auto(cell)
    ]


def _is_file(cell: Any) -> bool:
    return isinstance(cell, (str, os.PathLike)) and not is_auto(cell)
