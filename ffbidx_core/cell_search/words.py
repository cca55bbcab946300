"""The result of a search for cells as text."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..model.cell import PARAMETER_NAMES, cell_parameters
from ..model.unknown.scan import FEWEST_SPOTS
from ..nouns import counted
from .found import CellSearch, FoundCell
from .search import FEWEST_LEFT, RIVAL

FAMILIES = {
    "a": "triclinic",
    "m": "monoclinic",
    "o": "orthorhombic",
    "t": "tetragonal",
    "h": "hexagonal",
    "c": "cubic",
}
FREE = {"a": (0, 1, 2, 3, 4, 5), "m": (0, 1, 2, 4), "o": (0, 1, 2), "t": (0, 2), "h": (0, 2), "c": (0,)}
"""The numbers of the free parameters of each crystal family."""
ENOUGH_FRAMES = (100, 300, 1000)
"""Numbers of frames that are suggested next."""
FEW_SPOTS = 15
"""Median number of spots below which many more frames are needed."""
SHOWN_ERRORS = 2
"""Number of digits of a standard error in brackets."""


def type_in_words(code: str) -> str:
    """The name of a Bravais type, such as `C-centred orthorhombic` for oC."""
    if code == "hR":
        return "rhombohedral (hexagonal axes)"
    centring = {"P": "primitive", "I": "body-centred", "F": "face-centred", "C": "C-centred"}[code[1]]
    return FAMILIES[code[0]] if code == "aP" else f"{centring} {FAMILIES[code[0]]}"


def with_error(value: float, error: float) -> str:
    """A number with its standard error in units of the last digit: 61.002(13)."""
    if not np.isfinite(error) or error <= 0:
        return f"{value:.2f}"
    digits = max(0, SHOWN_ERRORS - 1 - int(np.floor(np.log10(error))))
    return f"{value:.{digits}f}({max(1, round(error * 10**digits))})"


def cell_in_words(found: FoundCell) -> str:
    """One line with the cell, how sure it is, and how many frames have a second lattice."""
    code = found.symmetry.lattice.code
    parameters = cell_parameters(found.input_cell.cell)
    numbers = " ".join(f"{parameters[i]:.{1 if i < 3 else 2}f}" for i in (*range(3), *_angles(code)))
    rival = f"the next best has {found.rival / found.claimed:.0%} of its evidence"
    likely = "nothing half as likely" if found.rival < RIVAL * found.claimed else rival
    return (
        f"{type_in_words(code)} {numbers}; {likely}; on {found.share:.0%} of the frames; "
        f"{found.second_share:.0%} of these have a second lattice"
    )


def _angles(code: str) -> tuple[int, ...]:
    return tuple(i for i in FREE[code[0]] if i > 2)


def option_of(found: FoundCell) -> str:
    """The cell in the form of the option `--cell`."""
    cell = found.input_cell
    numbers = ",".join(f"{x:.3f}".rstrip("0").rstrip(".") for x in cell_parameters(cell.cell))
    return numbers + ("" if cell.lattice.centring == "P" else f",{cell.lattice.centring}")


def sentences(search: CellSearch) -> Iterator[str]:
    """Yield the result of a search line by line."""
    for number, found in enumerate(search.cells, start=1):
        yield f"cell {number}: {cell_in_words(found)}"
        yield f"  {_with_errors(found)}"
        yield f"  --cell {option_of(found)}"
        yield from (f"  {line}" for line in _symmetry_lines(found))
        yield from (f"  {line}" for line in _multiple_lines(found))
        yield from (f"  {line}" for line in cautions(found))
    if not search.cells:
        yield none_in_words(search)


def _with_errors(found: FoundCell) -> str:
    parameters, errors = cell_parameters(found.input_cell.cell), found.symmetry.errors
    free = FREE[found.symmetry.lattice.code[0]]
    return "  ".join(f"{PARAMETER_NAMES[i]} {with_error(parameters[i], errors[i])}" for i in free)


def _symmetry_lines(found: FoundCell) -> Iterator[str]:
    if len(found.table) < 2:
        return
    yield "symmetry     a b c alpha beta gamma                       metric off by   evidence gained"
    for each in found.table:
        mark = "*" if each is found.symmetry else " "
        numbers = " ".join(f"{x:.2f}" for x in each.lattice.parameters)
        yield f"{mark} {each.lattice.code:9s}  {numbers:45s} {each.lattice.deviation:9.2%}   {each.gain:+10.1f}"


def _multiple_lines(found: FoundCell) -> Iterator[str]:
    parts = ", ".join(f"1/{-each.index} {each.gain:+.0f}" for each in found.multiples if each.index < 0)
    larger = ", ".join(f"{each.index} {each.gain:+.0f}" for each in found.multiples if each.index > 0)
    yield f"evidence gained by the best cell of another volume: {parts}, {larger}"


def cautions(found: FoundCell) -> Iterator[str]:
    """Yield warnings about properties of a cell that the frames do not determine."""
    yield "all lengths scale with the detector distance: ratios and angles are surer than lengths"
    if found.stretch:
        yield (
            f"the crystals are stretched by {found.stretch:+.2%} along the beam: the detector distance is probably "
            f"{abs(found.stretch):.2%} too {'large' if found.stretch > 0 else 'small'}, and all lengths with it"
        )
    if found.shift:
        x, y = found.shift.mrad
        yield f"the beam is off by {x:+.2f} mrad in x and {y:+.2f} in y, corrected here: --beam-shift {x:.2f} {y:.2f}"
    higher = [each for each in found.table if each.lattice.order > found.symmetry.lattice.order]
    for each in higher:
        yield (
            f"{each.lattice.code} is near: a wrong beam or distance, few orientations or scattering crystals may "
            f"hide it; --symmetry {each.lattice.code} takes it"
        )


def none_in_words(search: CellSearch, asked: int | None = None) -> str:
    """A sentence that says why no cell was found, and what to try.

    Parameters
    ----------
    search
        The search.
    asked
        Number of frames that were to be read, by which an input with fewer frames is recognised; None if it has more.
    """
    if search.n_frames == 0:
        return f"no cell: no frame has the required {FEWEST_SPOTS} spots"
    explained = search.n_frames - len(search.left)
    what = f"no cell in {counted(search.n_frames, 'frame')} of {search.median_spots:.0f} spots (median)"
    if explained:
        has = "has" if explained == 1 else "have"
        what = f"no further cell: {explained} of {counted(search.n_frames, 'frame')} {has} a crystal of a known cell"
        if len(search.left) < FEWEST_LEFT:
            return f"{what}, and the other {len(search.left)} are too few"
    agree = f"at most {search.largest_support} of them agree on a lattice"
    if asked is not None and search.n_frames < asked:
        advice = f"these are all its frames with {FEWEST_SPOTS} spots or more: try with more files"
    elif more := next((n for n in ENOUGH_FRAMES if n > 1.5 * search.n_frames), None):
        advice = f"try `ffbidx cell --frames {more}`"
    else:
        return f"{what}: {agree}; these spots may belong to no lattice, or the cell may be too large"
    if search.median_spots < FEW_SPOTS:
        advice += ", or a lower threshold of the spot finder: 15 true spots per frame are enough for nearly any cell"
    return f"{what}: {agree}; {advice}"
