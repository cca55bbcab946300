"""Columns that the results of a batch and of a run share: oriented cells, and measures of the crystals among them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from .table import OFFSETS, SHARED, ArrayTable, Column


@dataclass(kw_only=True)
class CellColumns(ArrayTable):
    """n oriented cells on F frames, of which k are crystals.

    Attributes
    ----------
    cell_offsets : (F + 1,) int64
        Cells of frame f are rows cell_offsets[f]:cell_offsets[f + 1], the lowest score first.
    cells : (n, 3, 3) float32
        Oriented cells, rows a, b, c, angstrom.
    scores : (n,) float32
        Score of each cell; lower is better.
    input_cell : (n,) int32
        Input cell from which each cell was found, as its row in the table's own set of input cells.
    crystal_offsets : (F + 1,) int64
        Crystals of frame f are rows crystal_offsets[f]:crystal_offsets[f + 1], best first.
    crystals : (k,) int64
        Row of `cells` that holds the oriented cell of each crystal.
    """

    cell_offsets: Annotated[NDArray[np.int64], Column(OFFSETS, "/cell_offsets", points_to="cells")]
    cells: Annotated[NDArray[np.float32], Column("cells", "/cells", tail=(3, 3), units="angstrom")]
    scores: Annotated[NDArray[np.float32], Column("cells", "/scores")]
    input_cell: Annotated[NDArray[np.int32], Column("cells", "/input_cell", points_to=SHARED)]
    crystal_offsets: Annotated[NDArray[np.int64], Column(OFFSETS, "/crystal_offsets", points_to="crystals")]
    crystals: Annotated[NDArray[np.int64], Column("crystals", "/crystals", points_to="cells")]


@dataclass(kw_only=True)
class CrystalColumns(ArrayTable):
    """Measures of k crystals.

    A further measure takes one line here, one where it is computed, and one where it is shown.

    Attributes
    ----------
    n_indexed : (k,) int32
        Number of spots on its frame that each crystal indexes.
    rmsd : (k,) float32
        Root mean square distance of the indexed spots from the predicted reflections, 1/angstrom.
    log10_chance : (k,) float32
        log10 of the chance level; nan if the level was not used.
    log10_false : (k,) float32
        log10 of the expected number of false crystals on the frame that are as good as this one; nan where the chance
        level is nan, and in files of programs that did not compute it.
    n_expected : (k,) float32
        Number of spots on its frame that each crystal would index by chance; nan in the same files.
    resolution : (k,) float32
        Resolution up to which each crystal indexes spots, angstrom: that of the outermost indexed spot after the
        outermost 2 % of the crystal's indexed spots, at least two, are left out. nan for a crystal with fewer than
        three indexed spots, and in files of programs that did not measure it.
    """

    n_indexed: Annotated[NDArray[np.int32], Column("crystals", "/crystal/n_indexed")]
    rmsd: Annotated[NDArray[np.float32], Column("crystals", "/crystal/rmsd", units="1/angstrom")]
    log10_chance: Annotated[NDArray[np.float32], Column("crystals", "/crystal/log10_chance")]
    log10_false: Annotated[NDArray[np.float32], Column("crystals", "/crystal/log10_false", fill=np.nan)]
    n_expected: Annotated[NDArray[np.float32], Column("crystals", "/crystal/n_expected", fill=np.nan)]
    resolution: Annotated[NDArray[np.float32], Column("crystals", "/crystal/resolution", units="angstrom", fill=np.nan)]
