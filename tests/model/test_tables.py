"""Tables of arrays: what follows from the declaration of their columns."""

from dataclasses import dataclass, fields, replace
from typing import Annotated, TypeVar

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from typing_extensions import TypeAliasType

from ffbidx_core.method.search import CellTable
from ffbidx_core.model.records.frame import BatchResult
from ffbidx_core.model.records.results import COLUMNS, Results
from ffbidx_core.model.records.table import OFFSETS, SHARED, ArrayTable, Column, _column, columns_of
from ffbidx_core.write import ResultsWriter
from tests.helpers.finding import assert_same
from tests.helpers.results_of import CELLS, HEADER, block_of, status_of

counts = st.lists(st.integers(0, 3).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n))), max_size=6)


def results_of(counts: list[tuple[int, int]]) -> Results:
    writer = ResultsWriter(HEADER)
    block, result = block_of(counts)
    writer.add(block, result, status_of(result), writer.input_rows(CELLS))
    return writer.results(True)


def test_a_column_has_the_type_of_its_annotation() -> None:
    @dataclass(kw_only=True)
    class Table(ArrayTable):
        name: str
        far: Annotated[NDArray[np.float32], Column("crystals", tail=(2,), fill=np.nan)]
        known: Annotated[NDArray[np.object_] | None, Column("frames")] = None

    far, known = columns_of(Table).values()
    assert (far.dtype, far.is_text, far.nullable, far.optional) == (np.float32, False, False, True)
    assert (known.dtype, known.is_text, known.nullable, known.optional) == (object, True, True, True)
    rows = far.filled(3)
    assert (rows.shape, rows.dtype) == ((3, 2), np.float32)
    assert np.isnan(rows).all()


def test_the_type_is_found_in_the_alias_of_later_versions_of_numpy() -> None:
    scalar = TypeVar("scalar", bound=np.generic)
    later = TypeAliasType("later", np.ndarray[tuple[int, ...], np.dtype[scalar]], type_params=(scalar,))
    assert _column(Annotated[later[np.float32], Column("cells")]).dtype == np.float32


def test_every_array_of_the_results_is_a_column_with_a_dataset_of_its_own() -> None:
    assert [f.name for f in fields(Results) if f.name not in COLUMNS] == ["header", "complete"]
    paths = [column.path for column in COLUMNS.values()]
    assert len(set(paths)) == len(paths)
    assert all(path.startswith("/") for path in paths)
    kinds = {column.rows for column in COLUMNS.values()}
    assert kinds == {SHARED, OFFSETS, "frames", "cells", "crystals"}
    assert {column.points_to for column in COLUMNS.values()} <= kinds | {""}


def test_the_empty_table_has_its_frames_and_nothing_else() -> None:
    empty = BatchResult.empty(3)
    assert (empty.n_frames, empty.cells.shape, empty.crystals.dtype) == (3, (0, 3, 3), np.int64)
    assert empty.cell_offsets.tolist() == empty.crystal_offsets.tolist() == [0, 0, 0, 0]
    assert_same(BatchResult.joined([BatchResult.empty(1), BatchResult.empty(2)]), empty)


@settings(max_examples=40)
@given(counts=counts, data=st.data())
def test_a_table_is_the_one_that_its_cuts_join_to(counts: list, data: st.DataObject) -> None:
    whole = results_of(counts)
    ends = sorted(data.draw(st.lists(st.integers(0, len(counts)), max_size=3)))
    parts = [whole[begin:end] for begin, end in zip([0, *ends], [*ends, len(counts)], strict=True)]
    assert_same(Results.joined(parts), whole)


@settings(max_examples=40)
@given(counts=counts, data=st.data())
def test_frames_taken_are_the_frames_cut_out_one_by_one(counts: list, data: st.DataObject) -> None:
    whole = results_of(counts)
    frames = data.draw(st.lists(st.integers(0, max(len(counts) - 1, 0)), unique=True, max_size=len(counts)).map(sorted))
    taken = whole.take(np.array(frames, dtype=np.int64))
    assert_same(taken, Results.joined([whole[:0], *(whole[f : f + 1] for f in frames)]))
    for k, f in enumerate(frames):
        rows = slice(*whole.crystal_offsets[f : f + 2])
        mine = slice(*taken.crystal_offsets[k : k + 2])
        np.testing.assert_array_equal(taken.cells[taken.crystals[mine]], whole.cells[whole.crystals[rows]])
        np.testing.assert_array_equal(taken.rmsd[mine], whole.rmsd[rows])


def test_what_one_part_lacks_the_whole_lacks() -> None:
    whole = results_of([(1, 1), (2, 1)])
    new, old = whole[:1], replace(whole[1:], reason=None)
    for parts in ([new, old], [old, new]):
        assert Results.joined(parts).reason is None


def test_rows_of_a_table_of_one_kind_are_taken_by_their_numbers() -> None:
    table = CellTable.empty()
    assert (table.frame.dtype, table.cells.shape, table.is_crystal.dtype) == (np.int64, (0, 3, 3), bool)
    table = CellTable(**{name: np.arange(4) for name in columns_of(CellTable)})
    assert table.take(np.array([3, 1])).scores.tolist() == [3, 1]
