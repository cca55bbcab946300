"""The diagnosis of whole runs against what was put into them."""

import json
from pathlib import Path

import h5py
import numpy as np
import pytest

from ffbidx_core.diagnose.as_json import as_dict
from ffbidx_core.diagnose.diagnosis import make_diagnosis
from ffbidx_core.diagnose.words import sentences
from ffbidx_core.errors import InputError
from ffbidx_core.model.detector.beam_shift import BeamShift, ShiftAlone
from ffbidx_core.write.keep import keep_spots
from tests.helpers.runs.diagnosed import PIXEL, TRUE, cpu, diagnosis_of, index, spots_of, without_pixels

CENTRE = (4148 / 2, 4362 / 2)
HEXAGONAL = {
    "cell": "281,281,165,90,90,120",
    "cells": ((281.0, 281.0, 165.0, 90.0, 90.0, 120.0),),
    "n_spots": (100, 200),
}


def options_of(diagnosis):
    return [advice.option for advice in diagnosis.advice]


def numbers_of(cell):
    """Lengths and angles of a cell as an option writes it."""
    return [float(x) for x in cell.split(",")[:6]]


def words_of(diagnosis):
    return " ".join(sentences(diagnosis))


def test_a_beam_centre_that_is_off():
    diagnosis = diagnosis_of(beam_centre_error=(3.0, -1.0))
    experiment, pixels = diagnosis.experiment, diagnosis.pixels
    for value, error in ((experiment.shift_x, -3.0), (experiment.shift_y, 1.0)):
        assert value.value == pytest.approx(error * PIXEL, abs=4 * value.error)
    assert pixels.centre == pytest.approx(CENTRE, abs=0.06)
    assert pixels.shift == pytest.approx((-3, 1), abs=0.06)
    assert pixels.error == pytest.approx((experiment.shift_x.error / PIXEL, experiment.shift_y.error / PIXEL), rel=1e-6)
    assert experiment.after.evidence.mean() > 1.2 * experiment.before.evidence.mean()
    (option,) = options_of(diagnosis)
    name, fs, ss = option.split()
    assert name == "--beam-centre"
    assert (float(fs), float(ss)) == pytest.approx(CENTRE, abs=0.06)
    said = words_of(diagnosis)
    assert "The beam centre is off by -3.0" in said
    first = said.splitlines()[0]
    assert first.startswith("Next: ffbidx index --config ")
    assert option in first


def test_a_run_with_nothing_wrong():
    diagnosis = diagnosis_of(seed=4)
    assert not diagnosis.experiment.is_shifted
    assert diagnosis.experiment.cause == "none"
    assert diagnosis.multiple is None
    assert diagnosis.advice == []
    said = words_of(diagnosis)
    assert "The beam centre needs no correction" in said
    assert "Cell and detector distance agree" in said
    assert "The cell is as given" in said
    assert said.splitlines()[0].startswith("Next: ffbidx convert ")
    assert "No change was found that indexes the sample clearly better." in said


def test_blanks_are_no_reason_to_move_the_beam():
    diagnosis = diagnosis_of(seed=5, n_frames=120, blank_share=0.6)
    assert diagnosis.advice == []
    assert not diagnosis.experiment.is_shifted


@pytest.mark.parametrize(("error", "settings"), [((6.0, 0.0), HEXAGONAL), ((12.0, 9.0), {})])
def test_a_shift_that_hides_most_crystals(error, settings):
    diagnosis = diagnosis_of(beam_centre_error=error, n_frames=48, **settings)
    experiment = diagnosis.experiment
    # By more than half the distance of lattice points: the residuals of what was indexed point anywhere.
    assert experiment.before.rate < 0.6
    assert experiment.after.rate > 0.95
    assert experiment.shift_x.value == pytest.approx(-error[0] * PIXEL, abs=4 * experiment.shift_x.error)
    assert experiment.shift_y.value == pytest.approx(-error[1] * PIXEL, abs=4 * experiment.shift_y.error)
    assert options_of(diagnosis)[0].startswith("--beam-centre 207")


def test_a_wrong_distance():
    diagnosis = diagnosis_of(distance_error=0.005, n_frames=150)
    assert diagnosis.experiment.cause == "distance"
    assert diagnosis.experiment.distance.value == pytest.approx(0.005, abs=4 * diagnosis.experiment.distance.error)
    (option,) = options_of(diagnosis)
    assert option.startswith("--distance ")
    assert float(option.split()[1]) == pytest.approx(200, abs=0.12)
    assert "The distance is wrong" in words_of(diagnosis)


def test_a_wrong_cell_that_the_run_did_not_learn():
    results = index(spots_of(), "79.5,79.5,38.2,90,90,90", learn_cell=0)
    diagnosis = make_diagnosis(results, cpu())
    assert diagnosis.experiment.cause == "cell"
    np.testing.assert_allclose(diagnosis.experiment.cell[:3], [79, 79, 38], rtol=5e-4)
    assert (
        np.abs(diagnosis.experiment.cell[:3] - [79, 79, 38]) < 5 * diagnosis.experiment.cell_errors[:3] + 0.01
    ).all()
    (option,) = options_of(diagnosis)
    name, cell = option.split()
    assert name == "--cell"
    # As numbers, for processors differ in the last digits: `79,79,37.999` and `79,79,38` are one cell.
    np.testing.assert_allclose(numbers_of(cell), [79, 79, 38, 90, 90, 90], rtol=5e-4)
    # Where the run learned the cell itself there is nothing to do.
    learned = diagnosis_of(cell="79.5,79.5,38.2,90,90,90")
    assert learned.experiment.cause == "cell"
    assert learned.advice == []
    assert "The cell is not as given (the run corrected it)" in words_of(learned)


@pytest.mark.parametrize(
    ("given", "settings", "too_large", "right"),
    [
        ("79,79,76,90,90,90", {}, True, TRUE),
        ("79,79,19,90,90,90", {}, False, TRUE),
        ("79,79,114,90,90,90", {}, True, TRUE),
        (
            "61,122,168,90,90,90",
            {"cells": ((61.0, 122.0, 168.0, 90.0, 90.0, 90.0),), "centring": "C"},
            True,
            "61,122,168,90,90,90,C",
        ),
        ("61,122,168,90,90,90,C", {"cells": ((61.0, 122.0, 168.0, 90.0, 90.0, 90.0),)}, False, "61,122,168,90,90,90"),
    ],
)
def test_multiples_and_parts_of_the_cell(given, settings, too_large, right):
    diagnosis = diagnosis_of(cell=given, n_frames=50, **settings)
    assert diagnosis.multiple.too_large == too_large
    np.testing.assert_allclose(numbers_of(diagnosis.multiple_cell), numbers_of(right), rtol=5e-4)
    assert diagnosis.multiple_cell.endswith(",C") == right.endswith(",C")
    assert f"--cell {diagnosis.multiple_cell}" in options_of(diagnosis)
    assert f"The cell is too {'large' if too_large else 'small'}" in words_of(diagnosis)


def test_settings_that_look_alike():
    settings = {"cells": ((50.0, 50.15, 70.0, 90.0, 90.0, 90.0),), "n_spots": (12, 20), "n_frames": 60}
    close = diagnosis_of(cell="50,50.15,70,90,90,90", cell_spread=0.003, **settings)
    # Within a per cent it counts as a symmetry of the lattice, so that it is none of the other settings.
    assert close.settings == []
    settings["cells"] = ((50.0, 50.8, 70.0, 90.0, 90.0, 90.0),)
    undecided = diagnosis_of(cell="50,50.8,70,90,90,90", cell_spread=0.01, **settings)
    clear = diagnosis_of(cell="50,52,70,90,90,90", cells=((50.0, 52.0, 70.0, 90.0, 90.0, 90.0),), n_frames=60)
    for diagnosis in (undecided, clear):
        (setting,) = diagnosis.settings
        assert np.abs(setting.basis).tolist() == [[0, 1, 0], [1, 0, 0], [0, 0, 1]]
        assert "Another setting resembles the cell" in words_of(diagnosis)
    assert undecided.settings[0].undecided + undecided.settings[0].better > 0.1
    assert "of the crystals fit it about as well" in words_of(undecided)
    assert clear.settings[0].undecided < 0.02


def test_spots_without_pixels_are_shifted_by_an_option():
    spots = without_pixels(spots_of(beam_centre_error=(3.0, -1.0)))
    diagnosis = make_diagnosis(index(spots, TRUE), cpu())
    assert diagnosis.pixels is None
    name, x, y = options_of(diagnosis)[0].split()
    assert name == "--beam-shift"
    assert (float(x), float(y)) == pytest.approx((-3e3 * PIXEL, 1e3 * PIXEL), abs=0.02)
    # Half of it is in the run already: the option is for the whole.
    again = make_diagnosis(index(spots, TRUE, ShiftAlone(BeamShift(mrad=(float(x) / 2, float(y) / 2)))), cpu())
    assert again.experiment.shift_x.value == pytest.approx(-1.5 * PIXEL, abs=0.02e-3)
    assert [float(v) for v in options_of(again)[0].split()[1:]] == pytest.approx([float(x), float(y)], abs=0.01)
    right = make_diagnosis(index(spots, TRUE, ShiftAlone(BeamShift(mrad=(float(x), float(y))))), cpu())
    assert not right.experiment.is_shifted
    assert right.advice == []


def test_without_spots_the_results_alone_speak():
    spots = without_pixels(spots_of(n_frames=20))
    results, kept = index(spots, TRUE), index(spots, TRUE)
    keep_spots(kept)
    Path(spots).unlink()
    diagnosis = make_diagnosis(results, cpu())
    assert diagnosis.n_sampled == 0
    assert diagnosis.experiment is None
    said = words_of(diagnosis)
    assert "is no longer there" in said
    assert "--keep-spots" in said
    assert "one on 100.0% of 20 frames" in said
    assert "by the median of 20 crystals" in said
    assert make_diagnosis(kept, cpu()).experiment is not None


def test_spots_around_another_beam_are_not_diagnosed(tmp_path):
    bare, turned = without_pixels(spots_of(n_frames=20)), tmp_path / "turned.h5"
    with h5py.File(bare) as source, h5py.File(turned, "w") as target:
        target["spots"], target["offsets"] = source["spots"][()][:, [2, 0, 1]], source["offsets"][()]
    diagnosis = make_diagnosis(index(str(turned), TRUE), cpu())
    assert diagnosis.lattices[0] == 0
    assert diagnosis.experiment is None
    assert "on no Ewald sphere" in words_of(diagnosis)


def test_nothing_is_advised_that_was_not_tried():
    diagnosis = make_diagnosis(index(spots_of(beam_centre_error=(3.0, -1.0)), TRUE), None)
    assert diagnosis.experiment.is_shifted
    assert diagnosis.advice == []
    said = words_of(diagnosis)
    assert "This was not tested" in said
    # The next step is to test it.
    assert said.startswith("Next: ffbidx diagnose ")
    assert "ffbidx index" not in said
    assert "--beam-shift" not in said


def test_the_published_preset():
    diagnosis = make_diagnosis(index(spots_of(beam_centre_error=(1.5, 0.0)), TRUE, preset="published"), cpu())
    assert diagnosis.experiment.shift_x.value == pytest.approx(-1.5 * PIXEL, abs=5 * diagnosis.experiment.shift_x.error)
    assert options_of(diagnosis)[0].startswith("--beam-centre")
    assert "mean number of indexed spots" in words_of(diagnosis)


def test_no_crystals_and_few_crystals():
    nothing = diagnosis_of(n_frames=30, lattices=(0, 0))
    assert nothing.experiment is None
    assert nothing.cells == []
    assert "too few crystals" in words_of(nothing)
    few = diagnosis_of(n_frames=5)
    assert few.experiment is None


def test_everything_is_json():
    for diagnosis in (diagnosis_of(beam_centre_error=(3.0, -1.0)), diagnosis_of(n_frames=5)):
        values = json.loads(json.dumps(as_dict(diagnosis)))
        assert values["frames"] == diagnosis.n_frames
        assert values["words"] == sentences(diagnosis)
        assert sum(values["frames_by_lattices"]) == diagnosis.n_frames
    doubled = json.loads(json.dumps(as_dict(diagnosis_of(cell="79,79,76,90,90,90", n_frames=50))))
    assert doubled["multiple"]["right_cell"] == TRUE


def test_it_is_the_same_every_time():
    results = index(spots_of(n_frames=40, beam_centre_error=(2.0, 0.0)), TRUE)
    first, second = (as_dict(make_diagnosis(results, cpu())) for _ in range(2))
    assert first == second


def test_what_is_no_results_file():
    with pytest.raises(InputError, match="not a results file"):
        make_diagnosis(spots_of(), cpu())
