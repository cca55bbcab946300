import subprocess
import sys
import time
from dataclasses import fields, replace
from pathlib import Path

import gemmi
import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ffbidx_core import read_results
from ffbidx_core.errors import InputError
from ffbidx_core.model.records.results import COLUMNS, Results
from ffbidx_core.write import ResultsWriter, growing_file
from ffbidx_core.write.results import MOST_NAMES, numbered, results_file
from tests.helpers.results_of import CELLS, HEADER, TWO_BLOCKS, block_of, opened, status_of, writer_of


def test_the_file_holds_the_datasets_of_the_contract() -> None:
    expected = {
        "input_cells": ("float64", (2, 3, 3)),
        "frame/source": ("object", (5,)),
        "frame/index": ("int64", (5,)),
        "frame/id": ("object", (5,)),
        "frame/n_spots": ("int32", (5,)),
        "frame/n_sampled": ("int32", (5,)),
        "frame/status": ("uint8", (5,)),
        "frame/reason": ("uint8", (5,)),
        "frame/rung": ("uint8", (5,)),
        "frame/n_at_origin": ("int32", (5,)),
        "cell_offsets": ("int64", (6,)),
        "cells": ("float32", (10, 3, 3)),
        "scores": ("float32", (10,)),
        "input_cell": ("int32", (10,)),
        "crystal_offsets": ("int64", (6,)),
        "crystals": ("int64", (6,)),
        "crystal/n_indexed": ("int32", (6,)),
        "crystal/rmsd": ("float32", (6,)),
        "crystal/log10_chance": ("float32", (6,)),
        "crystal/log10_false": ("float32", (6,)),
        "crystal/n_expected": ("float32", (6,)),
        "crystal/resolution": ("float32", (6,)),
        "crystal/parameters": ("float32", (6, 6)),
    }
    found: dict[str, h5py.HLObject] = {}
    with opened(writer_of().to_bytes(True)) as file:
        file.visititems(lambda name, node: found.update({name: node}))
        datasets = {name: node for name, node in found.items() if isinstance(node, h5py.Dataset)}
        assert {name: (str(node.dtype), node.shape) for name, node in datasets.items()} == expected
        assert {name: file.attrs[name] for name in file.attrs} == {
            "format": "ffbidx-results",
            "format_version": 1,
            "ffbidx_version": "1.2.3",
            "method": "ifssr",
            "parameters": '{"max_spots": 100}',
            "backend": "cpu",
            "device": "two cores",
            "complete": True,
            "geometry": "",
            "half_pixel_shift": "",
            "lattices": "",
        }
        assert file["cells"].attrs["units"] == file["input_cells"].attrs["units"] == "angstrom"
        assert h5py.check_enum_dtype(file["frame/status"].dtype) == {
            "indexed": 0,
            "not_indexed": 1,
            "too_few_spots": 2,
            "bad_spots": 3,
            "unreadable": 4,
        }
        assert h5py.check_enum_dtype(file["frame/reason"].dtype) == {
            "none": 0,
            "too_few_spots": 1,
            "no_vector": 2,
            "no_cell": 3,
            "explained_by_chance": 4,
            "lost_in_refinement": 5,
            "drifted": 6,
            "bad_spots": 7,
            "unreadable": 8,
        }
        assert h5py.check_enum_dtype(file["frame/rung"].dtype) == {
            "first_try": 0,
            "strongest_spots": 1,
            "low_resolution": 2,
            "denser_sampling": 3,
        }
        text = h5py.check_string_dtype(file["frame/source"].dtype)
        assert (text.encoding, text.length) == ("utf-8", None)


def test_rows_are_counted_over_the_whole_file() -> None:
    results = writer_of().results(True)
    (_, first), (_, second) = TWO_BLOCKS
    np.testing.assert_array_equal(results.cells, np.concatenate([first.cells, second.cells]))
    np.testing.assert_array_equal(results.cell_offsets, [0, 3, 3, 4, 6, 10])
    np.testing.assert_array_equal(results.crystal_offsets, [0, 2, 2, 3, 3, 6])
    np.testing.assert_array_equal(
        results.cells[results.crystals], np.concatenate([first.cells[first.crystals], second.cells[second.crystals]])
    )
    frame = np.searchsorted(results.cell_offsets, results.crystals, side="right") - 1
    np.testing.assert_array_equal(frame, results.frame_of_crystal)
    assert results.source.tolist() == ["a.h5"] * 3 + ["b.txt"] * 2
    assert results.index.tolist() == [0, 1, 2, 0, 1]
    assert results.status.tolist() == [0, 1, 0, 1, 0]


def test_cell_parameters_are_those_of_gemmi() -> None:
    results = writer_of().results(True)
    for cell, parameters in zip(results.cells[results.crystals].astype(float), results.crystal_parameters, strict=True):
        columns = np.array(gemmi.UnitCell(*parameters.tolist()).orth.mat.tolist())
        # The same lengths and angles, whatever the orientation; float32 has a relative error of 6e-8.
        np.testing.assert_allclose(columns.T @ columns, cell @ cell.T, atol=50**2 * 4e-6)


def test_input_cells_are_distinct_in_order_of_first_use() -> None:
    writer = ResultsWriter(HEADER)
    assert writer.input_rows(CELLS[1:]).tolist() == [0]
    assert writer.input_rows(CELLS).tolist() == [1, 0]
    # Minus zero is zero, but what differs in the last digit is another cell.
    assert writer.input_rows(np.where(CELLS == 0, -0.0, CELLS)).tolist() == [1, 0]
    assert writer.input_rows(np.nextafter(CELLS, 100)).tolist() == [2, 3]
    block, result = block_of([(4, 1)])
    result.input_cell[:] = [0, 1, 1, 0]
    writer.add(block, result, status_of(result), np.array([1, 0]))
    results = writer.results(True)
    assert results.input_cell.tolist() == [1, 0, 0, 1]
    np.testing.assert_array_equal(results.input_cells[:2], CELLS[::-1])


def test_learned_cells_stand_beside_the_input_cells(tmp_path: Path) -> None:
    writer = writer_of()
    assert writer.results(True).learned_cells is None
    writer.learned(np.array([1]), CELLS[1:] * 1.01)
    path = tmp_path / "r.h5"
    path.write_bytes(writer.to_bytes(True))
    np.testing.assert_array_equal(read_results(path).learned_cells, [CELLS[0], CELLS[1] * 1.01])


def test_a_result_of_other_frames_is_refused() -> None:
    block, _ = block_of([(1, 1)])
    _, result = block_of([(1, 1), (1, 1)])
    with pytest.raises(ValueError, match="1 frames have 2 results and 2 statuses"):
        ResultsWriter(HEADER).add(block, result, status_of(result), np.array([0, 1]))


def test_equal_results_give_equal_bytes_at_any_time() -> None:
    first = writer_of().to_bytes(True)
    # HDF5 keeps times in whole seconds.
    time.sleep(1.1)
    assert writer_of().to_bytes(True) == first


def same(one: Results, other: Results) -> bool:
    for f in fields(Results):
        a, b = getattr(one, f.name), getattr(other, f.name)
        if f.name in COLUMNS and a is not None:
            np.testing.assert_array_equal(a, b)
            assert a.dtype == b.dtype
        else:
            assert a == b
    return True


names = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
counts = st.lists(st.integers(0, 3).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n))), max_size=4)


@settings(max_examples=30)
@given(blocks=st.lists(counts, max_size=3), complete=st.booleans(), name=names)
def test_what_is_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, blocks: list, complete: bool, name: str
) -> None:
    writer = writer_of([block_of(counts, name, seed) for seed, counts in enumerate(blocks)])
    path = tmp_path_factory.mktemp("results") / "r.h5"
    path.write_bytes(writer.to_bytes(complete))
    assert same(read_results(path), writer.results(complete))


@pytest.mark.parametrize("names", [["a.h5"] * 5, ["a.h5", "a.h5", "b\udce9.h5", "a.h5", "a.h5"]])
def test_a_part_with_numbers_instead_of_names_reads_as_the_names(tmp_path: Path, names: list[str]) -> None:
    results = replace(writer_of().results(True), source=np.array(names, dtype=object))
    for kind, number_names in (("part", True), ("whole", False)):
        (tmp_path / kind).write_bytes(results_file(results, number_names=number_names))
    with h5py.File(tmp_path / "part") as file:
        assert "source" not in file["frame"]
        assert len(file["frame/source_number"].attrs["names"]) == len(set(names))
    part, whole = read_results(tmp_path / "part"), read_results(tmp_path / "whole")
    assert part.source.tolist() == whole.source.tolist()
    assert part.id.tolist() == results.id.tolist()


def test_many_names_of_a_part_stay_texts(tmp_path: Path) -> None:
    names = np.array([f"{k}.h5" for k in range(MOST_NAMES + 1)], dtype=object)
    assert numbered(names) is None
    found = numbered(names[1:])
    assert found is not None
    assert np.array(found[0], dtype=object)[found[1]].tolist() == names[1:].tolist()


@pytest.mark.parametrize("names", [["a.h5"] * 5, ["ä.h5", "", "b\udce9.h5", "", "ä.h5"], ["a" * 70_000, *"bcda"]])
def test_texts_that_are_stored_once_read_as_those_of_every_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, names: list[str]
) -> None:
    monkeypatch.setattr(growing_file, "chunk_rows", lambda column, n: 4)
    results = replace(writer_of().results(True), source=np.array(names, dtype=object))
    (tmp_path / "r.h5").write_bytes(results_file(results))
    with h5py.File(tmp_path / "joined.h5", "w", libver="earliest") as file:
        growing = growing_file.GrowingFile(file)
        growing.add(results)
        growing.end()
    with h5py.File(tmp_path / "r.h5") as whole, h5py.File(tmp_path / "joined.h5") as joined:
        for name in ("frame/source", "frame/id"):
            assert joined[name].dtype == whole[name].dtype
            assert joined[name].asstr()[()].tolist() == whole[name].asstr()[()].tolist()
        first = np.frombuffer(joined["frame/source"].id.read_direct_chunk((0,))[1], "V16")
    of_rows = dict(zip(names[:4], first.tolist(), strict=True))
    assert first.tolist() == [of_rows[name] for name in names[:4]]


def test_a_number_without_a_name_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "part.h5"
    path.write_bytes(results_file(writer_of().results(True), number_names=True))
    with h5py.File(path, "a") as file:
        file["frame/source_number"][2] = 7
    with pytest.raises(InputError, match="numbers outside 0 to"):
        read_results(path)


def test_names_of_files_that_are_no_text(tmp_path: Path) -> None:
    path = tmp_path / "r.h5"
    path.write_bytes(writer_of([block_of([(1, 1)], "caf\udce9\0.h5")]).to_bytes(True))
    assert read_results(path).source.tolist() == [r"caf\udce9\0.h5"]


def test_importing_the_package_loads_neither_numpy_nor_hdf5() -> None:
    script = """
import sys, ffbidx_core
print(sorted({"numpy", "h5py"} & set(sys.modules)), ffbidx_core.read_results.__name__)
"""
    output = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert output == "[] read_results\n"
