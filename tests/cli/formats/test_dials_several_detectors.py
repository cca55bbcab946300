"""Experiment lists in which the experiments have detectors, or directions of the beam, of their own."""

import copy
import json
from dataclasses import replace

import numpy as np
import pytest

from ffbidx_core.model.detector.placed import PlacedPanels
from ffbidx_core.read.geometry.any import parse_geometry, read_geometry
from ffbidx_core.read.geometry.dials import parse_experiments
from ffbidx_core.write.formats.refined import refined_text
from tests.helpers.beamline import DISTANCE, MADE_FOR_READING, PIXEL
from tests.helpers.calls import QUICK
from tests.helpers.dials_files import columns, expt, packed, write_dials
from tests.helpers.frames import rotation
from tests.helpers.runs.dials import INDEX, are_true, crystals, spots_of

MOVED = 10
"""Displacement of the second detector along the fast axis of each panel, in pixels."""
SCALE = 1.5
"""Factor between the third detector and the first, in distance, size and pixels."""


def several(content: dict, table: dict[str, np.ndarray]) -> tuple[dict, dict[str, np.ndarray]]:
    """The list and the table of the same rays, the second and third experiment with detectors of their own."""
    moved, scaled = (copy.deepcopy(content["detector"][0]) for _ in range(2))
    for panel in moved["panels"]:
        panel["origin"] = (np.array(panel["origin"]) + MOVED * PIXEL * np.array(panel["fast_axis"])).tolist()
    for panel in scaled["panels"]:
        panel["pixel_size"] = [SCALE * PIXEL] * 2
    # The panels of the third detector come in another order.
    scaled["panels"].reverse()
    for part in (*scaled["panels"], scaled["hierarchy"]["children"][0]):
        part["origin"] = (SCALE * np.array(part["origin"])).tolist()
    places, panel = table["xyzobs.px.value"].copy(), table["panel"].copy()
    places[table["id"] == 1, 0] -= MOVED
    panel[table["id"] == 2] = 2 - panel[table["id"] == 2]
    rows = [row | {"detector": number} for number, row in enumerate(content["experiment"])]
    return (
        content | {"detector": [*content["detector"], moved, scaled], "experiment": rows},
        table | {"xyzobs.px.value": places, "panel": panel},
    )


def turned(content: dict, table: dict[str, np.ndarray]) -> tuple[dict, dict[str, np.ndarray]]:
    """The list and the table of the same rays, the laboratory of the second experiment being another one."""
    turn = rotation(np.array([0.0, 1.0, 0.0]), 7.0)
    root = {name: (np.array(content["detector"][0]["hierarchy"][name]) @ turn).tolist() for name in
            ("fast_axis", "slow_axis", "origin")}  # fmt: skip
    other = copy.deepcopy(content["detector"][0])
    other["hierarchy"] |= root
    beam = content["beam"][0] | {"direction": (np.array(content["beam"][0]["direction"]) @ turn).tolist()}
    rows = copy.deepcopy(content["experiment"])
    rows[1] |= {"detector": 1, "beam": 1}
    return content | {
        "detector": [*content["detector"], other],
        "beam": [*content["beam"], beam],
        "experiment": rows,
    }, table


CHANGES = {"detectors": several, "directions of the beam": turned}


@pytest.fixture(params=CHANGES)
def changed(request, tmp_path):
    """The names of the files, and the spots of the same rays on one detector."""
    write_dials(tmp_path, MADE_FOR_READING)
    expected, _ = spots_of(tmp_path / "strong.refl", read_geometry(str(tmp_path / "imported.expt")))
    content, table = CHANGES[request.param](expt(MADE_FOR_READING), columns(MADE_FOR_READING))
    (tmp_path / "imported.expt").write_text(json.dumps(content))
    (tmp_path / "strong.refl").write_bytes(packed(table))
    return expected, content


def test_each_experiment_has_its_own_detector(changed, tmp_path):
    expected, content = changed
    geometry = read_geometry(str(tmp_path / "imported.expt"))
    found, _ = spots_of(tmp_path / "strong.refl", geometry)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    known = parse_experiments("x", geometry.text)
    assert len(known.models) == len(content["detector"])
    assert len(geometry.detector.panels) == 3 * len(known.models)
    assert len({panel.name for panel in geometry.detector.panels}) == len(geometry.detector.panels)
    for number, model in enumerate(known.models):
        assert tuple(range(model.first, model.first + 3)) in geometry.groups, number


def test_what_is_written_has_the_detectors_of_the_list(run, changed, tmp_path):
    expected, content = changed
    ran = run(*INDEX, "-o", "run.h5", "-o", "run.expt", "-o", "run.refl", "-o", "run.stream")
    assert ran.status == 0, ran.err
    assert are_true(crystals("run.h5"))
    made = json.loads((tmp_path / "run.expt").read_text())
    assert len(made["detector"]) == len(content["detector"])
    for row in made["experiment"]:
        image = made["imageset"][row["imageset"]]["single_file_indices"][0] - 10
        own = content["experiment"][image]
        assert made["detector"][row["detector"]] == content["detector"][own["detector"]]
        assert made["beam"][row["beam"]]["direction"] == content["beam"][own["beam"]]["direction"]
    for path, geometry in (("run.refl", read_geometry("run.expt")), ("run.stream", None)):
        again, _ = spots_of(path, geometry)
        assert len(again) == len(expected)
        assert np.linalg.norm(again[:, None] - expected, axis=2).min(axis=1).max() < 2e-5
    assert run("convert", "strong.refl", "-g", "imported.expt", "-o", "spots.h5").status == 0
    again, _ = spots_of("spots.h5", None)
    np.testing.assert_allclose(again, expected, atol=1e-6)


def test_panels_of_each_detector_are_moved_in_the_list(changed, tmp_path):
    geometry = read_geometry(str(tmp_path / "imported.expt"))
    before = PlacedPanels.of(geometry.detector, geometry.distance.millimetres)
    shift = np.arange(3 * len(geometry.detector.panels)).reshape(-1, 3) / 100
    text = refined_text(geometry, replace(before, corner=before.corner + shift), geometry.distance.millimetres)
    after = parse_geometry("x", text)
    placed = PlacedPanels.of(after.detector, after.distance.millimetres)
    np.testing.assert_allclose(placed.corner, before.corner + shift, atol=1e-5)
    np.testing.assert_allclose(placed.fast, before.fast, atol=1e-9)


def test_a_panel_that_the_experiments_own_detector_lacks(run, tmp_path):
    content, table = several(expt(MADE_FOR_READING), columns(MADE_FOR_READING))
    content["detector"][2]["panels"].pop()
    content["detector"][2]["hierarchy"]["children"][0]["children"].pop()
    (tmp_path / "imported.expt").write_text(json.dumps(content))
    (tmp_path / "strong.refl").write_bytes(packed(table))
    ran = run(*INDEX, "-o", "run.h5")
    assert ran.status in (2, 3)
    assert "panel" in ran.err


def test_options_move_all_detectors_alike(run, tmp_path):
    content, table = several(expt(MADE_FOR_READING), columns(MADE_FOR_READING))
    (tmp_path / "imported.expt").write_text(json.dumps(content))
    (tmp_path / "strong.refl").write_bytes(packed(table))
    given = read_geometry(str(tmp_path / "imported.expt"))
    assert run("inspect", "strong.refl", "-g", "imported.expt", "--json").status == 0
    ran = run("inspect", "strong.refl", "-g", "imported.expt", "--distance", str(DISTANCE + 5), "--json")
    assert ran.status == 0, ran.err
    assert len(given.detector.panels) == json.loads(ran.out)["panels"]
    assert json.loads(ran.out)["distance"] == pytest.approx(DISTANCE + 5)


def test_files_with_lists_of_their_own_keep_them_in_every_output(run, tmp_path):
    content, table = several(expt(MADE_FOR_READING), columns(MADE_FOR_READING))
    for number, folder in enumerate("ab"):
        (tmp_path / folder).mkdir()
        own = content | {"detector": [content["detector"][number]], "experiment": expt(MADE_FOR_READING)["experiment"]}
        (tmp_path / folder / "strong.expt").write_text(json.dumps(own))
        (tmp_path / folder / "strong.refl").write_bytes(packed(table))
    frames = ("a/strong.refl//0", "b/strong.refl//1")
    outputs = [word for name in ("run.h5", "run.expt", "run.refl", "run.stream") for word in ("-o", name)]
    ran = run("index", *frames, *INDEX[-len(QUICK) - 2 :], *outputs, "--keep-spots")
    assert ran.status == 0, ran.err
    made = json.loads((tmp_path / "run.expt").read_text())
    assert [made["detector"][row["detector"]] for row in made["experiment"]] == content["detector"][:2]
    expected = np.concatenate([spots_of(tmp_path / folder / "strong.refl", None)[0] for folder in "ab"])
    for path, geometry in (("run.refl", read_geometry("run.expt")), ("run.stream", None)):
        again, _ = spots_of(path, geometry)
        assert len(again) > 100
        assert np.linalg.norm(again[:, None] - expected, axis=2).min(axis=1).max() < 2e-5
    # A file of spots has room for one geometry, results that keep spots have it for all.
    assert run("convert", *frames, "-o", "spots.h5").is_one_line_error(2, "b/strong.refl", "another geometry", "-g")
    assert run("convert", "run.h5", "-o", "again.expt").status == 0
    assert json.loads((tmp_path / "again.expt").read_text()) == made
