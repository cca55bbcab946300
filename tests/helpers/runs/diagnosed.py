"""Runs of simulated stills with an error in their description, each indexed once."""

import atexit
import functools
import itertools
import shutil
import tempfile
from pathlib import Path

import h5py

from ffbidx_core.backends import get_backend
from ffbidx_core.devices import OneDevice
from ffbidx_core.diagnose.diagnosis import Diagnosis, make_diagnosis
from ffbidx_core.model.detector.panels import Geometry
from ffbidx_core.parameters import Parameters
from ffbidx_core.read import expand_inputs
from ffbidx_core.read.cells.input_cell import read_input_cell
from ffbidx_core.run import pipeline
from ffbidx_core.run.job import Job
from ffbidx_core.simulate import Scenario, simulate, write_frames
from ffbidx_core.write import Output, PartsStore

LYSOZYME = (79.0, 79.0, 38.0, 90.0, 90.0, 90.0)
TRUE = "79,79,38,90,90,90"
PIXEL = 0.075 / 200
"""Edge of a pixel over the detector distance, radian."""
_FOLDER = Path(tempfile.mkdtemp(prefix="ffbidx-diagnose-"))
atexit.register(shutil.rmtree, _FOLDER, ignore_errors=True)
_numbers = itertools.count()


@functools.cache
def cpu() -> OneDevice:
    """The device on which everything is computed."""
    return OneDevice(get_backend("cpu", threads=1))


@functools.cache
def spots_of(n_frames: int = 80, seed: int = 1, **settings) -> str:
    """Write a spot file of simulated stills and return its name."""
    path = str(_FOLDER / f"spots{next(_numbers)}.h5")
    settings = {"cells": (LYSOZYME,), "n_spots": (40, 80), "false_share": (0.1, 0.1)} | settings
    write_frames(path, simulate(Scenario(**settings), n_frames, seed))
    return path


def without_pixels(spots: str) -> str:
    """Write the spots of a file to another file without any other data."""
    path = str(_FOLDER / f"bare{next(_numbers)}.h5")
    with h5py.File(spots) as source, h5py.File(path, "w") as target:
        target["spots"], target["offsets"] = source["spots"][()], source["offsets"][()]
        target["spots"].attrs["units"] = "1/angstrom"
    return path


def index(spots: str, cell: str, geometry: Geometry | None = None, preset: str = "best", **changes) -> str:
    """Index a spot file and return the name of the results; the beam is not moved unless `learn_beam` is given."""
    changes = {"learn_beam": False} | changes
    results = str(_FOLDER / f"results{next(_numbers)}.h5")
    given = read_input_cell(cell)
    job = Job(
        expand_inputs([spots]),
        Parameters.preset(preset, **changes),
        given.cell[None],
        (given.lattice,),
        geometry,
        backend="cpu",
        threads=1,
        output=results,
    )
    pipeline.index(job, store=PartsStore([Output(results)]))
    return results


@functools.cache
def diagnosis_of(cell: str = TRUE, **settings) -> Diagnosis:
    """The diagnosis of simulated stills that were indexed with this cell."""
    return make_diagnosis(index(spots_of(**settings), cell), cpu())
