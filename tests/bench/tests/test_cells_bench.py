"""The benchmark of unknown cells: which cases it runs, and how it goes on where it was cut off."""

import pytest

from tests.bench import record
from tests.bench.cells.__main__ import cases_of, main, options
from tests.bench.cells.cases import ROWS
from tests.bench.cells.kept import Kept
from tests.bench.cells.outcome import Case, Outcome

CASE = Case(0, "aP", 0, "cpu", True, False)
FOUND = Outcome(True, False, 0, 1.5, note="seed 0: aP")


def test_blank_rows_may_have_more_cases_than_the_others():
    cases = cases_of(options().parse_args(["--cases", "10", "--blank-cases", "28"]))
    assert len(set(cases)) == len(cases)
    blank = sum(row.blank for row in ROWS)
    assert sum(ROWS[case.row].blank for case in cases) == 28 * blank >= 300
    assert len(cases) == 28 * blank + 10 * (len(ROWS) - blank)


def test_kept_outcomes_are_read_and_a_line_cut_off_is_not(tmp_path):
    path = tmp_path / "kept.jsonl"
    Kept(str(path)).add(CASE, FOUND)
    whole = path.read_text()
    path.write_text(whole + whole[:40])
    again = Kept(str(path))
    assert again.outcomes == {CASE: FOUND}
    assert path.read_text() == whole


def test_outcomes_of_another_commit_are_refused(tmp_path, monkeypatch):
    path = tmp_path / "kept.jsonl"
    Kept(str(path)).add(CASE, FOUND)
    monkeypatch.setattr(record, "commit", lambda: "1234567")
    with pytest.raises(SystemExit, match="outcomes of commit"):
        Kept(str(path))


def test_a_benchmark_goes_on_with_the_cases_that_are_missing(tmp_path, monkeypatch, capsys):
    path, name = tmp_path / "kept.jsonl", ROWS[0].name
    words = ["cells", "--only", name, "--cases", "2", "--keep", str(path), "--seconds", "0"]
    cases = cases_of(options().parse_args(words[1:]))
    kept = Kept(str(path))
    kept.add(cases[0], FOUND)
    monkeypatch.setattr("tests.bench.cells.__main__.multiprocessing.get_context", lambda kind: Context(cases[1:]))
    monkeypatch.setattr("sys.argv", words)
    assert main() == 0
    assert set(Kept(str(path)).outcomes) == set(cases)
    assert main() == 0
    monkeypatch.setattr("sys.argv", [*words[:3], "--cases", "4", *words[5:]])
    monkeypatch.setattr("tests.bench.cells.__main__.multiprocessing.get_context", lambda kind: Context(None))
    assert main() == 1
    assert "3 of 4 cases" in capsys.readouterr().err


class Context:
    """A pool that has an outcome for each case at once; the cases must be the ones that are expected."""

    def __init__(self, expected):
        self.expected = expected

    def Pool(self, jobs):  # noqa: N802
        return self

    def __enter__(self):
        return self

    def __exit__(self, *problem):
        pass

    def terminate(self):
        pass

    def imap_unordered(self, run, cases):
        assert self.expected is None or cases in (self.expected, [])
        return ((case, FOUND) for case in cases)


def test_random_spots_have_no_true_cell_to_judge():
    assert not any(ROWS[case.row].blank for case in cases_of(options().parse_args(["--known", "--blank-cases", "3"])))
