"""The distance, wavelength, cell or unit that is probably wrong where few frames of a run fit their cell."""

from __future__ import annotations

from dataclasses import dataclass

from ..learn.mended_scale import mending_option, note_of_scale
from ..model.basis import as_given
from ..model.detector.distance import FirstDistance
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
    trials: Trials | None, sample: Sample, found: RunColumns, inputs: RunInputs
) -> ScaleFinding | None:
    """The scale at which the frames of a run fit the first of its cells; None without trials, or if none is better."""
    scale = None if trials is None else trials.scale()
    if scale is None:
        return None
    rows = range(len(found.input_cells))
    centrings = [inputs.lattice_of(found.input_cells, row).centring for row in rows]
    from_pixels = sample.geometry is not None
    distance = FirstDistance.common(sample.distance, sample.geometry.detector) if sample.geometry else None
    option, values = mending_option(scale, found.input_cells, centrings, distance)
    own = from_pixels and distance is None
    given = as_given(found.input_cells[0])
    why = note_of_scale(scale, given, centrings[0], from_pixels=from_pixels, own_distances=own)
    return ScaleFinding([f"{option} {value}" for value in values], why)
