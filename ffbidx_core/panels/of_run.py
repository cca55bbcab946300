"""The refinement of the panels of a finished run."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from typing import Any

from ..devices import Devices
from ..errors import InputError, UsageError
from ..model.detector.panels import Geometry
from ..parameters import Parameters
from ..read.files.content import read_text
from ..read.formats.open import open_spots
from ..read.geometry.any import parse_geometry, parse_given
from ..read.results import read_run
from ..read.run_inputs import RunInputs
from ..read.sift import ResolutionLimits
from .gather import MOST_FRAMES, Gathered, of_results
from .levels import PANEL
from .refine import Refinement, refine
from .trials import PanelTrials

OTHER_PANELS = "has other panels than the geometry of the run: give the geometry file of the run"


@dataclass(frozen=True)
class RefinedRun:
    """The refined panels of a run.

    Attributes
    ----------
    refined : Refinement
        The result of the refinement.
    target : Geometry
        The geometry in whose text panels are moved.
    distance : float
        Distance from which its panel offsets are measured, mm.
    """

    refined: Refinement
    target: Geometry
    distance: float

    @property
    def names(self) -> list[str]:
        """The names of the panels."""
        return [panel.name for panel in self.target.detector.panels]


def refine_results(
    path: str,
    devices: Devices | None,
    target: str | None = None,
    *,
    most: int = MOST_FRAMES,
    level: str = PANEL,
    as_whole: bool = True,
) -> RefinedRun:
    """Refine the panels of a run with a sample of its frames.

    Parameters
    ----------
    path
        Name of the results file.
    devices
        Devices on which frames are indexed again; None: the crystals of the results are used, in one round.
    target
        Geometry file of the run, for its text and groups; None: the copy in the results or the inputs.
    most
        Largest number of frames of the sample.
    level
        The smallest parts of the detector that move by themselves, see `ffbidx_core.panels.levels.tree_of`.
    as_whole
        Whether the detector may be moved as a whole if its panels agree with each other.

    Raises
    ------
    InputError
        If spots cannot be read, or have no pixels.
    UsageError
        If the file `target` has other panels than the run, or the detector has no such level.
    """
    header, _, record, _, _ = read_run(path)
    inputs = RunInputs.of_header(header, None, record, path)
    gathered = of_results(path, inputs, most)
    file = _as_given(gathered, inputs, record.settings) if target is None else _read_target(target)
    names = [panel.name for panel in gathered.geometry.detector.panels]
    if [panel.name for panel in file.detector.panels] != names:
        raise UsageError(f"{target}: {OTHER_PANELS}")
    gathered = replace(gathered, geometry=replace(gathered.geometry, groups=file.groups, collections=file.collections))
    trials = None
    if devices is not None:
        limits = ResolutionLimits(record.settings.get("d_min"), record.settings.get("d_max"))
        trials = PanelTrials(devices, Parameters.of_json(header.parameters), limits)
    return RefinedRun(refine(gathered, trials, level=level, as_whole=as_whole), file, gathered.distance)


def _as_given(gathered: Gathered, inputs: RunInputs, settings: dict[str, Any]) -> Geometry:
    """The geometry given to the run; if the run has moved the beam, it is a new text without the comments."""
    given = parse_given("the geometry in the results", text) if (text := settings.get("geometry")) else None
    if not isinstance(given, Geometry) and not inputs.kept:
        with contextlib.suppress(InputError), contextlib.closing(open_spots(gathered.source)) as file:
            given = file.geometry
    names = [panel.name for panel in gathered.geometry.detector.panels]
    if isinstance(given, Geometry) and [panel.name for panel in given.detector.panels] == names:
        return given
    return gathered.geometry


def _read_target(path: str) -> Geometry:
    text = read_text(path)
    if text is None:
        raise InputError(path, "is HDF5: a CrystFEL geometry file or a DIALS experiment list is required")
    parse_geometry(path, text)
    # Bytes that are not text are kept.
    with open(path, "rb") as file:
        return parse_geometry(path, file.read().decode("utf-8", "surrogateescape"))
