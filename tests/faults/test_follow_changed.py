"""What became of the input while nobody followed it: a file that is not what was read is refused."""

import os

import pytest

from ffbidx_core.errors import InputError, UsageError
from ffbidx_core.read import Source
from tests.helpers.calls import write_spots
from tests.helpers.runs.faults import run
from tests.helpers.runs.follow import FRAMES, died, follow


def test_a_complete_run_is_left_as_it_is(clock, inputs, tmp_path, finished):
    (inputs / "a.h5").write_bytes((finished / "a.h5").read_bytes())
    follow(tmp_path / "x.h5")
    before = (tmp_path / "x.h5").read_bytes()
    clock.at(5, (inputs / "b.h5").write_bytes, (finished / "b.h5").read_bytes())
    outcome = follow(tmp_path / "x.h5", resume=True)
    assert (outcome.summary.frames, outcome.summary.complete) == (4, True)
    assert (tmp_path / "x.h5").read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["inputs", "x.h5"]


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        (
            lambda: write_spots("b.h5", FRAMES[5:12]),
            InputError,
            r"b.h5: --resume: frame 2 has changed since it was indexed",
        ),
        (
            lambda: write_spots("b.h5", FRAMES[4:6]),
            UsageError,
            r"the input ./b.h5 has changed: \d+ bytes then, \d+ now",
        ),
        (lambda: os.unlink("b.h5"), UsageError, r"the input ./b.h5 has changed: it is not there any more"),
        (lambda: os.utime("a.h5", ns=(1, 1)), UsageError, "the input ./a.h5 has changed: it was modified"),
        (lambda: write_spots("a.h5", FRAMES[:5]), UsageError, r"the input ./a.h5 has changed: \d+ bytes then, \d+ now"),
    ],
)
def test_what_was_read_must_be_as_it_was(clock, writers, inputs, tmp_path, change, error, says):
    died(clock, writers, inputs, tmp_path / "x.h5").kill()
    change()
    with pytest.raises(error, match=says):
        follow(tmp_path / "x.h5", resume=True)


def test_changes_while_nobody_follows_are_refused_by_an_ordinary_run(clock, writers, inputs, tmp_path):
    writer = died(clock, writers, inputs, tmp_path / "x.h5")
    writer.add(*FRAMES[7:])
    writer.close()
    with pytest.raises(UsageError, match=r"the input ./b.h5 has changed"):
        run([Source("./a.h5"), Source("./b.h5")], tmp_path / "x.h5", resume=True)
