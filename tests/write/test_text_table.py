import csv
import io
from dataclasses import replace

import numpy as np
import pyarrow.parquet
import pytest

from ffbidx_core.model.records.results import Results
from ffbidx_core.read.run_inputs import RunInputs
from ffbidx_core.write import ResultsWriter, table
from ffbidx_core.write.formats.columns import COLUMNS, CrystalColumn
from ffbidx_core.write.formats.csv import csv_pieces
from ffbidx_core.write.formats.parquet import parquet_pieces
from tests.helpers.paths import ROOT
from tests.helpers.results_of import CELLS, HEADER, block_of, status_of


def results_of(*blocks: tuple) -> Results:
    writer = ResultsWriter(HEADER)
    for block, result in blocks:
        writer.add(block, result, status_of(result), writer.input_rows(CELLS))
    return writer.results(True)


def lines_of(results: Results) -> list[list[str]]:
    return [line.split("\t") for line in table(results).decode().splitlines()]


def test_the_header_names_the_columns_of_the_contract_and_then_the_others() -> None:
    (header,) = lines_of(results_of())
    assert " ".join(header[:22]) == (
        "# source index crystal score n_spots n_indexed rmsd a b c alpha beta gamma ax ay az bx by bz cx cy cz"
    )
    assert header[22:] == ["input_cell", "lattice", "log10_chance", "log10_false", "n_expected", "resolution", "id"]


def test_text_table_csv_and_parquet_have_the_same_columns_and_values() -> None:
    results = results_of(block_of([(3, 2), (2, 0), (1, 1)]), block_of([(4, 3)], "b c.txt", seed=1))
    rows = list(csv.reader(io.StringIO(b"".join(csv_pieces([results])).decode())))
    header, *lines = lines_of(results)
    assert [["# source", *rows[0][1:]], *rows[1:]] == [header, *lines]
    parquet = pyarrow.parquet.read_table(io.BytesIO(b"".join(parquet_pieces([results], RunInputs()))))
    assert parquet.column_names == [column.name for column in COLUMNS] == rows[0]
    assert [(field.metadata or {}).get(b"unit", b"").decode() for field in parquet.schema] == [
        column.unit for column in COLUMNS
    ]
    assert parquet["id"].to_pylist() == [row[-1] for row in rows[1:]]


def test_the_page_on_formats_names_every_column_with_its_unit() -> None:
    page = (ROOT / "docs" / "formats.md").read_text()
    table = page[page.index("| column | unit |") :].split("\n\n")[0].splitlines()[2:]
    described = [[cell.strip() for cell in line.split("|")[1:3]] for line in table]
    named = [(name.strip("` "), unit) for names, unit in described for name in names.split(",")]
    assert named == [(column.name, column.unit) for column in COLUMNS]


def test_the_lattice_is_the_given_one_or_that_of_the_axes_and_angles() -> None:
    given = results_of(block_of([(3, 3)]))
    row = COLUMNS.index(CrystalColumn("lattice", str))
    assert {line[row] for line in lines_of(given)[1:]} == {"oP"}
    given = replace(given, header=replace(given.header, lattices="mPb tI"))
    _, *lines = lines_of(given)
    assert [line[row] for line in lines] == [["mPb", "tI"][int(line[row - 1])] for line in lines]


def test_every_crystal_has_a_line_with_the_numbers_of_the_results_file() -> None:
    results = results_of(block_of([(3, 2), (2, 0), (1, 1)]), block_of([(4, 3)], "b c.txt", seed=1))
    _, *lines = lines_of(results)
    assert [line[:3] for line in lines] == [
        ["a.h5", "0", "0"],
        ["a.h5", "0", "1"],
        ["a.h5", "2", "0"],
        ["b c.txt", "0", "0"],
        ["b c.txt", "0", "1"],
        ["b c.txt", "0", "2"],
    ]
    for line, row, n_indexed, rmsd, parameters, frame in zip(
        lines,
        results.crystals,
        results.n_indexed,
        results.rmsd,
        results.crystal_parameters,
        results.frame_of_crystal,
        strict=True,
    ):
        assert line[4:6] == [str(results.n_spots[frame]), str(n_indexed)]
        found = [float(word) for word in line[3:4] + line[6:22]]
        expected = [results.scores[row], rmsd, *parameters, *results.cells[row].ravel()]
        np.testing.assert_allclose(found, expected, rtol=5e-6)


def test_numbers_have_six_significant_digits() -> None:
    block, result = block_of([(1, 1)])
    result.scores[:], result.rmsd[:], result.cells[:] = -123.456789, 1.23456789e-7, np.diag([30, 40.123456, 50])
    _, line = lines_of(results_of((block, result)))
    assert line[3] == "-123.457"
    assert line[6:13] == ["1.23457e-07", "30", "40.1235", "50", "90", "90", "90"]
    assert line[13:22] == ["30", "0", "0", "0", "40.1235", "0", "0", "0", "50"]


@pytest.mark.parametrize(
    ("name", "written"), [("a\tb\n.h5", r"a\tb\n.h5"), ("caf\udce9.h5", r"caf\udce9.h5"), ("Å.h5", "Å.h5")]
)
def test_any_name_of_a_file_stays_one_column(name: str, written: str) -> None:
    _, line = lines_of(results_of(block_of([(1, 1)], name)))
    assert line[0] == written
    assert len(line) == len(COLUMNS)
