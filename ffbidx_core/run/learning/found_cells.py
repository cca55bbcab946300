"""The search for an unknown input cell at the start of a run: `--cell auto`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing

from ...cell_search import CellSearch, Frames, find_cells
from ...cell_search.search import FRAMES
from ...cell_search.words import cell_in_words, none_in_words
from ...devices import open_devices
from ...errors import NoCell
from ...model.lattice import InputCell
from ..job import Job

FOUND = "the unit cell was found on the first {} frames: {}"


def found_cells(
    job: Job, known: Sequence[InputCell], show: Callable[[str], object]
) -> tuple[CellSearch, tuple[str, ...]]:
    """Search for cells on the first frames of a job, and make a note of each cell found for the results.

    The frames are the first ones of the whole input, whatever share the job has, so all shares find the same cells.

    Parameters
    ----------
    known
        Known cells; the search is on frames without a crystal of these, and may find no further cell.

    Raises
    ------
    NoCell
        If no cell is found and none is known.
    """
    frames = Frames.of_blocks(job.first_blocks(), FRAMES)
    with closing(open_devices(job.backend, job.device, job.threads)) as devices:
        search = find_cells(frames, devices, known=[each.primitive for each in known], show=show)
    if not search.cells and not known:
        raise NoCell(f"--cell auto: {none_in_words(search, FRAMES)}")
    notes = tuple(FOUND.format(search.n_frames, cell_in_words(each)) for each in search.cells)
    return search, notes
