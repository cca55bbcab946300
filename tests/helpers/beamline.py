"""An asymmetric detector of three panels and stills on it, made without the project's own geometry.

The laboratory frame is that of CrystFEL: z along the beam, y up. No two panels are alike: one is tilted and one has its
axes swapped, so a mirrored or rotated axis, or a wrong panel, gives other crystals.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import h5py
import numpy as np

from ffbidx_core.model.cell import Array, cell_from_parameters
from tests.helpers.frames import indices, random_rotation, rotation

PARAMETERS = (31.0, 42.0, 53.0, 90.0, 103.0, 90.0)
CELL = cell_from_parameters(PARAMETERS)
ENERGY = 9500.0
WAVELENGTH = 12398.42 / ENERGY
DISTANCE = 80.0
PIXEL = 0.2
WIDTH, HEIGHT = 400, 300
"""Size of a panel in pixels; the three panels are one above the other in the data."""


@dataclass(frozen=True)
class PanelTruth:
    """The corner of a panel (mm, z relative to the detector distance), and one pixel along fs and ss (mm)."""

    name: str
    corner: Array
    fast: Array
    slow: Array


def _panel(name: str, corner, fast, slow, axis=(0, 0, 1), degrees=0.0) -> PanelTruth:
    turn = rotation(np.array(axis, float), degrees)
    return PanelTruth(
        name, np.array(corner, float), PIXEL * np.array(fast, float) @ turn, PIXEL * np.array(slow, float) @ turn
    )


PANELS = (
    _panel("upper", (-50, 6, 0), (1, 0, 0), (0, 1, 0), degrees=2),
    _panel("tilted", (62, -4, 2), (-1, 0, 0), (0, -1, 0), axis=(1, 0.3, 0), degrees=6),
    _panel("swapped", (-9, -70, -3), (0, 1, 0), (-1, 0, 0), degrees=-1),
)


def geom_text(clen: str = f"{DISTANCE / 1e3} m", beam: str = f"photon_energy = {ENERGY} eV") -> str:
    """The text of a CrystFEL geometry file of the detector."""
    lines = ["; simulated", beam, f"clen = {clen}", f"res = {1e3 / PIXEL}", "data = /entry_1/data_1/data"]
    lines += ["dim0 = %", "dim1 = ss", "dim2 = fs"]
    for number, panel in enumerate(PANELS):
        for axis, vector in (("fs", panel.fast), ("ss", panel.slow)):
            terms = " ".join(f"{v / PIXEL:+.9f}{x}" for v, x in zip(vector, "xyz", strict=True))
            lines.append(f"{panel.name}/{axis} = {terms}")
        fields = {
            "min_fs": 0,
            "max_fs": WIDTH - 1,
            "min_ss": number * HEIGHT,
            "max_ss": (number + 1) * HEIGHT - 1,
            "corner_x": panel.corner[0] / PIXEL,
            "corner_y": panel.corner[1] / PIXEL,
            "coffset": panel.corner[2] / 1e3,
        }
        lines += [f"{panel.name}/{key} = {value}" for key, value in fields.items()]
    return "\n".join(lines) + "\n"


def seen_by(panel: PanelTruth, ray: Array, distance: float) -> Array:
    """The points (n, 2) where rays (n, 3) meet the plane of a panel, in pixels from its corner; nan if they do not."""
    found = np.full((len(ray), 2), np.nan)
    corner = panel.corner + np.array([0, 0, distance])
    for i, direction in enumerate(ray):
        fs, ss, t = np.linalg.solve(np.column_stack([panel.fast, panel.slow, -direction]), -corner)
        if t > 0 and 0 <= fs < WIDTH and 0 <= ss < HEIGHT:
            found[i] = fs, ss
    return found


def peaks_of(
    cell: Array,
    *,
    wavelength: float = WAVELENGTH,
    distance: float = DISTANCE,
    width: float = 0.0025,
    shift: tuple[float, float] = (0.0, 0.0),
) -> Array:
    """The peaks (n, 3) of a crystal: fs and ss in the data, measured from corners, and the panel.

    The detector is displaced by `shift`, mm, along x and y.
    """
    reciprocal = np.linalg.inv(cell).T
    q = (reciprocal.T @ indices(16, 21, 27)).T
    beam = np.array([0, 0, 1 / wavelength])
    off = np.abs(np.linalg.norm(q + beam, axis=1) - 1 / wavelength)
    q = q[(off < width) & (np.linalg.norm(q, axis=1) > 0.02)]
    parts = []
    for number, panel in enumerate(PANELS):
        seen = seen_by(replace(panel, corner=panel.corner + np.array([*shift, 0.0])), q + beam, distance)
        seen = seen[~np.isnan(seen[:, 0])]
        parts.append(np.column_stack([seen[:, 0], seen[:, 1] + number * HEIGHT, np.full(len(seen), number)]))
    return np.concatenate(parts)


@dataclass
class Stills:
    """Frames with one crystal each: the true crystals, and the peaks of each frame."""

    cells: list[Array]
    peaks: list[Array]
    intensity: list[Array]


def stills(n: int, cell: Array = CELL, seed: int = 0, **options) -> Stills:
    """Make stills with random orientations."""
    rng = np.random.default_rng(seed)
    cells = [cell @ random_rotation(rng) for _ in range(n)]
    peaks = [rng.permutation(peaks_of(oriented, **options)) for oriented in cells]
    return Stills(cells, peaks, [rng.uniform(10, 1000, len(p)) for p in peaks])


def write_cxi(path: Path, made: Stills, group: str = "/entry_1/result_1", width: int = 512, **datasets) -> Path:
    """Write the stills as CXI peak lists, in pixel numbers, which are half a pixel less than positions from corners."""
    shape = (len(made.peaks), width)
    # Values beyond nPeaks are junk.
    tables = {name: np.full(shape, 123.4, np.float32) for name in ("peakXPosRaw", "peakYPosRaw", "peakTotalIntensity")}
    for row, (peaks, intensity) in enumerate(zip(made.peaks, made.intensity, strict=True)):
        for name, values in zip(tables, (peaks[:, 0] - 0.5, peaks[:, 1] - 0.5, intensity), strict=True):
            tables[name][row, : len(peaks)] = values
    with h5py.File(path, "w") as file:
        file[f"{group}/nPeaks"] = [len(peaks) for peaks in made.peaks]
        for name, values in tables.items():
            file[f"{group}/{name}"] = values
        for name, values in datasets.items():
            file[name] = values
    return path


def same_orientation(cell: Array, truth: Array, operators: Array, degrees: float = 0.5) -> bool:
    """Whether a cell equals the true one up to the symmetry of the lattice, within an angle and 1 % of the lengths."""
    for operator in operators:
        image = operator @ cell
        lengths = np.linalg.norm(image, axis=1)
        cosines = (image * truth).sum(axis=1) / lengths / np.linalg.norm(truth, axis=1)
        is_long_enough = np.allclose(lengths, np.linalg.norm(truth, axis=1), rtol=0.01)
        if is_long_enough and cosines.min() > np.cos(np.radians(degrees)):
            return True
    return False


MADE_FOR_READING = stills(3, seed=1)
