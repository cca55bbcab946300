"""The runs of `wrong.py`: frames with an error in their description, or without one."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ffbidx_core.benchmark import LYSOZYME, TRICLINIC
from ffbidx_core.model.cell import shortest_reciprocal
from ffbidx_core.model.detector.beam_shift import Radian
from ffbidx_core.model.detector.pixels import spots_of_moved_detector
from ffbidx_core.simulate import Scenario, SimulatedFrames, simulate
from tests.bench.scenarios import CENTRED, CUBIC, HEXAGONAL, MONOCLINIC, PSEUDO, XFEL

SIX = (6.0, 7.0, 9.0, 90.0, 100.0, 90.0)
FIRST_SHELL = (0.01, 0.1, 0.3, 0.6)
"""Shares of the spots of a blank frame inside the first shell of reciprocal space."""


@dataclass(frozen=True)
class Run:
    """Frames, and the error in their description.

    Attributes
    ----------
    scenario : Scenario
        The simulated frames.
    cell : tuple of 6 float or None
        The given cell (angstrom, degrees); None: that of the scenario.
    scale : float
        Factor on the lengths of all spots.
    jitter : float
        Error of the beam on each frame, pixels rms along x and along y.
    halo : float
        Share of the spots that are replaced by spots inside the first shell of reciprocal space.
    """

    scenario: Scenario
    cell: tuple[float, ...] | None = None
    scale: float = 1.0
    jitter: float = 0.0
    halo: float = 0.0

    def frames(self, n: int, seed: int) -> SimulatedFrames:
        """Simulate frames with the error in their description."""
        frames = simulate(self.scenario, n, seed)
        spots, rng = frames.spots.astype(np.float64), np.random.default_rng(seed)
        pixel = self.scenario.pixel_size * 1e-3 / self.scenario.distance
        for f in range(n if self.jitter else 0):
            mine = slice(frames.offsets[f], frames.offsets[f + 1])
            wavelength = np.full(len(spots[mine]), self.scenario.wavelength)
            spots[mine] = spots_of_moved_detector(
                spots[mine], wavelength, Radian(self.jitter * pixel * rng.normal(size=2))
            )
        inner = rng.random(len(spots)) < self.halo
        q = shortest_reciprocal(self.scenario.true_cells[0]) * np.sqrt(rng.uniform(0, 1, inner.sum()))
        phi = rng.uniform(0, 2 * np.pi, len(q))
        spots[inner] = np.column_stack([q * np.cos(phi), q * np.sin(phi), -q * q / 2])
        return replace(frames, spots=(self.scale * spots).astype(np.float32))


CLEAR = {"n_spots": (60, 120), "false_share": (0.1, 0.1)}
MANY = {"n_spots": (100, 300), "false_share": (0.1, 0.1)}
SHORT_WAVES = {"d_min": 0.8, "d_max": 20.0, "distance": 60.0, "wavelength": 0.7, "n_spots": None, "spot_radius": 0.006}
QUARTER = {"n_spots": (20, 50), "false_share": (0.25, 0.3)}


def electrons(cell: tuple[float, ...], pixels: tuple[float, float] = (0.0, 0.0), **more: object) -> Scenario:
    """A scenario of electron diffraction at 200 kV with the beam off by `pixels`."""
    usual = {"d_min": 0.9, "spot_radius": 0.004, "n_spots": (25, 60), "detector_size": (2048, 2048)}
    return Scenario(
        cells=(cell,),
        wavelength=0.0251,
        distance=1000.0,
        pixel_size=28.0,
        beam_centre_error=pixels,
        **(usual | more),  # type: ignore[arg-type]
    )


LYS = Scenario(cells=(LYSOZYME,), **CLEAR)  # type: ignore[arg-type]
TRI = Scenario(cells=(TRICLINIC,), **CLEAR)  # type: ignore[arg-type]
HEX = Scenario(cells=(HEXAGONAL,), **MANY)  # type: ignore[arg-type]
SMALL = Scenario(cells=(SIX,), **SHORT_WAVES)  # type: ignore[arg-type]
C = Scenario(cells=(CENTRED,), centring="C", **CLEAR)  # type: ignore[arg-type]
PSE = Scenario(cells=(PSEUDO,), **QUARTER)  # type: ignore[arg-type]

WRONG: dict[str, list[Run]] = {
    "electron diffraction, beam 1 to 40 px off": [
        Run(electrons(cell, pixels))
        for cell in (LYSOZYME, TRICLINIC)
        for pixels in ((1.0, 0.0), (-4.0, 3.0), (12.0, 10.0), (-30.0, 26.0))
    ],
    "beam off by 5 to 16 px from frame to frame": [
        Run(scenario, jitter=jitter) for scenario in (LYS, TRI, HEX) for jitter in (5.0, 10.0, 16.0)
    ],
    "distance 2 to 10 % off": [
        Run(replace(scenario, distance_error=e))
        for scenario in (LYS, TRI, HEX, SMALL)
        for e in (-0.1, -0.04, 0.02, 0.07)
    ],
    "wavelength 2 to 10 % off": [
        Run(scenario, scale=scale) for scenario in (LYS, TRI, HEX, SMALL) for scale in (0.9, 0.96, 1.02, 1.07)
    ],
    "cell of another crystal": [
        Run(TRI, LYSOZYME),
        Run(LYS, TRICLINIC),
        Run(LYS, HEXAGONAL),
        Run(HEX, LYSOZYME),
        Run(SMALL, (6.5, 8.0, 11.0, 90.0, 95.0, 90.0)),
        Run(TRI, CUBIC),
    ],
    "cell with lengths of the true one": [
        Run(LYS, (79.0, 79.0, 45.0, 90.0, 90.0, 90.0)),
        Run(LYS, (38.0, 60.0, 70.0, 90.0, 90.0, 90.0)),
        Run(C, (61.0, 110.0, 150.0, 90.0, 90.0, 90.0)),
        Run(TRI, (40.0, 50.0, 71.0, 90.0, 95.0, 90.0)),
        Run(SMALL, (6.0, 8.0, 9.0, 90.0, 90.0, 90.0)),
        Run(HEX, (281.0, 281.0, 140.0, 90.0, 90.0, 120.0)),
    ],
    "gamma in radians": [
        Run(scenario, (*cell[:5], float(np.radians(cell[5]))))
        for scenario, cell in ((LYS, LYSOZYME), (TRI, TRICLINIC), (HEX, HEXAGONAL))
    ],
    "cell three times too long": [
        Run(LYS, (79.0, 79.0, 114.0, 90.0, 90.0, 90.0)),
        Run(LYS, (237.0, 237.0, 114.0, 90.0, 90.0, 90.0)),
        Run(TRI, (TRICLINIC[0], TRICLINIC[1], 3 * TRICLINIC[2], *TRICLINIC[3:])),
        Run(SMALL, (18.0, 7.0, 9.0, 90.0, 100.0, 90.0)),
    ],
}
RIGHT_RUNS: dict[str, Run] = {
    "lysozyme": Run(LYS),
    "triclinic": Run(TRI),
    "hexagonal 281": Run(HEX),
    "C-centred": Run(C),
    "6 A": Run(SMALL),
    "monoclinic 22 28 25": Run(Scenario(cells=(MONOCLINIC,), n_spots=(8, 16))),
    "few spots": Run(Scenario(cells=(LYSOZYME,), n_spots=(10, 15), false_share=(0.25, 0.25))),
    "14 of 54 spots": Run(Scenario(cells=(LYSOZYME,), n_spots=(14, 14), false_spots=(40, 40))),
    "half false": Run(Scenario(cells=(LYSOZYME,), n_spots=(25, 60), false_share=(0.4, 0.6))),
    "a and b differ by 3 %": Run(PSE),
    "1 to 3 lattices": Run(Scenario(cells=(LYSOZYME,), n_spots=(100, 200), lattices=(1, 3))),
    "cells scatter by 0.4 %": Run(replace(LYS, cell_spread=0.004)),
    "90 % blank": Run(replace(LYS, blank_share=0.9)),
    "distance 0.5 % off": Run(replace(LYS, distance_error=0.005)),
    "beam 3 px off": Run(replace(LYS, beam_centre_error=(3.0, -2.0))),
    "cell 1 % off": Run(replace(LYS, cell_error=(0.01, 0.01, -0.01))),
    "XFEL": Run(XFEL),
    "electrons, lysozyme": Run(electrons(LYSOZYME)),
    "electrons, triclinic": Run(electrons(TRICLINIC)),
    "electrons, 281 A": Run(electrons(HEXAGONAL, n_spots=(60, 120), spot_radius=0.002)),
}
LENGTHS = (12, 60, 240)
"""Numbers of frames of the correct runs of each kind."""
BLANK = [
    Run(Scenario(cells=(cell,), n_spots=(20, 200), lattices=(0, 0)), halo=share)
    for cell in (CUBIC, MONOCLINIC, LYSOZYME, TRICLINIC, CENTRED, HEXAGONAL)
    for share in FIRST_SHELL
]
BLANK_ELECTRONS = [
    Run(electrons(cell, n_spots=(20, 200), lattices=(0, 0), d_min=d_min))
    for cell in (LYSOZYME, TRICLINIC, HEXAGONAL)
    for d_min in (2.0, 3.5)
]
