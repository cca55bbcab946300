"""The results of a run as arrays, and the names, types and shapes under which a results file keeps them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from .frame import FrameStatus
from .reason import FrameReason, Rung

FORMAT = "ffbidx-results"
FORMAT_VERSION = 1
ENUMERATIONS: dict[str, type[IntEnum]] = {"status": FrameStatus, "reason": FrameReason, "rung": Rung}
"""Kinds of columns that are uint8 with names for their values."""


@dataclass(frozen=True)
class Column:
    """How one array of `Results` is kept in a file.

    Attributes
    ----------
    path
        Dataset.
    kind
        Type in the file: a NumPy type, `text` (UTF-8 of variable length) or one of `ENUMERATIONS`.
    rows
        What its first dimension counts: input_cells, frames, cells or crystals; `+ 1` for offsets.
    tail
        The other dimensions.
    units
        Attribute of the dataset, where it has any.
    optional
        Whether a file may lack it; a crystal's number is nan then.
    """

    path: str
    kind: str
    rows: str
    tail: tuple[int, ...] = ()
    units: str = ""
    optional: bool = False


@dataclass(frozen=True)
class ResultsHeader:
    """The root attributes that say how the results were made.

    Attributes
    ----------
    ffbidx_version, method, backend, device
    parameters
        JSON, as `Parameters.as_json` gives it.
    geometry
        The CrystFEL geometry file that was given for the inputs, or empty.
    half_pixel_shift
        `yes` or `no`: whether half a pixel was added to the peaks of the inputs; empty for spots without pixels.
    lattices
        Lattice of each `--cell` in CrystFEL's short form, such as `tPc mCb`, or empty.
    """

    ffbidx_version: str
    method: str
    parameters: str
    backend: str
    device: str
    geometry: str = ""
    half_pixel_shift: str = ""
    lattices: str = ""


@dataclass
class Results:
    """The results of F frames: n oriented cells, k of which are crystals, from m input cells.

    Attributes
    ----------
    header : ResultsHeader
    complete : bool
        False when the run was stopped before its end.
    input_cells : (m, 3, 3) float64
        Rows a, b, c, angstrom, in order of first use.
    source : (F,) object
        Input file of each frame.
    index : (F,) int64
        The frame's index in it; -1 for a file that could not be read.
    id : (F,) object
        The frame's name in its file, or empty.
    n_spots, n_sampled : (F,) int32
        Spots given, and used in the sampling.
    status : (F,) uint8
        As `FrameStatus`.
    cell_offsets : (F + 1,) int64
        Cells of frame f are rows cell_offsets[f]:cell_offsets[f + 1].
    cells : (n, 3, 3) float32
        Oriented cells, rows a, b, c, angstrom.
    scores : (n,) float32
        Lower is better.
    input_cell : (n,) int32
        Row of `input_cells` that each came from.
    crystal_offsets : (F + 1,) int64
        Crystals of frame f are rows crystal_offsets[f]:crystal_offsets[f + 1], best first.
    crystals : (k,) int64
        Row of `cells` that each crystal is.
    n_indexed : (k,) int32
        Spots covered.
    rmsd : (k,) float32
        Their rms distance to the predicted spots, 1/angstrom.
    log10_chance : (k,) float32
        log10 of the chance level; nan where it was not used.
    log10_false : (k,) float32
        log10 of the number of false crystals as good as this one that are expected on its frame; nan like the level.
    n_expected : (k,) float32
        Spots that would be indexed by chance.
    crystal_parameters : (k, 6) float32
        a, b, c in angstrom, alpha, beta, gamma in degrees.
    learned_cells : (m, 3, 3) float64 or None
        The input cells as learned from the run's first frames.
    reason : (F,) uint8 or None
        Why a frame has no crystal, as `FrameReason`; None in files of versions that did not say it.
    rung : (F,) uint8 or None
        The try that indexed a frame, as `Rung`; None in the same files.
    """

    header: ResultsHeader
    complete: bool
    input_cells: NDArray[np.float64]
    source: NDArray[np.object_]
    index: NDArray[np.int64]
    id: NDArray[np.object_]
    n_spots: NDArray[np.int32]
    n_sampled: NDArray[np.int32]
    status: NDArray[np.uint8]
    cell_offsets: NDArray[np.int64]
    cells: NDArray[np.float32]
    scores: NDArray[np.float32]
    input_cell: NDArray[np.int32]
    crystal_offsets: NDArray[np.int64]
    crystals: NDArray[np.int64]
    n_indexed: NDArray[np.int32]
    rmsd: NDArray[np.float32]
    log10_chance: NDArray[np.float32]
    log10_false: NDArray[np.float32]
    n_expected: NDArray[np.float32]
    crystal_parameters: NDArray[np.float32]
    learned_cells: NDArray[np.float64] | None = None
    reason: NDArray[np.uint8] | None = None
    rung: NDArray[np.uint8] | None = None

    @property
    def n_frames(self) -> int:
        """F."""
        return len(self.index)

    @property
    def frame_of_crystal(self) -> NDArray[np.int64]:
        """Frame of each crystal, (k,)."""
        return np.repeat(np.arange(self.n_frames), np.diff(self.crystal_offsets))


COLUMNS = {
    "input_cells": Column("/input_cells", "f8", "input_cells", (3, 3), units="angstrom"),
    "source": Column("/frame/source", "text", "frames"),
    "index": Column("/frame/index", "i8", "frames"),
    "id": Column("/frame/id", "text", "frames"),
    "n_spots": Column("/frame/n_spots", "i4", "frames"),
    "n_sampled": Column("/frame/n_sampled", "i4", "frames"),
    "status": Column("/frame/status", "status", "frames"),
    "cell_offsets": Column("/cell_offsets", "i8", "frames + 1"),
    "cells": Column("/cells", "f4", "cells", (3, 3), units="angstrom"),
    "scores": Column("/scores", "f4", "cells"),
    "input_cell": Column("/input_cell", "i4", "cells"),
    "crystal_offsets": Column("/crystal_offsets", "i8", "frames + 1"),
    "crystals": Column("/crystals", "i8", "crystals"),
    "n_indexed": Column("/crystal/n_indexed", "i4", "crystals"),
    "rmsd": Column("/crystal/rmsd", "f4", "crystals", units="1/angstrom"),
    "log10_chance": Column("/crystal/log10_chance", "f4", "crystals"),
    "log10_false": Column("/crystal/log10_false", "f4", "crystals", optional=True),
    "n_expected": Column("/crystal/n_expected", "f4", "crystals", optional=True),
    "crystal_parameters": Column("/crystal/parameters", "f4", "crystals", (6,)),
    "learned_cells": Column("/learned_cells", "f8", "input_cells", (3, 3), units="angstrom", optional=True),
    "reason": Column("/frame/reason", "reason", "frames", optional=True),
    "rung": Column("/frame/rung", "rung", "frames", optional=True),
}
"""Every array of `Results`, by the name of its field."""
