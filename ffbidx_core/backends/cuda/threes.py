"""The lattices of frames with few spots on the GPU; see `Backend.join_threes`."""

from __future__ import annotations

from typing import Any

import cupy as cp
import numpy as np

from ...model.records.batch import SpotBatch, to_host
from ...model.unknown import threes
from ..kernels import N_TRIPLES
from .arrays import of_spots
from .device import CudaDevice

BLOCK = 128
"""Number of threads of a block of the kernels that have a thread for each vector or lattice."""
PORTION = 16
"""Number of frames at once, which bounds the memory: 21 MB a frame for the keys of triples, 10 MB for the lattices."""


class CudaThrees(CudaDevice):
    """The verb that finds the lattices that are whole at three spots; values are sorted with their places."""

    def join_threes(self, spots: SpotBatch, reach: float) -> tuple[Any, Any]:
        """See `Backend.join_threes`; the host chooses the threes of spots."""
        cells = cp.zeros((spots.n_frames, threes.LATTICES, 3, 3), cp.float32)
        scores = cp.full((spots.n_frames, threes.LATTICES), -cp.inf, cp.float32)
        xyz, offsets = to_host(spots.xyz).astype(np.float64), to_host(spots.offsets)
        for first in range(0, spots.n_frames, PORTION):
            last = min(first + PORTION, spots.n_frames)
            mine = [xyz[:, offsets[f] : offsets[f + 1]].T for f in range(first, last)]
            chosen = [threes.chosen_threes(each, reach) for each in mine]
            if not any(len(bases) for bases, _ in chosen):
                continue
            some = SpotBatch(spots.xyz, spots.offsets[first : last + 1])
            found, lengths, values = self._lattices(some, chosen, reach)
            begin = 0
            for f, (bases, _) in enumerate(chosen, first):
                every = slice(begin, begin + len(bases) * threes.FITTED)
                kept = begin + threes.best_distinct(values[every], lengths[every], cp)
                cells[f, : len(kept)], scores[f, : len(kept)] = found[kept], values[kept]
                begin = every.stop
        return cells, scores

    def _lattices(self, spots: SpotBatch, chosen: list[tuple[Any, Any]], reach: float) -> tuple[Any, Any, Any]:
        """The lattices (n, 3, 3) of the threes of some frames, `FITTED` each, their Voronoi lengths (n, 7), and their
        scores (n,), -inf for empty slots."""
        bases = threes.reduced(np.concatenate([each for each, _ in chosen]))
        n_threes, most = len(bases), max(certainties.shape[1] for _, certainties in chosen)
        every = np.zeros((n_threes, most))
        frames = np.repeat(np.arange(len(chosen), dtype=np.int32), [len(each) for each, _ in chosen])
        for f, (_, certainties) in enumerate(chosen):
            every[frames == f, : certainties.shape[1]] = certainties
        common = {**of_spots(spots), "frames": cp.asarray(frames)}
        given = {"certainties": cp.asarray(every), "most": most}
        vectors, fitted = (cp.empty((n_threes, threes.VECTORS, 3)) for _ in range(2))
        self._launch(
            "whole_vectors",
            (n_threes,),
            2 * BLOCK,
            **common,
            **given,
            bases=cp.asarray(bases),
            sizes=cp.asarray(threes.box(bases, reach).astype(np.int32)),
            shortest=threes.SHORTEST * reach,
            longest=float(reach),
            vectors=vectors,
        )
        densities = cp.empty((n_threes, most, threes.VECTORS))
        self._launch_each(
            "fit_whole_vectors",
            n_threes * threes.VECTORS,
            **common,
            **given,
            vectors=vectors,
            fitted=fitted,
            densities=densities,
        )
        keys, counts = cp.empty((n_threes, N_TRIPLES), cp.uint64), cp.empty(n_threes, cp.int32)
        self._launch(
            "best_triples",
            (n_threes,),
            2 * BLOCK,
            offsets=spots.offsets,
            frames=common["frames"],
            fitted=fitted,
            densities=densities,
            most=most,
            items=keys,
            counts=counts,
        )
        places = cp.empty((n_threes, threes.FITTED), cp.int32)
        self._launch(
            "distinct_triples",
            (n_threes,),
            2 * BLOCK,
            vectors=vectors,
            counts=counts,
            items=keys,
            chosen=places,
        )
        n_lattices = n_threes * threes.FITTED
        cells, lengths = cp.empty((n_lattices, 3, 3)), cp.empty((n_lattices, 7))
        scores = cp.full(n_lattices, -cp.inf)
        self._launch_each(
            "fit_lattices",
            n_lattices,
            **common,
            fitted=fitted,
            chosen=places,
            cells=cells,
            lengths=lengths,
            scores=scores,
        )
        return cells, lengths, scores
