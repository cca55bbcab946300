"""The diagnosis of a run from its results and the spots of a sample of its frames, with advice."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass, field

import numpy as np

from ..devices import Devices
from ..errors import InputError
from ..learn.multiples import Multiple, as_conventional, find_multiple
from ..model.detector.beam import offset_along_beam
from ..model.detector.beam_shift import NO_SHIFT, BeamShift, ShiftAlone
from ..model.lattice import Lattice, cell_option
from ..model.records.reason import FrameReason
from ..panels.of_run import RefinedRun, refine_results
from ..read.geometry.dials import is_experiments
from ..read.results import read_run
from ..read.run_inputs import RunInputs
from .advice import Advice, Pixels, frames_searched, inputs_to_type, moving_option, pixels_of, search_command
from .cells import CellFinding, cells_found
from .columns import RunColumns, read_columns
from .experiment import ExperimentFinding, find_experiment
from .sample import Sample, read_sample
from .scale import ScaleFinding, find_wrong_scale
from .settings import Setting, find_settings
from .trial import Trials

TRIED = 240
"""Number of frames of the sample that are indexed again."""
PANEL_FRAMES = 300
"""Number of frames of the run with which panels are examined."""
LEAST_ON_SPHERE = 0.5
"""Smallest share of the sample's frames whose wavelength must be known."""
MOSTLY_INDEXED = 0.5
"""Share of frames with a crystal from which a run that needs no correction goes on to other programs."""
FEW_INDEXED = 0.2
"""Share of frames with a crystal below which other scales are tried, if no other correction is found."""
MOST_AT_ORIGIN = 0.5
"""Share of spots inside the first shell of reciprocal space above which residuals are not looked at."""
NOTHING_TRIED = "nothing was indexed again"
"""Value of `Diagnosis.not_tried` if no devices were given; other reasons begin with these words."""
SAME_DISTANCE = 0.01
"""Difference in mm below which the distances of frames are taken as equal."""


@dataclass
class Diagnosis:
    """All findings about a run.

    Attributes
    ----------
    path : str
        Name of the results file.
    n_frames : int
        Number of frames of the run.
    lattices : list of int
        Numbers of frames with 0, 1, 2, ... crystals.
    cells : list of CellFinding
        Input cells with crystals, the one with most crystals first.
    lattice : Lattice or None
        Lattice of the first of these cells.
    n_sampled : int
        Number of frames of the sample; 0 if its spots cannot be read.
    missing : list of str
        Reasons why spots cannot be read.
    doubt : str
        Reason why the crystals of the run are not to be believed, in the words of its summary; empty if there is none.
    lost : bool
        Whether wrong lattices explain the spots about as well as the crystals of the run do, although the run did not
        find its cell to be a multiple of theirs.
    experiment : ExperimentFinding or None
        Errors of beam, distance and cell; None if they cannot be determined.
    panels : RefinedRun or None
        Refinement of the panels; None if there is one panel, or spots have no pixels.
    pixels : Pixels or None
        The shift of the beam in pixels; None if the spots have no pixels.
    distance : float or None
        Distance at which the beam meets the detector, mm; None if it is not the same on all frames.
    moved : BeamShift
        Shift by which the run itself moved the beam.
    multiple : Multiple or None
        The finding that the cell is a multiple or a part of the true one.
    multiple_place : tuple of 3 float
        Its vector, or the indices of its spots, on the conventional cell.
    multiple_cell : str
        The cell that would be correct, as the value of an option.
    at_origin : bool
        Whether most spots lie nearer to the beam than any reflection of the cell.
    scale : ScaleFinding or None
        The wrong distance, wavelength, cell or unit with which few frames are indexed, or their crystals are doubted.
    settings : list of Setting
        Other settings that resemble the cell.
    shifted : BeamShift
        The beam shift with which the run read its spots.
    not_tried : str
        Reason why no correction was tested; empty if there is none.
    advice : list of Advice
        Changes that were tested and helped.
    reasons : dict of FrameReason to int
        Number of frames without a crystal, by the reason.
    search : str
        The command that searches for another unit cell in the inputs of the run; empty if they are not known, or the
        run made this search itself (`--cell auto`).
    n_frames_searched : int
        Number of frames on which the run searched for its unit cell itself; 0 if its cells were given.
    limits : dict of str to float
        Limits of the resolution of the spots that the run used, angstrom, keyed by `d_min` and `d_max`; those that were
        given.
    to_type : list of str
        Inputs that a command that repeats the run has to name, because the options of the run name none.
    inputs_are_there : bool
        Whether all inputs of the run are where they were, so that it can be repeated.
    onward : tuple of str
        Suffixes of the outputs for the programs that go on with the results: CrystFEL, DIALS, or any that reads tables.
    """

    path: str
    n_frames: int
    lattices: list[int]
    cells: list[CellFinding]
    lattice: Lattice | None = None
    n_sampled: int = 0
    missing: list[str] = field(default_factory=list)
    doubt: str = ""
    lost: bool = False
    experiment: ExperimentFinding | None = None
    panels: RefinedRun | None = None
    pixels: Pixels | None = None
    distance: float | None = None
    moved: BeamShift = NO_SHIFT
    multiple: Multiple | None = None
    multiple_place: tuple[float, ...] = ()
    multiple_cell: str = ""
    at_origin: bool = False
    scale: ScaleFinding | None = None
    settings: list[Setting] = field(default_factory=list)
    shifted: BeamShift = NO_SHIFT
    not_tried: str = ""
    advice: list[Advice] = field(default_factory=list)
    reasons: dict[FrameReason, int] = field(default_factory=dict)
    search: str = ""
    n_frames_searched: int = 0
    limits: dict[str, float] = field(default_factory=dict)
    to_type: list[str] = field(default_factory=list)
    inputs_are_there: bool = False
    onward: tuple[str, ...] = (".csv",)

    @property
    def share(self) -> float:
        """The share of the frames that have a crystal."""
        return 1 - self.lattices[0] / max(self.n_frames, 1)

    @property
    def is_multiple_doubted(self) -> bool:
        """Whether `multiple` was derived from crystals that lost against wrong lattices."""
        if self.multiple is None or self.experiment is None:
            return False
        return self.lost and not self.experiment.shift_helps

    @property
    def credible_advice(self) -> list[Advice]:
        """The advice without a multiple or a part of a cell whose crystals lost against wrong lattices."""
        doubted = f"--cell {self.multiple_cell}" if self.is_multiple_doubted else None
        return [each for each in self.advice if each.option != doubted]

    def distance_nearer_by(self, share: float) -> float:
        """The distance, mm, of a detector that is nearer to the sample by a relative amount `share`."""
        assert self.distance is not None
        return self.distance / (1 + share)


def make_diagnosis(path: str, devices: Devices | None, found: RunColumns | None = None) -> Diagnosis:
    """Make the diagnosis of a results file.

    Parameters
    ----------
    devices
        Devices on which the sample is indexed again; None: no correction is tested.
    found
        The columns of this file, if they were read before.

    Raises
    ------
    InputError
        If the file is not a results file, is damaged, or has no frames.
    """
    found = found or read_columns(path)
    diagnosis = Diagnosis(path, found.n_frames, np.bincount(found.n_crystals).tolist(), cells_found(found))
    counts = np.bincount(found.reason, minlength=len(FrameReason))
    diagnosis.reasons = {reason: int(counts[reason]) for reason in FrameReason if reason and counts[reason]}
    try:
        header, _, record, mark, learned = read_run(path)
    except InputError as error:
        diagnosis.missing.append(str(error))
        return diagnosis
    diagnosis.doubt = mark.contest.doubt
    diagnosis.lost = mark.contest.is_lost and not mark.contest.multiple
    n_usable = found.n_frames - diagnosis.reasons.get(FrameReason.TOO_FEW_SPOTS, 0)
    diagnosis.search, diagnosis.n_frames_searched = search_command(record, n_usable), frames_searched(record)
    diagnosis.to_type = inputs_to_type(record)
    diagnosis.limits = {name: value for name in ("d_min", "d_max") if (value := record.settings.get(name)) is not None}
    diagnosis.inputs_are_there = bool(record.inputs) and all(os.path.lexists(known.path) for known in record.inputs)
    if learned:
        diagnosis.moved = learned[0].beam_shift
    inputs = RunInputs.of_header(header, None, record, path)
    if isinstance(inputs.geometry, ShiftAlone):
        diagnosis.shifted = inputs.geometry.beam_shift
    if diagnosis.cells:
        diagnosis.lattice = inputs.lattice_of(found.input_cells, diagnosis.cells[0].row)
    sample = read_sample(path, found, inputs)
    diagnosis.n_sampled, diagnosis.missing = sample.n_frames, sample.missing
    if sample.geometry is not None:
        diagnosis.onward = (".expt", ".refl") if is_experiments(header.geometry) else (".stream",)
    if sample.n_frames and sample.on_sphere < LEAST_ON_SPHERE:
        diagnosis.n_sampled = 0
        diagnosis.missing.append("on most frames they lie on no Ewald sphere around a beam along +z")
    elif sample.n_frames:
        compete = len(found.input_cells) == 1 or record.settings.get("cells") is not None
        trials = None
        if devices is None:
            diagnosis.not_tried = NOTHING_TRIED
        elif not compete:
            diagnosis.not_tried = f"{NOTHING_TRIED}: the inputs came with cells of their own"
        else:
            trials = Trials(sample.some(TRIED), found, record.settings, devices)
        diagnosis.at_origin = sample.share_at_origin > MOST_AT_ORIGIN
        if not diagnosis.at_origin:
            _look_at_spots(diagnosis, sample, trials)
        if not diagnosis.advice and (diagnosis.doubt or diagnosis.share < FEW_INDEXED):
            diagnosis.scale = find_wrong_scale(trials, sample, found, inputs, record.config)
        if not diagnosis.at_origin and sample.geometry is not None and len(sample.geometry.detector.panels) > 1:
            with contextlib.suppress(InputError):
                diagnosis.panels = refine_results(path, None, most=PANEL_FRAMES, as_whole=False)
    return diagnosis


def _look_at_spots(diagnosis: Diagnosis, sample: Sample, trials: Trials | None) -> None:
    experiment = diagnosis.experiment = find_experiment(sample, trials)
    if experiment is None:
        return
    diagnosis.pixels = pixels_of(sample, experiment)
    distances = sample.distance[np.isfinite(sample.distance)]
    if len(distances) == sample.n_frames and np.ptp(distances) < SAME_DISTANCE:
        offset = offset_along_beam(sample.geometry.detector) if sample.geometry else 0.0
        diagnosis.distance = float(np.median(distances)) + offset
    if experiment.shift_helps and experiment.before and experiment.after:
        diagnosis.advice.append(
            Advice(moving_option(sample, experiment, diagnosis.shifted), experiment.before, experiment.after)
        )
    if trials is not None:
        _try_scale(diagnosis, sample, experiment, trials)
    # The crystals of the run are used unless a correction found others.
    crystals = experiment.after.crystals if experiment.shift_helps and experiment.after else sample.crystals
    diagnosis.multiple = find_multiple(crystals, experiment.reference)
    if diagnosis.multiple is not None:
        _try_multiple(diagnosis, sample, experiment, trials)
    diagnosis.settings = find_settings(experiment.crystals, experiment.misfit, experiment.reference)


def _try_scale(diagnosis: Diagnosis, sample: Sample, experiment: ExperimentFinding, trials: Trials) -> None:
    """Test the detector distance or the cell that the residuals indicate."""
    shift = experiment.shift if experiment.shift_helps else NO_SHIFT.radian
    before = experiment.after if experiment.shift_helps else experiment.before
    assert before is not None
    if experiment.cause in ("distance", "both") and diagnosis.distance is not None:
        trial = trials.index(shift, experiment.distance.value)
        if trial.is_better_than(before):
            distance = diagnosis.distance_nearer_by(experiment.distance.value)
            diagnosis.advice.append(Advice(f"--distance {distance:.3f}", before, trial))
    if experiment.cause == "none" or any(cell.learned for cell in diagnosis.cells[:1]):
        return
    trial = trials.index(shift, cell=experiment.primitive_cell(sample))
    if experiment.cause in ("cell", "unknown") and trial.is_better_than(before):
        centring = diagnosis.lattice.centring if diagnosis.lattice else "P"
        diagnosis.advice.append(Advice(f"--cell {cell_option(experiment.cell, centring)}", before, trial))


def _try_multiple(diagnosis: Diagnosis, sample: Sample, experiment: ExperimentFinding, trials: Trials | None) -> None:
    """Describe the cell without the multiple, and test it."""
    found = diagnosis.multiple
    assert found is not None
    given = sample.conventional_cell(experiment.reference)
    diagnosis.multiple_place = tuple(found.place(sample.change[experiment.reference].to_primitive).tolist())
    diagnosis.multiple_cell = cell_option(*as_conventional(found.cell, given, found.order))
    before = experiment.after if experiment.shift_helps else experiment.before
    if trials is None or before is None:
        return
    trial = trials.index(experiment.shift if experiment.shift_helps else NO_SHIFT.radian, cell=found.cell)
    if trial.is_better_than(before):
        diagnosis.advice.append(Advice(f"--cell {diagnosis.multiple_cell}", before, trial))
