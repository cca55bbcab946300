"""From the options of a command to a job, and from its results to the outputs."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import click

from ffbidx_cli.options import chosen_parameters
from ffbidx_core.errors import UsageError

if TYPE_CHECKING:
    from ffbidx_core.model.detector.panels import Geometry
    from ffbidx_core.model.lattice import InputCell
    from ffbidx_core.read import Source
    from ffbidx_core.read.growing.follow import Follower
    from ffbidx_core.run.job import Job
    from ffbidx_core.run.summary import Summary
    from ffbidx_core.write import Store

TO_STDOUT = "-"
GEOMETRY_OPTIONS = ("beam_centre", "beam_shift", "distance", "wavelength", "half_pixel_shift")
LARGEST_SHIFT = 200.0
"""Beam shifts are smaller, mrad."""
JOB_OPTIONS = ("backend", "device", "threads", "batch_size", "d_min", "d_max", "every", "max_frames")


def probing_of(
    sources: Sequence[Source], timeout: float | None, *, follow: bool | None = None
) -> AbstractContextManager[None]:
    """Have a child open the inputs first where there are several: one that hangs must not hold up the others."""
    from ffbidx_core.errors import ParameterError
    from ffbidx_core.read.files.probe import OPEN_TIMEOUT, Prober, probing

    seconds = OPEN_TIMEOUT if timeout is None else timeout
    if not seconds >= 0:
        raise ParameterError("open_timeout", seconds, "at least 0")
    several = bool(follow) or len({source.path for source in sources}) > 1
    return probing(Prober(seconds) if several and seconds > 0 else None)


def follower_of(
    inputs: Sequence[str],
    outputs: Sequence[str],
    *,
    follow: bool | None,
    stop_file: str | None,
    stop_after: float | None,
    shard: tuple[int, int] | None,
    dask: str | None,
    dry_run: bool,
) -> Follower | None:
    """What follows the inputs, where that is asked for.

    Raises
    ------
    UsageError
        For options that do not go together.
    """
    if follow is False:
        # Said so, whatever a file of options has.
        return None
    if follow is None:
        for option, value in (("--stop-file", stop_file), ("--stop-after", stop_after)):
            if value is not None:
                raise UsageError(f"{option} ends a run that follows its input: it goes with --follow")
        return None
    if shard is not None:
        raise UsageError(
            "--follow and --shard: an input that grows has no shares; follow other files in each run, and merge those"
        )
    if dask is not None:
        raise UsageError("--follow and --dask: an input that grows is not shared out, leave one of them out")
    if dry_run:
        raise UsageError("--follow and --dry-run: frames that are still to come cannot be listed")

    from ffbidx_core.errors import ParameterError
    from ffbidx_core.read.files.inputs import names_to_follow
    from ffbidx_core.read.growing.follow import Follower

    if stop_after is not None and not 0 < stop_after < float("inf"):
        raise ParameterError("stop_after", stop_after, "above 0 and finite, in seconds")
    return Follower(names_to_follow(inputs), stop_file=stop_file, stop_after=stop_after, leave_out=outputs)


def wait_for_first(
    follower: Follower,
    outputs: Sequence[str],
    *,
    output_format: str | None,
    overwrite: bool,
    resume: bool,
    quiet: bool,
    cells: Sequence[str],
    preset: str,
    geometry: str | None,
    **options: Any,
) -> list[Source]:
    """Wait for the first file that can be read, which tells what the run needs to know of all.

    What is wrong with the options is told before, not when the first frame comes.
    """
    from ffbidx_core.read.cells.input_cell import read_input_cell
    from ffbidx_core.write import Output

    chosen_parameters(preset, options)
    for text in cells:
        read_input_cell(text)
    for path, wanted in output_formats(outputs, output_format).items():
        if path != TO_STDOUT:
            output = Output(path, wanted)
            output.check(overwrite or resume, follower.inputs_among(output.files))
    changes = {name: options[name] for name in GEOMETRY_OPTIONS}
    known = geometry_of([], geometry, **changes)[0] if geometry is not None else None
    first = follower.wait(known, lambda text: None if quiet else click.echo(text, err=True))
    return first or follower.named


def output_formats(outputs: Sequence[str], first: str | None) -> dict[str, str]:
    """The format of each output, by its path; `first` is that of the first one, where it is given.

    Raises
    ------
    UsageError
        When a suffix does not say it, or an output is named twice.
    """
    from ffbidx_core.write.outputs import FORMATS, TABLE, Output, format_of

    if first is not None and first not in FORMATS:
        raise UsageError(f"--format {first}: is none of {', '.join(FORMATS)}")
    chosen = {
        path: TABLE if path == TO_STDOUT else format_of(path, first if number == 0 else None)
        for number, path in enumerate(outputs)
    }
    if len(chosen) < len(outputs):
        raise UsageError("the same output is named twice with -o")
    for path, wanted in chosen.items():
        for file in Output(path, wanted).files:
            if file != path and file in chosen:
                raise UsageError(f"-o {file}: there goes what {path} says of its run: give another name")
    return chosen


def geometry_of(
    inputs: Sequence[str],
    geometry: str | None,
    *,
    beam_centre: tuple[float, float] | None,
    distance: float | None,
    wavelength: float | None,
    half_pixel_shift: bool | None,
    beam_shift: tuple[float, float] | None,
) -> tuple[Geometry | None, bool | None]:
    """The geometry that the options describe, and whether half a pixel is added to the peaks."""
    from ffbidx_core.errors import ParameterError
    from ffbidx_core.read.geometry.choose import GeometryChanges, choose_geometry

    for name, value in (("distance", distance), ("wavelength", wavelength)):
        if value is not None and not 0 < value < float("inf"):
            raise ParameterError(name, value, "above 0 and finite")
    changes = GeometryChanges(beam_centre, distance, wavelength, half_pixel_shift, beam_shift)
    if beam_shift is not None and not all(abs(value) < LARGEST_SHIFT for value in beam_shift):
        raise ParameterError("beam_shift", beam_shift, f"two numbers below {LARGEST_SHIFT:g} mrad")
    return choose_geometry(inputs, geometry, changes)


def shard_outputs(outputs: Sequence[str], shard: tuple[int, int]) -> list[str]:
    """Outputs with the shard in their names, so that those of all shards can lie side by side."""
    if TO_STDOUT in outputs:
        raise UsageError("--shard and -o -: shards are joined from files with `ffbidx merge`, name one with -o")
    number, of = shard
    width = len(str(of))
    named = []
    for path in outputs:
        stem, suffix = os.path.splitext(path)
        named.append(f"{stem}.{number:0{width}}-of-{of}{suffix}")
    return named


def check_lattices(cells: Sequence[InputCell]) -> None:
    """Refuse a cell that is given with several lattices: results tell input cells by their vectors."""
    found: dict[bytes, InputCell] = {}
    for each in cells:
        known = found.setdefault(each.cell.tobytes(), each)
        if known.lattice != each.lattice:
            raise UsageError(f"--cell: the same cell is given as {known.lattice.code} and as {each.lattice.code}")


def job_of(
    sources: Sequence[Source],
    output: str,
    *,
    cells: Sequence[str],
    keep: str,
    preset: str,
    save_every: float | None,
    geometry: str | None,
    shard: tuple[int, int] | None = None,
    follower: Follower | None = None,
    **options: Any,
) -> Job:
    """The job that the options describe; sizes follow the work unless they are given."""
    import numpy as np

    from ffbidx_core.read.cells.input_cell import centred_cell_of, read_input_cell
    from ffbidx_core.run.job import SAVE_SECONDS, Job

    parameters, given = chosen_parameters(preset, options)
    if "max_output_cells" not in given:
        parameters = parameters.replace(max_output_cells=parameters.n_output_cells)
    changes = {name: options[name] for name in GEOMETRY_OPTIONS}
    setup, shift = geometry_of([source.path for source in sources], geometry, **changes)
    input_cells = [read_input_cell(text) for text in cells]
    if not cells and (own := centred_cell_of(source.path for source in sources)):
        input_cells = [own]
    check_lattices(input_cells)
    job = Job(
        sources if follower is None else follower.sources,
        parameters,
        np.stack([each.cell for each in input_cells]) if input_cells else None,
        tuple(each.lattice for each in input_cells),
        setup,
        shift,
        limit_cells="max_input_cells" in given,
        save_seconds=SAVE_SECONDS if save_every is None else save_every,
        keep_all=keep == "all",
        output="standard output" if output == TO_STDOUT else output,
        follow=follower,
        **{name: options[name] for name in JOB_OPTIONS},
    )
    return job if shard is None else job.shard(*shard)


def check_pixels(chosen: dict[str, str], sources: Sequence[Source], job: Job) -> None:
    """Refuse, before the run, an output that needs pixels where the first input has none."""
    from ffbidx_core.read.geometry.choose import first_without_pixels
    from ffbidx_core.read.indexed_frames import NO_PIXELS
    from ffbidx_core.write.outputs import WITH_PIXELS

    needing = [path for path, wanted in chosen.items() if wanted in WITH_PIXELS]
    if needing and (without := first_without_pixels([source.path for source in sources], job.geometry)):
        raise UsageError(f"-o {needing[0]}: {without}: {NO_PIXELS}")


def store_of(chosen: dict[str, str], job: Job, inputs: Sequence[str], *, overwrite: bool, resume: bool) -> Store:
    """Where the results go, checked before the run."""
    from ffbidx_cli.console import write_data
    from ffbidx_core.read.indexed_frames import Setup
    from ffbidx_core.write import Output, PartsStore, TableStream

    if list(chosen) == [TO_STDOUT]:
        return TableStream(write_data)
    setup = Setup(job.geometry, job.lattices_of_rows)
    outputs = [
        Output(path, wanted, setup, write_data if path == TO_STDOUT else None) for path, wanted in chosen.items()
    ]
    store = PartsStore(outputs, overwrite=overwrite, resume=resume)
    store.check(inputs)
    return store


def keep_spots_in(chosen: dict[str, str]) -> None:
    """Add the spots to the results files among the outputs."""
    from ffbidx_core.write.keep import keep_spots
    from ffbidx_core.write.outputs import RESULTS_FILE

    for path, wanted in chosen.items():
        if wanted == RESULTS_FILE:
            keep_spots(path)


def run_job(job: Job, dask: str | None, *, stop: threading.Event, **options: Any) -> Summary:
    """Index the frames of a job here, or on the workers of a dask cluster."""
    from ffbidx_core.run import pipeline

    if dask is None:
        return pipeline.index(job, stop=stop, **options).summary

    from ffbidx_core.devices.dask_cluster import open_cluster
    from ffbidx_core.run.on_cluster import index_on

    where = {name: getattr(job, name) for name in ("backend", "device", "threads")}
    with open_cluster(dask, stop=stop, **where) as cluster:
        return index_on(cluster, job, stop=stop, **options)


def list_batches(job: Job) -> int:
    """Write the frames of each batch to standard output."""
    from ffbidx_core.model.records.frame import FrameStatus

    click.echo("# batch\tsource\tindex\tn_spots\tusable")
    for number, batch in enumerate(job.batches(job.blocks())):
        usable = batch.status == FrameStatus.NOT_INDEXED
        if usable.any():
            job.cells_of(batch)
        for f, source in enumerate(batch.sources):
            click.echo(f"{number}\t{source}\t{batch.indices[f]}\t{batch.n_spots[f]}\t{'yes' if usable[f] else 'no'}")
    return 0
