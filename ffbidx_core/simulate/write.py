"""The writer of simulated frames as a spot file with the true crystals."""

from __future__ import annotations

import io

import h5py
import numpy as np

from ..write.atomic import write_file
from .frames import SimulatedFrames

PANEL = 0
"""Number of the only panel of a flat detector, in the third column of `/pixel`."""


def write_frames(path: str, frames: SimulatedFrames, overwrite: bool = False) -> None:
    """Write an HDF5 spot file with spots, input cells, `/truth`, and the settings as JSON in the root's attributes.

    Raises
    ------
    OutputError
        If the file exists already or cannot be written.
    """
    # The file is made in memory first, because HDF5 ends the program if the disk is full.
    image = io.BytesIO()
    with h5py.File(image, "w") as file:
        _write_spots(file, frames)
        _write_truth(file.create_group("truth"), frames)
        file.attrs["scenario"] = frames.scenario.as_json()
        file.attrs["seed"] = frames.seed
    write_file(path, image.getvalue(), overwrite)


def _write_spots(file: h5py.File, frames: SimulatedFrames) -> None:
    scenario = frames.scenario
    _dataset(file, "spots", frames.spots).attrs["units"] = "1/angstrom"
    _dataset(file, "offsets", frames.offsets)
    _dataset(file, "intensity", frames.intensity)
    panel = np.full((len(frames.pixels), 1), PANEL, np.float32)
    _dataset(file, "pixel", np.hstack([frames.pixels, panel])[:, :3])
    _dataset(file, "wavelength", np.full(frames.n_frames, scenario.wavelength))
    if scenario.panels is not None:
        _dataset(file, "distance", np.full(frames.n_frames, scenario.panels.given_distance)).attrs["units"] = "mm"
    _dataset(file, "cells", frames.input_cells).attrs["units"] = "angstrom"
    names = [f"{frames.seed}-{i}" for i in range(frames.n_frames)]
    file.create_dataset("frame_id", data=names, dtype=h5py.string_dtype(), shape=(len(names),))
    file.attrs["geometry"] = scenario.assumed_detector.as_text(scenario.wavelength)


def _write_truth(group: h5py.Group, frames: SimulatedFrames) -> None:
    _dataset(group, "cells", frames.cells).attrs["units"] = "angstrom"
    _dataset(group, "cell_offsets", frames.cell_offsets)
    _dataset(group, "input_cell", frames.input_cell)
    _dataset(group, "lattice", frames.lattice)
    _dataset(group, "hkl", frames.hkl)
    if frames.scenario.panels is not None:
        group.attrs["geometry"] = frames.scenario.panels.true_text(frames.scenario.wavelength)


def _dataset(group: h5py.Group, name: str, data: np.ndarray) -> h5py.Dataset:
    # An empty dataset cannot have chunks.
    filters = {"compression": "gzip", "shuffle": True, "fletcher32": True} if len(data) else {}
    return group.create_dataset(name, data=data, **filters)
