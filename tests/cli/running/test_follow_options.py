"""`ffbidx index --follow` over files that are there already, and the options that it goes with."""

import h5py
import pytest

from ffbidx_core import read_results
from tests.helpers import beamline
from tests.helpers.calls import QUICK, write_spots
from tests.helpers.runs.faults import assert_same
from tests.helpers.runs.follow_process import FRAMES


def test_runs_of_several_writers_are_merged(run, index, there):
    for name, pieces in (("a", FRAMES[:2]), ("b", FRAMES[2:5])):
        write_spots(there / f"{name}.h5", pieces)
        assert index(f"d/{name}.h5", "--follow", "--stop-after", "1", "-o", f"{name}.out.h5").status == 0
    ran = run("merge", "a.out.h5", "b.out.h5", "-o", "both.h5")
    assert ran.status == 0, ran.err
    assert read_results("both.h5").index.tolist() == [0, 1, 0, 1, 2]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--stop-file", "x"], "--stop-file ends a run that follows its input: it goes with --follow"),
        (["--stop-after", "3"], "--stop-after ends a run that follows its input: it goes with --follow"),
        (["--follow", "--shard", "1/2"], "--follow and --shard: an input that grows has no shares"),
        (["--follow", "--dask", "local:2"], "--follow and --dask: "),
        (["--follow", "--dry-run"], "--follow and --dry-run: frames that are still to come cannot be listed"),
        (["--follow", "--stop-after", "0"], "--stop-after: 0.0 is out of range, it must be above 0"),
        (["--follow", "--stop-after", "nan"], "--stop-after: nan is out of range"),
        (["--follow", "d/a.h5//3"], "single frames are not"),
        # What is wrong with the other options is an error at once, not when the first frame comes.
        (["--follow", "--cell", "none.cell"], "none.cell"),
        (["--follow", "--max-spots", "-3"], "--max-spots: -3 is out of range"),
        (["--follow", "-o", "x.what"], "x.what"),
        (["--follow", "-g", "none.geom"], "none.geom"),
    ],
)
def test_options_that_make_no_sense(index, there, arguments, says):
    assert index("d", *arguments).is_one_line_error(2, says)


def test_an_output_that_is_there_is_told_at_once(index, there):
    open("x.h5", "w").close()
    assert index("d", "--follow", "-o", "x.h5").is_one_line_error(6, "x.h5", "--overwrite")


def test_an_output_among_the_inputs_is_refused(index, there):
    for name in ("a.h5", "b.h5"):
        write_spots(there / name, FRAMES[:1])
    ran = index("d", "--follow", "--stop-after", "3", "-o", "d/b.h5", "--overwrite")
    assert ran.is_one_line_error(2, "the output is the input d/b.h5")
    assert h5py.File(there / "b.h5").keys() == {"offsets", "spots"}


def test_the_options_can_be_written_without_waiting(index, there):
    ran = index("d", "--follow", "--stop-after", "30", "--print-config")
    assert ran.status == 0, ran.err
    assert "follow = true\n" in ran.out
    assert "stop-after = 30.0\n" in ran.out


def test_an_input_that_ends_before_its_first_file_was_left_alone(run, there):
    """What the first file says of the experiment is recorded all the same."""
    (there.parent / "d.geom").write_text(beamline.geom_text())
    beamline.write_cxi(there / "p.cxi", beamline.stills(2))
    open("stop", "w").close()
    cell = ",".join(map(str, beamline.PARAMETERS))
    ran = run("index", "d", "--cell", cell, "-g", "d.geom", *QUICK, "--follow", "--stop-file", "stop", "-o", "x.h5")
    assert ran.status == 0, ran.err
    assert read_results("x.h5").n_frames == 2
    assert read_results("x.h5").header.half_pixel_shift == "yes"


def test_a_run_is_repeated_without_following(run, index, there):
    """With the options that its results hold."""
    write_spots(there / "a.h5", FRAMES[:2])
    assert index("d", "--follow", "--stop-after", "1", "-o", "x.h5").status == 0
    ran = run("index", "--config", "x.h5", "--no-follow", "-o", "again.h5")
    assert ran.status == 0, ran.err
    assert_same(read_results("again.h5"), read_results("x.h5"))
