"""`ffbidx index` on inputs as they should be."""

import itertools
import json

import h5py
import numpy as np
import pytest

from ffbidx_core import read_results
from ffbidx_core.model.orientation import misorientation
from ffbidx_core.parameters import Parameters
from tests.helpers.calls import CELL_LINE, QUICK, write_spots, write_text
from tests.helpers.frames import CELL, OPERATORS, cell_of, frame


def lines_of(table: str) -> list[list[str]]:
    head, *lines = table.splitlines()
    assert head.startswith("# source\tindex\tcrystal\tscore")
    return [line.split("\t") for line in lines]


def test_default_output_is_a_results_file_in_the_current_directory_named_last(index, spots_file, tmp_path):
    ran = index(spots_file)
    assert ran.status == 0
    assert ran.out == ""
    assert ran.err.splitlines()[-1].split() == ["results:", "spots.ffbidx.h5"]
    results = read_results(str(tmp_path / "spots.ffbidx.h5"))
    assert results.complete
    assert list(results.id) == ["one", "two", "three"]
    assert list(results.source) == [str(spots_file)] * 3
    assert results.n_frames == len(results.crystals) == 3


def test_crystals_have_the_true_orientation(index, spots_file):
    index(spots_file)
    cells = read_results("spots.ffbidx.h5").cells
    for seed in range(3):
        assert misorientation(cells[seed].astype(float), frame(seed)[0], OPERATORS) < 0.3


@pytest.mark.parametrize("preset", ["best", "fast", "published"])
@pytest.mark.parametrize("method", ["raw", "ifss", "ifse", "ifssr"])
def test_every_method_of_every_preset_indexes_clear_frames(index, spots_file, preset, method):
    ran = index(spots_file, "--preset", preset, "--method", method, "--json", "-q")
    assert ran.summary["indexed"] == 3
    assert ran.summary["method"] == method


@pytest.mark.parametrize("name", ["out.txt", "out.tsv", "-"])
def test_text_table(index, spots_file, tmp_path, name):
    ran = index(spots_file, "-o", name)
    assert ran.status == 0
    lines = lines_of(ran.out if name == "-" else (tmp_path / name).read_text())
    assert [(line[0], line[1], line[2]) for line in lines] == [(str(spots_file), str(i), "0") for i in range(3)]
    assert all(len(line) == 29 for line in lines)
    assert [line[-1] for line in lines] == ["one", "two", "three"]


def test_json_is_the_only_thing_on_standard_output(index, spots_file):
    ran = index(spots_file, "--json", "-o", "x.h5")
    summary = json.loads(ran.out)
    assert summary["frames"] == summary["indexed"] == summary["crystals"] == 3
    assert summary["status"] == {
        "indexed": 3,
        "not_indexed": 0,
        "too_few_spots": 0,
        "bad_spots": 0,
        "unreadable": 0,
    }
    assert summary["complete"] is True
    assert summary["output"] == "x.h5"
    assert summary["expected_false"] == pytest.approx(3e-4)
    assert "at most about 0.0003 false ones expected" in ran.err
    counted = index(spots_file, "--json", "-o", "y.h5", "--accept", "count")
    assert json.loads(counted.out)["expected_false"] is None
    assert "of them false" not in counted.err
    assert np.allclose(summary["cells"][0]["median"], [31, 42, 53, 90, 103, 90], atol=0.5)


def test_quiet_says_nothing(index, spots_file):
    ran = index(spots_file, "-q")
    assert (ran.status, ran.out, ran.err) == (0, "", "")


def test_an_output_that_is_there_is_replaced_only_with_overwrite(index, spots_file, tmp_path):
    (tmp_path / "x.tsv").write_text("mine")
    assert index(spots_file, "-o", "x.tsv").is_one_line_error(6, "x.tsv", "--overwrite")
    assert (tmp_path / "x.tsv").read_text() == "mine"
    assert index(spots_file, "-o", "x.tsv", "--overwrite").status == 0
    assert len(lines_of((tmp_path / "x.tsv").read_text())) == 3


def test_one_frame_of_a_file_by_its_index(index, spots_file):
    ran = index(f"{spots_file}//2", "-o", "-")
    assert [line[:2] for line in lines_of(ran.out)] == [[str(spots_file), "2"]]


def test_list_files(index, spots_file, text_file, tmp_path):
    (tmp_path / "frames.lst").write_text(f"{spots_file} //1\n\n{text_file}\n")
    for argument in ("frames.lst", "@frames.lst"):
        ran = index(argument, "-o", "-")
        assert [line[:2] for line in lines_of(ran.out)] == [[str(spots_file), "1"], [str(text_file), "0"]]


def test_frames_keep_the_order_of_the_input_whatever_the_batches(index, spots_file, text_file):
    outputs = {index(text_file, spots_file, "-o", "-", "--batch-size", size).out for size in (1, 2, 3, 64)}
    assert len(outputs) == 1
    assert [line[1] for line in lines_of(outputs.pop())] == ["0", "0", "1", "2"]


def test_own_cells_serve_their_own_frames_only(run, tmp_path):
    other = cell_of("tetragonal")
    cells = {"one.txt": CELL, "two.txt": other, "three.txt": CELL}
    for seed, (name, cell) in enumerate(cells.items()):
        first = " ".join(f"{v:.6f}" for v in cell.ravel()) + "\n"
        write_text(tmp_path / name, frame(seed, 80, cell)[1], first)
    assert run("index", *cells, "-o", "x.h5", "--keep", "all", *QUICK).status == 0
    results = read_results("x.h5")
    assert np.allclose(results.input_cells, [CELL, other], atol=1e-5)
    owner = results.input_cell[np.repeat(results.cell_offsets[:-1], np.diff(results.cell_offsets))]
    assert (results.input_cell == owner).all()
    assert list(results.input_cell[results.crystals]) == [0, 1, 0]


def test_cells_of_an_hdf5_file_compete_and_size_the_parameters(run, tmp_path):
    cells = np.stack([cell_of("tetragonal"), CELL])
    write_spots(tmp_path / "own.h5", [frame(0)[1]], cells=cells)
    assert run("index", "own.h5", *QUICK).status == 0
    results = read_results("own.ffbidx.h5")
    assert list(results.input_cell[results.crystals]) == [1]
    assert json.loads(results.header.parameters)["max_input_cells"] == 2


def test_several_cells_compete_on_every_frame(index, spots_file, tmp_path):
    (tmp_path / "other.txt").write_text("79 79 38 90 90 90\n")
    ran = index(spots_file, "--cell", tmp_path / "other.txt", "--json", "-q")
    assert [cell["crystals"] for cell in ran.summary["cells"]] == [3, 0]


def test_a_cell_as_nine_numbers_is_that_of_six(index, spots_file, tmp_path):
    (tmp_path / "nine.txt").write_text("\n".join(" ".join(f"{v:.9f}" for v in row) for row in CELL))
    six = index(spots_file, "-o", "-").out
    nine = index("--cell", "nine.txt", spots_file, "--json", "-q", "-o", "x.h5")
    assert len(lines_of(six)) == nine.summary["crystals"] == 3


def test_max_input_cells_is_a_limit_when_it_is_given(index, spots_file, cell_file):
    ran = index("--cell", cell_file, "--max-input-cells", 1, spots_file)
    assert ran.is_one_line_error(2, "--max-input-cells", "2")


def test_output_cells_follow_their_number_unless_limited(index, spots_file):
    index(spots_file, "--n-output-cells", 40, "-o", "free.h5")
    index(spots_file, "--n-output-cells", 40, "--max-output-cells", 5, "-o", "limited.h5")
    free, limited = (json.loads(read_results(name).header.parameters) for name in ("free.h5", "limited.h5"))
    assert (free["max_output_cells"], free["n_output_cells"]) == (40, 40)
    assert (limited["max_output_cells"], limited["n_output_cells"]) == (5, 5)


def test_keep_all_stores_every_cell_sorted_by_score(index, spots_file):
    index(spots_file, "--preset", "published", "-o", "few.h5")
    index(spots_file, "--preset", "published", "-o", "all.h5", "--keep", "all")
    few, everything = read_results("few.h5"), read_results("all.h5")
    assert len(few.cells) == len(few.crystals)
    assert len(everything.cells) > 2 * len(few.cells)
    assert np.allclose(everything.cells[everything.crystals], few.cells)
    for begin, end in itertools.pairwise(everything.cell_offsets):
        assert (np.diff(everything.scores[begin:end]) >= 0).all()


def test_which_frames_are_taken(index, tmp_path):
    write_spots(tmp_path / "five.h5", [frame(seed)[1] for seed in range(5)])
    for options, wanted in (("--every 2", "024"), ("--max-frames 2", "01"), ("--every 2 --max-frames 2", "02")):
        lines = lines_of(index("five.h5", "-o", "-", *options.split()).out)
        assert "".join(line[1] for line in lines) == wanted


def test_resolution_limits_leave_spots_out(index, spots_file):
    index(spots_file, "--d-min", 3, "--d-max", 20, "-o", "x.h5")
    with h5py.File(spots_file) as file:
        spots, offsets = file["spots"][:], file["offsets"][:]
    radius = np.linalg.norm(spots.astype(float), axis=1)
    inside = (radius <= 1 / 3) & (radius >= 1 / 20)
    assert list(read_results("x.h5").n_spots) == [inside[a:b].sum() for a, b in itertools.pairwise(offsets)]


def test_dry_run_lists_frames_and_batches_and_writes_nothing(index, spots_file, text_file, tmp_path):
    before = sorted(tmp_path.iterdir())
    ran = index(spots_file, text_file, "--dry-run", "--batch-size", 2)
    head, *lines = ran.out.splitlines()
    assert ran.status == 0
    assert head.split("\t") == ["# batch", "source", "index", "n_spots", "usable"]
    assert [line.split("\t")[0] for line in lines] == ["0", "0", "1", "1"]
    assert [line.split("\t")[2] for line in lines] == ["0", "1", "2", "0"]
    assert sorted(tmp_path.iterdir()) == before


def test_the_learned_cell_is_in_the_results_and_the_summary(run, tmp_path):
    true = CELL * 1.015
    write_spots(tmp_path / "off.h5", [frame(seed, 80, true)[1] for seed in range(12)])
    (tmp_path / "c.txt").write_text(CELL_LINE)
    ran = run("index", "off.h5", "--cell", "c.txt", "--learn-cell", 12, "--json", "--num-halfsphere-points", 8192)
    cell = ran.summary["cells"][0]
    assert cell["learned_from"] >= 8
    assert np.allclose(cell["learned"][:3], np.linalg.norm(true, axis=1), rtol=0.004)
    assert "learned from" in ran.err
    assert np.allclose(
        np.linalg.norm(read_results("off.ffbidx.h5").learned_cells[0], axis=1), np.linalg.norm(true, axis=1), rtol=0.004
    )


def test_too_few_spots_is_a_status_of_the_frame(index, tmp_path):
    write_spots(tmp_path / "few.h5", [frame(0)[1], frame(1)[1][:4], np.zeros((0, 3), np.float32)])
    ran = index("few.h5", "--json", "-q")
    assert ran.status == 0
    assert ran.summary["status"]["too_few_spots"] == 2


def test_parameters_of_the_run_are_in_the_results(index, spots_file):
    index(spots_file, "--preset", "fast", "--max-drift", "4%,2", "--polish", "none")
    header = read_results("spots.ffbidx.h5").header
    wanted = Parameters.preset(
        "fast",
        num_halfsphere_points=4096,
        learn_cell=0,
        judge_frames=0,
        max_drift=(0.04, 2),
        polish="none",
        max_output_cells=24,
    )
    assert json.loads(header.parameters) == json.loads(wanted.as_json())
    assert header.backend == "cpu"


def test_reference_backend_can_be_asked_for(index, text_file):
    ran = index(text_file, "--backend", "reference", "--num-halfsphere-points", 2048, "--json", "-q")
    assert ran.summary["backend"] == "reference"
    assert ran.summary["indexed"] == 1


def test_verbose_tells_the_parameters(index, spots_file):
    assert '"num_halfsphere_points": 4096' in index(spots_file, "-v").err


def test_the_log_has_the_progress_and_the_summary(index, spots_file, tmp_path):
    log = tmp_path / "log.jsonl"
    assert index(spots_file, "--batch-size", 1, "--log-json", log, "-q", "-o", "x.h5").status == 0
    *events, summary = [json.loads(line) for line in log.read_text().splitlines()]
    assert {event["event"] for event in events} == {"progress"}
    assert (events[-1]["frames"], events[-1]["total"], events[-1]["crystals"]) == (3, 3, 3)
    assert (summary["event"], summary["frames"], summary["complete"]) == ("summary", 3, True)
    for other in (spots_file, "z.h5"):
        taken = index(spots_file, "--log-json", other, "-o", "z.h5", "--overwrite")
        assert taken.is_one_line_error(2, f"--log-json {other}: the run itself reads or writes this file")
    assert index(spots_file, "--log-json", log, "-o", "y.h5").is_one_line_error(6, "log.jsonl", "--overwrite")
    index(spots_file, "--log-json", log, "-q", "-o", "x.h5", "--resume")
    assert len(log.read_text().splitlines()) > len(events) + 1


def test_the_preset_published_says_once_where_psis_code_differs(index, spots_file):
    sentence = "PSI's code has 0.1"
    assert index(spots_file, "--preset", "published").err.count(sentence) == 1
    for options in (("--preset", "published", "--dist1", "0.1"), ("--preset", "fast"), ("--preset", "published", "-q")):
        assert sentence not in index(spots_file, "--overwrite", *options).err
