"""What the GPU backend hands to a kernel is what the kernel takes: number, order, types and layout, without a GPU.

NumPy stands for CuPy, and a kernel that is launched compares its arguments with the parameters in its source. Types and
names are read from the source here once more, so that the tests do not rest on `kernels.signatures`.
"""

import re
import sys
import threading
import weakref

import numpy as np
import pytest

from ffbidx_core.backends import Limits, OrientedCells, get_backend, kernels
from ffbidx_core.backends.kernels.signatures import Signature, parsed, signatures
from ffbidx_core.method.last_fit import TYPICAL
from ffbidx_core.model.factors import Factors
from ffbidx_core.model.plan import SearchPlan
from ffbidx_core.model.records.batch import pack
from ffbidx_core.model.unknown import threes
from ffbidx_core.model.unknown.scan import LATTICES, VectorScan
from ffbidx_core.parameters import PRESETS, Parameters
from ffbidx_core.published_parameters import METHODS
from tests.helpers.frames import CELL, frame
from tests.helpers.parity.cupy_on_numpy import KERNEL, SCALARS, SOURCE, STRUCTS, Kernel, cuda_on_numpy, parameters


@pytest.fixture
def cuda(monkeypatch):
    yield from cuda_on_numpy(monkeypatch)


def test_every_kernel_is_found_in_the_source():
    assert parameters().keys() == set(kernels.KERNELS)


@pytest.mark.parametrize("struct", STRUCTS)
def test_structs_have_the_fields_of_their_tables(cuda, struct):
    tables = sys.modules["ffbidx_core.backends.cuda.tables"]
    body = re.search(rf"struct {struct} \{{(.*?)\}};", SOURCE, re.DOTALL).group(1)
    fields = []
    for line in filter(None, (part.strip() for part in body.split(";"))):
        kind, _, names = line.partition(" ")
        for name in names.split(","):
            label, _, size = name.strip().rstrip("]").partition("[")
            fields.append((label, np.dtype((SCALARS[kind], (int(size),)) if size else SCALARS[kind])))
    table = {"Trims": tables.TRIMS, "Seed": tables.SEED}[struct]
    assert [(name, table[name]) for name in table.names] == fields
    if struct == "Trims":
        assert list(table.names) == list(Factors._fields)


@pytest.mark.parametrize("angle_peaks", [0, 4])
@pytest.mark.parametrize("largest", [60, 3000])
@pytest.mark.parametrize("preset", PRESETS)
def test_launches_fit_the_kernels(cuda, preset, largest, angle_peaks):
    p = Parameters.preset(preset, angle_peaks=angle_peaks, num_halfsphere_points=1024, max_input_cells=2)
    plan = SearchPlan.make(np.stack([CELL, CELL * 1.1]), p)
    backend = cuda.CudaBackend()
    rng = np.random.default_rng(0)
    with backend.lane():
        spots = backend.load(*pack([frame(1)[1], np.zeros((0, 3)), rng.uniform(-0.3, 0.3, (largest, 3))]))
        vectors = backend.find_candidate_vectors(spots, plan, p, 1024)
        vectors = backend.refine_vectors(spots, vectors, plan, p)
        cells, scores, _ = backend.find_oriented_cells(spots, vectors, plan, p)
        assert cells.shape == (3, p.n_output_cells, 3, 3)
        backend.fit_rigid(spots, cells, p.replace(rigid_steps=7))
        backend.count_within(spots, cells, np.ones((3, p.n_output_cells, 5)))
        for method in METHODS:
            backend.refine_cells(spots, cells, scores, p.replace(method=method))
        backend.fit_constrained(spots, cells[:, 0], cells[:, 0], np.ones(3), 0.002)
        assert backend.fit_whitened(spots, cells[:, 0], cells[:, 0], np.ones(3), TYPICAL, 0.002).shape == (3, 3, 3)
        source = np.zeros((3, p.n_output_cells), np.int64)
        assert backend.judge_cells(spots, cells, source, plan, p).slot.shape == (3,)
        assert backend.lowest_false(spots, cells[:, 0], source[:, 0], plan, p).shape == (3,)
        assert backend.accept_by_count(spots, cells, scores, 0.1, 5, fractional=True).shape == scores.shape
        assert backend.without_spots(spots, cells[:, 0], np.ones(3)).n_frames == 3
        assert backend.in_canonical_setting(cells[:, 0], source[:, 0], plan).shape == (3, 3, 3)
        assert backend.coverage(spots, cells, 0.002, fractional=False).n_indexed.shape == scores.shape
        assert backend.drifted(cells[:, 0], cells[:, 1], (0.1, 3.0)).shape == (3,)
        best, _ = backend.best_cells(spots, OrientedCells(cells, scores, source), -3.0, plan, p)
        for known in (cells[:, :0], cells):
            limits = Limits(0.0, (0.1, 3.0), 0.03, plan.cells, plan.largest_cutoffs)
            checked = backend.check_cells(best, cells[:, 0], *np.ones((3, 3)), known, limits)
            assert checked.reason.shape == (3,)
        again = backend.judge_cells(spots, cells, source, plan, p)
        assert backend.better_cells(best, cells[:, 0], again, limits)[0].shape == (3, 3, 3)
        assert backend.flat_frames(spots).shape == (3,)
        for fractional in (False, True):
            backend.distances(spots, cells, fractional=fractional)
        few, scan = backend.load(*pack([frame(1)[1][:60], np.zeros((0, 3))])), VectorScan.make(20.0, [np.full(30, 0.2)])
        vectors = backend.refine_scanned(few, backend.scan_vectors(few, scan), scan)
        assert backend.join_vectors(few, vectors)[0].shape == (2, LATTICES, 3, 3)


def test_launches_for_threes_fit_the_kernels(cuda, monkeypatch):
    monkeypatch.setattr("ffbidx_core.model.unknown.threes.THREES", 3)
    backend, packed = cuda.CudaBackend(), pack([frame(1)[1][:12], np.zeros((0, 3)), frame(2)[1][:14]])
    # What a kernel would have written is all zeros, so the spots are loaded by the host.
    cells, scores = backend.join_threes(get_backend("cpu").load(*packed), 35.0)
    assert cells.shape == (3, threes.LATTICES, 3, 3)
    assert scores.shape == (3, threes.LATTICES)


def test_shared_arrays_stay_until_the_lane_that_took_them_is_done(cuda):
    """Other lanes with many plans of their own crowd them out of what is kept."""
    backend = cuda.CudaBackend()
    most = sys.modules["ffbidx_core.backends.cuda.device"].MOST_SHARED

    def crowd_out() -> None:
        with backend.lane():
            for k in range(most + 1):
                backend.constant(np.full(3, float(k)))

    with backend.lane():
        taken = weakref.ref(backend.constant(np.ones(3)))
        other = threading.Thread(target=crowd_out)
        other.start()
        other.join()
        assert len(backend._plans) <= most
        assert taken() is not None
    assert taken() is None


@pytest.mark.parametrize("sizes", [(0,), (0, 5), (3, 0, 0), (0, 0, 1000, 0, 7)])
def test_arrays_that_are_copied_together_do_not_overlap(cuda, sizes):
    arrays = [np.full(n, k, np.uint8) for k, n in enumerate(sizes)]
    begins, size = sys.modules["ffbidx_core.backends.cuda.device"].places(arrays)
    memory = np.full(size, 255, np.uint8)
    for begin, array in zip(begins, arrays, strict=True):
        assert begin % 256 == 0
        memory[begin : begin + len(array)] = array
    for begin, array in zip(begins, arrays, strict=True):
        np.testing.assert_array_equal(memory[begin : begin + len(array)], array)


def test_every_kernel_is_launched(cuda, monkeypatch):
    """With and without peaks over the angle."""
    Kernel.launched.clear()
    for angle_peaks in (0, 4):
        test_launches_fit_the_kernels(cuda, "best", 60, angle_peaks)
    test_launches_for_threes_fit_the_kernels(cuda, monkeypatch)
    assert Kernel.launched == set(kernels.KERNELS)


@pytest.mark.parametrize("change", ["fewer", "another type", "strides"])
def test_what_does_not_fit_is_noticed(change):
    kernel = Kernel("frame_candidates")
    vectors, frames = np.zeros((4, 3)), np.zeros((4, 9), np.float32)
    kernel((1,), (128,), (vectors, np.int64(4), frames))
    wrong = {
        "fewer": (vectors, np.int64(4)),
        "another type": (vectors, np.int32(4), frames),
        "strides": (vectors[::2], np.int64(4), frames),
    }[change]
    with pytest.raises(AssertionError):
        kernel((1,), (128,), wrong)


GIVEN = {
    "spots": np.zeros((4, 3), np.float32),
    "offsets": np.array([0, 1, 4]),
    "n_spots": 4,
    "largest": 8,
    "scratch": None,
    "xyz": np.zeros((3, 4), np.float32),
}
"""What `sort_spots` is launched with."""


def names_in_source(kernel: str) -> list[str]:
    text = dict(KERNEL.findall(SOURCE))[kernel]
    return [re.search(r"(\w+)$", declaration.strip()).group(1) for declaration in text.split(",")]


def test_signatures_are_those_of_the_source():
    found = {
        kernel: ([p.name for p in parameters], [p.kind + "*" * p.is_array for p in parameters])
        for kernel, parameters in signatures().items()
    }
    assert found == {kernel: (names_in_source(kernel), kinds) for kernel, kinds in parameters().items()}


def launched_with(cuda, **arguments):
    """What reaches the kernel `sort_spots`, in its order."""
    backend, reached = cuda.CudaBackend(), []
    _, signature = backend._functions["sort_spots"]
    backend._functions = {"sort_spots": (lambda grid, block, given, shared_mem: reached.extend(given), signature)}
    backend._launch("sort_spots", (2,), 32, **arguments)
    return reached


@pytest.mark.parametrize("seed", range(3))
def test_the_order_of_the_call_does_not_matter(cuda, seed):
    shuffled = np.random.default_rng(seed).permutation(list(GIVEN)).tolist()
    given = launched_with(cuda, **{name: GIVEN[name] for name in shuffled})
    assert [id(x) for x in (given[0], given[1], given[5])] == [id(GIVEN[name]) for name in ("spots", "offsets", "xyz")]
    assert given[2:5] == [np.int64(4), np.int32(8), np.uint64(0)]
    assert [type(x) for x in given[2:5]] == [np.int64, np.int32, np.uint64]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"number": 4, "n_spots": ...}, r"missing arguments \['n_spots'\], unknown arguments \['number'\]"),
        ({"n_spots": ...}, r"missing arguments \['n_spots'\], unknown arguments \[\]"),
        ({"number": 4}, r"missing arguments \[\], unknown arguments \['number'\]"),
        ({"largest": 8.0}, "largest is float, not int32"),
        ({"largest": np.int64(8)}, "largest is int64 of int64, not int32"),
        ({"largest": GIVEN["xyz"]}, "largest is ndarray of float32, not int32"),
        ({"spots": 4}, "spots is int, not C-contiguous array of float32"),
        ({"spots": None}, "spots is NoneType, not C-contiguous array of float32"),
        ({"spots": np.zeros((4, 3))}, "spots is ndarray of float64, not C-contiguous array of float32"),
        ({"spots": GIVEN["xyz"].T}, "spots is ndarray of float32, not C-contiguous array of float32"),
        ({"spots": GIVEN["offsets"], "offsets": GIVEN["spots"]}, "spots is ndarray of int64, not C-contiguous"),
    ],
)
def test_an_argument_of_another_name_or_type_is_refused(cuda, change, message):
    arguments = {name: value for name, value in (GIVEN | change).items() if value is not ...}
    with pytest.raises(TypeError, match=f"^kernel sort_spots: {message}"):
        launched_with(cuda, **arguments)


def test_a_whole_number_that_does_not_fit_is_refused(cuda):
    with pytest.raises(OverflowError):
        launched_with(cuda, **GIVEN | {"largest": 2**31})


def test_the_source_alone_says_the_order():
    text = 'extern "C" __global__ void one(int a, const double* b, /* not c, */ float d) { } // extern'
    swapped = text.replace("int a, const double* b", "const double* b, int a")
    values, array = {"a": 1, "b": np.ones(2), "d": 2}, np.ndarray
    assert [type(x) for x in Signature("one", parsed(text)["one"], array).arguments(values)] == [
        np.int32,
        np.ndarray,
        np.float32,
    ]
    assert Signature("one", parsed(swapped)["one"], array).arguments(values)[1] == np.int32(1)


@pytest.mark.parametrize("declared", ["size_t n", "Unknown* table", "int** table", "n"])
def test_a_parameter_of_a_type_that_no_argument_has_is_refused(declared):
    with pytest.raises(ValueError, match="kernel one: the parameter"):
        parsed(f'extern "C" __global__ void one(int a, {declared}) {{}}')
