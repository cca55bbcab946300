"""Whole frames of all crystal systems: the GPU finds the crystals that the CPU finds."""

import numpy as np
import pytest

from ffbidx_core.backends import get_backend
from tests.helpers.finding import crystals_of, errors, index
from tests.helpers.frames import SYSTEMS, cell_of, false_spots, random_rotation, still

FRAMES = 150
SAME = 0.05
"""Degrees."""
SHARE = 0.995


def frames_of_system(cell, rng):
    """Frames of 15 to 120 spots, a fifth of them false."""
    for n in rng.integers(12, 100, FRAMES):
        spots = still(cell @ random_rotation(rng), rng, int(n))
        yield np.concatenate([spots, false_spots(rng, int(n) // 4)])


@pytest.mark.parametrize("preset", ["best", "published"])
def test_the_gpu_finds_what_the_cpu_finds(gpu, preset):
    same = total = 0
    for i, system in enumerate(SYSTEMS):
        cell = cell_of(system)
        frames = list(frames_of_system(cell, np.random.default_rng(i)))
        ours, theirs = (index(frames, cell[None], preset, backend=backend) for backend in (gpu, get_backend("cpu")))
        for f in range(FRAMES):
            found, wanted = crystals_of(ours, f), crystals_of(theirs, f)
            total += 1
            same += len(found) == len(wanted) and max(errors(found, wanted, cell), default=0.0) < SAME
    print(f"{preset}: the same crystals on {same} of {total} frames")
    assert same >= SHARE * total
