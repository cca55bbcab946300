"""DIALS files of the asymmetric detector, made without the project's own code.

The laboratory frame of dxtbx is taken as that of imgCIF, with the beam along -z, so ours is rotated from it by 180
degrees about y. The panels are in a group that is itself rotated and shifted.
"""

import json
from pathlib import Path

import h5py
import msgpack
import numpy as np

from tests.helpers.beamline import DISTANCE, HEIGHT, PANELS, PIXEL, WAVELENGTH, WIDTH, Stills
from tests.helpers.frames import rotation

TURN = np.diag([-1.0, 1.0, -1.0])
"""The rotation from the frame of CrystFEL to that of imgCIF, for row and column vectors alike."""
GROUP = rotation(np.array([1.0, 2.0, 3.0]), 20.0).T
"""Axes of the group of panels, as columns."""
GROUP_ORIGIN = np.array([3.0, -5.0, -70.0])


SENSOR = (0.45, 3.9)
"""Thickness (mm) and absorption (1/mm) of a sensor."""


def expt(made: Stills, *, stills: bool = True, sensor: tuple[float, float] | None = None) -> dict:
    """An experiment list with an experiment per still, or one with a scan over all; panels may have a sensor."""
    panels = []
    for panel in PANELS:
        fast, slow = GROUP.T @ TURN @ panel.fast / PIXEL, GROUP.T @ TURN @ panel.slow / PIXEL
        origin = GROUP.T @ (TURN @ (panel.corner + np.array([0, 0, DISTANCE])) - GROUP_ORIGIN)
        panels.append(
            {
                "name": panel.name,
                "fast_axis": fast.tolist(),
                "slow_axis": slow.tolist(),
                "origin": origin.tolist(),
                "pixel_size": [PIXEL, PIXEL],
                "image_size": [WIDTH, HEIGHT],
                "px_mm_strategy": {"type": "SimplePxMmStrategy"},
                "trusted_range": [-1, 1e6],
            }
        )
        if sensor is not None:
            strategy = {"type": "ParallaxCorrectedPxMmStrategy"}
            panels[-1] |= {"thickness": sensor[0], "mu": sensor[1], "px_mm_strategy": strategy}  # fmt: skip
    group = {"fast_axis": GROUP[:, 0].tolist(), "slow_axis": GROUP[:, 1].tolist(), "origin": GROUP_ORIGIN.tolist()}
    children = [{"panel": 0}, {"panel": 1}, {"panel": 2}]
    root = {"fast_axis": [1, 0, 0], "slow_axis": [0, 1, 0], "origin": [0, 0, 0]}
    detector = {"panels": panels, "hierarchy": root | {"children": [group | {"children": children}]}}
    n = len(made.cells)
    if stills:
        images = [{"__id__": "ImageSet", "images": ["/data/run.h5"], "single_file_indices": [10 + i]} for i in range(n)]
        rows = [
            {"__id__": "Experiment", "identifier": str(i), "beam": 0, "detector": 0, "imageset": i} for i in range(n)
        ]
        scans = []
    else:
        images = [{"__id__": "ImageSequence", "template": "/data/img_####.cbf"}]
        rows = [{"__id__": "Experiment", "identifier": "a", "beam": 0, "detector": 0, "imageset": 0, "scan": 0}]
        scans = [{"image_range": [5, 4 + n]}]
    return {
        "__id__": "ExperimentList", "experiment": rows, "imageset": images, "scan": scans, "goniometer": [],
        "beam": [{"__id__": "monochromatic", "direction": [0.0, 0.0, 1.0], "wavelength": WAVELENGTH}],
        "detector": [detector], "crystal": [],
    }  # fmt: skip


def columns(made: Stills, *, stills: bool = True) -> dict[str, np.ndarray]:
    """The columns of a table of strong spots, in an order that mixes the frames."""
    frame = np.repeat(np.arange(len(made.peaks)), [len(peaks) for peaks in made.peaks])
    peaks = np.concatenate(made.peaks)
    z = np.full(len(frame), 0.5) if stills else frame + 4.5
    places = np.column_stack([peaks[:, 0], peaks[:, 1] - peaks[:, 2] * HEIGHT, z])
    order = np.random.default_rng(0).permutation(len(frame))
    return {
        "id": (frame if stills else 0 * frame)[order].astype("<i4"), "panel": peaks[order, 2].astype("<u8"),
        "xyzobs.px.value": places[order], "intensity.sum.value": np.concatenate(made.intensity)[order],
    }  # fmt: skip


KINDS = {
    "id": "int", "panel": "std::size_t", "xyzobs.px.value": "vec3<double>", "intensity.sum.value": "double",
}  # fmt: skip


def packed(table: dict[str, np.ndarray], **changes) -> bytes:
    """A table as MessagePack; `changes` replace entries of its last part."""
    n = len(table["id"])
    data = {name: [KINDS[name], [n, values.tobytes()]] for name, values in table.items()}
    content = {"identifiers": {}, "nrows": n, "data": data} | changes
    return msgpack.packb(["dials::af::reflection_table", 2, content])


def write_hdf5(path: Path, table: dict[str, np.ndarray]) -> None:
    """A table as HDF5, in two groups."""
    half = len(table["id"]) // 2
    with h5py.File(path, "w") as file:
        for number, rows in enumerate((slice(0, half), slice(half, None))):
            for name, values in table.items():
                file[f"dials/processing/group_{number}/{name}"] = values[rows]


def behind_the_front(made: Stills, sensor: tuple[float, float]) -> Stills:
    """The stills seen in a sensor, with each ray at its mean depth of absorption, computed by summation."""
    thickness, absorption = sensor
    peaks = []
    for frame in made.peaks:
        seen = frame.copy()
        for row in seen:
            panel = PANELS[int(row[2])]
            place = panel.corner + (0, 0, DISTANCE) + row[0] * panel.fast + (row[1] - row[2] * HEIGHT) * panel.slow
            ray = place / np.linalg.norm(place)
            normal = np.cross(panel.fast, panel.slow) / PIXEL**2
            edges = np.linspace(0, thickness / abs(ray @ normal), 2001)
            depth = (edges[1:] + edges[:-1]) / 2
            mean = (depth * absorption * np.exp(-absorption * depth) * np.diff(edges)).sum()
            row[:2] += mean * np.array([ray @ panel.fast, ray @ panel.slow]) / PIXEL**2
        peaks.append(seen)
    return Stills(made.cells, peaks, made.intensity)


def write_dials(folder: Path, made: Stills, *, sensor: tuple[float, float] | None = None, **options) -> None:
    """Write imported.expt and strong.refl."""
    seen = made if sensor is None else behind_the_front(made, sensor)
    (folder / "imported.expt").write_text(json.dumps(expt(made, sensor=sensor, **options)))
    (folder / "strong.refl").write_bytes(packed(columns(seen, **options)))
