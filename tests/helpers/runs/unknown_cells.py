"""Lattices of all Bravais types, and frames with them."""

from ffbidx_core.cell_search import Frames
from ffbidx_core.simulate import Scenario, simulate

LATTICES = {
    "aP": ((31.0, 43.0, 52.0, 81.0, 98.0, 106.0), "P"),
    "mP": ((36.0, 47.0, 58.0, 90.0, 103.0, 90.0), "P"),
    "mC": ((81.0, 39.0, 63.0, 90.0, 113.0, 90.0), "C"),
    "oP": ((33.0, 51.0, 74.0, 90.0, 90.0, 90.0), "P"),
    "oC": ((53.0, 91.0, 66.0, 90.0, 90.0, 90.0), "C"),
    "oI": ((59.0, 78.0, 93.0, 90.0, 90.0, 90.0), "I"),
    "oF": ((83.0, 104.0, 131.0, 90.0, 90.0, 90.0), "F"),
    "tP": ((71.0, 71.0, 43.0, 90.0, 90.0, 90.0), "P"),
    "tI": ((72.0, 72.0, 111.0, 90.0, 90.0, 90.0), "I"),
    "hP": ((57.0, 57.0, 96.0, 90.0, 90.0, 120.0), "P"),
    "hR": ((84.0, 84.0, 121.0, 90.0, 90.0, 120.0), "H"),
    "cP": ((69.0, 69.0, 69.0, 90.0, 90.0, 90.0), "P"),
    "cI": ((92.0, 92.0, 92.0, 90.0, 90.0, 90.0), "I"),
    "cF": ((127.0, 127.0, 127.0, 90.0, 90.0, 90.0), "F"),
}
"""Conventional parameters and centring of a lattice of each Bravais type, none of which was used for tuning."""


def frames_of(code: str, n_frames: int, seed: int = 3, **settings) -> Frames:
    """Frames of a lattice with resolution 3 A and 15 to 30 spots, of which a quarter is false."""
    parameters, centring = LATTICES[code]
    given = {"n_spots": (15, 30), "false_share": (0.25, 0.25), "d_min": 3.0} | settings
    frames = simulate(Scenario(cells=(parameters,), centring=centring, **given), n_frames, seed)
    return Frames(frames.spots, frames.offsets)
