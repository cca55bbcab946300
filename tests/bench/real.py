"""Real frames, if the data are beside the project in ../shared/data: python -m tests.bench.real.

The benchmark measures how well crystals predict spots that their fit has not seen: a run indexes half of the spots of
each frame, and the spots of the other half are counted that lie within 0.0005, 0.001 and 0.002/A of a reflection of the
crystals; then the halves are exchanged. This is done with `best`, without learning, and with `published`. Known
orientations of the frames are compared with the crystals by `tests.bench.quality`.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from ffbidx_core.backends import Backend
from ffbidx_core.learn.unseen import RADII
from ffbidx_core.method.index_frames import index_frames
from ffbidx_core.model.cell import Array, cell_from_parameters, symmetry_operators
from ffbidx_core.model.detector.dxtbx import rotation_of_beam
from ffbidx_core.model.detector.pixels import spots_of_moved_detector, wavelength_of_spots
from ffbidx_core.model.orientation import misorientation
from ffbidx_core.model.plan import SearchPlan
from ffbidx_core.model.records.batch import pack
from ffbidx_core.model.records.frame import BatchResult
from ffbidx_core.model.records.run import Learned
from ffbidx_core.parameters import Parameters
from ffbidx_core.published_parameters import METHODS
from ffbidx_core.read import Source
from ffbidx_core.run.job import Job
from ffbidx_core.run.pipeline import index
from ffbidx_core.write.stores import MemoryStore
from tests.bench import record
from tests.helpers.paths import SHARED

DATA = SHARED / "data"
PSI = DATA / "psi_simple"
PSI_TRUTH = np.array([[-29.10, 20.50, 9.90], [39.43, 25.27, 63.59], [28.51, 60.64, -41.79]])
"""Orientation of all PSI images from their README, with an error of up to 1 degree; rows c, a, b as in the files."""
PSI_TOLERANCE, TOLERANCE = 1.5, 1.0
"""Largest misorientations of a correct crystal, degrees."""


def psi_frames() -> list[tuple[str, Array, Array]]:
    """The name, cell (rows a, b, c) and spots of each real PSI file."""
    frames = []
    for path in sorted(PSI.glob("image*.txt")):
        lines = [line.split() for line in path.read_text().splitlines() if line.strip() and not line.startswith("#")]
        cell, spots = np.array(lines[0], float).reshape(3, 3), np.array([row[:3] for row in lines[1:]], float)
        frames.append((path.name, cell, spots))
    return frames


def psi_found(backend: Backend, p: Parameters) -> list[bool]:
    """Whether a crystal in the known orientation is claimed on each PSI file."""
    found = []
    for _, cell, spots in psi_frames():
        result = index_frames(backend, *pack([spots]), SearchPlan.make(cell[None], p), p)
        found.append(_closest(result, 0, PSI_TRUTH, cell) < PSI_TOLERANCE)
    return found


def solved_found(backend: Backend, path: Path, p: Parameters) -> tuple[int, int, int]:
    """The numbers of lattices found, lattices known and crystals claimed in a file that another program solved."""
    with h5py.File(path) as file:
        spots, offsets, cells = file["spots"][()], file["offsets"][()], file["cells"][()]
    with h5py.File(path.with_suffix(".truth.h5")) as file:
        truth, truth_offsets = file["truth/cells"][()], file["truth/cell_offsets"][()]
    result = index_frames(backend, spots, offsets, SearchPlan.make(cells, p), p)
    frames = np.repeat(np.arange(len(truth_offsets) - 1), np.diff(truth_offsets))
    found = sum(_closest(result, f, cell, cells[0]) < TOLERANCE for f, cell in zip(frames.tolist(), truth, strict=True))
    return found, len(truth), len(result.crystals)


def _closest(result: BatchResult, frame: int, truth: Array, input_cell: Array) -> float:
    """The misorientation in degrees of the crystal on a frame closest to a true lattice; infinite if there is none."""
    operators = symmetry_operators(input_cell, 0.02)
    rows = result.crystals[result.crystal_offsets[frame] : result.crystal_offsets[frame + 1]]
    return min((misorientation(cell.astype(float), truth, operators) for cell in result.cells[rows]), default=np.inf)


def report(backend: Backend) -> Iterator[tuple[str, bool]]:
    """Yield the lines of the table of real frames, and whether each passes; none if the data are missing."""
    for preset in ("best", "published") if PSI.is_dir() else ():
        for method in METHODS:
            files = psi_found(backend, Parameters.preset(preset, method=method))
            text = f"psi_simple, {preset}, {method:6} {sum(files):3} of {len(files)} files in the known orientation"
            yield text, all(files) or method == "raw"
    for path in sorted((DATA / "real").glob("*.truth.h5")):
        name = path.name.removesuffix(".truth.h5")
        found, known, claimed = solved_found(backend, path.with_name(name + ".h5"), Parameters.preset("best"))
        yield f"{name}: {found} of {known} known lattices among {claimed} claimed crystals", True


WAYS = {
    "best": Parameters.preset("best", judge_frames=0),
    "nothing learned": Parameters.preset("best", judge_frames=0, learn_cell=0, learn_beam=False),
    "published": Parameters.preset("published", judge_frames=0),
}
WORSE = 0.01
"""Largest relative loss of predicted spots within one radius that is allowed for `best`."""


class Remembers(MemoryStore):
    """A store of results in memory that also keeps the learned cells."""

    def __init__(self) -> None:
        super().__init__()
        self.groups: list[Learned] = []

    def learned(self, groups: list[Learned]) -> None:
        """Keep the learned cells."""
        self.groups = groups


def real_sets() -> Iterator[tuple[str, Sequence[Array], Array]]:
    """Yield the name, frames of spots, and cell of each available set."""
    if PSI.is_dir():
        files = psi_frames()
        yield "psi_simple, one turning crystal", [spots for _, _, spots in files], files[0][1]
    for path in sorted((DATA / "real").glob("*.truth.h5")):
        with h5py.File(path.with_name(path.name.replace(".truth", ""))) as file:
            spots, offsets, cells = file["spots"][()].astype(np.float64), file["offsets"][()], file["cells"][()]
        yield path.name.removesuffix(".truth.h5"), np.split(spots, offsets[1:-1]), cells[0]
    if (stills := DATA / "xfel_metrology" / "reflections.h5").is_file():
        with h5py.File(stills) as file:
            group = next(node for node in _groups(file) if "rlp" in node)
            number, spots = group["id"][()], group["rlp"][()]
        # The file has DIALS' laboratory frame, with the beam along -z, from which the program's reader turns spots too.
        spots = spots @ rotation_of_beam((0.0, 0.0, -1.0)).T
        cell = cell_from_parameters((78.9, 78.9, 38.1, 90, 90, 90))
        yield "xfel_metrology", [spots[number == k] for k in np.unique(number)], cell


def _groups(group: h5py.Group) -> Iterator[h5py.Group]:
    yield group
    for node in group.values():
        if isinstance(node, h5py.Group):
            yield from _groups(node)


def unseen(frames: Sequence[Array], cell: Array, p: Parameters) -> NDArray[np.int64]:
    """The number (3,) of unseen spots within each of `RADII`."""
    counts = np.zeros(len(RADII), dtype=np.int64)
    for k in (0, 1):
        store = Remembers()
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "half.h5")
            halves = [spots[k::2].astype(np.float32) for spots in frames]
            with h5py.File(path, "w") as file:
                file["spots"], file["offsets"] = np.concatenate(halves), np.cumsum([0, *map(len, halves)])
                file["spots"].attrs["units"] = "1/angstrom"
            results = index(Job([Source(path)], p, cell[None], backend="cpu", threads=1), store=store).results()
        for f, spots in enumerate(frames):
            rows = results.crystals[results.crystal_offsets[f] : results.crystal_offsets[f + 1]]
            other = spots[1 - k :: 2]
            if store.groups and (wavelength := wavelength_of_spots(other)) is not None:
                shift, distortion = store.groups[0].beam_shift.radian, store.groups[0].distortion
                along = np.full(len(other), wavelength)
                other = spots_of_moved_detector(other, along, shift, distortion=distortion)
            near = _distance(other, results.cells[rows].astype(np.float64))
            counts += [(near < radius).sum() for radius in RADII]
    return counts


def _distance(spots: Array, cells: Array) -> Array:
    """The distances (n,) of spots (n, 3) from the nearest reflection of any of the cells."""
    nearest = np.full(len(spots), np.inf)
    for cell in cells:
        indices = np.rint(spots @ cell.T)
        distance = np.linalg.norm(spots - indices @ np.linalg.inv(cell).T, axis=1)
        nearest = np.minimum(nearest, np.where((indices != 0).any(axis=1), distance, np.inf))
    return nearest


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.real", description=__doc__)
    record.add_option(parser)
    args = parser.parse_args()
    rows: list[dict[str, object]] = []
    good = True
    for name, frames, cell in real_sets():
        found = {way: unseen(frames, cell, p) for way, p in WAYS.items()}
        best = found["best"]
        worse = any((best < (1 - WORSE) * other).any() or best.sum() < other.sum() for other in found.values())
        good &= not worse
        print(f"{name}: " + "; ".join(f"{way} {counts.tolist()}" for way, counts in found.items()), flush=True)
        counts = {way.replace(" ", "_"): ", ".join(map(str, each.tolist())) for way, each in found.items()}
        rows.append({"what": name, "frames": len(frames), "spots": sum(map(len, frames)), **counts})
    if args.json:
        record.write(args.json, rows)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
