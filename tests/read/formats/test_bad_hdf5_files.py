"""HDF5 spot files that cannot be used, or not to their end."""

import contextlib
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from ffbidx_core.errors import InputError
from ffbidx_core.model.records.frame import FrameStatus
from ffbidx_core.read import Source
from tests.helpers.hdf5_changes import Hdf5File, remove, replace, set_units
from tests.helpers.spot_files import CELL, COUNTS, OFFSETS, blocks, frames, good_spots


def external_storage(file: h5py.File) -> None:
    raw = Path(file.filename).with_suffix(".raw")
    raw.write_bytes(good_spots().tobytes())
    replace("spots", None, shape=(12, 3), dtype="f4", external=[(str(raw), 0, 144)])(file)


def virtual(file: h5py.File) -> None:
    with h5py.File(Path(file.filename).with_suffix(".part"), "w") as other:
        other["spots"] = good_spots()
        layout = h5py.VirtualLayout((12, 3), "f4")
        layout[:] = h5py.VirtualSource(other["spots"])
    del file["spots"]
    file.create_virtual_dataset("spots", layout)


def outside_link(*path: str) -> Callable[[h5py.File], None]:
    """Links to a good dataset of another file, so that only the link is at fault."""

    def poke(file: h5py.File) -> None:
        name = str(Path(file.filename).with_suffix(".other"))
        with h5py.File(name, "w") as other:
            other["spots"] = good_spots()
        del file["spots"]
        if len(path) == 1:
            file["spots"] = h5py.ExternalLink(name, "/spots")
        else:
            file["other"] = h5py.ExternalLink(name, "/")
            file["spots"] = h5py.SoftLink("/other/spots")

    return poke


def soft_link(to: str) -> Callable[[h5py.File], None]:
    def poke(file: h5py.File) -> None:
        del file["spots"]
        file["spots"] = h5py.SoftLink(to)
        file["again"] = h5py.SoftLink("/spots")

    return poke


def group(name: str) -> Callable[[h5py.File], None]:
    def poke(file: h5py.File) -> None:
        if name in file:
            del file[name]
        file.create_group(name)

    return poke


def named_type(file: h5py.File) -> None:
    del file["spots"]
    file["spots"] = np.dtype("f4")


BAD = {
    "no spots dataset": (remove("spots"), r"has no dataset /spots; there are cells, offsets"),
    "foreign": (remove("spots", "offsets", "cells"), "has no dataset /spots; it is empty"),
    "group for spots": (group("spots"), "/spots: is a group"),
    "group for offsets": (group("offsets"), "/offsets: is a group"),
    "group for cells": (group("cells"), "/cells: is a group"),
    "group for names": (group("frame_id"), "/frame_id: is a group"),
    "type for spots": (named_type, "/spots: is a datatype"),
    "flat spots": (replace("spots", good_spots().ravel()), r"/spots: has the shape \(36,\), expected \(n, 3\)"),
    "two columns": (replace("spots", good_spots()[:, :2]), r"/spots: has the shape \(12, 2\)"),
    "transposed": (replace("spots", good_spots().T), r"/spots: has the shape \(3, 12\)"),
    "padded": (replace("spots", np.zeros((4, 5, 3))), r"/spots: has the shape \(4, 5, 3\)"),
    "scalar": (replace("spots", 1.0), r"/spots: has the shape \(\)"),
    "no space": (replace("spots", h5py.Empty("f4")), "/spots: has the shape None"),
    "whole numbers": (
        replace("spots", np.ones((12, 3), int)),
        "/spots: is int64, expected float32 or float64",
    ),
    "half": (replace("spots", good_spots().astype("f2")), "/spots: is float16"),
    "complex": (replace("spots", good_spots().astype("c8")), "/spots: is complex64"),
    "words": (replace("spots", np.full((12, 3), b"x")), "/spots: is strings"),
    "record": (replace("spots", np.zeros((12, 3), "f4,f4")), "/spots: is .*expected float32"),
    "units": (set_units("nm^-1"), r"/spots: has the units 'nm\^-1', expected 1/angstrom or 1/nm"),
    "units are a number": (set_units(3), "/spots: has the units '3'"),
    "offsets are real": (replace("offsets", OFFSETS * 1.0), "/offsets: is float64, expected integers"),
    "offsets are true": (replace("offsets", OFFSETS > 0), "/offsets: is bool, expected integers"),
    "offsets are square": (replace("offsets", np.zeros((2, 2), int)), r"/offsets: .* \(2, 2\), expected \(n,\)"),
    "offsets are none": (replace("offsets", OFFSETS[:0]), "/offsets: has 0 numbers"),
    "backwards": (replace("offsets", [0, 4, 3, 7, 12]), "/offsets: frame 1: its offsets run backwards"),
    "beyond": (replace("offsets", [0, 4, 4, 7, 13]), "/offsets: frame 4: its spots begin outside the 12 rows"),
    "negative": (replace("offsets", [-1, 4, 4, 7, 12]), "/offsets: frame 0: its spots begin outside"),
    "beyond signed": (replace("offsets", np.array([0, 2**63 + 4], "u8")), "/offsets: frame 1: its spots begin outside"),
    "names": (replace("frame_id", np.array([b"a", b"b"])), "/frame_id: has 2 names for 4 frames"),
    "names are numbers": (replace("frame_id", np.arange(4)), "/frame_id: is int64, expected strings"),
    "cells are flat": (replace("cells", CELL), r"/cells: has the shape \(3, 3\), expected \(n, 3, 3\)"),
    "cells are words": (replace("cells", np.full((1, 3, 3), b"x")), "/cells: is strings"),
    "zero cell": (replace("cells", np.stack([CELL, 0 * CELL])), "/cells: cell 1: "),
    "singular cell": (replace("cells", np.arange(9.0).reshape(1, 3, 3)), "/cells: cell 0: .*singular"),
    "nan cell": (replace("cells", np.full((1, 3, 3), np.nan)), "/cells: cell 0: .*not finite"),
    "cells' units": (set_units("parsec", "cells"), "/cells: has the units 'parsec'"),
    "absurd spots": (
        lambda f: (remove("offsets")(f), replace("spots", shape=(10**12, 3), dtype="f4", chunks=(1000, 3))(f)),
        "/spots: has 1000000000000 spots and no /offsets; a frame has at most 1000000",
    ),
    "absurd frame": (
        lambda f: (
            replace("offsets", [0, 5, 10**12])(f),
            replace("spots", shape=(10**12, 3), dtype="f4", chunks=(1000, 3))(f),
        ),
        "/offsets: frame 1: it claims more than 1000000 spots",
    ),
    "absurd offsets": (
        replace("offsets", shape=(10**12,), dtype="i8", chunks=(1000,)),
        "/offsets: has 1000000000000 numbers",
    ),
    "absurd cells": (
        replace("cells", shape=(10**9, 3, 3), dtype="f8", chunks=(1, 3, 3)),
        "/cells: has 1000000000 cells",
    ),
    "absurd chunks": (
        replace("spots", shape=(10**8, 3), dtype="f4", chunks=(10**8, 3), compression="gzip"),
        "/spots: has chunks of",
    ),
    "external link": (outside_link("direct"), "/spots: is a link to another file"),
    "external link on the way": (outside_link("by", "group"), "/spots: is a link to another file"),
    "dangling link": (soft_link("/no"), "has no dataset /spots"),
    "links in a circle": (soft_link("/again"), "/spots: leads through more than"),
    "external storage": (external_storage, "/spots: keeps its data in other files"),
    "virtual": (virtual, "/spots: keeps its data in other files"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_file_that_cannot_be_used_names_the_dataset(hdf5_file: Hdf5File, name: str) -> None:
    poke, problem = BAD[name]
    path = hdf5_file(poke)
    with pytest.raises(InputError, match=problem) as caught:
        blocks(path)
    assert str(caught.value).startswith(path)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_status == 2


def test_a_sparse_giant_with_sane_frames_is_read_by_slices(hdf5_file: Hdf5File) -> None:
    (block,) = blocks(hdf5_file(replace("spots", shape=(10**12, 3), dtype="f4", chunks=(1000, 3))))
    assert block.n_left_out == sum(COUNTS)
    np.testing.assert_array_equal(block.n_spots, [0, 0, 0, 0])


@pytest.mark.parametrize("share", [0.02, 0.3, 0.7, 0.99])
def test_a_truncated_file(hdf5_file: Hdf5File, share: float) -> None:
    path = Path(hdf5_file())
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(InputError, match=r"cannot be read as HDF5: .*truncated"):
        blocks(str(path))


@pytest.mark.parametrize("share", np.linspace(0.01, 0.99, 30))
def test_a_file_that_ends_in_zeros_is_an_input_error_or_is_read(hdf5_file: Hdf5File, share: float) -> None:
    def poke(file: h5py.File) -> None:
        replace("spots", good_spots(), chunks=(3, 3), compression="gzip")(file)
        # Text of variable length lies in a heap of its own; HDF5 2.0 never comes back from one that is cut short.
        set_units(np.bytes_("1/angstrom"))(file)

    path = Path(hdf5_file(poke))
    image = path.read_bytes()
    kept = int(share * len(image))
    path.write_bytes(image[:kept] + bytes(len(image) - kept))
    with contextlib.suppress(InputError):
        assert all(np.isfinite(block.spots).all() for block in blocks(str(path)))


def spoil_chunk(path: str, row: int) -> None:
    """Flip a byte of the spots' chunk that begins with this row."""
    with h5py.File(path) as file:
        at = file["spots"].id.get_chunk_info_by_coord((row, 0)).byte_offset
    with open(path, "r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 1]))


@pytest.mark.parametrize("frames_per_block", [1, 2, 3, 100])
def test_a_read_error_costs_its_frame_whatever_the_blocks(hdf5_file: Hdf5File, frames_per_block: int) -> None:
    path = hdf5_file(replace("spots", good_spots(), chunks=(1, 3), fletcher32=True), "bad.h5")
    spoil_chunk(path, 6)
    after = hdf5_file(name="after.h5")
    found = blocks(path, after, frames_per_block=frames_per_block)
    rows = [(source, index, len(spots)) for source, index, spots in frames(found)]
    assert rows == [(path, 0, 4), (path, 1, 0), (path, 2, 0), (path, 3, COUNTS[3])] + [
        (after, i, n) for i, n in enumerate(COUNTS)
    ]
    assert np.concatenate([block.status for block in found]).tolist() == [1, 1, 4, 1, 1, 1, 1, 1]
    (problem,) = [line for block in found for line in block.problems]
    assert problem.startswith(f"{path}, frame 2: cannot be read as HDF5: ")
    # Alone in the run it is the same.
    alone = blocks(path, frames_per_block=frames_per_block)
    assert np.concatenate([block.status for block in alone]).tolist() == [1, 1, FrameStatus.UNREADABLE, 1]
    (only,) = blocks(Source(path, 2))
    assert (only.indices.tolist(), only.status.tolist()) == ([2], [FrameStatus.UNREADABLE])
