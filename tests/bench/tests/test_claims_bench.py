"""The benchmarks of wrong runs and of wrong scales: what they run, and short runs of them."""

import pytest

from ffbidx_core.benchmark import LYSOZYME
from ffbidx_core.simulate import Scenario
from tests.bench.claims import scales
from tests.bench.claims.runs import BLANK, RIGHT_RUNS, WRONG, Run
from tests.bench.claims.wrong import BLANK_NAME, RIGHT_NAME, Count, Task, passes, tasks_of

QUICK = Scenario(cells=(LYSOZYME,), n_spots=(30, 40), false_share=(0.1, 0.1))


def test_each_kind_has_the_frames_that_were_asked_for():
    tasks = tasks_of(("wrong", "right", "blank"), 1000, 0)
    for kind in (*WRONG, BLANK_NAME):
        assert 1000 <= sum(task.n_frames for task in tasks if task.kind == kind) < 2100
    assert len(WRONG) == 8
    assert sum(task.kind == RIGHT_NAME for task in tasks) == 3 * len(RIGHT_RUNS) == 60
    assert len({(task.name, task.seed) for task in tasks}) == len(tasks)


def test_crystals_of_a_right_run_are_right_and_those_of_another_cell_wrong():
    right = Task("right", "", Run(QUICK), 6, 0)()
    assert (right.runs, right.frames, right.indexed, right.wrong, right.doubted) == (1, 6, 6, 0, 0)
    wrong = Task("wrong", "", Run(QUICK, (237.0, 237.0, 38.0, 90.0, 90.0, 90.0)), 6, 0)()
    assert wrong.wrong == wrong.indexed > 0
    assert wrong.doubted
    assert wrong.unsaid == 0


def test_angles_in_radians_are_refused():
    assert Task("", "", WRONG["gamma in radians"][0], 5, 0)() == Count(runs=1, frames=5, refused=1)


def test_a_halo_replaces_spots():
    run = BLANK[-1]
    spots, halo = Run(run.scenario).frames(4, 0).spots, run.frames(4, 0).spots
    assert 0.5 < (spots != halo).any(axis=1).mean() < 0.7


@pytest.mark.parametrize(
    ("kind", "unsaid", "doubted", "good"),
    [("a kind", 1, 0, True), ("a kind", 2, 0, False), (RIGHT_NAME, 30, 0, True), (RIGHT_NAME, 0, 2, False)],
)
def test_what_passes(kind, unsaid, doubted, good):
    assert passes(kind, Count(runs=60, frames=1000, unsaid=unsaid, doubted=doubted)) == good


def test_a_cell_in_nanometres_is_named():
    task = scales.Task("cell in nm", "lysozyme", 9.0, 8, 0)
    found = task()
    assert found.outcome == "named"
    assert 0 < found.tries < found.seconds
