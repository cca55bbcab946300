import os
import re
import shutil
import subprocess
import sys

import h5py
import pytest

from ffbidx_core.doctor import machine
from ffbidx_core.doctor.finding import State
from tests.helpers.paths import ROOT


def test_our_module_is_known_as_ours():
    found = machine.module()
    ours = {"path": str(ROOT / "ffbidx" / "__init__.py"), "ours": True, "others": []}
    assert (found.state, found.data) == (State.OK, ours)


@pytest.fixture
def psi(tmp_path):
    """A folder with a package of the same name, as PSI's is."""
    (tmp_path / "ffbidx").mkdir()
    init = tmp_path / "ffbidx" / "__init__.py"
    init.write_text("raise ImportError('must not be imported')\n")
    return init


def test_another_module_that_comes_first(psi, monkeypatch):
    monkeypatch.delitem(sys.modules, "ffbidx", raising=False)
    monkeypatch.setattr(sys, "path", [str(psi.parents[1]), str(ROOT), *sys.path])
    found = machine.module()
    assert found.state is State.ATTENTION
    assert found.data == {"path": str(psi), "ours": False, "others": [str(psi)]}
    assert str(psi) in found.text
    assert f"put {ROOT} first on PYTHONPATH" in found.text


def found_by_a_new_process(*folders):
    """File of `ffbidx`, and what the doctor says of it, in a process with these folders first on its path."""
    code = (
        "import importlib.util; from ffbidx_core.doctor import machine; found = machine.module();"
        "print(importlib.util.find_spec('ffbidx').origin, found.state.value, found.text, sep='\\n')"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, folders))}
    # Safe path: the current folder is not looked in.
    command = [sys.executable, "-P", "-c", code]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def test_the_advice_works_when_it_is_followed(psi):
    """Both ways: our folder first on PYTHONPATH, and the other package uninstalled."""
    theirs, ours = psi.parents[1], str(ROOT / "ffbidx" / "__init__.py")
    origin, state, text = found_by_a_new_process(theirs)
    assert (origin, state) == (str(psi), State.ATTENTION.value)
    folder = re.search(r"put (\S+) first on PYTHONPATH", text)[1]
    assert found_by_a_new_process(folder, theirs)[:2] == [ours, State.ATTENTION.value]
    psi.unlink()
    psi.parent.rmdir()
    assert found_by_a_new_process(theirs)[:2] == [ours, State.OK.value]


def test_another_module_behind_ours(psi, monkeypatch):
    monkeypatch.setattr(sys, "path", [str(ROOT), *sys.path, str(psi.parents[1])])
    found = machine.module()
    assert found.state is State.ATTENTION
    assert found.data == {"path": str(ROOT / "ffbidx" / "__init__.py"), "ours": True, "others": [str(psi)]}


def test_no_module_at_all(monkeypatch):
    monkeypatch.setattr(machine.importlib.util, "find_spec", lambda name: None)
    found = machine.module()
    assert found.state is State.ATTENTION
    assert found.data["path"] is None


def test_a_cache_that_does_not_last(tmp_path, monkeypatch):
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("ffbidx_core.backends.cpu.jit.cache_folder", lambda: tmp_path / "ffbidx-0")
    found = machine.numba()
    assert found.state is State.ATTENTION
    assert "to be kept" in found.text
    assert "set NUMBA_CACHE_DIR" in found.text
    (tmp_path / "ffbidx-0").mkdir()
    (tmp_path / "ffbidx-0" / "kernel.nbi").touch()
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    found = machine.numba()
    assert found.state is State.OK
    assert found.data["compiled"]


@pytest.mark.parametrize(
    ("quota", "state"),
    [
        ("100000 100000", State.ATTENTION),
        ("max 100000", State.OK),
        ("800000 100000", State.OK),
        (None, State.OK),
    ],
)
def test_a_container_with_less_time_than_processors(quota, state, tmp_path, monkeypatch):
    monkeypatch.setattr("ffbidx_core.backends.cpu.threads.available_threads", lambda: 8)
    monkeypatch.setattr(machine, "QUOTA", tmp_path / "cpu.max")
    if quota:
        (tmp_path / "cpu.max").write_text(quota + "\n")
    found = machine.threads()
    assert found.state is state
    assert ("--threads 1" in found.text) == (state is State.ATTENTION)


def test_hdf5():
    found = machine.hdf5()
    assert found.state is State.OK
    assert found.data["h5py"] == h5py.__version__


def test_hdf5_that_does_not_work(monkeypatch):
    def fail(*arguments):
        raise OSError("unable to create file")

    monkeypatch.setattr(h5py, "File", fail)
    found = machine.hdf5()
    assert found.state is State.BROKEN
    assert "unable to create file" in found.text


def test_plugins(monkeypatch):
    pytest.importorskip("hdf5plugin")
    found = machine.plugins()
    assert found.state is State.OK
    assert {"bitshuffle", "LZ4"} <= set(found.data["filters"])
    monkeypatch.setattr(machine.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(h5py.h5z, "filter_avail", lambda number: False)
    found = machine.plugins()
    assert found.state is State.ABSENT
    assert "ffbidx[compressed]" in found.text


def test_little_space_and_a_locked_place(monkeypatch):
    assert machine.space().data["free"][os.getcwd()] > 0
    usage = type(shutil.disk_usage("/"))
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(2**40, 2**40, 2**20))
    found = machine.space()
    assert found.state is State.ATTENTION
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(2**40, 0, 2**40))
    assert machine.space().state is State.OK
    monkeypatch.setattr(os, "access", lambda path, mode: path != os.getcwd())
    found = machine.space()
    assert found.state is State.ATTENTION
    assert found.data["not_writable"] == [os.getcwd()]
    assert "current directory 1024.0 GiB free but cannot be written to" in found.text
