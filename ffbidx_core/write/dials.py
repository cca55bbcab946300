"""DIALS experiment lists and reflection tables, one experiment for each crystal."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import OutputError, UsageError
from ..model.cell import Array
from ..model.crystal import NO_CRYSTAL
from ..model.detector import Geometry
from ..model.dxtbx import BEAM, model_of_beam, model_of_detector, rotation_of_beam
from ..model.lattice import Lattice
from ..model.results import Results
from ..read.experiments import LIST_ID, TABLE_ID, is_experiments, parse_experiments
from .frames import NO_PIXELS, IndexedFrame, Setup, geometry_of, indexed_frames

STRONG, INDEXED = 1 << 5, 1 << 2
"""Flags of DIALS: a strong spot, and one that has Miller indices."""
_VARIANCE = 1 / 12
"""Of a centroid that may be anywhere in its pixel, pixels squared."""


@dataclass
class _List:
    """An experiment list that grows."""

    back: Array
    detector: dict[str, Any]
    beam_of: dict[str, Any]
    beams: dict[float, int] = field(default_factory=dict)
    content: dict[str, list[Any]] = field(default_factory=lambda: {
        "experiment": [], "imageset": [], "beam": [], "detector": [], "goniometer": [], "scan": [], "crystal": [],
        "profile": [], "scaling_model": [],
    })

    @classmethod
    def begin(cls, geometry: Geometry, distance: float) -> _List:
        """An empty list, with the models of the run's own list where it came with one."""
        if is_experiments(geometry.text):
            known = parse_experiments("the experiment list", geometry.text)
            models = json.loads(geometry.text)
            row = models["experiment"][0]
            return cls(known.rotation.T, models["detector"][row["detector"]], models["beam"][row["beam"]])
        return cls(rotation_of_beam(BEAM).T, model_of_detector(geometry.detector, distance), model_of_beam(1.0))

    def add(self, frame: IndexedFrame) -> None:
        """Append the crystals of a frame; it has an image set though it may have none."""
        assert frame.peaks is not None
        wavelength = float(frame.peaks.wavelength[0])
        if wavelength not in self.beams:
            self.beams[wavelength] = len(self.beams)
            self.content["beam"].append(self.beam_of | {"wavelength": wavelength})
        self.content["imageset"].append(_image_set(*frame.image))
        for number, (cell, lattice) in enumerate(zip(frame.cells, frame.lattices, strict=True)):
            self.content["experiment"].append({
                "__id__": "Experiment", "identifier": identifier(frame, number), "beam": self.beams[wavelength],
                "detector": 0, "crystal": len(self.content["crystal"]),
                "imageset": len(self.content["imageset"]) - 1,
            })
            self.content["crystal"].append(_crystal(cell @ self.back.T, lattice))


def identifier(frame: IndexedFrame, number: int) -> str:
    """The identifier of a crystal's experiment, the same in list and table and in every run."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, " ".join([*frame.image, str(number)])))


def _image_set(image: str, event: str) -> dict[str, Any]:
    index = event.rpartition("//")[2]
    found: dict[str, Any] = {"__id__": "ImageSet", "images": [image]}
    if index.isdigit():
        found["single_file_indices"] = [int(index)]
    return found | {"mask": None, "gain": None, "pedestal": None, "dx": None, "dy": None, "params": {}}


def _crystal(cell: Array, lattice: Lattice) -> dict[str, Any]:
    # No more symmetry than the centring is known here.
    centring = {"H": "R", "R": "P"}.get(lattice.centring, lattice.centring)
    vectors = {f"real_space_{axis}": vector for axis, vector in zip("abc", cell.tolist(), strict=True)}
    return {"__id__": "crystal", **vectors, "space_group_hall_symbol": f" {centring} 1"}


def _begin(results: Results, setup: Setup) -> _List:
    geometry = geometry_of(results, setup)
    for frame in indexed_frames([results], setup):
        if frame.peaks is None:
            raise UsageError(f"{frame.source}: {NO_PIXELS}")
        return _List.begin(geometry, float(frame.peaks.distance[0]))
    raise UsageError("no frame could be read, so that there is nothing to write for DIALS")


def _frames(results: Results, setup: Setup) -> Iterator[IndexedFrame]:
    for frame in indexed_frames([results], setup):
        if frame.peaks is None:
            raise UsageError(f"{frame.source}: {NO_PIXELS}")
        yield frame


def expt_pieces(pieces: Iterable[Results], setup: Setup) -> Iterator[bytes]:
    """Results as an experiment list.

    Raises
    ------
    UsageError
        For spots without pixels, and for a distance of the detector that is not the same on all frames.
    """
    made: _List | None = None
    distances: set[float] = set()
    for results in pieces:
        made = made or _begin(results, setup)
        for frame in _frames(results, setup):
            assert frame.peaks is not None
            distances.add(round(float(frame.peaks.distance[0]), 4))
            made.add(frame)
    if len(distances) > 1:
        raise UsageError("the detector's distance changes from frame to frame: write .stream, or split the input")
    if made is not None:
        made.content["detector"].append(made.detector)
        yield json.dumps({"__id__": LIST_ID, **made.content}).encode()


def refl_pieces(pieces: Iterable[Results], setup: Setup) -> Iterator[bytes]:
    """Results as a reflection table (MessagePack): all spots, those of a crystal with its experiment and their indices.

    Raises
    ------
    UsageError
        For spots without pixels.
    OutputError
        Without msgpack.
    """
    try:
        import msgpack
    except ImportError:
        raise OutputError("DIALS reflection tables", "need msgpack: pip install 'ffbidx[formats]'") from None
    parts: list[dict[str, NDArray[Any]]] = []
    identifiers: dict[int, str] = {}
    made: _List | None = None
    n_images = 0
    for results in pieces:
        made = made or _begin(results, setup)
        first = np.array([panel.first for panel in geometry_of(results, setup).detector.panels])
        for frame in _frames(results, setup):
            parts.append(_rows(frame, made.back, first, n_images, len(identifiers)))
            n_images += 1
            for number in range(len(frame.cells)):
                identifiers[len(identifiers)] = identifier(frame, number)
    if not parts:
        return
    columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    n_rows = len(columns["id"])
    data = {name: [_KINDS[name], [n_rows, columns[name].tobytes()]] for name in columns}
    yield msgpack.packb([TABLE_ID, 2, {"identifiers": identifiers, "nrows": n_rows, "data": data}])


_KINDS = {
    "id": "int", "imageset_id": "int", "panel": "std::size_t", "flags": "std::size_t",
    "xyzobs.px.value": "vec3<double>", "xyzobs.px.variance": "vec3<double>", "rlp": "vec3<double>",
    "s1": "vec3<double>", "miller_index": "cctbx::miller::index<>", "intensity.sum.value": "double",
    "intensity.sum.variance": "double",
}


def _rows(
    frame: IndexedFrame, back: Array, first: NDArray[Any], image: int, experiment: int
) -> dict[str, NDArray[Any]]:
    """The columns of a frame's spots; its first crystal has the number `experiment`."""
    peaks = frame.peaks
    assert peaks is not None
    n = len(frame.spots)
    panel = peaks.pixels[:, 2].astype(np.int64)
    pixels = np.column_stack([peaks.pixels[:, :2] - first[panel], np.full(n, 0.5)])
    is_indexed = frame.crystal != NO_CRYSTAL
    rlp = frame.spots @ back.T
    beam = back @ np.array([0.0, 0.0, 1.0]) / float(peaks.wavelength[0])
    intensity = np.zeros(n) if peaks.intensity is None else peaks.intensity
    return {
        "id": np.where(is_indexed, frame.crystal + experiment, -1).astype("<i4"),
        "imageset_id": np.full(n, image, "<i4"),
        "panel": panel.astype("<u8"),
        "flags": (STRONG + INDEXED * is_indexed).astype("<u8"),
        "xyzobs.px.value": pixels.astype("<f8"),
        "xyzobs.px.variance": np.full((n, 3), _VARIANCE, "<f8"),
        "rlp": rlp.astype("<f8"),
        "s1": (rlp + beam).astype("<f8"),
        "miller_index": frame.hkl.astype("<i4"),
        "intensity.sum.value": intensity.astype("<f8"),
        # Of counted photons.
        "intensity.sum.variance": np.maximum(intensity, 1.0).astype("<f8"),
    }
