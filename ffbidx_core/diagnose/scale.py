"""The distance, wavelength, cell or unit that is probably wrong where few frames of a run fit their cell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..learn.mended_scale import DISTANCE, WAVELENGTH, KnownLengths, mended_scale
from ..model.detector.distance import FirstDistance
from ..model.detector.wavelength import common_wavelength
from ..read.run_inputs import RunInputs
from .columns import RunColumns
from .sample import Sample
from .trial import Trials


@dataclass(frozen=True)
class ScaleFinding:
    """A wrong scale of the frames and their cell.

    Attributes
    ----------
    options : list of str
        The options that mend it, each as it is typed; empty if none does.
    why : str
        Sentence with the reason, without a full stop.
    """

    options: list[str]
    why: str


def find_wrong_scale(
    trials: Trials | None, sample: Sample, found: RunColumns, inputs: RunInputs, config: Mapping[str, Any]
) -> ScaleFinding | None:
    """The scale at which the frames of a run fit the first of its cells; None without trials, or if none is better.

    `config` has the options that the user gave to the run.
    """
    scale = None if trials is None else trials.scale()
    if scale is None:
        return None
    rows = range(len(found.input_cells))
    centrings = [inputs.lattice_of(found.input_cells, row).centring for row in rows]
    distance = FirstDistance.common(sample.distance, sample.geometry.detector) if sample.geometry else None
    known = KnownLengths(
        from_pixels=sample.geometry is not None,
        distance=distance,
        wavelength=common_wavelength(sample.crystals.wavelength),
        typed=frozenset(option for option in (DISTANCE, WAVELENGTH) if config.get(option[2:]) is not None),
    )
    mended = mended_scale(scale, found.input_cells, centrings, known)
    return ScaleFinding([f"{mended.option} {value}" for value in mended.values], mended.why)
