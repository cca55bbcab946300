"""Short runs that are made to fail, and the conditions that must hold afterwards."""

import dataclasses
import itertools
import threading
from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np

from ffbidx_core import read_results
from ffbidx_core.model.records.results import COLUMNS, Results
from ffbidx_core.parameters import Parameters
from ffbidx_core.read import Source
from ffbidx_core.run.job import Job
from ffbidx_core.run.pipeline import Outcome, index
from ffbidx_core.write import Output, PartsStore
from ffbidx_core.write.formats.names import format_of
from tests.helpers.calls import write_spots
from tests.helpers.frames import CELL, frame

QUICK = Parameters.preset(
    "best",
    num_halfsphere_points=1024,
    searches=1,
    max_spots=40,
    learn_cell=6,
    judge_frames=0,
    learn_min_crystals=3,
    learn_rounds=1,
)
FRAMES = 12


def make_inputs(folder: Path, n_frames: int = FRAMES) -> list[Source]:
    """Write frames to three files, with a bad frame and an empty one; a further file is missing."""
    pieces = [frame(seed, 50, CELL * 1.01)[1] for seed in range(n_frames)]
    pieces[3] = np.full((8, 3), np.nan, np.float32)
    pieces[5] = np.zeros((0, 3), np.float32)
    third = n_frames // 3
    paths = [
        write_spots(folder / f"{k}.h5", pieces[k * third : (k + 1) * third if k < 2 else n_frames]) for k in range(3)
    ]
    return [Source(str(path)) for path in (paths[0], folder / "not-there.h5", *paths[1:])]


def run(
    sources: Sequence[Source],
    output: Path,
    *others: Path,
    resume: bool = False,
    overwrite: bool = False,
    **changes: object,
) -> Outcome:
    """Index the sources to one output or several; by default every batch becomes a saved part."""
    usual = {"cells": CELL[None], "backend": "cpu", "threads": 1, "batch_size": 2, "save_seconds": 0.0}
    options = {name: changes.pop(name) for name in ("progress", "stop") if name in changes}
    outputs = [Output(path, format_of(path)) for path in map(str, (output, *others))]
    store = PartsStore(outputs, resume=resume, overwrite=overwrite)
    store.check(source.path for source in sources)
    job = Job(**({"sources": sources, "parameters": QUICK, "output": str(output)} | usual | changes))
    return index(job, store=store, **options)


def assert_same(found: Results, wanted: Results, *, device: bool = True) -> None:
    """Assert that all datasets are equal and, if `device` is true, that the devices are the same."""
    assert found.complete == wanted.complete
    assert found.header == (wanted.header if device else dataclasses.replace(wanted.header, device=found.header.device))
    for name in COLUMNS:
        a, b = getattr(found, name), getattr(wanted, name)
        assert (a is None) == (b is None), name
        assert a is None or np.array_equal(a, b, equal_nan=a.dtype.kind == "f"), name


def assert_whole_or_absent(output: Path) -> None:
    """Assert that the output is complete or absent."""
    if output.exists():
        if output.suffix == ".h5":
            read_results(output)
        else:
            assert output.read_bytes().endswith(b"\n")


def with_record(output: Path) -> list[Path]:
    """The files of an output: itself, and the record of its run beside it if its format has no place for one."""
    return [output] if output.suffix == ".h5" else [output, output.with_name(f"{output.name}.toml")]


def flip_a_bit(path: Path, dataset: str) -> None:
    """Flip one bit in the data of a dataset."""
    with h5py.File(path) as file:
        at = file[dataset].id.get_chunk_info(0).byte_offset
    image = bytearray(path.read_bytes())
    image[at + 1] ^= 4
    path.write_bytes(image)


class Died(Exception):
    pass


def dies_after(n: int):
    """A progress callback that makes the run die in its n-th batch."""
    count = itertools.count(1)

    def progress(event):
        if next(count) == n:
            raise Died

    return progress


def stops_after(n: int, stop: threading.Event):
    count = itertools.count(1)

    def progress(event):
        if next(count) == n:
            stop.set()

    return progress
