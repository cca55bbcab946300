"""Every parameter of the method, with its default, range, preset values and one-line help.

This module and `published_parameters` are the only places where a default or a range is written. The options of the
command and the arguments of the Python interface are generated from these fields.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, fields
from typing import Any

from .errors import ParameterError
from .published_parameters import PublishedParameters
from .ranges import A_LEVEL, SHARE, at_least, between, check_values, converted, one_of, param, zero_or

CRYSTALS_THRESHOLD = 0.00075
"""Distance below which the published `crystals` counts a spot as indexed, 1/angstrom."""
FRACTIONAL_THRESHOLD = {"raw": 0.15, "ifss": 0.05, "ifse": 0.05}
"""Deviation of fractional Miller indices below which a spot is indexed, by method; other methods use a distance."""
PRESETS = ("best", "fast", "published")
OPEN_TIMEOUT = 30.0
"""Default of the time that opening a file may take, seconds."""
SAVE_SECONDS = 30.0
"""Default of the longest time between two saved parts, which is the work that a crash can lose, seconds."""


@dataclass(frozen=True)
class Parameters(PublishedParameters):
    """All parameters of a run's method: those of the published program, then the levers that ffbidx adds.

    A lever is off by default, so that the defaults are the published method. Lengths in real space are in angstrom,
    distances in reciprocal space in 1/angstrom, unless the help says otherwise.
    """

    # Levers on the search
    race_spots: int = param(
        0,
        "number of spots on which all directions are scored, before the best ones are scored on all spots (0: off)",
        **zero_or(4),
        group="search",
        best=32,
    )
    race_directions: int = param(
        2048, "with --race-spots: number of best directions that are scored on all spots", **at_least(1), group="search"
    )
    candidate_separation: float = param(
        0.0,
        "smallest separation of candidate vectors, in spacings of the sampled directions (0: off)",
        **at_least(0),
        group="search",
        best=1.2,
    )
    candidate_pool: int = param(
        256,
        "with --candidate-separation: number of best directions from which candidates are chosen",
        **at_least(1),
        group="search",
    )
    vector_tolerance: float = param(
        0.0,
        "largest relative change of a vector's length in its refinement; equal vectors are merged (0: off)",
        **between(0, 0.5),
        group="search",
        best=0.03,
    )
    symmetry_tolerance: float = param(
        0.0,
        "relative tolerance of the lattice symmetry that is used to save work (0: off)",
        **between(0, 0.1),
        group="search",
        best=1e-3,
    )
    angle_peaks: int = param(
        0,
        "number of best angles that a candidate keeps, local optima of the score (0: every angle competes)",
        **at_least(0),
        group="search",
        best=4,
    )
    rigid_steps: int = param(
        0,
        "number of steps of the fit that rotates each cell as a rigid body (0: off)",
        **at_least(0, 1000),
        group="search",
        best=7,
        fast=5,
    )
    searches: int = param(
        1,
        "largest number of searches per frame, each on the spots that no earlier crystal indexes",
        **at_least(1),
        group="search",
        best=3,
    )
    research_points: int = param(
        8192, "number of directions sampled by the later searches", **at_least(2), group="search"
    )
    research_min_spots: int = param(
        10, "smallest number of unindexed spots for a further search", **at_least(4), group="search"
    )
    research_fraction: float = param(
        0.15,
        "smallest fraction of a frame's spots that must be unindexed for a further search",
        **between(0, 1),
        group="search",
    )

    flat_points: int = param(
        0,
        "in electron diffraction, number of directions of a further search of frames without a clear crystal (0: off)",
        **zero_or(2),
        group="search",
        best=131072,
    )

    # Acceptance
    accept: str = param(
        "count",
        "accept a cell as a crystal by its chance of being false, or by its count of spots",
        **one_of("chance", "count"),
        group="accept",
        best="chance",
    )
    max_false_rate: float = param(
        1e-4,
        "with --accept chance: a crystal is accepted if at most this many false ones as good are expected on its frame",
        **SHARE,
        group="accept",
    )
    min_new_spots: int = param(
        5,
        "with --accept chance: smallest number of spots of a crystal that no better crystal indexes",
        **at_least(4),
        group="accept",
    )
    merge_tolerance: float = param(
        0.0,
        "lattices that agree within this relative tolerance are one crystal (0: off)",
        **between(0, 0.2),
        group="accept",
        best=0.03,
    )
    max_drift: tuple[float, float] = param(
        (0.05, 3.0),
        "how far a crystal's cell may differ from its input cell: relative length, angle in degrees",
        wanted="two positive numbers: a relative length below 1, an angle in degrees below 90",
        check=lambda v: len(v) == 2 and 0 < v[0] < 1 and 0 < v[1] < 90,
        group="accept",
    )
    judge_frames: int = param(
        48,
        "number of indexed frames on which wrong lattices are tried after the run, to judge whether its crystals are "
        "credible (0: off)",
        **at_least(0),
        group="accept",
    )
    retry: bool = param(
        False,
        "index frames without a crystal again with other settings, under a stricter limit for each try",
        group="accept",
    )

    # The last fit
    polish: str = param(
        "none",
        "last fit: rotation and small strain of each crystal, or none",
        **one_of("constrained", "none"),
        group="polish",
        best="constrained",
    )
    strain_prior: float = param(
        0.002,
        "expected size of a crystal's strain (0: learned from the first frames, else 0.002)",
        **zero_or(1e-6, 1),
        group="polish",
        best=0.0,
    )
    weigh_residuals: bool = param(
        False,
        "weight residuals across and along the diffracted ray by their spread on the first frames",
        group="polish",
        best=True,
    )
    symmetric_strain: bool = param(False, "allow only strains that keep the symmetry of the lattice", group="polish")
    setting_tolerance: float = param(
        0.0,
        "also try other settings of the cell that agree within this relative tolerance (0: off)",
        **between(0, 0.2),
        group="polish",
        best=0.08,
    )

    # The run's cell and beam
    learn_cell: int = param(
        0, "number of first frames from which the unit cell is learned (0: off)", **at_least(0), group="learn", best=60
    )
    learn_beam: bool = param(
        False, "correct the beam position where the first frames determine it clearly", group="learn", best=True
    )
    learn_distortion: bool = param(False, "correct a common stretch and tilt of the detector", group="learn", best=True)
    learn_geometry: int = param(
        0, "number of first frames from which the panel positions are refined (0: off)", **at_least(0), group="learn"
    )
    geometry_level: str = param("panel", "with --learn-geometry: smallest parts that move by themselves", **A_LEVEL)
    learn_prior: float = param(0.012, "expected strain while the cell is learned", **between(1e-6, 1), group="learn")
    learn_rounds: int = param(4, "largest number of rounds of learning", **at_least(1), group="learn")
    learn_max_false_rate: float = param(
        0.01, "learn from crystals for which at most this many false ones are expected", **SHARE, group="learn"
    )
    learn_min_spots: int = param(8, "fewest spots of a crystal from which the run learns", **at_least(4), group="learn")
    learn_min_crystals: int = param(8, "fewest crystals from which a cell is learned", **at_least(1), group="learn")

    def validate(self) -> Parameters:
        """Check every value against its range, and the values that depend on one another.

        Returns
        -------
        Parameters
            The object itself.

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
        """Check that `retry` goes with acceptance by chance, whose limit can be made stricter for each further try.

        Raises
        ------
        ParameterError
            If `retry` is on and `accept` is `count`.
        """
        if self.retry and self.accept != "chance":
            raise ParameterError("retry", True, "off with --accept count, which cannot be made stricter for more tries")

    def replace(self, **changes: Any) -> Parameters:
        """A validated copy with some values changed.

        Raises
        ------
        ParameterError
            Naming the parameter, its value and the range.
        """
        return dataclasses.replace(self, **converted(changes, _TYPES)).validate()

    @classmethod
    def preset(cls, name: str, **changes: Any) -> Parameters:
        """The parameters of a preset, in which `changes` override the preset's values.

        Raises
        ------
        ParameterError
            If there is no preset of this name, or a changed value is out of its range.
        """
        if name not in PRESETS:
            raise ParameterError("preset", name, "one of " + ", ".join(PRESETS))
        levels = {f.name: f.metadata["presets"] for f in fields(cls) if name != "published"}
        values = {key: level.get(name, level.get("best")) for key, level in levels.items() if {name, "best"} & {*level}}
        return cls(**values).replace(**changes)

    @property
    def fewest_spots(self) -> int:
        """Number of spots below which a frame is not searched."""
        return self.min_new_spots if self.accept == "chance" else self.min_spots

    @property
    def coverage(self) -> tuple[float, bool]:
        """Threshold below which a spot is indexed, and whether it is in fractional Miller indices (else 1/angstrom)."""
        if self.crystals_threshold > 0:
            return self.crystals_threshold, False
        if self.accept == "count" and self.method in FRACTIONAL_THRESHOLD:
            return FRACTIONAL_THRESHOLD[self.method], True
        return CRYSTALS_THRESHOLD, False

    def as_json(self) -> str:
        """All values as the text of one JSON object, in the order of their definition."""
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def of_json(cls, text: str) -> Parameters:
        """The parameters from the text that `as_json` gave; names that this version does not know are ignored."""
        values: dict[str, Any] = json.loads(text)
        return cls().replace(**{name: value for name, value in values.items() if name in _TYPES})


_TYPES = {f.name: type(f.default) for f in fields(Parameters)}
