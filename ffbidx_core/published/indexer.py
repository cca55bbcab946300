"""The published Python interface: class `Indexer`, which `import ffbidx` offers."""

from __future__ import annotations

import traceback
from types import TracebackType
from typing import Any, Self, Unpack

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..parameters import CRYSTALS_THRESHOLD, Parameters
from .arguments import (
    PUBLISHED,
    IndexerOptions,
    RunOptions,
    also_called,
    indexer_options,
    other_than_published,
    run_options,
    with_signature,
)
from .engine import BatchCells, Engine
from .environment import backend_for, preset_for
from .layout import cells_from_published, cells_to_published, checked_batch, checked_cells, spots_from_published
from .log import follow_environment

_D = Parameters.preset("published")


class Indexer:
    """Finds the orientations of known cells that explain the spots of stills.

    Parameters
    ----------
    max_output_cells : int
        Most cells that `run` returns.
    max_input_cells : int
        Most input cells that compete in a `run`; more are a ValueError.
    max_spots : int
        Of more spots, the sampling uses those of lowest resolution. Refinement and `crystals` use all.
    num_candidate_vectors : int
        Candidates, the best sample vectors of a length, that are computed per length.
    redundant_calculations : bool
        Compute candidates for all vectors of an input cell instead of the longest one only.
    redundant_computations : bool, optional
        Another spelling of `redundant_calculations`.
    backend : str
        `auto`, `cuda` or `cpu`.
    device : int or str, optional
        Which GPU; without it the one of the environment variable INDEXER_GPU_DEVICE, else the current one. A GPU that
        is named is used or is an error; without a name `auto` takes the CPU where there is no GPU.
    preset : str, optional
        `published`, `best` or `fast`; without it that of the environment variable FFBIDX_PRESET, else `published`.
        Under `best` and `fast` the method is the command's with this preset: `run` returns crystals only, each once and
        the best first, and `crystals` returns all of these. An option that the caller gives wins over the preset; where
        the environment sets the preset, one that repeats its published default does not: clients do that all the time.

    Raises
    ------
    ValueError
        Naming a parameter that is out of its range.
    BackendUnavailable
        When the backend asked for is not on this machine; it is a RuntimeError.

    Notes
    -----
    An indexer may be used from several threads at once, and on the CPU from forked processes too. On a GPU each process
    makes its own: an indexer that was made before a fork raises a RuntimeError in the child.

    Messages go to the logger `ffbidx`; the environment variable INDEXER_LOG_LEVEL (fatal, error, warn, info, debug)
    sets its level and is read whenever the indexer is used. Without it nothing is written to standard error.
    """

    @with_signature(("self",), IndexerOptions)
    def __init__(
        self,
        *positional: Any,
        redundant_computations: bool | None = None,
        backend: str = "auto",
        device: int | str | None = None,
        preset: str | None = None,
        **named: Unpack[IndexerOptions],
    ) -> None:
        follow_environment()
        options = indexer_options(positional, named)
        if redundant_computations is not None:
            options["redundant_calculations"] = redundant_computations
        # Code that knows of no preset repeats published defaults and means nothing by that.
        self._chosen = other_than_published if preset is None else dict
        self._parameters = Parameters.preset(preset_for(preset), **self._chosen(options))
        self._engine: Engine | None = Engine(backend_for(backend, device), self._parameters)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Arrays that the functions of an error's traceback hold are memory of the GPU.
        traceback.clear_frames(trace)
        self.close()

    def close(self) -> None:
        """Give memory and threads back, as `del` does; the indexer is of no further use."""
        engine, self._engine = self._engine, None
        if engine is not None:
            engine.close()

    @with_signature(("self", "spots", "input_cells"), RunOptions)
    def run(
        self, spots: NDArray[Any], input_cells: NDArray[Any], *positional: Any, **named: Unpack[RunOptions]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Index one frame: find and refine oriented cells.

        The options may be given by position in the order below, or in that of PSI's module since 1.0, in which
        `vr_min_spots` comes after `dist3`.

        Parameters
        ----------
        spots : (3, K) float32 or float64 in C order, or (K, 3) in Fortran order
            Reciprocal space, 1/angstrom (no factor 2 pi). An array (3, 3) in C order is read as (3, K).
        input_cells : (3, 3M) float32 or float64 in C order, or (3M, 3) in Fortran order
            Vectors a, b, c of each of M cells in real space, angstrom: the columns of (3, 3M).
        method : str
            Refinement: `raw` (none), `ifss` (fit to selected spots), `ifse` (fit to selected errors) or `ifssr` (fit to
            spots selected in reciprocal space).
        length_threshold : float
            Vectors closer in length than this share their candidates, angstrom.
        triml, trimh : float
            Distances are trimmed to this range.
        delta : float
            Position on the logarithm's curve; lower is more selective.
        dist1, dist3 : float
            A spot this close contributes to the score of a vector, of a cell; `trimh` if 0 or less.
        num_halfsphere_points : int
            Directions sampled on the half sphere.
        num_angle_points : int
            Angles sampled about each candidate vector; 0 for a heuristic.
        n_output_cells : int
            Cells returned, at most `max_output_cells`.
        contraction : float
            The refinement's threshold shrinks by this factor.
        max_dist : float
            The refinement stops at this threshold.
        min_spots : int
            Fewest spots that a cell is refined against.
        n_iter : int
            Most iterations of the refinement.
        vr_min_spots : int
            Fewest spots that a candidate vector is refined against; 0 switches this off.

        Returns
        -------
        output_cells : (3, 3N) float32, C order
            N oriented cells, best first. Cell i is the columns 3i:3i+3: its vectors a, b, c. Empty slots are zero.
        scores : (N,) float32
            Score of each cell, lower is better; +inf for empty slots.

        Raises
        ------
        ValueError
            For an array or parameter that is not as described, or an input cell that is none. Spots that are no finite
            numbers are no error: all slots are empty then.
        """
        options = run_options(positional, named, self._parameters.num_candidate_vectors)
        rows = spots_from_published(spots)
        result = self.run_batch(rows, [0, len(rows)], cells_from_published("input_cells", input_cells), **options)
        return cells_to_published(result.cells[0]), result.scores[0]

    @also_called(cells="output_cells", scores="output_scores")
    def crystals(
        self,
        output_cells: NDArray[Any],
        spots: NDArray[Any],
        output_scores: NDArray[Any],
        method: str = _D.method,
        threshold: float = CRYSTALS_THRESHOLD,
        min_spots: int = _D.crystals_min_spots,
    ) -> NDArray[np.int64] | None:
        """Separate the crystals among the cells of one frame.

        Parameters
        ----------
        output_cells : (3, 3M) float32 or float64 in C order, or (3M, 3) in Fortran order
            Cells as `run` returns them. They may be given as `cells`, and the scores as `scores`.
        spots
            As for `run`.
        output_scores : (M,) float32 or float64
            Scores of the cells.
        method : str
            For `ifssr` the distance of a spot to its predicted one is compared with the threshold, in 1/angstrom;
            otherwise that of its fractional Miller indices to whole ones.
        threshold : float
            A spot nearer than this is covered. The default suits `ifssr`; the other methods want 0.02 to 0.1.
        min_spots : int
            Fewest spots that a further crystal covers and none before it does.

        Returns
        -------
        (n,) int64 or None
            Indices of the cells that are crystals, best first: index i means output_cells[:, 3 * i:3 * i + 3].
            None when there is no crystal.

        Notes
        -----
        Under the presets `best` and `fast` the cells that `run` returned have been judged: all that are not empty are
        crystals, whatever the threshold and the number of spots.
        """
        rows = spots_from_published(spots)
        cells = cells_from_published("output_cells", output_cells)
        scores = np.asarray(output_scores)
        if scores.shape != (len(cells),) or scores.dtype not in (np.float32, np.float64):
            raise ValueError(
                f"output_scores: given {scores.dtype} of shape {scores.shape}; "
                f"wanted a float32 or float64 array of shape ({len(cells)},), one score for each cell"
            )
        follow_environment()
        (found,) = self._open_engine.crystals(
            rows, np.array([0, len(rows)]), cells[None], scores[None], method, threshold, min_spots
        )
        return found if len(found) else None

    def run_batch(
        self, spots: NDArray[Any], offsets: ArrayLike, input_cells: NDArray[Any], **options: Any
    ) -> BatchCells:
        """Index a batch of frames; each gets what `run` gives for it alone.

        Parameters
        ----------
        spots : (N, 3) float32 or float64, C order
            Spots of all frames, 1/angstrom. With the GPU backend also an array that lies on that GPU (CuPy, or anything
            with `__cuda_array_interface__` or DLPack), which is used where it is if it is float32.
        offsets : (F + 1,) int
            Frame f owns rows offsets[f]:offsets[f + 1]. A frame with spots that are no finite numbers gets empty slots.
        input_cells : (M, 3, 3) float32 or float64, C order
            Rows a, b, c, angstrom.
        **options
            The options of `run`, by name.

        Raises
        ------
        ValueError
            As for `run`.
        """
        if unknown := options.keys() - set(PUBLISHED):
            raise TypeError(f"run_batch has no option {', '.join(sorted(unknown))}: its options are those of run")
        follow_environment()
        engine, chosen = self._open_engine, self._chosen(options)
        return engine.run(*checked_batch(engine.adopted(spots), offsets), checked_cells(input_cells), chosen)

    def crystals_batch(
        self,
        result: BatchCells,
        spots: NDArray[Any],
        offsets: ArrayLike,
        method: str = _D.method,
        threshold: float = CRYSTALS_THRESHOLD,
        min_spots: int = _D.crystals_min_spots,
    ) -> list[NDArray[np.int64]]:
        """Separate the crystals among the cells of each frame of a batch; see `crystals`.

        Parameters
        ----------
        result
            What `run_batch` returned for these spots and offsets.

        Returns
        -------
        list of (n,) int64, one a frame
            Indices of the slots that hold crystals, best first; empty for none.
        """
        rows, bounds = checked_batch(self._open_engine.adopted(spots), offsets)
        if len(result.cells) != len(bounds) - 1:
            raise ValueError(f"result: given {len(result.cells)} frames; wanted the offsets' {len(bounds) - 1}")
        follow_environment()
        return self._open_engine.crystals(rows, bounds, result.cells, result.scores, method, threshold, min_spots)

    @property
    def _open_engine(self) -> Engine:
        if self._engine is None:
            raise RuntimeError("this indexer was closed at the end of its `with` block: make another one")
        return self._engine
