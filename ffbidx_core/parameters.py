"""Every parameter of ffbidx: its default, its range, its value in each preset, its one-line help.

With `published_parameters` the only place where a default or a range is written. The command's options and the Python
interface are made from it.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, fields
from typing import Any

from .errors import ParameterError
from .published_parameters import PublishedParameters
from .ranges import POSITIVE, SHARE, at_least, between, check_values, converted, one_of, param, zero_or

CRYSTALS_THRESHOLD = 0.00075
"""Published threshold of `crystals`, 1/angstrom."""
FRACTIONAL_THRESHOLD = {"raw": 0.15, "ifss": 0.05, "ifse": 0.05}
"""Threshold in fractional indices for the methods that measure in them."""
PRESETS = ("best", "fast", "published")
OPEN_TIMEOUT = 30.0
"""Seconds that a file may take to be opened, unless another time is given."""
SAVE_SECONDS = 30.0
"""Seconds of work that may be lost at most, unless another time is given."""


@dataclass(frozen=True)
class Parameters(PublishedParameters):
    """All parameters of one run: those of `PublishedParameters`, then the levers, which are off by default.

    Lengths are in angstrom, distances between spots in 1/angstrom unless the help says otherwise.
    """

    # Levers on the search
    race_spots: int = param(
        0,
        "all directions meet this many spots, the best of them all spots (0: off)",
        **zero_or(4),
        group="search",
        best=32,
    )
    race_directions: int = param(2048, "directions that meet all spots", **at_least(1), group="search")
    candidate_separation: float = param(
        0.0,
        "candidate vectors lie this many spacings of the directions apart (0: off)",
        **at_least(0),
        group="search",
        best=1.2,
    )
    candidate_pool: int = param(
        256, "best directions that separate candidates come from", **at_least(1), group="search"
    )
    vector_tolerance: float = param(
        0.0,
        "a refined vector keeps its length within this share, equal ones are merged (0: off)",
        **between(0, 0.5),
        group="search",
        best=0.03,
    )
    symmetry_tolerance: float = param(
        0.0,
        "the lattice's symmetry within this share saves work (0: off)",
        **between(0, 0.1),
        group="search",
        best=1e-3,
    )
    angle_peaks: int = param(
        0,
        "best local maxima over the angle kept per candidate (0: every angle competes)",
        **at_least(0),
        group="search",
        best=4,
    )
    rigid_steps: int = param(
        0,
        "steps of the fit that turns each cell, its shape fixed (0: off)",
        **at_least(0),
        group="search",
        best=7,
        fast=5,
    )
    searches: int = param(
        1,
        "most searches per frame, each on the spots left by the crystals before",
        **at_least(1),
        group="search",
        best=3,
    )
    research_points: int = param(8192, "directions sampled by the later searches", **at_least(2), group="search")
    research_min_spots: int = param(10, "fewest spots left for a further search", **at_least(4), group="search")
    research_fraction: float = param(
        0.15, "smallest share of the spots left for a further search", **between(0, 1), group="search"
    )

    # Acceptance
    accept: str = param(
        "count", "what makes a cell a crystal", **one_of("chance", "count"), group="accept", best="chance"
    )
    max_false_rate: float = param(
        1e-4,
        "chance: a crystal is one if at most so many false ones as good as it are expected on its frame",
        **SHARE,
        group="accept",
    )
    min_new_spots: int = param(5, "chance: fewest spots that no other crystal explains", **at_least(4), group="accept")
    merge_tolerance: float = param(
        0.0, "lattices equal within this share are one crystal (0: off)", **between(0, 0.2), group="accept", best=0.03
    )
    max_drift: tuple[float, float] = param(
        (0.05, 3.0),
        "a crystal's cell stays this close to its input cell: share of length, degrees",
        wanted="two positive numbers: a share of length below 1, an angle in degrees below 90",
        check=lambda v: len(v) == 2 and 0 < v[0] < 1 and 0 < v[1] < 90,
        group="accept",
    )
    judge_frames: int = param(
        48,
        "indexed frames on which lattices that are not there are tried in the end, to say whether the crystals are to "
        "be believed (0: off)",
        **at_least(0),
        group="accept",
    )
    retry: bool = param(
        False,
        "try frames without a crystal again with other settings, each try under a stricter limit",
        group="accept",
    )

    # The last fit
    polish: str = param(
        "none",
        "last fit: rotation and small strain, or none",
        **one_of("constrained", "none"),
        group="polish",
        best="constrained",
    )
    strain_prior: float = param(
        0.002,
        "expected size of a crystal's strain (0: as the first frames say, else 0.002)",
        **at_least(0),
        group="polish",
        best=0.0,
    )
    weigh_residuals: bool = param(
        False, "weigh residuals across and along the ray as the first frames say", group="polish", best=True
    )
    symmetric_strain: bool = param(False, "strain keeps the symmetry of the lattice", group="polish")
    setting_tolerance: float = param(
        0.0,
        "other settings of the cell that agree within this share are tried (0: off)",
        **between(0, 0.2),
        group="polish",
        best=0.08,
    )

    # The run's cell and beam
    learn_cell: int = param(
        0, "frames at the start that the cell is learned from (0: off)", **at_least(0), group="learn", best=60
    )
    learn_beam: bool = param(
        False, "move the beam to where these frames say beyond doubt that it is", group="learn", best=True
    )
    learn_geometry: int = param(
        0, "frames at the start that say where the detector's panels are (0: they stay)", **at_least(0), group="learn"
    )
    learn_prior: float = param(0.012, "expected strain while the cell is learned", **POSITIVE, group="learn")
    learn_rounds: int = param(4, "most rounds of learning", **at_least(1), group="learn")
    learn_max_false_rate: float = param(
        0.01, "most false crystals expected for a crystal that teaches", **SHARE, group="learn"
    )
    learn_min_spots: int = param(8, "fewest spots of a crystal that teaches", **at_least(4), group="learn")
    learn_min_crystals: int = param(8, "fewest crystals to learn from", **at_least(1), group="learn")

    def validate(self) -> Parameters:
        """Check every value against its range; return self.

        Raises
        ------
        ParameterError
            Naming the parameter, its value and the range.
        """
        check_values(self)
        if self.triml > self.trimh:
            raise ParameterError("triml", self.triml, f"at most trimh = {self.trimh:g}")
        if self.delta <= -self.triml:
            raise ParameterError("delta", self.delta, f"above -triml = {-self.triml:g}")
        if self.num_halfsphere_points < self.num_candidate_vectors:
            wanted = f"at least num_candidate_vectors = {self.num_candidate_vectors}"
            raise ParameterError("num_halfsphere_points", self.num_halfsphere_points, wanted)
        return self

    def check_retry(self) -> None:
        """Refuse further tries where acceptance cannot be made stricter for them.

        Raises
        ------
        ParameterError
            With `retry` and `accept` = `count`.
        """
        if self.retry and self.accept != "chance":
            raise ParameterError("retry", True, "off with --accept count, which cannot be made stricter for more tries")

    def replace(self, **changes: Any) -> Parameters:
        """A copy with some values changed, checked again."""
        return dataclasses.replace(self, **converted(changes, _TYPES)).validate()

    @classmethod
    def preset(cls, name: str, **changes: Any) -> Parameters:
        """The parameters of a preset; values given by hand win over it."""
        if name not in PRESETS:
            raise ParameterError("preset", name, "one of " + ", ".join(PRESETS))
        values: dict[str, Any] = {}
        for f in fields(cls):
            levels = f.metadata["presets"]
            if name == "fast" and "fast" in levels:
                values[f.name] = levels["fast"]
            elif name != "published" and "best" in levels:
                values[f.name] = levels["best"]
        return cls(**values).replace(**changes)

    @property
    def fewest_spots(self) -> int:
        """Frames with fewer spots are not searched."""
        return self.min_new_spots if self.accept == "chance" else self.min_spots

    @property
    def coverage(self) -> tuple[float, bool]:
        """Distance below which a spot is indexed, and whether it is one in fractional indices."""
        if self.crystals_threshold > 0:
            return self.crystals_threshold, False
        if self.accept == "count" and self.method in FRACTIONAL_THRESHOLD:
            return FRACTIONAL_THRESHOLD[self.method], True
        return CRYSTALS_THRESHOLD, False

    def as_json(self) -> str:
        """All values as one JSON object, in the order of their definition."""
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def of_json(cls, text: str) -> Parameters:
        """The reverse of `as_json`; names that this version does not know are passed over."""
        values: dict[str, Any] = json.loads(text)
        return cls().replace(**{name: value for name, value in values.items() if name in _TYPES})


_TYPES = {f.name: type(f.default) for f in fields(Parameters)}
