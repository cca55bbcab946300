"""`--dask` on the command line; `tests/devices` has the rest."""

import sys


def test_an_address_that_is_none(index, spots_file):
    assert index(spots_file, "--dask", "local:none").is_one_line_error(2, "--dask local:none", "local:4")


def test_without_the_extra(index, spots_file, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    assert index(spots_file, "--dask", "local:2").is_one_line_error(4, "pip install 'ffbidx[dask]'")


def test_it_is_no_setting_of_the_results(index, spots_file, monkeypatch):
    """The workers of a run are gone when it is repeated with --config."""
    monkeypatch.setenv("FFBIDX_DASK", "local:none")
    ran = index(spots_file, "--print-config")
    assert ran.status == 0
    assert "dask" not in ran.out
    assert index(spots_file).status == 2
