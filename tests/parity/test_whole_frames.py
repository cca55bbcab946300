"""Whole frames: each backend finds the oracle's crystals, on all crystal systems and on the sample data.

The same crystals are as many ones, each turned by less than `LARGEST_TURN` from one of the oracle's modulo the
lattice's symmetry, that give the spots near both the same Miller indices. Float32 in the search may tip a selection
that hangs on a rounding: on at most one frame of 200, and only where the oracle itself changes its mind when every
coordinate moves by 1e-6 of itself.
"""

import functools
from typing import NamedTuple

import h5py
import numpy as np
import pytest

from ffbidx_core.backends import get_backend
from ffbidx_core.method.index_frames import index_frames
from ffbidx_core.model.cell import symmetry_operators
from ffbidx_core.model.orientation import misorientation
from ffbidx_core.model.plan import SearchPlan
from ffbidx_core.model.records.batch import pack
from ffbidx_core.parameters import Parameters
from ffbidx_core.read.cells.input_cell import read_cell
from tests.helpers.parity.lattice_stills import CELLS, random_spots, still
from tests.helpers.paths import ROOT

LARGEST_TURN = 1e-3
"""Degrees; the returned cells are float32, the fits end in the same minimum."""
MOST_EXCEPTIONS = 0.005
SEEDS = 6
"""Times that the oracle looks at the moved spots of an exception."""
SAMPLES = ROOT / "sample_data"
FEWER = {"num_halfsphere_points": 8192, "research_points": 4096}


class Case(NamedTuple):
    """A preset with changes, and for each crystal system the seeds of its frames; `samples`: sample data too."""

    preset: str
    changes: dict
    seeds: tuple[int, ...]
    samples: int = 0
    systems: tuple[str, ...] = tuple(CELLS)


CASES = {
    "best": Case("best", {}, (1,), samples=30),
    "best, fewer directions": Case("best", FEWER, (2, 3)),
    "published": Case("published", {}, (4,), samples=10, systems=("triclinic", "tetragonal", "cubic")),
    "raw": Case("published", FEWER | {"method": "raw"}, (5,), systems=("monoclinic", "hexagonal", "orthorhombic")),
    "ifss": Case("published", FEWER | {"method": "ifss"}, (6,), systems=("monoclinic", "trigonal", "tetragonal")),
    "ifse": Case("published", FEWER | {"method": "ifse"}, (7,), systems=("orthorhombic", "trigonal", "triclinic")),
}


def frames_of(cell, seed):
    """Few, many, clean, half-false and random spots, and two lattices: the spots (n, 3) of each frame."""
    rng = np.random.default_rng(seed)
    kinds = ((15, 0.25), (14, 0.0), (40, 0.5), (80, 0.2), (200, 0.2))
    single = [still(rng, cell, n, false=false)[0] for n, false in kinds]
    two = np.concatenate([still(rng, cell, 60, false=0.1)[0] for _ in range(2)])
    return [*single, two, random_spots(rng, 60).astype(np.float32)]


def groups_of(case):
    """Input cells (3, 3) with the frames to index with each."""
    for number, system in enumerate(CELLS):
        if system in case.systems:
            frames = [spots for seed in case.seeds for spots in frames_of(CELLS[system], (seed, number))]
            yield CELLS[system], frames
    if case.samples:
        with h5py.File(SAMPLES / "lysozyme.h5") as file:
            offsets = file["offsets"][:]
            frames = [file["spots"][offsets[f] : offsets[f + 1]] for f in range(case.samples)]
        yield np.asarray(read_cell(str(SAMPLES / "lysozyme.cell"))), frames


def crystals_of(backend, frames, cell, p):
    """The cells (n, 3, 3) of the crystals of each frame."""
    result = index_frames(backend, *pack(frames), SearchPlan.make(cell[None], p), p)
    bounds = zip(result.crystal_offsets[:-1], result.crystal_offsets[1:], strict=True)
    return [result.cells[result.crystals[i:j]].astype(float) for i, j in bounds]


def are_same(found, wanted, spots, cell, p):
    """Whether crystals (n, 3, 3) found on the spots (n, 3) of a frame are those that are wanted."""
    operators, others = symmetry_operators(cell, 1e-3), list(found)
    if len(found) != len(wanted):
        return False
    for crystal in wanted:
        turns = [misorientation(other, crystal, operators) for other in others]
        nearest = int(np.argmin(turns))
        if turns[nearest] > LARGEST_TURN or not index_alike(others.pop(nearest), crystal, spots, operators, p):
            return False
    return True


def index_alike(cell, other, spots, operators, p):
    """Whether two oriented cells, one of them in the setting nearest to the other, give spots the same indices."""
    settings = operators @ cell
    cell = settings[np.argmin(np.abs(settings - other).sum(axis=(1, 2)))]
    threshold, fractional = p.coverage
    indices, near = [], []
    for each in (cell, other):
        exact = spots @ each.T
        indices.append(np.rint(exact))
        off = exact - indices[-1]
        near.append(np.linalg.norm(off if fractional else off @ np.linalg.inv(each).T, axis=1) < threshold)
    both = near[0] & near[1]
    # A spot at the threshold itself may be near to one of them only.
    return (near[0] != near[1]).sum() <= 1 and both.sum() >= p.fewest_spots and (indices[0] == indices[1])[both].all()


@functools.cache
def oracle_of(name):
    """The frames of a case with their cells and the oracle's crystals."""
    case = CASES[name]
    p, oracle = Parameters.preset(case.preset, **case.changes), get_backend("reference")
    return p, [(cell, frames, crystals_of(oracle, frames, cell, p)) for cell, frames in groups_of(case)]


@functools.cache
def exceptions_of(backend, name):
    """Frames of a case, and those (spots, cell, the oracle's crystals) on which a backend finds other crystals."""
    p, groups = oracle_of(name)
    n_frames, others = 0, []
    for cell, frames, wanted in groups:
        found = crystals_of(get_backend(backend), frames, cell, p)
        n_frames += len(frames)
        triples = zip(found, wanted, frames, strict=True)
        others += [(spots, cell, w) for f, w, spots in triples if not are_same(f, w, spots, cell, p)]
    return n_frames, others


def oracle_changes_its_mind(spots, cell, wanted, p):
    """Whether the oracle finds other crystals on the spots when they move a little."""
    for seed in range(SEEDS):
        factors = 1 + 1e-6 * np.random.default_rng(seed).uniform(-1, 1, size=spots.shape)
        moved = (spots * factors).astype(np.float32)
        (found,) = crystals_of(get_backend("reference"), [moved], cell, p)
        if not are_same(found, wanted, spots, cell, p):
            return True
    return False


@pytest.mark.parametrize("name", CASES)
def test_only_frames_on_the_edge_differ(backend, name):
    p, _ = oracle_of(name)
    _, others = exceptions_of(backend.name, name)
    assert all(oracle_changes_its_mind(*frame, p) for frame in others)


def test_hardly_any_frame_differs(backend):
    counts = [exceptions_of(backend.name, name) for name in CASES]
    assert sum(n for n, _ in counts) >= 200
    assert sum(len(others) for _, others in counts) <= MOST_EXCEPTIONS * sum(n for n, _ in counts)


@pytest.mark.parametrize("name", CASES)
def test_the_frames_are_worth_a_comparison(name):
    """Most have crystals, some several, some none."""
    _, groups = oracle_of(name)
    counts = np.array([len(crystals) for _, _, found in groups for crystals in found])
    assert (counts > 0).mean() > 0.6
    assert (counts > 1).any()
    assert (counts == 0).any()


def test_another_crystal_is_told():
    """The comparison sees a turn, another index, a missing crystal."""
    p, cell = Parameters.preset("best"), CELLS["monoclinic"]
    spots, oriented = still(np.random.default_rng(0), cell, 60)
    spots = spots.astype(float)
    operators = symmetry_operators(cell, 1e-3)
    assert are_same(operators[-1] @ oriented[None], oriented[None], spots, cell, p)
    small = np.array([[1, 5e-5, 0], [-5e-5, 1, 0], [0, 0, 1]])
    assert not are_same(oriented[None] @ small, oriented[None], spots, cell, p)
    assert not are_same(oriented[None][:0], oriented[None], spots, cell, p)
    assert not index_alike(np.diag([1, 1, 2]) @ oriented, oriented, spots, operators[:1], p)
