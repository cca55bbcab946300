"""Cells of the frames of a batch between the verbs of a backend, all as arrays of the backend."""

from __future__ import annotations

from typing import NamedTuple

from ..model.xp import XpArray


class OrientedCells(NamedTuple):
    """The oriented cells of each frame, the best first.

    An empty slot has a zero cell, the score +inf and the input cell -1.

    Attributes
    ----------
    cells : (F, Q, 3, 3) float64
        Oriented cells, rows a, b, c, angstrom.
    scores : (F, Q) float64
        Score of each cell; lower is better.
    input_cell : (F, Q) int32
        Number of the input cell of which each cell is a copy.
    """

    cells: XpArray
    scores: XpArray
    input_cell: XpArray


class Judgement(NamedTuple):
    """The cell of each frame that is most probably a crystal.

    Attributes
    ----------
    slot : (F,) int64
        Slot of the cell; -1 if no cell has enough spots to be a crystal.
    cells : (F, 3, 3) float64;  input_cell : (F,) int32
        The cell, rows a, b, c, angstrom, and the number of its input cell; a zero cell and -1 if there is none.
    level : (F,) float64
        log10 of the chance level of this cell, or of the cell in slot 0 if there is none.
    radius : (F,) float64
        Radius at which the chance level of this cell is lowest, 1/angstrom; without meaning if the level is 0.
    lowest : (F,) float64
        Lowest log10 chance level of any cell of the frame.
    """

    slot: XpArray
    cells: XpArray
    input_cell: XpArray
    level: XpArray
    radius: XpArray
    lowest: XpArray


class BestCells(NamedTuple):
    """The cell of each frame that is taken next: the one of `Judgement` if it passes, else a zero cell.

    Attributes
    ----------
    passes : (F,) bool
        Whether few enough false crystals as good as the cell are expected.
    cells : (F, 3, 3) float64
        The cells, rows a, b, c, angstrom.
    scores : (F,) float64
        Scores of the cells from the search; +inf for those that do not pass.
    false : (F,) float64
        log10 of the lowest expected number of false crystals, whether the cell passes or not.
    input_cell, level, radius, lowest
        Those of `Judgement`.
    """

    passes: XpArray
    cells: XpArray
    input_cell: XpArray
    scores: XpArray
    level: XpArray
    radius: XpArray
    lowest: XpArray
    false: XpArray


class CheckedCells(NamedTuple):
    """The fate of the cells of `BestCells` after their refinement.

    Attributes
    ----------
    is_new : (F,) bool
        Whether the cell is a crystal, and no earlier crystal of its frame has the same lattice.
    known : (F, 3, 3) float64
        The refined cell if it is new, else a cell that equals none.
    reason : (F,) uint8
        Reason why the cell is not a crystal, as `FrameReason`; NONE if it is one or did not pass.
    cutoff : (F,) float64
        Distance within which a crystal explains its spots, 1/angstrom: the larger one of the radius at which its
        chance level is lowest and the cut-off of its fit, which is limited; 0 if the cell is no crystal.
    """

    is_new: XpArray
    known: XpArray
    reason: XpArray
    cutoff: XpArray


class Coverage(NamedTuple):
    """The spots that cells index, all (F, Q).

    Attributes
    ----------
    n_indexed : int32
        Number of indexed spots.
    rmsd : float32
        Root mean square of their distances from the predicted spots, 1/angstrom.
    resolution : float32
        Resolution, angstrom, up to which a cell indexes spots; nan for a cell with too few.
    """

    n_indexed: XpArray
    rmsd: XpArray
    resolution: XpArray


class Limits(NamedTuple):
    """Limits that a refined cell must keep to be a crystal.

    Attributes
    ----------
    lost : float
        log10 of the largest expected number of false crystals.
    drift : (2,) float
        Largest relative change of a vector's length, and largest change of an angle in degrees.
    merge : float
        Tolerance within which two crystals have the same lattice; see `model.orientation.equal_lattices`.
    given : (M, 3, 3) float64
        Input cells from which a cell must not drift; an array of the backend.
    largest : (M,) float64
        Largest distance within which a crystal of each input cell may explain its spots, 1/angstrom; likewise.
    """

    lost: float
    drift: tuple[float, float]
    merge: float
    given: XpArray
    largest: XpArray
