"""Several input cells, and input cells that are none."""

import numpy as np
import pytest

from ffbidx_core.model.cell import cell_parameters, symmetry_operators
from ffbidx_core.model.orientation import misorientation
from ffbidx_core.published_parameters import METHODS
from tests.helpers.frames import CELL, QUICK, cell_of, frame, published_cells, published_spots


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
@pytest.mark.parametrize("method", METHODS)
def test_two_input_cells_compete_and_their_copies_are_told_apart(indexer, order, method):
    known = [CELL, cell_of("hexagonal") * 0.6]
    given_cells = np.stack([known[i] for i in order])
    pieces = [frame(seed, cell=known[kind]) for seed, kind in enumerate((0, 1, 1))]
    rows, offsets = np.concatenate([rows for _, rows in pieces]), np.cumsum([0, *(len(rows) for _, rows in pieces)])
    result = indexer.run_batch(rows, offsets, given_cells, method=method, **QUICK)
    for f, kind in enumerate((0, 1, 1)):
        oriented = pieces[f][0]
        assert result.input_cell[f, 0] == order.index(kind)
        assert misorientation(result.cells[f, 0], oriented, symmetry_operators(known[kind], 1e-3)) < 1.0
    for f, q in np.argwhere(np.isfinite(result.scores) & (result.scores < 0.01)):
        own = cell_parameters(given_cells[result.input_cell[f, q]])
        np.testing.assert_allclose(cell_parameters(result.cells[f, q])[:3], own[:3], rtol=0.1)


def test_raw_cells_are_exact_copies_of_the_input_cell_they_name(indexer):
    given_cells = np.stack([CELL, cell_of("hexagonal") * 0.6])
    _, rows = frame()
    result = indexer.run_batch(rows, [0, len(rows)], given_cells, method="raw", n_output_cells=32, **QUICK)
    full = np.isfinite(result.scores)
    own = cell_parameters(given_cells)[result.input_cell[full]]
    np.testing.assert_allclose(cell_parameters(result.cells[full]), own, rtol=1e-4)
    assert (result.input_cell[~full] == -1).all()


def test_more_input_cells_than_the_indexer_takes(indexer):
    _, rows = frame()
    with pytest.raises(ValueError, match=r"input_cells: given 3; wanted 1 to 2 \(max_input_cells\)"):
        indexer.run(published_spots(rows), published_cells(CELL, CELL, CELL))


@pytest.mark.parametrize(
    "cell",
    [
        np.zeros((3, 3)),
        np.full((3, 3), np.nan),
        np.full((3, 3), np.inf),
        np.array([[30.0, 0, 0], [0, 40, 0], [30, 40, 0]]),
    ],
)
def test_an_input_cell_that_is_none_is_refused(indexer, cell):
    _, rows = frame()
    with pytest.raises(ValueError, match="cell"):
        indexer.run(published_spots(rows), published_cells(CELL, cell))
