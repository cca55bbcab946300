import numpy as np

from ffbidx_core.backends import get_backend
from ffbidx_core.model.plan import SearchPlan, half_sphere
from ffbidx_core.parameters import Parameters
from ffbidx_core.simulate import simulate
from tests.bench.scenarios import SPEED
from tests.bench.speed import numpy_scores


def test_the_numpy_rival_of_step_one_computes_the_same_scores():
    p = Parameters.preset("published", num_halfsphere_points=2000, num_candidate_vectors=8)
    frame = simulate(SPEED["triclinic, 100 spots"], 1)
    plan = SearchPlan.make(frame.input_cells, p)
    oracle = get_backend("reference")
    vectors = oracle.find_candidate_vectors(oracle.load(frame.spots, frame.offsets), plan, p, 2000)[0]
    directions = half_sphere(2000)
    for length, found in zip(plan.lengths, vectors, strict=True):
        scores = numpy_scores(directions.astype(np.float32), frame.spots, length, p, block=300)
        best = directions[np.argsort(scores)[:8]] * length
        # Ties of float32 scores may come in another order.
        assert np.abs(np.sort(best, axis=0) - np.sort(found, axis=0)).max() < 1e-9
