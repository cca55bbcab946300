"""DIALS experiment lists and reflection tables with one experiment for each crystal."""

from __future__ import annotations

import contextlib
import json
import uuid
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import OutputError, UsageError
from ...model.basis import ConventionalCells
from ...model.crystal import NO_CRYSTAL
from ...model.lattice import Lattice
from ...model.records.results import Results
from ...read.geometry.dials import LIST_ID, TABLE_ID
from ...read.indexed_frames import NO_PIXELS, IndexedFrame, indexed_frames
from ...read.run_inputs import RunInputs
from ..scratch import Scratch, scratch
from .dials_models import Model, Models

STRONG, INDEXED = 1 << 5, 1 << 2
"""Flags of DIALS for a strong spot, and for a spot with Miller indices."""
_NO_FRAME = "no frame could be read, so there is nothing to write for DIALS"
_VARIANCE = 1 / 12
"""Variance in pixels squared of a centroid that may be anywhere in its pixel."""


_ENTRIES = ("experiment", "imageset", "beam", "detector", "goniometer", "scan", "crystal", "profile", "scaling_model")
"""Names of the lists in an experiment list."""
OF_THE_RUN = "ffbidx"
"""Key of the record of the run in an experiment list."""
_LARGEST_COLUMN = 2**32 - 1
"""Largest number of bytes of one item in MessagePack."""


class _List:
    """An experiment list that grows; its entries are on the disk.

    Parameters
    ----------
    entries
        Scratch file for the entries of each list, keyed by the name of the list.
    made
        The record of the run.
    """

    def __init__(self, models: Models, entries: dict[str, Scratch], made: dict[str, Any]) -> None:
        self._models, self._entries, self._made = models, entries, made
        self._beams: dict[tuple[int, float], int] = {}
        self._detectors: dict[int, int] = {}
        self._n = dict.fromkeys(entries, 0)
        self._identifiers = _Identifiers()

    def _add(self, name: str, entry: dict[str, Any]) -> int:
        """Append an entry to a list and return its number."""
        self._entries[name].add((", " if self._n[name] else "").encode() + json.dumps(entry).encode())
        self._n[name] += 1
        return self._n[name] - 1

    def add(self, frame: IndexedFrame) -> None:
        """Append the crystals of a frame; a frame without crystals also has an image set.

        Frames on the same detector share a model, and so do frames of the same wavelength.
        """
        assert frame.peaks is not None
        model, wavelength = self._models.of(frame), float(frame.peaks.wavelength[0])
        if model.number not in self._detectors:
            self._detectors[model.number] = self._add("detector", model.detector())
        beam = (model.number, wavelength)
        if beam not in self._beams:
            self._beams[beam] = self._add("beam", model.beam | {"wavelength": wavelength})
        image_set = self._add("imageset", _image_set(*frame.image))
        identifiers = self._identifiers.of(frame)
        for identifier, cell, lattice in zip(identifiers, frame.cells, frame.lattices, strict=True):
            crystal = self._add("crystal", _crystal(cell @ model.back.T, lattice))
            self._add(
                "experiment",
                {
                    "__id__": "Experiment",
                    "identifier": identifier,
                    "beam": self._beams[beam],
                    "detector": self._detectors[model.number],
                    "crystal": crystal,
                    "imageset": image_set,
                },
            )

    def pieces(self) -> Iterator[bytes]:
        """Yield the text of the list in pieces."""
        yield json.dumps({"__id__": LIST_ID})[:-1].encode()
        for name, entries in self._entries.items():
            yield f', "{name}": ['.encode()
            yield from entries.pieces()
            yield b"]"
        # DIALS looks only for names of its own.
        yield f', "{OF_THE_RUN}": {json.dumps(self._made)}}}'.encode()


class _Identifiers:
    """Identifiers of the experiments of a run's crystals, which are the same in its list and its table."""

    def __init__(self) -> None:
        self._repeats: dict[int, int] = {}

    def of(self, frame: IndexedFrame) -> list[str]:
        """The identifier of each crystal of the run's next frame.

        It is a hash of image, event and number of the crystal, and of the number of earlier frames of the same image if
        the image was indexed before, so that no two experiments of a list have the same one.
        """
        if len(frame.cells) == 0:
            return []
        words = list(frame.image)
        # A number takes a fraction of the memory of the names.
        image = uuid.uuid5(uuid.NAMESPACE_URL, " ".join(words)).int >> 68
        repeat = self._repeats[image] = self._repeats.get(image, -1) + 1
        again = [f"repeat {repeat}"] if repeat else []
        return [
            str(uuid.uuid5(uuid.NAMESPACE_URL, " ".join([*words, str(number), *again])))
            for number in range(len(frame.cells))
        ]


def _image_set(image: str, event: str) -> dict[str, Any]:
    index = event.rpartition("//")[2]
    found: dict[str, Any] = {"__id__": "ImageSet", "images": [image]}
    if index.isdigit():
        found["single_file_indices"] = [int(index)]
    return found | {"mask": None, "gain": None, "pedestal": None, "dx": None, "dy": None, "params": {}}


def _crystal(cell: ConventionalCells, lattice: Lattice) -> dict[str, Any]:
    # The only symmetry known here is the centring.
    centring = {"H": "R", "R": "P"}.get(lattice.centring, lattice.centring)
    vectors = {f"real_space_{axis}": vector for axis, vector in zip("abc", cell.tolist(), strict=True)}
    return {"__id__": "crystal", **vectors, "space_group_hall_symbol": f" {centring} 1"}


def _frames(results: Results, inputs: RunInputs) -> Iterator[IndexedFrame]:
    for frame in indexed_frames([results], inputs):
        if frame.peaks is None or frame.geometry is None:
            raise UsageError(f"{frame.source}: {NO_PIXELS}")
        yield frame


def expt_pieces(pieces: Iterable[Results], inputs: RunInputs) -> Iterator[bytes]:
    """Yield results as an experiment list.

    Raises
    ------
    UsageError
        If spots have no pixels.
    """
    any_results = any_frames = False
    with contextlib.ExitStack() as stack:
        entries = {name: stack.enter_context(scratch(inputs.scratch)) for name in _ENTRIES}
        made = _List(Models(), entries, inputs.made)
        for results in pieces:
            any_results = True
            for frame in _frames(results, inputs):
                made.add(frame)
                any_frames = True
        if any_results and not any_frames:
            raise UsageError(_NO_FRAME)
        if any_results:
            yield from made.pieces()


def refl_pieces(pieces: Iterable[Results], inputs: RunInputs) -> Iterator[bytes]:
    """Yield results as a reflection table (MessagePack) of all spots; spots of a crystal have experiment and indices.

    A table has one column after the other, so each column waits on the disk until all frames are done.

    Raises
    ------
    UsageError
        If spots have no pixels.
    OutputError
        If msgpack is not installed, or there are more spots than a table can hold.
    """
    try:
        import msgpack
    except ImportError:
        raise OutputError("DIALS reflection tables", "need msgpack: pip install 'ffbidx[formats]'") from None
    pack, packer = msgpack.packb, msgpack.Packer()
    models, any_results = Models(), False
    n_images = n_rows = n_crystals = 0
    with contextlib.ExitStack() as stack:
        columns = {name: stack.enter_context(scratch(inputs.scratch)) for name in _KINDS}
        packed, identifiers = stack.enter_context(scratch(inputs.scratch)), _Identifiers()
        for results in pieces:
            any_results = True
            for frame in _frames(results, inputs):
                for name, values in _rows(frame, models.of(frame), n_images, n_crystals).items():
                    columns[name].add(values.tobytes())
                n_images, n_rows = n_images + 1, n_rows + len(frame.spots)
                for identifier in identifiers.of(frame):
                    packed.add(pack(n_crystals) + pack(identifier))
                    n_crystals += 1
        if any_results and n_images == 0:
            raise UsageError(_NO_FRAME)
        if not any_results:
            return
        yield packer.pack_array_header(3) + pack(TABLE_ID) + pack(2) + packer.pack_map_header(3)
        yield pack("identifiers") + packer.pack_map_header(n_crystals)
        yield from packed.pieces()
        yield pack("nrows") + pack(n_rows) + pack("data") + packer.pack_map_header(len(columns))
        for name, column in columns.items():
            yield pack(name) + packer.pack_array_header(2) + pack(_KINDS[name]) + packer.pack_array_header(2)
            yield pack(n_rows) + _bytes_header(column.size)
            yield from column.pieces()


def _bytes_header(size: int) -> bytes:
    """The header of `size` bytes in MessagePack."""
    if size > _LARGEST_COLUMN:
        most = _LARGEST_COLUMN // 24
        raise OutputError("a DIALS reflection table", f"has at most {most} spots: split the run, with --shard")
    if size < 2**8:
        return b"\xc4" + size.to_bytes(1, "big")
    return b"\xc5" + size.to_bytes(2, "big") if size < 2**16 else b"\xc6" + size.to_bytes(4, "big")


_KINDS = {
    "id": "int",
    "imageset_id": "int",
    "panel": "std::size_t",
    "flags": "std::size_t",
    "xyzobs.px.value": "vec3<double>",
    "xyzobs.px.variance": "vec3<double>",
    "xyzobs.mm.value": "vec3<double>",
    "xyzobs.mm.variance": "vec3<double>",
    "rlp": "vec3<double>",
    "s1": "vec3<double>",
    "miller_index": "cctbx::miller::index<>",
    "intensity.sum.value": "double",
    "intensity.sum.variance": "double",
}


def _rows(frame: IndexedFrame, model: Model, image: int, experiment: int) -> dict[str, NDArray[Any]]:
    """The columns of the table for the spots of a frame, whose first crystal has the number `experiment`."""
    peaks = frame.peaks
    assert peaks is not None
    assert frame.geometry is not None
    detector = frame.geometry.detector
    n = len(frame.spots)
    panel = peaks.pixels[:, 2].astype(np.int64)
    first = np.array([each.first for each in detector.panels])
    pixels = np.column_stack([peaks.pixels[:, :2] - first[panel], np.full(n, 0.5)])
    shift = None if peaks.shift is None else peaks.shift[0]
    millimetres = np.column_stack([detector.on_panels(peaks.pixels, float(peaks.distance[0]), shift), np.zeros(n)])
    size = np.array([[np.linalg.norm(axis) for axis in (each.fast, each.slow, (0, 0, 0))] for each in detector.panels])
    is_indexed = frame.crystal != NO_CRYSTAL
    rlp = frame.spots @ model.back.T
    beam = model.back @ np.array([0.0, 0.0, 1.0]) / float(peaks.wavelength[0])
    intensity = np.zeros(n) if peaks.intensity is None else peaks.intensity
    return {
        "id": np.where(is_indexed, frame.crystal + experiment, -1).astype("<i4"),
        "imageset_id": np.full(n, image, "<i4"),
        "panel": (panel - model.first).astype("<u8"),
        "flags": (STRONG + INDEXED * is_indexed).astype("<u8"),
        "xyzobs.px.value": pixels.astype("<f8"),
        "xyzobs.px.variance": np.full((n, 3), _VARIANCE, "<f8"),
        "xyzobs.mm.value": millimetres.astype("<f8"),
        "xyzobs.mm.variance": (_VARIANCE * size[panel] ** 2).astype("<f8"),
        "rlp": rlp.astype("<f8"),
        "s1": (rlp + beam).astype("<f8"),
        "miller_index": frame.hkl.astype("<i4"),
        "intensity.sum.value": intensity.astype("<f8"),
        # The variance of counted photons.
        "intensity.sum.variance": np.maximum(intensity, 1.0).astype("<f8"),
    }
