"""Files that a program is writing in SWMR mode: frames count once they are there whole."""

import numpy as np
import pytest

from ffbidx_core.errors import InputError
from ffbidx_core.read.files.content import is_growing
from ffbidx_core.read.formats.open import open_spots
from ffbidx_core.read.geometry.any import read_geometry
from tests.helpers.beamline import geom_text
from tests.helpers.growing import CXI_DATASETS, Writer
from tests.helpers.spot_files import blocks, frames


@pytest.fixture
def writer(tmp_path):
    made = Writer(tmp_path / "growing.h5")
    yield made
    made.end()


def n_frames(path, geometry=None):
    file = open_spots(str(path), geometry)
    file.close()
    return file.n_frames


GROW_SPOTS = "n = len(s); s.resize(n + 10, 0)"
FILL_SPOTS = "s[n:] = np.random.default_rng(n).uniform(0.1, 0.3, (10, 3)); s.flush()"
GROW_OFFSETS = "o.resize(len(o) + 1, 0); o.flush()"
FILL_OFFSETS = "o[-1] = len(s); o.flush()"


@pytest.mark.parametrize(
    "steps",
    [
        (GROW_SPOTS, GROW_OFFSETS, FILL_OFFSETS, FILL_SPOTS),
        (GROW_SPOTS, FILL_SPOTS, GROW_OFFSETS, FILL_OFFSETS),
        (GROW_OFFSETS, GROW_SPOTS, FILL_SPOTS, FILL_OFFSETS),
        (GROW_OFFSETS, GROW_SPOTS, FILL_OFFSETS, FILL_SPOTS),
    ],
)
def test_a_frame_counts_when_all_of_it_is_there(writer, steps):
    """Whatever part of a frame arrives first."""
    writer.native()
    for number in range(3):
        for step in steps:
            assert n_frames(writer.path) == number
            writer(f"{step}; s.flush()")
        assert n_frames(writer.path) == number + 1
    found = list(frames(blocks(writer.path)))
    writer("file.close()")
    assert [len(spots) for _, _, spots in found] == [10, 10, 10]
    assert all(np.array_equal(a[2], b[2]) for a, b in zip(found, frames(blocks(writer.path)), strict=True))


def test_frames_without_spots_count_once_their_end_is_there(writer):
    writer.native()
    writer(f"{GROW_SPOTS}; {FILL_SPOTS}; {GROW_OFFSETS}; {FILL_OFFSETS}")
    writer(f"{GROW_OFFSETS}; {FILL_OFFSETS}; {GROW_OFFSETS}; {FILL_OFFSETS}")
    assert n_frames(writer.path) == 3


def test_empty_frames_at_the_start_wait_for_the_first_spots(writer):
    writer.native()
    writer(f"{GROW_OFFSETS}; {GROW_OFFSETS}")
    assert n_frames(writer.path) == 0
    writer(f"{GROW_SPOTS}; {FILL_SPOTS}; {GROW_OFFSETS}; {FILL_OFFSETS}")
    assert n_frames(writer.path) == 3
    writer("file.close()")
    assert n_frames(writer.path) == 3


def test_frames_that_are_padded_with_zeros(writer):
    """All rows of a frame that are in one chunk came with one write; a frame of nothing but zeros waits."""
    writer.native(chunk=10)
    padded = "s[n:] = [[0.1, 0.2, 0.3]] * 4 + [[0, 0, 0]] * 6"
    for number in range(3):
        writer(f"{GROW_SPOTS}; {padded}; {GROW_OFFSETS}; {FILL_OFFSETS}; s.flush()")
        assert n_frames(writer.path) == number + 1
    writer(f"{GROW_SPOTS}; s[n:] = 0; {GROW_OFFSETS}; {FILL_OFFSETS}; s.flush()")
    assert n_frames(writer.path) == 3
    writer(f"{GROW_SPOTS}; {FILL_SPOTS}; {GROW_OFFSETS}; {FILL_OFFSETS}")
    assert n_frames(writer.path) == 5


def test_frames_that_were_allocated_before_do_not_count(writer):
    """Datasets of their final length, filled row by row."""
    writer.native()
    writer("s.resize(10_000, 0); o.resize(1001, 0); file.flush()")
    assert n_frames(writer.path) == 0
    writer("s[:10] = 0.1; s[10:20] = 0.2; o[1:3] = [10, 20]; file.flush()")
    assert n_frames(writer.path) == 2


def test_wavelengths_and_names_have_to_be_there_too(writer):
    writer.native(
        more=(
            "w = file.create_dataset('wavelength', (0,), maxshape=(None,), dtype='f8', chunks=(8,));"
            "i = file.create_dataset('frame_id', (0,), maxshape=(None,), dtype='S8', chunks=(8,));"
            "t = file.create_dataset('intensity', (0,), maxshape=(None,), dtype='f4', chunks=(8,))"
        )
    )
    writer(f"{GROW_SPOTS}; {FILL_SPOTS}; {GROW_OFFSETS}; {FILL_OFFSETS}")
    for step in ("w.resize(1, 0)", "w[0] = 1.0", "i.resize(1, 0)", "i[0] = b'one'", "t.resize(10, 0)"):
        assert n_frames(writer.path) == 0
        writer(f"{step}; file.flush()")
    assert n_frames(writer.path) == 1
    writer(f"{GROW_SPOTS}; {FILL_SPOTS}; {GROW_OFFSETS}; {FILL_OFFSETS}")
    writer("w.resize(2, 0); w[1] = 1.0; t.resize(20, 0); i.resize(2, 0); file.flush()")
    assert n_frames(writer.path) == 1
    writer("i[1] = b'two'; file.flush()")
    assert n_frames(writer.path) == 2


def test_what_is_wrong_with_a_growing_file_is_told(writer):
    writer.native()
    writer(f"{GROW_SPOTS}; {FILL_SPOTS}; o.resize(4, 0); o[:] = [0, 7, 5, 10]; file.flush()")
    with pytest.raises(InputError, match="its offsets run backwards"):
        open_spots(writer.path)


@pytest.fixture
def geometry(tmp_path):
    path = tmp_path / "d.geom"
    path.write_text(geom_text(beam="photon_energy = /LCLS/photon_energy_eV"))
    return read_geometry(str(path))


@pytest.mark.parametrize("order", [CXI_DATASETS, CXI_DATASETS[::-1]])
def test_cxi_rows_count_when_all_of_them_is_there(writer, geometry, order):
    writer.cxi()
    for number in range(3):
        for name in order:
            assert n_frames(writer.path, geometry) == number
            writer(f"d['{name}'].resize({number + 1}, 0); file.flush()")
        for name in order:
            assert n_frames(writer.path, geometry) == number
            value = "5" if name == "nPeaks" else "np.arange(32) + 50.0"
            writer(f"d['{name}'][{number}] = {value}; file.flush()")
        for step in (f"e.resize({number + 1}, 0)", f"e[{number}] = 9000.0 + {number}"):
            assert n_frames(writer.path, geometry) == number
            writer(f"{step}; file.flush()")
        assert n_frames(writer.path, geometry) == number + 1
    found = list(frames(blocks(writer.path, geometry=geometry)))
    assert [len(spots) for _, _, spots in found] == [5, 5, 5]
    # Each has its own wavelength.
    assert len({spots.tobytes() for _, _, spots in found}) == 3


def test_cxi_rows_that_were_allocated_before_do_not_count(writer, geometry):
    writer.cxi(100)
    writer("e.resize(100, 0); e[:] = 9000.0; file.flush()")
    assert n_frames(writer.path, geometry) == 0
    fill = "; ".join(f"d['{name}'][{{0}}] = 50" for name in CXI_DATASETS[1:])
    # The second row has no peaks: it counts once a later one has some.
    writer(f"d['nPeaks'][:2] = [5, 0]; {fill.format(0)}; file.flush()")
    assert n_frames(writer.path, geometry) == 1
    writer(f"d['nPeaks'][2] = 5; {fill.format(2)}; file.flush()")
    assert n_frames(writer.path, geometry) == 3
    writer("file.close()")
    assert n_frames(writer.path, geometry) == 100


def test_a_writer_that_dies_leaves_what_is_whole(writer):
    writer.native()
    writer(f"{GROW_SPOTS}; {FILL_SPOTS}; {GROW_OFFSETS}; {FILL_OFFSETS}")
    writer(f"{GROW_SPOTS}; {GROW_OFFSETS}; {FILL_OFFSETS}; s.flush()")
    writer.kill()
    assert n_frames(writer.path) == 1


def test_an_ordinary_run_says_that_a_file_grows(writer):
    writer.native().add(np.full((3, 3), 0.1, np.float32))
    (block,) = blocks(writer.path)
    assert block.problems == [
        (f"{writer.path}: is open for writing, or was when its writer died: frames that are not whole yet are left out")
    ]
    writer("file.close()")
    assert blocks(writer.path)[0].problems == []


@pytest.mark.parametrize(
    ("head", "grows"),
    [
        (b"\x03\x08\x08\x05", True),
        (b"\x03\x08\x08\x04", True),
        (b"\x03\x08\x08\x01", False),
        (b"\x03\x08\x08\x00", False),
        # Earlier superblocks have other things there.
        (b"\x00\x08\x08\x04", False),
        (b"\x02\x08\x08\x04", False),
        (b"\x03\x08", False),
    ],
)
@pytest.mark.parametrize("user_block", [0, 512, 2048])
def test_the_superblock_says_whether_a_file_grows(tmp_path, head, grows, user_block):
    path = tmp_path / "x.h5"
    path.write_bytes(b"\0" * user_block + b"\x89HDF\r\n\x1a\n" + head)
    assert is_growing(str(path)) is grows


def test_a_reader_does_not_keep_the_writer_out(writer):
    writer.native()
    writer(f"{GROW_SPOTS}; {FILL_SPOTS}; {GROW_OFFSETS}; {FILL_OFFSETS}")
    file = open_spots(writer.path)
    writer("file.close()")
    writer("file = h5py.File(sys.argv[1], 'a', libver='latest')")
    file.close()
