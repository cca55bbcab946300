"""Machines with GPUs, made up: what is said of them."""

import importlib.util
import sys
import types

import pytest

from ffbidx_core.backends.cuda import driver as devices
from ffbidx_core.backends.kernels import offline
from ffbidx_core.doctor import gpu
from ffbidx_core.doctor.finding import State

H200 = devices.Gpu(0, "NVIDIA H200", 140 * 2**30, (9, 0))
P100 = devices.Gpu(1, "Tesla P100", 16 * 2**30, (6, 0))


def stand_in(free=130 * 2**30):
    """A CuPy that knows as much as is asked of it."""
    device = types.SimpleNamespace(mem_info=(free, 0))
    runtime = types.SimpleNamespace(runtimeGetVersion=lambda: 13010)
    nvrtc = types.SimpleNamespace(getVersion=lambda: (13, 1))
    return types.SimpleNamespace(cuda=types.SimpleNamespace(Device=lambda number: device, runtime=runtime, nvrtc=nvrtc))


@pytest.fixture
def machine(monkeypatch):
    """Make the machine one with these GPUs, this driver and these packages of CuPy."""

    def make(gpus=(), cuda=None, packages=(), cupy=None):
        reason = "" if gpus else "no NVIDIA driver" if cuda is None else "the NVIDIA driver shows no GPU"
        values = {
            "gpus": list(gpus),
            "gpu_count": (len(gpus), reason),
            "driver_cuda": cuda,
            "driver_version": "580.95.05",
            "cupy_packages": dict.fromkeys(packages, "14.2.0"),
            "has_cupy": bool(packages),
        }
        for name, value in values.items():
            monkeypatch.setattr(devices, name, lambda value=value: value)
        find_spec = importlib.util.find_spec
        monkeypatch.setattr(
            importlib.util, "find_spec", lambda name: (packages or None) if name == "cupy" else find_spec(name)
        )
        monkeypatch.setitem(sys.modules, "cupy", cupy)

    return make


def test_no_driver(machine):
    machine()
    assert gpu.driver().state is State.ABSENT
    assert list(gpu.gpus()) == []
    assert gpu.cupy().text == "not installed; without a GPU it is not needed"


def test_a_driver_without_a_gpu(machine):
    machine(cuda=(13, 0), packages=["cupy-cuda13x"])
    assert gpu.driver().text == "580.95.05, supports CUDA up to 13.0"
    assert [(found.what, found.state) for found in gpu.gpus()] == [("GPU", State.ABSENT)]
    assert gpu.cupy().state is State.OK


def test_an_old_driver(machine):
    machine([H200], (11, 4), ["cupy-cuda12x"])
    assert gpu.driver().state is State.ATTENTION
    assert gpu.cupy().text.endswith("made for CUDA 12, which the driver does not support: install a newer driver")


def test_everything_is_there(machine):
    machine([H200, P100], (13, 1), ["cupy-cuda13x"], stand_in())
    first, second = gpu.gpus()
    assert first.text == "NVIDIA H200, 140.0 GiB (130.0 free), compute capability 9.0"
    assert first.data == {
        "number": 0,
        "name": "NVIDIA H200",
        "memory": 140 * 2**30,
        "compute_capability": "9.0",
        "free_memory": 130 * 2**30,
    }
    assert (second.what, second.state) == ("GPU 1", State.ATTENTION)
    assert second.text.endswith("the kernels are made for 7.5 and newer")
    found = gpu.cupy()
    assert (found.state, found.text) == (State.OK, "cupy-cuda13x 14.2.0, CUDA runtime 13.1, NVRTC 13.1")


def test_no_cupy_beside_a_gpu(machine):
    machine([H200], (12, 8))
    assert next(iter(gpu.gpus())).data["free_memory"] is None
    found = gpu.cupy()
    assert found.state is State.ABSENT
    assert "pip install 'ffbidx[cuda12]'" in found.text


def test_cupy_for_a_newer_cuda_than_the_driver_does(machine):
    machine([H200], (12, 8), ["cupy-cuda13x"], stand_in())
    found = gpu.cupy()
    assert found.state is State.ATTENTION
    assert "pip install 'ffbidx[cuda12]'" in found.text


def test_cupy_for_an_older_cuda_will_do(machine):
    machine([H200], (13, 0), ["cupy-cuda12x"], stand_in())
    assert gpu.cupy().state is State.OK


def test_two_packages_of_cupy(machine):
    machine([H200], (13, 0), ["cupy-cuda12x", "cupy-cuda13x"], stand_in())
    found = gpu.cupy()
    assert found.state is State.ATTENTION
    assert "uninstall all but one" in found.text


def test_a_cupy_that_cannot_be_imported(machine):
    machine([H200], (13, 0), ["cupy-cuda13x"])
    assert gpu.cupy().state is State.BROKEN
    assert next(iter(gpu.gpus())).data["free_memory"] is None


def test_kernels_without_a_gpu(monkeypatch):
    def compiles(arch):
        return {"a": None, "b": None}

    def is_missing(arch):
        raise offline.CompilerMissing("NVRTC is not installed")

    def fails(arch):
        raise ValueError("sm_90: cells.cu(3): error")

    for compile_kernels, state, words in (
        (compiles, State.OK, "2 compile for sm_90 without a GPU"),
        (is_missing, State.ABSENT, "not needed without a GPU"),
        (fails, State.ATTENTION, "do not compile: sm_90: cells.cu(3): error"),
    ):
        monkeypatch.setattr(offline, "compile_kernels", compile_kernels)
        found = gpu.offline_kernels()
        assert found.state is state
        assert words in found.text
        assert state is not State.ABSENT or found.data["compiler"] == "NVRTC is not installed"
