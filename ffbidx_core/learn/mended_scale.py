"""The words for a wrong scale of frames and their cell, and the option that mends it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..model.basis import ConventionalCells, as_given
from ..model.cell import cell_parameters
from ..model.detector.distance import FirstDistance
from ..model.detector.wavelength import is_usual, wavelengths_meant
from ..model.lattice import cell_option
from ..model.records.remedy import Remedy
from ..ranges import FARTHEST_DETECTOR, LONGEST_WAVELENGTH, NEAREST_DETECTOR, SHORTEST
from .found_scale import SAME_UNIT, Cause, Scale, divisor_of_distance

DISTANCE, WAVELENGTH, CELL = "--distance", "--wavelength", "--cell"
"""The options that mend a scale."""
OF_SPOTS = {
    10.0: "the cell is in nanometres, or {lengths} ten times too long",
    0.1: "the spots are in 1/nm, or {lengths} ten times too short",
    2 * np.pi: "the spots were divided by 2 pi, or the cell was",
    1 / (2 * np.pi): "the spots have a factor 2 pi, which they must not have",
}
"""Causes of the scales in `UNITS` if it is not known how the spots were computed; `lengths` names other ones."""
OF_CELL = OF_SPOTS | {
    0.1: "{lengths} is ten times too short, or the cell ten times too large",
    2 * np.pi: "the cell was divided by 2 pi",
    1 / (2 * np.pi): "the cell has a factor 2 pi, which it must not have",
}
"""Causes of the scales in `UNITS` if the spots were computed from pixels, so that their units are right."""
OWN_UNITS = "; the frames have distances of their own: write their unit in the geometry, as in `clen = PATH mm`"
"""What mends the distances of frames that have different ones in a wrong unit, for which there is no option."""
TOO_FEW = (
    "{} with enough spots are too few to find out which length or unit is wrong: with at least {} frames, other "
    "distances, wavelengths and cells are tried"
)
"""Format of a sentence for runs in which only an overwhelming scale would be found."""
COMMON, ALIKE, SAME_ANGLE = 0.012, 0.25, 0.3
"""Smallest common relative change of the lengths of a cell that is noted, largest difference between the changes of the
lengths as a share of it, and largest change of an angle, degrees."""
LEARNED = (
    "all lengths of the learned cell are {:.1%} {} than those given: the cell is {}, or the distance of the detector "
    "or the wavelength is {}"
)
"""Format of a sentence on a learned cell that differs from the given one by a common factor."""
AS_IF = "the wavelength is {:.6g} A, as if {}"
"""Format of a sentence with a wavelength and the mistake about it."""


@dataclass(frozen=True)
class KnownLengths:
    """What is known about the lengths with which the spots of frames were computed.

    Attributes
    ----------
    from_pixels : bool
        Whether the spots were computed from pixels, so that their units are right.
    distance : FirstDistance or None
        Distance of the detector on the first frames; None if there is none, or if frames have different ones.
    wavelength : float or None
        Wavelength of the first frames, angstrom; None if it is not known, or if frames have different ones.
    typed : frozenset of str
        Those of the options `--distance` and `--wavelength` that the user gave.
    """

    from_pixels: bool = False
    distance: FirstDistance | None = None
    wavelength: float | None = None
    typed: frozenset[str] = frozenset()


def mended_scale(
    scale: Scale, cells: ConventionalCells, centrings: Sequence[str], known: KnownLengths = KnownLengths()
) -> Remedy:
    """The option that mends a scale, and a sentence with the reason.

    Of the lengths that explain the scale, the one is taken that the user gave as an option, otherwise the distance,
    the wavelength, or the cell, in this order. The wavelength does not explain a scale that would make a usual
    wavelength an unusual one. If distances of different frames are in a wrong unit, no option mends them.

    Parameters
    ----------
    scale
        The scale.
    cells : (M, 3, 3)
        Input cells as given, angstrom.
    centrings
        Centring of each cell.
    known
        What is known about the lengths with which the spots were computed.
    """
    right = [scaled_cell(scale, as_given(cell), centring) for cell, centring in zip(cells, centrings, strict=True)]
    values = {DISTANCE: _right_distance(scale, known), WAVELENGTH: _right_wavelength(scale, known)}
    possible = [option for option in (DISTANCE, WAVELENGTH) if values[option]]
    possible.sort(key=lambda option: option not in known.typed)
    if possible:
        mended = Remedy(possible[0], [values[possible[0]]], "")
    elif (scale.cause == Cause.DISTANCE and scale.unit_of_distance) or scale.is_of_wavelength:
        return Remedy(None, [], _why(scale, None, known, right[0]))
    else:
        mended = Remedy(CELL, right, "")
    tries = " or ".join(f"{option} {values[option]}" for option in possible) or f"{CELL} {right[0]}"
    return replace(mended, why=f"{_why(scale, mended.option, known, right[0])}; try {tries}")


def mended_by_learning(
    given: ConventionalCells,
    learned: ConventionalCells,
    spots: NDArray[Any],
    centring: str,
    known_lengths: Callable[[], KnownLengths],
) -> Remedy | None:
    """The option that mends the scale of a cell that was learned; None if it is about right.

    A wrong distance or wavelength makes the learned cell larger or smaller in all lengths, and crystals are found all
    the same. Another crystal form, or another temperature, seldom changes all lengths alike.

    Parameters
    ----------
    given, learned : (3, 3)
        The cell as given, and as it was learned, angstrom.
    spots : (n, 3)
        Spots of the frames from which it was learned, 1/angstrom.
    centring
        Centring of the cell.
    known_lengths
        Function that returns what is known about the lengths with which the spots were computed; it opens files, and is
        called only if the scale is wrong.
    """
    before, after = cell_parameters(given), cell_parameters(learned)
    changes = after[:3] / before[:3] - 1
    common = float(changes.mean())
    is_common = np.ptp(changes) <= ALIKE * abs(common) and np.abs(after[3:] - before[3:]).max() <= SAME_ANGLE
    if abs(common) < COMMON or not is_common:
        return None
    factor, known = 1 + common, known_lengths()
    divisor = factor if known.wavelength is None else divisor_of_distance(spots, known.wavelength, factor)
    scale = Scale(factor, 0, 0, 0, distance=divisor)
    mended = mended_scale(scale, as_given(given[None]), [centring], known)
    wrong = f"about {abs(common):.1%} too {'long' if common > 0 else 'short'}"
    cell = cell_option(after, centring)
    why = LEARNED.format(abs(common), "larger" if common > 0 else "smaller", cell, wrong)
    if mended.option == CELL:
        return Remedy(None, [], f"{why} with which the spots were computed")
    return replace(mended, why=f"{why}; if so,{mended.why.rpartition(';')[2]}")


def scaled_cell(scale: Scale, cell: ConventionalCells, centring: str) -> str:
    """A cell (3, 3) multiplied by a scale, as the value of an option."""
    return cell_option(cell_parameters(scale.factor * cell), centring)


def _right_distance(scale: Scale, known: KnownLengths) -> str:
    """The distance that mends a scale, as the value of an option; empty if another distance does not."""
    is_typed_unit = scale.factor in (10.0, 0.1) and DISTANCE in known.typed
    is_possible = scale.cause == Cause.DISTANCE or (scale.cause == Cause.ANY and (not scale.is_far or is_typed_unit))
    if known.distance is None or not is_possible:
        return ""
    right = known.distance.divided(scale.distance, unit_is_wrong=scale.unit_of_distance != "")
    return f"{right:.6g}" if NEAREST_DETECTOR <= right <= FARTHEST_DETECTOR else ""


def _right_wavelength(scale: Scale, known: KnownLengths) -> str:
    """The wavelength that mends a scale, as the value of an option; empty if another wavelength does not."""
    if not known.from_pixels or known.wavelength is None or scale.cause == Cause.DISTANCE:
        return ""
    right = known.wavelength / scale.factor
    is_possible = is_usual(right) if scale.is_far else is_usual(right) or not is_usual(known.wavelength)
    return f"{right:.6g}" if is_possible and SHORTEST <= right <= LONGEST_WAVELENGTH else ""


def _why(scale: Scale, option: str | None, known: KnownLengths, right_cell: str) -> str:
    """The sentence with the possible causes of a scale, without the option that mends it."""
    counts = f"{scale.indexed} of {scale.of} of the first frames are indexed instead of {scale.before}"
    if scale.indexed <= scale.before:
        counts = f"{scale.of} of the first frames that were tried fit clearly better"
    if scale.cause == Cause.DISTANCE:
        own = OWN_UNITS if known.from_pixels and known.distance is None else ""
        unit = f": {scale.unit_of_distance}{own}" if scale.unit_of_distance else ""
        wrong = f"the distance of the detector is {_too_long(scale.distance)}"
        return f"with another distance of the detector {counts}: {wrong}{unit}"
    if option == WAVELENGTH and scale.is_far:
        return f"with another wavelength {counts}: {_mistake(scale)}"
    if scale.is_of_wavelength:
        return f"with all spots {scale.factor:.4g} times as far from the beam {counts}: {_mistake(scale)}"
    if scale.is_far:
        lengths = "the wavelength" if scale.cause == Cause.NOT_DISTANCE else "the distance or the wavelength"
        causes = (OF_CELL if known.from_pixels else OF_SPOTS)[scale.factor].format(lengths=lengths)
        return f"with a cell {scale.factor:.4g} times as large {counts}: {causes}"
    cell = f"the cell is too {'small' if scale.factor > 1 else 'large'}"
    if option != CELL:
        cell = f"{cell} ({CELL} {right_cell})"
    if scale.cause == Cause.NOT_DISTANCE:
        causes = f"the wavelength is {_too_long(scale.factor)}, or {cell}; it is not the distance"
    else:
        causes = f"the distance of the detector or the wavelength is {_too_long(scale.factor, 'either')}, or {cell}"
    if option == WAVELENGTH:
        return f"with another wavelength {counts}: {causes}"
    share, larger = abs(scale.factor - 1), "larger" if scale.factor > 1 else "smaller"
    return f"with a cell {share:.0%} {larger} {counts}: {causes}"


def _too_long(factor: float, it: str = "it") -> str:
    """How a length is wrong that must be divided by a factor, in words."""
    if factor > 1:
        return f"too long (divide {it} by {factor:.4g})"
    return f"too short (multiply {it} by {1 / factor:.4g})"


def _mistake(scale: Scale) -> str:
    """The mistake about the wavelength that explains a scale, in words."""
    read = scale.wavelength or np.nan
    meant = wavelengths_meant(read) if scale.wavelength else {}
    why = next((why for each, why in meant.items() if abs(each * scale.factor / read - 1) < SAME_UNIT), "")
    return AS_IF.format(read, why) if why else f"the wavelength is {_too_long(scale.factor)}"
