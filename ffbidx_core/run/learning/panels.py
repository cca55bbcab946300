"""The refinement of the detector panels on the first frames of a run."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Sequence

from ...devices import Devices
from ...errors import InputError, UsageError
from ...model.detector.panels import Geometry
from ...model.records.frame import FrameBlock
from ...panels.gather import of_blocks
from ...panels.levels import check_level
from ...panels.refine import refine
from ...panels.trials import PanelTrials
from ...panels.words import moved_by, whole_shift
from ...read.formats.open import open_spots
from ...read.sift import ResolutionLimits
from ...write.formats.refined import refined_text
from ..account import Account
from ..job import Job

MOVED = (
    "the first {} frames show that panels are off, by {:.2f} px (rms), most {} by {:.2f} ± {:.2f} px: the run moves "
    "them; residuals of crystals that were not fitted fall from {:.3f} to {:.3f} px"
)
MOVED_WHOLE = (
    "the first {} frames show that the detector as a whole is off, by {:+.2f} ± {:.2f} px in x, {:+.2f} ± {:.2f} px in "
    "y and {:+.2f} ± {:.2f} px along the beam: the run moves it; residuals of crystals that were not fitted fall from "
    "{:.3f} to {:.3f} px"
)
STAY = "--learn-geometry: panels stay at their positions in the geometry: {}"
NEEDS_ONE = "inputs have geometries of their own: give one for all with -g FILE"


def learn_panels(account: Account, devices: Devices, head: Sequence[FrameBlock], job: Job) -> str:
    """Refine the panels on the first frames of a run; returns the text of the new geometry, or "" if panels stay.

    Parameters
    ----------
    account
        The account of the run, which notes the result, or why nothing was done.
    head
        The first frames of the run.
    job
        The job with the beam that was found.

    Raises
    ------
    UsageError
        If the geometry has no such level as `geometry_level`.
    """
    level = account.p.geometry_level
    try:
        target = _geometry_of(account.job)
    except (InputError, UsageError) as problem:
        account.note(STAY.format(problem))
        return ""
    check_level(target, level)
    try:
        references, blocks = account.cells.most_common(head)
        gathered = of_blocks(blocks, job.geometry, references, job.prober)
        trials = PanelTrials(devices, account.p, ResolutionLimits(job.d_min, job.d_max))
        refined = refine(gathered, trials, level=level)
        if refined.fit is None or refined.gain is None:
            account.note(STAY.format(refined.why))
            return ""
        text = refined_text(target, refined.panels, gathered.distance)
    except (InputError, UsageError) as problem:
        account.note(STAY.format(problem))
        return ""
    n, residuals = gathered.peaks.n_frames, (refined.gain.before, refined.gain.after)
    if refined.moves_whole:
        shifts = itertools.chain(*zip(*whole_shift(refined.fit), strict=True))
        account.note(MOVED_WHOLE.format(n, *shifts, *residuals))
    else:
        rms, most, by, error = moved_by(refined.fit)
        account.note(MOVED.format(n, rms, target.detector.panels[most].name, by, error, *residuals))
    return text


def _geometry_of(job: Job) -> Geometry:
    """The geometry in which panels are moved: that of the user, or if none was given that of the only input.

    Raises
    ------
    UsageError
        If there is no geometry for all frames.
    """
    if isinstance(job.geometry, Geometry):
        return job.geometry
    paths = {source.path for source in job.sources}
    if job.follow is None and len(paths) == 1:
        with contextlib.closing(open_spots(paths.pop(), prober=job.prober)) as file:
            if file.geometry is not None:
                return file.geometry
    raise UsageError(NEEDS_ONE)
