"""Runs that follow two growing files, and events that end them too soon."""

import pytest

from ffbidx_core.read.growing.follow import Follower
from tests.helpers.calls import write_spots
from tests.helpers.frames import CELL, frame
from tests.helpers.runs.faults import Died, run

FRAMES = [frame(seed, 50, CELL * 1.01)[1] for seed in range(12)]
"""Frames 0 to 3 are those of a.h5, the others those of b.h5."""


def follow(output, **changes):
    ends = {"stop_after": 30} | {name: changes.pop(name) for name in ("stop_after", "stop_file") if name in changes}
    follower = Follower(["."], **ends)
    return run(follower.sources, output, follow=follower, **changes)


def grow(clock, writers, inputs, step=2):
    """Make two files grow one after the other."""
    a = writers(inputs / "a.h5")
    for number in range(4):
        clock.at(step * number, a.add, FRAMES[number])
    clock.at(4 * step, a.close)
    later = []
    clock.at(5 * step, lambda: later.append(writers(inputs / "b.h5")))
    for number in range(4, 12):
        clock.at((number + 2) * step, lambda number=number: later[0].add(FRAMES[number]))
    clock.at(14 * step, lambda: later[0].close())


def dies_at(n):
    """A progress callback that makes the run die at its n-th frame."""

    def progress(event):
        if event.frames >= n:
            raise Died

    return progress


def died(clock, writers, inputs, output):
    """A run that died after three frames of b.h5, which has not grown since."""
    write_spots(inputs / "a.h5", FRAMES[:4])
    clock.sleep(9)
    writer = writers(inputs / "b.h5")
    writer.add(*FRAMES[4:7])
    with pytest.raises(Died):
        follow(output, batch_size=1, progress=dies_at(7))
    return writer
