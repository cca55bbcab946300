"""The real stills of `xfel_metrology`, as spots with pixels on the 64 panels of their experiment list."""

import json

import h5py
import numpy as np

from ffbidx_core.model.detector.panels import Detector
from tests.helpers.paths import SHARED

DATA = SHARED / "data" / "xfel_metrology"
CELL = (79.0, 79.0, 38.0, 90.0, 90.0, 90.0)


def write_real_stills(path, detector: Detector, distance: float, every: int = 1) -> int:
    """Write every Nth still as a spot file with pixels, and return their number."""
    content = json.loads((DATA / "experiments.json").read_text())
    wavelengths = np.array([content["beam"][row["beam"]]["wavelength"] for row in content["experiment"]])
    with h5py.File(DATA / "reflections.h5") as file:
        still, panel = (file[name][()].astype(np.int64) for name in ("id", "panel"))
        places = file["xyzobs_px_value"][()][:, :2]
    chosen = np.arange(0, len(wavelengths), every)
    mine = np.isin(still, chosen)
    order = np.argsort(still[mine], kind="stable")
    still, pixels = still[mine][order], np.column_stack([places, panel])[mine][order]
    counts = np.bincount(still, minlength=len(wavelengths))[chosen]
    spots = detector.spots(pixels, wavelengths[still], distance)
    with h5py.File(path, "w") as file:
        file["spots"] = spots
        file["spots"].attrs["units"] = "1/angstrom"
        file["offsets"] = np.concatenate([[0], np.cumsum(counts)])
        file["pixel"] = pixels
        file["wavelength"] = wavelengths[chosen]
        file["distance"] = np.full(len(chosen), distance)
    return len(chosen)
