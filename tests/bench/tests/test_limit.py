import numpy as np

from ffbidx_core.backends import get_backend
from ffbidx_core.model.plan import SearchPlan, half_sphere
from ffbidx_core.parameters import Parameters
from ffbidx_core.simulate import simulate
from tests.bench.cpu.limit import Loops
from tests.bench.scenarios import SPEED


def test_the_loop_that_is_timed_counts_the_spots_near_lattice_planes():
    p = Parameters.preset("best", num_halfsphere_points=1000, race_spots=20)
    frame = simulate(SPEED["tetragonal, 100 spots"], 1)
    plan, spots = SearchPlan.make(frame.input_cells, p), get_backend("cpu", threads=1).load(frame.spots, frame.offsets)
    loops = Loops(plan, spots, p)
    assert loops.all_directions() == 20 * 1000 * len(plan.lengths)
    indices = half_sphere(1000) @ spots.xyz[:, :20].astype(float) * plan.lengths[-1]
    wanted = (np.abs(indices - np.rint(indices)) < p.distance1).sum(axis=1)
    differ = wanted != -loops.counts[:1000]
    assert wanted.max() > wanted.min() + 5
    # Roundings to float32 may decide on a spot at the very limit.
    assert differ.mean() < 0.01
