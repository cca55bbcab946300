"""The published Python interface: the class `Indexer` of `import ffbidx`."""

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
    """Finds the orientations of known unit cells that explain the spots of stills.

    Parameters
    ----------
    max_output_cells : int
        Largest number of cells that `run` returns.
    max_input_cells : int
        Largest number of input cells that compete in a `run`; more cells raise a ValueError.
    max_spots : int
        Largest number of spots in the sampling, those of lowest resolution; refinement and `crystals` use all spots.
    num_candidate_vectors : int
        Number of candidates, which are the best sample vectors, per length.
    redundant_calculations : bool
        Whether candidates are computed for all vectors of an input cell, and not only for the longest one.
    redundant_computations : bool, optional
        Another spelling of `redundant_calculations`.
    backend : str
        Name of the backend, `auto`, `cuda` or `cpu`.
    device : int or str, optional
        Number of the GPU; by default that of the environment variable INDEXER_GPU_DEVICE, or the current one. A GPU
        that is named is used, or an error is raised; if none is named, `auto` uses the CPU if there is no GPU.
    preset : str, optional
        `published`, `best` or `fast`; by default that of the environment variable FFBIDX_PRESET, or `published`. With
        `best` and `fast` the method is that of the command with this preset: `run` returns crystals only, each once and
        the best first, and `crystals` returns all of these. An option of the caller takes precedence over the preset;
        if the environment sets the preset, an option that repeats its published default does not, because many clients
        always pass these.

    Raises
    ------
    ValueError
        If a parameter is out of its range; the error names it.
    BackendUnavailable
        If the requested backend is not available on this machine; it is a RuntimeError.

    Notes
    -----
    An indexer may be used from several threads at once, and on the CPU also from forked processes. On a GPU each
    process must make its own: an indexer that was made before a fork raises a RuntimeError in the child.

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
        # Code written without presets repeats published defaults without intent.
        self._chosen = other_than_published if preset is None else dict
        self._parameters = Parameters.preset(preset_for(preset), **self._chosen(options))
        self._engine: Engine | None = Engine(backend_for(backend, device), self._parameters)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Arrays held by the frames of a traceback would keep memory of the GPU.
        traceback.clear_frames(trace)
        self.close()

    def close(self) -> None:
        """Release memory and threads, as `del` does; the indexer cannot be used any more."""
        engine, self._engine = self._engine, None
        if engine is not None:
            engine.close()

    @with_signature(("self", "spots", "input_cells"), RunOptions)
    def run(
        self, spots: NDArray[Any], input_cells: NDArray[Any], *positional: Any, **named: Unpack[RunOptions]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Index one frame by finding and refining oriented cells.

        The options may be given by position in the order below, or in that of PSI's module since 1.0, in which
        `vr_min_spots` comes after `dist3`.

        Parameters
        ----------
        spots : (3, K) float32 or float64 in C order, or (K, 3) in Fortran order
            Spots in reciprocal space, 1/angstrom (no factor 2 pi). An array (3, 3) in C order is read as (3, K).
        input_cells : (3, 3M) float32 or float64 in C order, or (3M, 3) in Fortran order
            Vectors a, b, c of each of M cells in real space, angstrom: the columns of (3, 3M).
        method : str
            Refinement: `raw` (none), `ifss` (fit to selected spots), `ifse` (fit to selected errors) or `ifssr` (fit to
            spots selected in reciprocal space).
        length_threshold : float
            Largest difference in length, angstrom, of vectors that share their candidates.
        triml, trimh : float
            Range to which distances are trimmed.
        delta : float
            Offset added to distances before the logarithm; a lower value is more selective.
        dist1, dist3 : float
            Largest distance of a spot that counts for the score of a vector or of a cell; `trimh` if 0 or less.
        num_halfsphere_points : int
            Number of directions sampled on the half sphere.
        num_angle_points : int
            Number of angles sampled about each candidate vector; 0 for a heuristic.
        n_output_cells : int
            Number of cells returned, at most `max_output_cells`.
        contraction : float
            Factor by which the threshold of the refinement shrinks.
        max_dist : float
            Threshold at which the refinement stops.
        min_spots : int
            Smallest number of spots against which a cell is refined.
        n_iter : int
            Largest number of iterations of the refinement.
        vr_min_spots : int
            Smallest number of spots against which a candidate vector is refined; 0 switches this refinement off.

        Returns
        -------
        output_cells : (3, 3N) float32, C order
            N oriented cells, best first. Cell i is the columns 3i:3i+3: its vectors a, b, c. Empty slots are zero.
        scores : (N,) float32
            Score of each cell, lower is better; +inf for empty slots.

        Raises
        ------
        ValueError
            If an array or parameter is not as described, or an input cell spans no lattice. Spots that are not finite
            are no error; then all slots are empty.
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
            Cells as returned by `run`. The argument may also be called `cells`, and the scores `scores`.
        spots
            Spots as for `run`.
        output_scores : (M,) float32 or float64
            Scores of the cells.
        method : str
            With `ifssr` the distance between a spot and its predicted position is compared with the threshold, in
            1/angstrom; otherwise the distance between its fractional Miller indices and the nearest integers.
        threshold : float
            Distance below which a spot is covered. The default suits `ifssr`; the other methods need 0.02 to 0.1.
        min_spots : int
            Smallest number of spots that a further crystal must cover and no crystal before it covers.

        Returns
        -------
        (n,) int64 or None
            Indices of the cells that are crystals, best first: index i means output_cells[:, 3 * i:3 * i + 3].
            None if there is no crystal.

        Notes
        -----
        With the presets `best` and `fast`, `run` has judged the cells already: all that are not empty are crystals,
        whatever the threshold and the number of spots.
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
        """Index a batch of frames; each gets the result that `run` returns for this frame alone.

        Parameters
        ----------
        spots : (N, 3) float32 or float64, C order
            Spots of all frames, 1/angstrom. With the GPU backend also an array on that GPU (CuPy, or any array with
            `__cuda_array_interface__` or DLPack), which is used in place if it is float32.
        offsets : (F + 1,) int
            Frame f owns rows offsets[f]:offsets[f + 1]. A frame with spots that are not finite gets empty slots.
        input_cells : (M, 3, 3) float32 or float64, C order
            Input cells, rows a, b, c, angstrom.
        **options
            The options of `run` as keywords.

        Raises
        ------
        ValueError
            If an argument is not as described, or a parameter is out of its range.
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
            The result of `run_batch` for these spots and offsets.

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
