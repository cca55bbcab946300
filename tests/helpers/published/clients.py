"""The calls that clients of the published interface make."""

import numpy as np

import ffbidx

AS_DIALS_CALLS = {
    "dist1": 0.3,
    "dist3": 0.15,
    "num_halfsphere_points": 32768,
    "max_dist": 0.00075,
    "min_spots": 8,
    "n_output_cells": 32,
    "method": "ifssr",
    "triml": 0.001,
    "trimh": 0.3,
    "delta": 0.1,
}
"""The options of `run` that DIALS and the fast feedback service pass, with their defaults."""


def crystals_as_dials_finds_them(rows, cell, options=AS_DIALS_CALLS, backend="auto"):
    """Find crystals (n, 3, 3) in spots (K, 3) by the calls of the strategy in DIALS; cells have rows a, b, c."""
    indexer = ffbidx.Indexer(
        max_output_cells=32, max_spots=300, num_candidate_vectors=32, redundant_computations=True, backend=backend
    )
    rlp = np.array(rows, dtype="float32").transpose().copy()
    # The orthogonalisation matrix has a, b, c as its columns.
    input_cell = np.reshape(np.array(cell.T.ravel(), dtype="float32"), (3, 3))
    cells, scores = indexer.run(rlp, input_cell, **options)
    indices = indexer.crystals(cells, rlp, scores, threshold=0.00075, min_spots=8, method="ifssr")
    if indices is None:
        return np.zeros((0, 3, 3))
    return np.array([[cells[:, 3 * i], cells[:, 3 * i + 1], cells[:, 3 * i + 2]] for i in indices], dtype=float)
