"""The sections of a request for a run: each field has a default, a range and a one-line help.

The options of the command are generated from these fields, in their order. This module imports nothing heavy, because
the help of the command needs it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..parameters import OPEN_TIMEOUT, PRESETS, SAVE_SECONDS
from ..ranges import (
    AT_DISTANCE,
    AT_WAVELENGTH,
    LARGEST,
    MOST_FRAMES,
    POSITIVE,
    SHORTEST,
    asked,
    at_least,
    check_ranges,
    one_of,
    within,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..model.detector.panels import GivenGeometry
    from ..read.files.probe import Prober
    from ..read.geometry.choose import GeometryChanges

LARGEST_SHIFT = 200.0
"""Largest possible beam shift along x or y, mrad."""


Path = str | os.PathLike[str]


@dataclass(frozen=True, eq=False)
class Inputs:
    """The frames, from files or from arrays, and the cells that are searched for on them."""

    inputs: Path | Sequence[Path] = asked((), option="INPUT...", kind=str, numbers=0)
    cells: Any = asked(
        (),
        "Unit cell: a file (CrystFEL .cell, PDB, mmCIF, XDS, DIALS .expt, or 6 or 9 numbers), or "
        "a,b,c,alpha,beta,gamma in A and degrees, followed by a centring letter if it is not P. Repeat it for cells "
        "that compete on every frame. auto: the cell that `ffbidx cell` finds on the first 200 frames, or if other "
        "cells are given, on those without a crystal of these. Without --cell the cells of the inputs are used.",
        option="--cell",
        metavar="CELL",
        kind=str,
        numbers=0,
    )
    spots: Any = None
    offsets: Any = None
    d_min: float | None = asked(
        None,
        "Use spots up to this resolution only.",
        **at_least(SHORTEST),
        metavar="A",
        kind=float,
    )
    d_max: float | None = asked(
        None,
        "Use spots from this resolution on only.",
        **at_least(SHORTEST),
        metavar="A",
        kind=float,
    )
    max_frames: int | None = asked(
        None, "Stop after this many frames.", **at_least(1, MOST_FRAMES), metavar="N", kind=int
    )
    shard: tuple[int, int] | str | None = asked(
        None,
        "Take the Kth of N shares of the frames, for `ffbidx merge`; the output gets .K-of-N in its name. slurm: K "
        "and N from the job array, or else from the tasks of the job; slurm/N: task K of an array 1-N.",
        metavar="K/N",
        kind=str,
        is_setting=False,
    )
    open_timeout: float | None = asked(
        None,
        "With several inputs, leave out an input that does not open within S seconds; 0: wait for ever.  "
        f"[default: {OPEN_TIMEOUT:g}]",
        **at_least(0),
        metavar="S",
        kind=float,
    )
    every: int = asked(1, "Take every Nth frame only.", **at_least(1, MOST_FRAMES), metavar="N", kind=int)


@dataclass(frozen=True, eq=False)
class Following:
    """Options for inputs that grow, and for files that appear."""

    follow: bool | None = asked(
        None,
        "Index files while they grow (HDF5 in SWMR mode) and as they appear, until --stop-file, --stop-after or a "
        "signal ends the run.",
        kind=bool,
    )
    stop_file: Path | None = asked(
        None, "With --follow: once FILE exists, index the frames present and end.", metavar="FILE", kind=str
    )
    stop_after: float | None = asked(
        None,
        "With --follow: end after S seconds without a new frame.",
        f"{POSITIVE['wanted']}, in seconds",
        check=POSITIVE["check"],
        metavar="S",
        kind=float,
    )


@dataclass(frozen=True, eq=False)
class Experiment:
    """The geometry of inputs with peaks in detector pixels, and changes to that geometry."""

    geometry: Path | None = asked(
        None,
        "Geometry for peaks in detector pixels: CrystFEL .geom, DIALS .expt, XDS.INP, XPARM.XDS, or an HDF5 file with "
        "NXmx entries.",
        option="-g --geometry",
        metavar="FILE",
        kind=str,
    )
    half_pixel_shift: bool | None = asked(
        None,
        "Whether peaks are pixel numbers, to which half a pixel is added.  [default: as is usual in their format]",
        kind=bool,
    )
    beam_centre: tuple[float, float] | None = asked(
        None,
        "Shift the detector so that the beam meets its first panel here, in pixels from the corner of its first pixel.",
        **within(LARGEST),
        metavar="FS SS",
        kind=float,
        numbers=2,
    )
    beam_shift: tuple[float, float] | None = asked(
        None,
        "Angle in mrad, along x and y, between the place where the beam meets the detector and the place where it is "
        "assumed to; also for spots without pixels (`ffbidx diagnose` finds it).",
        f"two numbers below {LARGEST_SHIFT:g} mrad",
        check=lambda pair: all(abs(value) < LARGEST_SHIFT for value in pair),
        metavar="X Y",
        kind=float,
        numbers=2,
    )
    distance: float | None = asked(
        None,
        "Distance at which the beam meets the detector, offsets of its panels included; below 0: `clen` itself.",
        **AT_DISTANCE,
        metavar="MM",
        kind=float,
    )
    wavelength: float | None = asked(
        None,
        "Wavelength.",
        **AT_WAVELENGTH,
        metavar="A",
        kind=float,
    )

    @property
    def changes(self) -> GeometryChanges:
        """The changes that these options make to the geometry of the file."""
        from ..model.detector.beam_shift import BeamShift
        from ..read.geometry.choose import GeometryChanges

        shift = None if self.beam_shift is None else BeamShift(mrad=self.beam_shift)
        return GeometryChanges(self.beam_centre, self.distance, self.wavelength, self.half_pixel_shift, shift)

    @property
    def changes_geometry(self) -> bool:
        """Whether beam, distance or wavelength are to differ from the geometry file."""
        return any(each is not None for each in (self.beam_centre, self.beam_shift, self.distance, self.wavelength))

    def chosen(self, inputs: Sequence[str], prober: Prober | None = None) -> tuple[GivenGeometry | None, bool | None]:
        """The geometry for some spot files, and whether half a pixel is added to their peaks; see `choose_geometry`.

        Raises
        ------
        ParameterError
            If a value is outside its range.
        InputError, UsageError
            If `choose_geometry` raises it.
        """
        from ..read.geometry.choose import choose_geometry

        check_ranges(self)
        path = None if self.geometry is None else os.fspath(self.geometry)
        return choose_geometry(inputs, path, self.changes, prober)


@dataclass(frozen=True, eq=False)
class Outputs:
    """The outputs of a run, and what they contain."""

    outputs: Path | Sequence[Path] = asked(
        (),
        "Results: .h5 or .hdf5 a results file, .txt or .tsv a text table, .csv, .parquet, .stream and .sol for "
        "CrystFEL, .geom its geometry, .expt and .refl for DIALS, - the text table on standard output. Repeat it for "
        "several outputs.  [default: STEM.ffbidx.h5, STEM of the first input]",
        option="-o --output",
        metavar="FILE",
        kind=str,
        numbers=0,
    )
    output_format: str | None = asked(
        None,
        "Format of the first output, if its suffix does not say it: hdf5, table, csv, parquet, stream, sol, expt, "
        "refl.",
        option="--format",
        metavar="WORD",
        kind=str,
    )
    overwrite: bool = asked(False, "Replace the output if it exists.", kind=bool, is_setting=False)
    resume: bool = asked(
        False,
        "Continue the run with the same arguments that was stopped or died; start it if there is none.",
        kind=bool,
        is_setting=False,
    )
    save_every: float | None = asked(
        None,
        "Save finished frames to OUTPUT.parts every S seconds, so at most so much work is lost.  "
        f"[default: {SAVE_SECONDS:g}]",
        **at_least(0),
        metavar="S",
        kind=float,
    )
    keep_spots: bool = asked(
        False, "Keep all spots in the results file, with the crystal and the Miller indices of each.", kind=bool
    )
    keep: str = asked(
        "crystals",
        "Cells that a results file holds: crystals only, or all that were refined.",
        **one_of("crystals", "all"),
        kind=str,
    )


@dataclass(frozen=True, eq=False)
class Where:
    """The backend, device and threads of a computation."""

    backend: str = asked(
        "auto",
        "Backend that computes: the GPU if there is one (auto), a GPU, or the CPU.",
        metavar="auto|cuda|cpu",
        kind=str,
    )
    device: str | None = asked(
        None,
        "GPU to use, or several: N, N,N or all.  [default: INDEXER_GPU_DEVICE, else the current one]",
        metavar="N|N,N|all",
        kind=str,
    )
    threads: int | None = asked(
        None, "Number of threads for the computation.  [default: all cores]", **at_least(1), metavar="N", kind=int
    )


@dataclass(frozen=True, eq=False)
class Machine(Where):
    """The backend, device, batches and workers of a computation."""

    batch_size: int | None = asked(
        None, "Number of frames that are computed together.", **at_least(1), metavar="N", kind=int
    )
    dask: str | None = asked(
        None,
        "Compute on the workers of a dask scheduler (its address, or the file that it wrote), or on N new workers on "
        "this machine, each with a GPU of its own if GPUs are used.",
        metavar="ADDRESS|local:N",
        kind=str,
        is_setting=False,
    )


@dataclass(frozen=True, eq=False)
class Method:
    """The parameters: a preset, and explicit parameters, which take precedence over it."""

    preset: str = asked(
        PRESETS[0],
        "Values of the options below: to index the most frames, nearly as many in less time, or as published.",
        **one_of(*PRESETS),
        kind=str,
    )
    parameters: Mapping[str, Any] = field(default_factory=dict)
