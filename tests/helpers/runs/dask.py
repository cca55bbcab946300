"""Short runs on a dask cluster."""

from ffbidx_core.run.job import Job
from ffbidx_core.run.pipeline import index
from ffbidx_core.write import Output, PartsStore
from ffbidx_core.write.formats.names import format_of
from tests.helpers.frames import CELL
from tests.helpers.runs.faults import QUICK, run

FRAMES = 48


def run_on(cluster, sources, output, *, resume=False, **changes):
    usual = {"cells": CELL[None], "backend": "cpu", "threads": 1, "batch_size": 3, "save_seconds": 0.0}
    options = {name: changes.pop(name) for name in ("progress", "stop") if name in changes}
    job = Job(**({"sources": sources, "parameters": QUICK, "output": str(output)} | usual | changes))
    return index(job, devices=cluster, store=store_of(str(output), resume), **options).summary


def store_of(output, resume):
    return PartsStore([Output(output, format_of(output))], resume=resume)


def check(cluster, sources, folder, **changes):
    """Compare a run on a cluster with one in a single process, byte for byte."""
    run_on(cluster, sources, folder / "x.h5", **changes)
    run(sources, folder / "one.h5", **changes)
    assert (folder / "x.h5").read_bytes() == (folder / "one.h5").read_bytes()
