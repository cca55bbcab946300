"""The frames of the benchmarks, and the targets for indexing them."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ffbidx_core.benchmark import LYSOZYME, SCENARIOS, TRICLINIC
from ffbidx_core.simulate import Scenario

MONOCLINIC = (22.0, 28.0, 25.0, 90.0, 103.0, 90.0)
HEXAGONAL = (281.0, 281.0, 165.0, 90.0, 90.0, 120.0)
CENTRED = (61.0, 122.0, 168.0, 90.0, 90.0, 90.0)
PSEUDO = (50.0, 51.5, 70.0, 90.0, 90.0, 90.0)
CUBIC = (20.0, 20.0, 20.0, 90.0, 90.0, 90.0)


@dataclass(frozen=True)
class Case:
    """A case of frames with its targets.

    Attributes
    ----------
    name : str
        Name of the case.
    what : str
        Description of the frames.
    scenarios : tuple of Scenario
        The scenarios, each of which gives an equal share of the frames.
    target : float
        Smallest share of the frames or lattices that `measure` counts; for blank frames the largest.
    measure : str
        `frames`: frames whose lattice is found. `lattices`: lattices of `COUNTED_SPOTS` or more that are found.
        `blank`: frames on which a crystal is claimed.
    n_frames : int
        Number of frames.
    other_setting : float or None
        Largest share of claimed crystals in another setting of the lattice.
    misorientation : float or None
        Largest median misorientation, degrees.
    """

    name: str
    what: str
    scenarios: tuple[Scenario, ...]
    target: float
    measure: str = "frames"
    n_frames: int = 400
    other_setting: float | None = None
    misorientation: float | None = None


QUARTER = (0.25, 0.25)
XFEL = Scenario(
    cells=(CENTRED,),
    centring="C",
    n_spots=(12, 30),
    false_share=QUARTER,
    position_noise=1.0,
    mosaicity=0.002,
    distance_error=0.005,
)
"""Stills of a pulsed source: few spots, 1 px of noise, 2 mrad of mosaicity, a distance 0.5 % wrong."""
_clean = Scenario(cells=(LYSOZYME,), n_spots=(60, 120), false_share=(0.1, 0.1))
_settings = Scenario(cells=(PSEUDO,), n_spots=(20, 50), false_share=(0.25, 0.3))
_noise = Scenario(cells=(CUBIC,), lattices=(0, 0), n_spots=(8, 300))


def _wrong_cells(e: float) -> tuple[Scenario, ...]:
    return tuple(replace(_clean, cell_error=error) for error in ((e, e, e), (-e, -e, -e), (e, e, -e)))


CASES = (
    Case(
        "14 of 54",
        "lysozyme, 14 true and 40 false spots",
        (Scenario(cells=(LYSOZYME,), n_spots=(14, 14), false_spots=(40, 40)),),
        0.90,
        n_frames=1000,
    ),
    Case(
        "14 of 44",
        "triclinic, 14 true and 30 false spots",
        (Scenario(cells=(TRICLINIC,), n_spots=(14, 14), false_spots=(30, 30)),),
        0.95,
    ),
    Case(
        "few spots",
        "lysozyme, 10-15 spots, a quarter false",
        (Scenario(cells=(LYSOZYME,), n_spots=(10, 15), false_share=QUARTER),),
        0.97,
        misorientation=0.15,
    ),
    Case("small cell", "monoclinic 22 28 25, 8-16 spots", (Scenario(cells=(MONOCLINIC,), n_spots=(8, 16)),), 0.97),
    Case(
        "half false",
        "lysozyme, 25-60 spots, 40-60 % false",
        (Scenario(cells=(LYSOZYME,), n_spots=(25, 60), false_share=(0.4, 0.6)),),
        0.98,
    ),
    Case(
        "xfel",
        "C-centred 61 122 168, 12-30 spots, a quarter false, 1 px, 2 mrad, distance 0.5 % wrong",
        (XFEL,),
        0.95,
    ),
    Case(
        "long cell",
        "hexagonal 281 281 165, 100-300 spots, 10 % false",
        (Scenario(cells=(HEXAGONAL,), n_spots=(100, 300), false_share=(0.1, 0.1)),),
        0.98,
    ),
    Case(
        "cell 1 % off",
        "lysozyme, 60-120 spots, input cell 1 % too large, too small, a b long and c short",
        _wrong_cells(0.01),
        0.98,
        n_frames=600,
    ),
    Case("cell 2 % off", "the same with 2 %", _wrong_cells(0.02), 0.95, n_frames=600),
    Case(
        "1-3 lattices",
        "lysozyme, 1-3 lattices, 100-200 spots, 15 % false",
        (Scenario(cells=(LYSOZYME,), n_spots=(100, 200), false_share=(0.15, 0.15), lattices=(1, 3)),),
        0.97,
        measure="lattices",
    ),
    Case("pseudo", "orthorhombic 50 51.5 70, 20-50 spots, 25-30 % false", (_settings,), 0.99, other_setting=0.01),
    Case(
        "C-centred",
        "61 122 168, 20-50 spots, 25-30 % false",
        (replace(_settings, cells=(CENTRED,), centring="C"),),
        0.99,
        other_setting=0.01,
    ),
    Case(
        "blank",
        "8-300 false spots, cells of 20 to 281 A",
        tuple(
            replace(_noise, cells=(cell,), false_place=place)
            for cell in (CUBIC, MONOCLINIC, LYSOZYME, TRICLINIC, CENTRED, HEXAGONAL)
            for place in ("detector", "resolution")
        ),
        0.005,
        measure="blank",
        n_frames=2004,
    ),
)
"""The cases of the quality benchmark, each with its target."""

MAX_FALSE = 0.005
"""Largest share of false crystals among all that are claimed."""

SPEED = {**SCENARIOS, "blank, 100 spots": replace(_noise, cells=(LYSOZYME,), n_spots=(100, 100))}
"""The scenarios of the speed benchmark."""
