"""The first sentence of a diagnosis: the next step as a whole command line, also of runs that have no crystals."""

import shlex
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from ffbidx_cli.main import cli
from ffbidx_core.diagnose.advice import Advice, cell_command, inputs_to_type, search_command
from ffbidx_core.diagnose.diagnosis import NOTHING_TRIED, Diagnosis
from ffbidx_core.diagnose.next_step import next_command, next_step
from ffbidx_core.diagnose.words import _multiple, sentences
from ffbidx_core.learn.multiples import Multiple
from ffbidx_core.model.records.reason import FrameReason
from ffbidx_core.model.records.run import InputIdentity, RunRecord

CONFIG = {
    "inputs": ["a b.h5", "c.h5"],
    "cell": ["79,79,38,90,90,90"],
    "geometry": "x.geom",
    "beam-centre": [1.5, 2.0],
    "half-pixel-shift": False,
    "every": 1,
}


def of_run(reason: FrameReason, **others) -> Diagnosis:
    """The diagnosis of a run without crystals, most frames for a reason."""
    reasons = {FrameReason.TOO_FEW_SPOTS: 2, reason: 18}
    return Diagnosis("run 1.h5", 20, [20], [], n_sampled=20, reasons=reasons, **others)


@pytest.mark.parametrize("reason", [FrameReason.NO_CELL, FrameReason.EXPLAINED_BY_CHANCE, FrameReason.DRIFTED])
def test_where_no_cell_fits_periodic_spots_the_cell_is_searched_for(reason):
    first, why, *_ = sentences(of_run(reason, search=cell_command(CONFIG)))
    geometry = "--geometry x.geom --no-half-pixel-shift --beam-centre 1.5 2.0"
    assert first == f"Next: ffbidx cell 'a b.h5' c.h5 {geometry}"
    assert f"{reason.words} on 18 of 20 frames" in why


def test_the_command_that_searches_for_a_cell_can_be_parsed():
    program, name, *arguments = shlex.split(cell_command(CONFIG))
    command = cli.get_command(None, name)
    context = command.make_context(name, arguments)
    assert program == "ffbidx"
    assert context.params["inputs"] == ("a b.h5", "c.h5")
    assert context.params["beam_centre"] == (1.5, 2.0)
    assert context.params["half_pixel_shift"] is False


def test_of_many_inputs_some_suffice():
    assert len(shlex.split(cell_command({"inputs": [f"{k}.h5" for k in range(1000)]}))) < 30


def test_of_frames_like_random_spots_some_are_looked_at():
    first, why, *_ = sentences(of_run(FrameReason.NO_VECTOR, search=cell_command(CONFIG)))
    assert first == "Next: ffbidx show 'run 1.h5'"
    assert "no vector on 18 of 20 frames" in why


def test_frames_like_random_spots_are_blank_or_have_another_cell():
    found = of_run(FrameReason.NO_VECTOR, search="ffbidx cell x.h5")
    _, _, other = next_step(found)
    assert other == "If so, they may have another cell, which this command searches for: ffbidx cell x.h5"
    assert len(list(next_step(of_run(FrameReason.NO_VECTOR)))) == 2


@pytest.mark.parametrize(
    ("reasons", "is_searched"),
    [
        # The shares of wrong cells and of blank frames, as measured on sample data and on simulated frames.
        ({FrameReason.NO_VECTOR: 23, FrameReason.NO_CELL: 14, FrameReason.EXPLAINED_BY_CHANCE: 3}, True),
        ({FrameReason.NO_VECTOR: 31, FrameReason.NO_CELL: 7, FrameReason.EXPLAINED_BY_CHANCE: 2}, True),
        ({FrameReason.NO_VECTOR: 37, FrameReason.NO_CELL: 3}, False),
        # Frames that were not searched are no frames of random spots, nor of periodic ones.
        ({FrameReason.TOO_FEW_SPOTS: 30, FrameReason.NO_VECTOR: 6, FrameReason.DRIFTED: 4}, True),
        ({FrameReason.UNREADABLE: 30, FrameReason.NO_VECTOR: 10}, False),
    ],
)
def test_more_periodic_frames_than_random_spots_give_mean_another_cell(reasons, is_searched):
    found = Diagnosis("run.h5", 40, [40], [], n_sampled=40, reasons=reasons, search="ffbidx cell x.h5")
    first, *why = next_step(found)
    assert first == f"Next: {'ffbidx cell x.h5' if is_searched else 'ffbidx show run.h5'}"
    assert any("the crystals may have another cell" in sentence for sentence in why) == is_searched


def test_without_known_inputs_frames_are_looked_at():
    assert sentences(of_run(FrameReason.NO_CELL))[0] == "Next: ffbidx show 'run 1.h5'"


def test_limits_that_leave_too_few_spots_are_widened():
    few = Diagnosis(
        "run 1.h5", 20, [20], [], n_sampled=20, reasons={FrameReason.TOO_FEW_SPOTS: 20}, limits={"d_min": 15.0}
    )
    first, why, *_ = sentences(few)
    assert first == "Next: ffbidx index --config 'run 1.h5' --d-min 0.1 -o 'run 1.next.h5'"
    assert (
        why
        == "Within --d-min 15 most frames have too few spots (too few spots on 20 of 20 frames); this uses all spots."
    )


@pytest.mark.parametrize(
    ("finding", "command"),
    [
        ({"missing": ["x.h5: is no longer there"]}, "ffbidx convert 'run 1.ffbidx.h5' -o 'run 1.csv'"),
        (
            {"missing": ["x.h5: is no longer there"], "onward": (".expt", ".refl")},
            "ffbidx convert 'run 1.ffbidx.h5' -o 'run 1.expt' -o 'run 1.refl'",
        ),
        (
            {"missing": ["x.h5: has changed"], "inputs_are_there": True},
            "ffbidx index --config 'run 1.ffbidx.h5' --keep-spots -o 'run 1.next.h5'",
        ),
        ({"reasons": {FrameReason.BAD_SPOTS: 3}}, "ffbidx table 'run 1.ffbidx.h5' --failed"),
        ({"n_sampled": 9, "not_tried": NOTHING_TRIED}, "ffbidx diagnose 'run 1.ffbidx.h5'"),
        ({}, "ffbidx convert 'run 1.ffbidx.h5' -o 'run 1.csv'"),
    ],
)
def test_every_diagnosis_begins_with_a_whole_command(finding, command):
    assert sentences(Diagnosis("run 1.ffbidx.h5", 20, [0, 20], [], **finding))[0] == f"Next: {command}"


@pytest.mark.parametrize(
    ("lattices", "finding", "command"),
    [
        ([5, 15], {}, "ffbidx convert run.h5 -o run.csv"),
        ([15, 5], {}, "ffbidx show run.h5"),
        ([5, 15], {"doubt": "other lattices do as well", "search": "ffbidx cell x.h5"}, "ffbidx cell x.h5"),
        ([5, 15], {"doubt": "other lattices do as well"}, "ffbidx show run.h5"),
    ],
)
def test_without_a_correction_the_share_and_the_doubt_decide(lattices, finding, command):
    found = Diagnosis("run.h5", 20, lattices, [], n_sampled=20, experiment=object(), **finding)
    assert next(next_step(found)) == f"Next: {command}"


MULTIPLE = "116,116,150,90,90,90,C"
TOO_SMALL = Multiple(False, np.array([1, 1, 0]), 2, 213, 2.0, 400, 129.0, np.eye(3))


def with_multiple(*options, shift_helps=False, **others):
    """The diagnosis of a doubted run with these advised options, of which `--cell` comes from a multiple."""
    advice = [Advice(option, None, None) for option in options]
    return Diagnosis(
        "run.h5",
        20,
        [10, 10],
        [],
        n_sampled=20,
        doubt="other lattices do as well",
        experiment=SimpleNamespace(shift_helps=shift_helps),
        multiple=TOO_SMALL,
        multiple_place=(0.5, 0.5, 0.0),
        multiple_cell=MULTIPLE,
        advice=advice,
        **others,
    )


def test_a_multiple_of_a_cell_that_lost_against_wrong_lattices_is_not_advised():
    found = with_multiple(f"--cell {MULTIPLE}", lost=True, search="ffbidx cell x.h5")
    first, why = next_step(found)
    assert first == "Next: ffbidx cell x.h5"
    assert f"--cell {MULTIPLE}, but that is derived from crystals that are not to be believed" in why
    assert "would be correct" not in _multiple(found, found.multiple)


@pytest.mark.parametrize(
    ("options", "finding", "advised"),
    [
        # The run itself found that the cell is a multiple, or the crystals were not compared with wrong lattices.
        ([f"--cell {MULTIPLE}"], {"lost": False}, f"--cell {MULTIPLE}"),
        # The crystals with the moved beam are others than those that lost.
        (
            ["--beam-shift 1 0", f"--cell {MULTIPLE}"],
            {"lost": True, "shift_helps": True},
            f"--beam-shift 1 0 --cell {MULTIPLE}",
        ),
        (["--distance 201.000", f"--cell {MULTIPLE}"], {"lost": True}, "--distance 201.000"),
    ],
)
def test_other_multiples_and_other_corrections_are_advised(options, finding, advised):
    found = with_multiple(*options, search="ffbidx cell x.h5", **finding)
    assert list(next_step(found)) == [f"Next: ffbidx index --config run.h5 {advised} -o run.next.h5"]


@pytest.mark.parametrize(
    ("search", "n_frames", "command"),
    [
        ({}, 20, "ffbidx cell x.h5"),
        ({"frames": 20}, 20, ""),
        ({"frames": 200}, 300, ""),
        ({"frames": 200}, 5000, "ffbidx cell x.h5 --frames 800"),
    ],
)
def test_the_search_that_a_run_made_itself_is_not_repeated(search, n_frames, command):
    record = RunRecord({}, (), {"inputs": ["x.h5"], "cell": ["auto"]}, cell_search=search)
    assert search_command(record, n_frames) == command


def test_a_doubted_cell_that_the_run_found_itself_is_followed_by_another_step_than_its_search():
    doubted = {"n_sampled": 20, "doubt": "other lattices do as well", "experiment": object(), "n_frames_searched": 200}
    first, why = next_step(Diagnosis("run.h5", 200, [0, 200], [], **doubted))
    assert first == "Next: ffbidx show run.h5"
    assert "searched for a cell on its first 200 frames (--cell auto): it would find the same again" in why
    first, why = next_step(Diagnosis("run.h5", 5000, [0, 5000], [], search="ffbidx cell x.h5 --frames 800", **doubted))
    assert first == "Next: ffbidx cell x.h5 --frames 800"
    assert why.endswith("this search reads more frames.")


def test_the_results_of_an_earlier_step_are_not_in_the_way(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    few = of_run(FrameReason.TOO_FEW_SPOTS, limits={"d_min": 15.0})
    for name in ("run 1.next.h5", "run 1.next2.h5", "run 1.next3.h5"):
        assert shlex.split(next(next_step(few)))[-2:] == ["-o", name]
        Path(name).touch()


def test_an_input_with_the_name_of_an_output_is_not_in_the_way(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = Diagnosis("run.ffbidx.h5", 20, [0, 20], [], onward=(".expt", ".refl"))
    Path("run.refl").touch()
    assert next(next_step(found)) == "Next: ffbidx convert run.ffbidx.h5 -o run2.expt -o run2.refl"


def test_a_page_of_frames_that_is_there_is_made_again(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    random = of_run(FrameReason.NO_VECTOR)
    assert next(next_step(random)) == "Next: ffbidx show 'run 1.h5'"
    Path("run 1.frames.html").touch()
    assert next(next_step(random)) == "Next: ffbidx show 'run 1.h5' --overwrite"


def test_a_run_whose_options_name_no_inputs_is_repeated_with_the_folder_of_its_spots(tmp_path):
    folder = tmp_path / "live.h5.spots"
    folder.mkdir()
    parts = [InputIdentity(str(folder / name), -1, 4, 0) for name in ("000000.h5", "000001.h5")]
    for part in parts:
        Path(part.path).write_bytes(b"spot")
    record = RunRecord({}, tuple(parts), {"cell": ["30,40,50,90,90,90"]})
    assert inputs_to_type(record) == [str(folder)]
    assert search_command(record, 100) == f"ffbidx cell {folder}"
    assert inputs_to_type(RunRecord({}, tuple(parts), {"inputs": ["a.h5"]})) == []
    found = Diagnosis("live.h5", 20, [0, 20], [], advice=[Advice("--distance 200", None, None)], to_type=[str(folder)])
    assert next_command(found).startswith(f"ffbidx index {folder} --config live.h5 --distance 200 -o live.next")
