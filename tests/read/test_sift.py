"""The spots that are used, in NumPy and in machine code."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ffbidx_core.read import Source, read_blocks, sift
from ffbidx_core.read.sift import ResolutionLimits, Sieve, Sifted, sift_by_numpy, sift_in_one_pass
from tests.helpers.spot_files import MakeFile

FEW_VALUES = st.sampled_from([0.0, -0.0, 1e-7, 0.1, -0.1, 0.25, np.float32(0.1).item(), 0.3])
BAD_VALUES = st.sampled_from([np.nan, np.inf, -1000.0, 1e300])


def equal(one: Sifted, other: Sifted) -> None:
    assert one.spots.dtype == other.spots.dtype == np.float32
    assert one.spots.tobytes() == other.spots.tobytes()
    assert one.kept.tolist() == other.kept.tolist()
    assert one.usable.tolist() == other.usable.tolist()
    assert one.left_out.tolist() == other.left_out.tolist()


@settings(deadline=None, max_examples=200)
@given(st.data())
def test_machine_code_keeps_the_spots_that_numpy_keeps(data):
    counts = data.draw(st.lists(st.integers(0, 40), min_size=1, max_size=6))
    offsets = np.concatenate([[0], np.cumsum(counts)])
    values = data.draw(st.sampled_from([FEW_VALUES, st.floats(-0.5, 0.5, width=32), FEW_VALUES | BAD_VALUES]))
    n = int(offsets[-1])
    spots = np.array(data.draw(st.lists(values, min_size=3 * n, max_size=3 * n)), np.float64).reshape(-1, 3)
    with np.errstate(over="ignore"):
        spots = spots.astype(data.draw(st.sampled_from(["f4", "f8", ">f4", "f2"])))
    limits = ResolutionLimits(*data.draw(st.sampled_from([(None, None), (3.0, None), (None, 8.0), (3.0, 9.0)])))
    intensity = None
    if data.draw(st.booleans()):
        keys = st.sampled_from([1.0, 2.0, 3.0, -np.inf]) | st.floats(0, 100, width=32)
        intensity = np.array(
            data.draw(st.lists(keys, min_size=n, max_size=n)), data.draw(st.sampled_from(["f4", "f8"]))
        )
    arguments = spots, offsets, intensity, limits
    equal(sift_in_one_pass(*arguments), sift_by_numpy(*arguments))


def test_large_frames_are_sifted_and_sorted_alike():
    rng = np.random.default_rng(0)
    counts = rng.integers(0, 3000, 20)
    offsets = np.concatenate([[0], np.cumsum(counts)])
    spots = rng.normal(0, 0.2, (offsets[-1], 3)).astype("f4")
    spots[rng.integers(0, len(spots), 2000)] = spots[rng.integers(0, len(spots), 2000)]
    for intensity in (None, rng.exponential(1, len(spots)), rng.integers(0, 9, len(spots)).astype("f4")):
        arguments = spots, offsets, intensity, ResolutionLimits(2.0, 20.0)
        found = sift_in_one_pass(*arguments)
        assert 0 < found.left_out.sum() < 2000
        equal(found, sift_by_numpy(*arguments))


def test_machine_code_is_loaded_once_there_are_many_spots(monkeypatch):
    used = []
    for name in ("sift_by_numpy", "sift_in_one_pass"):
        monkeypatch.setattr(sift, name, lambda *arguments, name=name: used.append(name))
    spots, sieve = np.zeros((sift.WORTH_LOADING // 2, 3)), Sieve()
    monkeypatch.delitem(sift.sys.modules, "numba", raising=False)
    for _ in range(3):
        sieve(spots, np.array([0, len(spots)]), None, ResolutionLimits())
    assert used == ["sift_by_numpy", "sift_by_numpy", "sift_in_one_pass"]


def test_blocks_do_not_depend_on_the_threads_that_sift_them(hdf5_file: MakeFile):
    path = hdf5_file()

    def found(threads):
        blocks = read_blocks([Source(path)] * 5 + [Source(f"{path}-none")], frames_per_block=1, threads=threads)
        return [
            (block.sources[0], int(block.indices[0]), block.spots.tobytes(), block.end, block.problems)
            for block in blocks
        ]

    assert found(3) == found(1)
    assert len(found(3)) == 21
