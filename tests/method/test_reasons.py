"""Why a frame has no crystal: frames made to fail at each step, by both acceptances, on every backend of the host."""

from collections import Counter

import numpy as np
import pytest

from ffbidx_core.backends import get_backend
from ffbidx_core.backends.cpu.backend import CpuBackend
from ffbidx_core.backends.reference.backend import ReferenceBackend
from ffbidx_core.method.index_frames import index_frames
from ffbidx_core.method.reasons import vectors_stand_out
from ffbidx_core.model.cell import cell_from_parameters
from ffbidx_core.model.chance import level as chance
from ffbidx_core.model.plan import SearchPlan
from ffbidx_core.model.records.batch import pack
from ffbidx_core.model.records.frame import FrameStatus
from ffbidx_core.model.records.reason import ADVICE, STANDS_OUT, FrameReason, with_status
from ffbidx_core.parameters import Parameters
from ffbidx_core.read import Source
from ffbidx_core.run.job import Job
from ffbidx_core.run.pipeline import index
from tests.helpers.calls import write_spots
from tests.helpers.frames import CELL, false_spots, frame

CLEAR = [frame(seed, 60)[1] for seed in range(4)]
NOISE = [false_spots(np.random.default_rng(seed), n) for seed, n in enumerate((12, 30, 61, 120))]
OTHER = cell_from_parameters((31, 47, 60, 90, 90, 90))
"""A cell that shares a with the crystals' one, and nothing else."""
PRESETS = {"chance": "best", "count": "published"}
NOTHING_PASSES = {"chance": {"max_false_rate": 1e-300}, "count": {"crystals_min_spots": 500}}
NAMES = tuple(PRESETS)


def reasons(frames, accept, cell=CELL, backend=None, **changes):
    """The reasons of frames (spots (n, 3) each) with an input cell."""
    p = Parameters.preset(PRESETS[accept], num_halfsphere_points=4096, **changes)
    backend = backend or get_backend("cpu")
    result = index_frames(backend, *pack(frames), SearchPlan.make(cell[None], p), p)
    assert ((result.reason == FrameReason.NONE) == (np.diff(result.crystal_offsets) > 0)).all()
    return [FrameReason(reason) for reason in result.reason.tolist()]


@pytest.fixture(params=["cpu", "reference"])
def backend(request):
    return get_backend(request.param)


@pytest.mark.parametrize("accept", NAMES)
def test_frames_with_crystals_have_none(accept, backend):
    assert reasons(CLEAR[:2], accept, backend=backend) == [FrameReason.NONE] * 2


@pytest.mark.parametrize("accept", NAMES)
def test_too_few_spots(accept, backend):
    fewest = Parameters.preset(PRESETS[accept]).fewest_spots
    frames = [CLEAR[0][: fewest - 1], np.zeros((0, 3), np.float32), CLEAR[0][:fewest]]
    found = reasons(frames, accept, backend=backend)
    assert found[:2] == [FrameReason.TOO_FEW_SPOTS] * 2
    assert found[2] != FrameReason.TOO_FEW_SPOTS


@pytest.mark.parametrize("accept", NAMES)
def test_too_few_spots_on_a_batch_that_is_small_without_those_near_the_origin(accept, monkeypatch):
    frames = [CLEAR[0], np.concatenate([CLEAR[1], np.zeros((3, 3), np.float32)]), CLEAR[2][:2]]
    monkeypatch.setattr("ffbidx_core.method.retry.FEW_SPOTS", sum(map(len, frames)) - 1)
    found = reasons(frames, accept)
    assert [reason == FrameReason.TOO_FEW_SPOTS for reason in found] == [False, False, True]


@pytest.mark.parametrize("accept", NAMES)
def test_random_spots_have_no_vector(accept, backend):
    assert reasons(NOISE[1:3], accept, backend=backend) == [FrameReason.NO_VECTOR] * 2


@pytest.mark.parametrize("accept", NAMES)
def test_spots_of_another_crystal_have_a_vector_and_no_cell(accept):
    frames = [frame(seed, 60)[1] for seed in range(12)]
    found = Counter(reasons(frames, accept, OTHER))
    assert found[FrameReason.NO_VECTOR] == 0
    assert found[FrameReason.NO_CELL] >= 2
    assert found[FrameReason.NO_CELL] + found[FrameReason.EXPLAINED_BY_CHANCE] >= 9


@pytest.mark.parametrize("accept", NAMES)
def test_a_cell_that_stands_out_but_does_not_pass_is_explained_by_chance(accept, backend):
    found = reasons(CLEAR[:2], accept, backend=backend, **NOTHING_PASSES[accept])
    assert found == [FrameReason.EXPLAINED_BY_CHANCE] * 2


def spoiled(kind, verb):
    """A backend whose fits leave the spots: they make cells 4.5 % larger, which is no drift."""

    class Spoiled(kind):
        pass

    def stretch(self, *arguments):
        cells, other = getattr(kind, verb)(self, *arguments)
        return 1.045 * cells, other

    setattr(Spoiled, verb, stretch)
    return Spoiled()


@pytest.mark.parametrize("kind", [CpuBackend, ReferenceBackend])
@pytest.mark.parametrize(
    ("accept", "verb", "changes"),
    [
        ("chance", "fit_constrained", {}),
        ("chance", "refine_cells", {"polish": "none"}),
        # A threshold that a cell of the search meets before it is refined.
        ("count", "refine_cells", {"crystals_threshold": 0.004, "num_angle_points": 720}),
    ],
)
def test_a_cell_that_a_fit_spoils_is_lost_in_refinement(kind, accept, verb, changes):
    assert reasons(CLEAR[:2], accept, **changes) == [FrameReason.NONE] * 2
    found = reasons(CLEAR[:2], accept, backend=spoiled(kind, verb), **changes)
    assert found == [FrameReason.LOST_IN_REFINEMENT] * 2


def test_cells_that_were_sure_before_the_fit_only_are_no_crystals():
    """With a wrong cell the method and the last fit can leave the few spots that led to it."""
    wrong = cell_from_parameters((33, 42, 57, 90, 103, 90))
    found = Counter(reasons([frame(seed, 60)[1] for seed in range(24)], "chance", wrong, num_angle_points=232))
    assert found[FrameReason.LOST_IN_REFINEMENT] > 0


@pytest.mark.parametrize("accept", NAMES)
def test_a_refined_cell_unlike_the_input_cell_has_drifted(accept, backend):
    # The strain's prior lets a cell go 0.3 % of the 0.6 % that it is off.
    found = reasons(CLEAR[:2], accept, CELL * 1.006, backend, max_drift=(1e-3, 3.0))
    assert found == [FrameReason.DRIFTED] * 2
    assert reasons(CLEAR[:2], accept, CELL * 1.006, backend) == [FrameReason.NONE] * 2


@pytest.mark.parametrize("accept", NAMES)
def test_the_reason_of_a_frame_does_not_depend_on_the_others(accept):
    frames = [*NOISE, *CLEAR, CLEAR[0][:3], np.concatenate([CLEAR[0][::4], NOISE[2]])]
    together = reasons(frames, accept, OTHER)
    assert together == [reasons([each], accept, OTHER)[0] for each in frames]
    assert len(set(together)) >= 3


def test_what_random_spots_give_one_frame_in_ten_does_not_stand_out():
    """On 400 frames of random spots as many vectors and cells stand out as the definition says, or fewer."""
    rng = np.random.default_rng(0)
    frames = [false_spots(rng, int(n)) for n in rng.integers(10, 150, 400)]
    found = Counter(reasons(frames, "chance"))
    assert found[FrameReason.NO_VECTOR] > 0.8 * len(frames)
    assert found[FrameReason.EXPLAINED_BY_CHANCE] < 10**STANDS_OUT * len(frames) * 1.5
    assert found[FrameReason.NO_CELL] < 10**STANDS_OUT * len(frames) * 1.5


def test_vectors_stand_out_by_the_arithmetic_of_their_definition():
    p = Parameters.preset("best")
    # Spots at whole numbers of the planes of (0, 0, 10), the others half way between them.
    for n_on, n_off in ((30, 0), (30, 30), (5, 30), (6, 0), (12, 6)):
        z = np.concatenate([np.arange(n_on) % 7, np.arange(n_off) % 7 + 0.5]) / 10
        rows = np.random.default_rng(0).uniform(-0.2, 0.2, (n_on + n_off, 3))
        rows[:, 2] = z
        batch = get_backend("cpu").load(*pack([rows]))
        vectors = np.zeros((1, 2, 3))
        vectors[0, 1] = 0, 0, 10
        n, k, tail = n_on + n_off, n_on, 2 * chance.PLANE_DISTANCES[0]
        level = float(chance.log10_bound(np.array(k), np.array(n), np.array(tail)))
        expected = level + np.log10(4096 * 2) <= STANDS_OUT
        assert vectors_stand_out(batch, vectors, p, 4096).tolist() == [expected]


def test_empty_slots_are_no_vectors():
    batch = get_backend("cpu").load(*pack(CLEAR[:1]))
    assert vectors_stand_out(batch, np.zeros((1, 3, 3)), Parameters.preset("best"), 4096).tolist() == [False]


def test_statuses_imply_reasons():
    status = np.array(list(FrameStatus), np.uint8)
    reason = with_status(np.array([0, 3, 0, 1, 0], np.uint8), status)
    assert [FrameReason(r).name for r in reason] == ["NONE", "NO_CELL", "TOO_FEW_SPOTS", "BAD_SPOTS", "UNREADABLE"]


def test_there_is_advice_for_every_reason():
    assert list(ADVICE) == list(FrameReason)[1:]


def test_a_run_has_the_reason_of_every_frame(tmp_path):
    bad = np.full((8, 3), np.nan, np.float32)
    path = write_spots(tmp_path / "a.h5", [CLEAR[0], NOISE[2], CLEAR[0][:3], bad])
    sources = [Source(str(path)), Source(str(tmp_path / "nowhere.h5"))]
    p = Parameters.preset("best", num_halfsphere_points=4096, learn_cell=0)
    outcome = index(Job(sources, p, CELL[None], backend="cpu", batch_size=2))
    assert [FrameReason(r).name for r in outcome.results().reason] == [
        "NONE",
        "NO_VECTOR",
        "TOO_FEW_SPOTS",
        "BAD_SPOTS",
        "UNREADABLE",
    ]
    counted = {name: n for name, n in outcome.summary.reasons.items() if n}
    assert counted == dict.fromkeys(["no_vector", "too_few_spots", "bad_spots", "unreadable"], 1)
    assert outcome.summary.as_dict()["reasons"] == outcome.summary.reasons
