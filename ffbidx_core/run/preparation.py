"""The preparation of a run: from its request to its job and its store.

Modules that read, compute and write are imported in functions: an error that the names of files and the text of cells
show must not wait for the import of HDF5 and Numba.
"""

from __future__ import annotations

import dataclasses
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING

from ..errors import UsageError
from ..parameters import SAVE_SECONDS
from ..read.files.content import check_are_there
from ..read.files.inputs import STANDARD_INPUT, Source, expand_inputs, named_again, names_to_follow
from ..read.files.probe import Prober, prober_of
from ..write.check import WAYS_ON, check_output
from ..write.formats.names import RESULTS_FILE, TO_STDOUT, WITH_PIXELS, files_of, formats_of, names_of_share
from .request import FOLLOWED_BY_SIZE, RunRequest, input_cells_of, is_cell_file

if TYPE_CHECKING:
    from ..read.growing.follow import Follower
    from ..write import Store
    from .job import Job
    from .summary import Progress, Summary


@dataclass(frozen=True)
class PreparedRun:
    """A run that is ready to start.

    Attributes
    ----------
    request
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
        prober: Prober | None,
    ) -> PreparedRun:
        """The run that a request describes, with the sources that it names; see `prepared`.

        `find` is called with messages of the search for an unknown input cell; None: there is no search.
        """
        outputs = _outputs_of(request, sources, named)
        return cls(request, sources, outputs, _job_of(request, sources, list(outputs), follower, find, prober))

    def store(self, write: Callable[[bytes], None]) -> Store:
        """The store of the results, made after checking that the outputs can be written.

        Parameters
        ----------
        write
            Function that takes the bytes for standard output.

        Raises
        ------
        UsageError
            If an output needs pixel positions and an input has none.
        OutputError
            If an output cannot be written, exists already, or is an input.
        """
        from ..read.run_inputs import RunInputs
        from ..write import MemoryStore, Output, PartsStore, TableStream

        if not self.outputs:
            return MemoryStore()
        self._check_pixels()
        if "sol" in self.outputs.values():
            from ..write.formats.sol import check_names

            check_names([source.path for source in self.sources], self.job.geometry, self.job.prober)
        if list(self.outputs) == [TO_STDOUT]:
            return TableStream(write)
        request, job = self.request, self.job
        inputs = RunInputs(job.geometry, job.lattices_of_rows, prober=job.prober)
        outputs = [
            Output(path, wanted, inputs, write if path == TO_STDOUT else None) for path, wanted in self.outputs.items()
        ]
        store = PartsStore(outputs, overwrite=request.overwrite, resume=request.resume, prober=job.prober)
        store.check(files_read(request, self.sources))
        return store

    def _check_pixels(self) -> None:
        from ..read.indexed_frames import NO_PIXELS
        from ..read.spans import first_without_pixels

        needing = [path for path, wanted in self.outputs.items() if wanted in WITH_PIXELS]
        if needing and (without := first_without_pixels(self.sources, self.job.span, **self.job.counted)):
            raise UsageError(f"-o {needing[0]}: {without}: {NO_PIXELS}")

    def index(
        self,
        store: Store,
        *,
        progress: Callable[[Progress], None] = lambda event: None,
        stop: threading.Event | None = None,
    ) -> Summary:
        """Index the frames on devices of this machine, or on the workers of a dask cluster; see `pipeline.index`."""
        from . import pipeline

        stop, devices = stop or threading.Event(), None
        with ExitStack() as opened:
            if self.request.dask is not None:
                from ..devices.dask_cluster import open_cluster

                where = {name: getattr(self.job, name) for name in ("backend", "device", "threads")}
                devices = opened.enter_context(open_cluster(self.request.dask, stop=stop, **where))
            return pipeline.index(self.job, store=store, devices=devices, progress=progress, stop=stop).summary

    def keep_spots(self) -> None:
        """Add the spots to the results files among the outputs that lack them, if the request asks for it."""
        if self.request.keep_spots:
            from ..read.formats.hdf5.kept import keeps_spots
            from ..write.keep import keep_spots

            for path in (path for path, wanted in self.outputs.items() if wanted == RESULTS_FILE):
                if not keeps_spots(path):
                    keep_spots(path)


@contextmanager
def prepared(
    request: RunRequest,
    *,
    waiting: bool = True,
    named: bool = False,
    writes: bool = True,
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
    writes
        Whether the run will write its outputs, so that an output that cannot be written is an error here.
    show
        Function that is called with a message about what the run waits for.

    Raises
    ------
    InputError, CellError, UsageError, ParameterError, OutputError
        If inputs, cells, geometries or outputs cannot be used.
    """
    named_sources = [] if request.follow else expand_inputs(request.input_names)
    prober = prober_of((source.path for source in named_sources), request.open_timeout, more_come=bool(request.follow))
    with prober or nullcontext():
        follower = _follower_of(request, prober) if request.follow else None
        sources = named_sources if follower is None else follower.named
        if follower is not None and waiting:
            sources = _first_sources(request, follower, show)
        elif follower is None:
            _check_files(request, sources, named, writes)
        if writes and not request.dask:
            from ..devices import wake_driver

            wake_driver(request.backend)
        yield PreparedRun.of(request, sources, follower, named, show if waiting else None, prober)


def _follower_of(request: RunRequest, prober: Prober | None) -> Follower:
    from ..read.growing.follow import Follower

    return Follower(
        names_to_follow(request.input_names),
        stop_file=None if request.stop_file is None else os.fspath(request.stop_file),
        stop_after=request.stop_after,
        leave_out=request.output_names,
        prober=prober,
    )


def _first_sources(request: RunRequest, follower: Follower, show: Callable[[str], object]) -> list[Source]:
    """Wait for the first file that can be read; errors in the request are raised before the wait."""
    input_cells_of(request)
    files = files_written(formats_of(request.output_names, request.output_format))
    _check_writable(request, files, follower.arrivals.inputs_among(files))
    known = request.chosen([])[0] if request.geometry is not None else None
    return follower.wait(known, show) or follower.named


def _check_files(request: RunRequest, sources: Sequence[Source], named: bool, writes: bool) -> None:
    """Raise the errors of a run that the names of its files and the text of its cells show before anything is read."""
    check_are_there(source.path for source in sources)
    input_cells_of(request)
    files = files_written(_outputs_of(request, sources, named))
    if writes:
        _check_writable(request, files, files_read(request, sources))


def _outputs_of(request: RunRequest, sources: Sequence[Source], named: bool) -> dict[str, str]:
    """The format of each output, by its path; see `prepared` for `named`."""
    paths = request.output_names or ([f"{PurePath(sources[0].path).stem}.ffbidx.h5"] if named else [])
    if (share := request.share) is not None:
        paths = names_of_share(paths, *share, overwrite=request.overwrite)
    return formats_of(paths, request.output_format)


def files_written(outputs: dict[str, str]) -> list[str]:
    """Names of all files that a run writes."""
    return [file for path, wanted in outputs.items() if path != TO_STDOUT for file in files_of(path, wanted)]


def _check_writable(request: RunRequest, files: Sequence[str], inputs: Sequence[str]) -> None:
    for file in files:
        check_output(file, request.overwrite or request.resume, inputs, ways_on=WAYS_ON)


def files_read(request: RunRequest, sources: Sequence[Source]) -> list[str]:
    """The files that a run reads, which no output may replace."""
    cells = [os.fspath(cell) for cell in request.cells if is_cell_file(cell)]
    return [*(source.path for source in sources), *cells, os.fspath(request.geometry or "")]


def _job_of(
    request: RunRequest,
    sources: Sequence[Source],
    paths: Sequence[str],
    follower: Follower | None,
    find: Callable[[str], object] | None,
    prober: Prober | None,
) -> Job:
    """The job that a request describes."""
    from ..read.arrays import NAME, SpotArrays
    from ..read.cells.input_cell import centred_cell_of
    from ..read.events_named import with_events_found
    from .job import Job

    geometry, half_pixel_shift = request.chosen([source.path for source in sources], prober)
    cells = input_cells_of(request)
    if not cells and not request.finds_cell and (own := centred_cell_of(source.path for source in sources)):
        cells = [own]
    named: Sequence[object] = request.input_names if request.spots is None else [NAME]
    if STANDARD_INPUT in named:
        named = follower.named if follower else sources
    output = paths[0] if paths else ""
    job = Job(
        with_events_found(sources, geometry, prober) if follower is None else follower.sources,
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
        prober=prober,
        notes=tuple(named_again(sources) if follower is None else ()),
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
