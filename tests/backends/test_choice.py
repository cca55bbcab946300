"""Which backend is taken, and what is said where the GPU's cannot be: every machine is a made-up one."""

import ctypes
import re
import subprocess
import sys
import threading
import types

import pytest

from ffbidx_core.backends import get_backend
from ffbidx_core.backends.cuda import driver as devices
from ffbidx_core.devices import open_devices, wake_driver, why_on_cpu
from ffbidx_core.errors import BackendUnavailable, ParameterError
from tests.helpers.calls import CELL_LINE, QUICK, write_spots
from tests.helpers.frames import frame


class Driver:
    """The NVIDIA driver of a machine with some GPUs."""

    def __init__(self, gpus=(), *, cuda=13000, status=0):
        self.gpus, self.cuda, self.status = gpus, cuda, status
        self.contexts = []

    def cuInit(self, flags):  # noqa: N802
        return self.status

    def cuGetErrorName(self, status, name):  # noqa: N802
        name._obj.value = b"CUDA_ERROR_SYSTEM_DRIVER_MISMATCH"
        return 0

    def cuDeviceGetCount(self, count):  # noqa: N802
        count._obj.value = len(self.gpus)
        return self.status

    def cuDriverGetVersion(self, version):  # noqa: N802
        version._obj.value = self.cuda
        return 0

    def cuDeviceGet(self, device, number):  # noqa: N802
        device._obj.value = 100 + number
        return 0 if number < len(self.gpus) else 101

    def cuDevicePrimaryCtxRetain(self, context, device):  # noqa: N802
        self.contexts.append(device.value - 100)
        return 0

    def cuDeviceGetName(self, name, length, device):  # noqa: N802
        name.value = self.gpus[device.value - 100][0].encode()
        return 0

    def cuDeviceTotalMem_v2(self, memory, device):  # noqa: N802
        memory._obj.value = self.gpus[device.value - 100][1]
        return 0

    def cuDeviceGetAttribute(self, value, attribute, device):  # noqa: N802
        value._obj.value = self.gpus[device.value - 100][2][attribute - devices.CAPABILITY_MAJOR]
        return 0


H200 = ("NVIDIA H200", 150 * 2**30, (9, 0))
T4 = ("Tesla T4", 16 * 2**30, (7, 5))


@pytest.fixture
def machine(monkeypatch):
    """Make the machine one with this driver (None: without), with or without CuPy, and a stand-in for its backend."""

    def make(driver, *, cupy=False, backend=None):
        def load(name, *arguments, **options):
            if name not in (devices.DRIVER, devices.MANAGEMENT):
                return library(name, *arguments, **options)
            if driver is None or name == devices.MANAGEMENT:
                raise OSError(name)
            return driver

        monkeypatch.setattr(ctypes, "CDLL", load)
        monkeypatch.setattr(devices, "has_cupy", lambda: cupy)
        monkeypatch.setitem(sys.modules, "ffbidx_core.backends.cuda.backend", backend)
        devices._driver.cache_clear()
        devices.gpu_count.cache_clear()

    library = ctypes.CDLL
    for name in ("CUDA_VISIBLE_DEVICES", "INDEXER_GPU_DEVICE"):
        monkeypatch.delenv(name, raising=False)
    yield make
    monkeypatch.undo()
    devices._driver.cache_clear()
    devices.gpu_count.cache_clear()


def stand_in(start=lambda number: None):
    """A module like that of the GPU backend."""

    class Backend:
        name = "cuda"

        def __init__(self, number):
            self.number = number
            start(number)

    return types.SimpleNamespace(CudaBackend=Backend)


WITHOUT_GPU = {
    "no driver": ((None,), {}, "no NVIDIA driver on this machine"),
    "no driver, CuPy": ((None,), {"cupy": True}, "no NVIDIA driver on this machine"),
    "no GPU": ((Driver(status=devices.NO_DEVICE),), {"cupy": True}, "the NVIDIA driver shows no GPU"),
    "a driver that does not start": (
        (Driver([H200], status=803),),
        {"cupy": True},
        "cuInit gives CUDA_ERROR_SYSTEM_DRIVER_MISMATCH",
    ),
    "an old driver": ((Driver([H200], cuda=11040),), {"cupy": True}, "supports only CUDA 11.4: install one for 12"),
    "CUDA 12, no CuPy": ((Driver([H200], cuda=12080),), {}, "CuPy is not installed: pip install 'ffbidx[cuda12]'"),
    "CUDA 13, no CuPy": ((Driver([H200]),), {}, "CuPy is not installed: pip install 'ffbidx[cuda13]'"),
    "CUDA 14, no CuPy": ((Driver([H200], cuda=14000),), {}, "CuPy is not installed: pip install 'ffbidx[cuda13]'"),
}


@pytest.mark.parametrize("name", WITHOUT_GPU)
def test_without_a_usable_gpu(machine, name):
    arguments, options, reason = WITHOUT_GPU[name]
    machine(*arguments, **options)
    assert reason in devices.why_no_cuda()
    with pytest.raises(BackendUnavailable, match=r"^no GPU backend: ") as caught:
        get_backend("cuda")
    assert reason in str(caught.value)
    assert get_backend("auto").name == "cpu"
    assert why_on_cpu("auto") == f"computing on the CPU: {devices.why_no_cuda()}"
    assert why_on_cpu("cpu") == ""


@pytest.mark.parametrize("name", WITHOUT_GPU)
@pytest.mark.parametrize("device", ["0", 0, "0,1", "all"])
def test_a_device_that_is_named_must_be_there(machine, name, device):
    arguments, options, reason = WITHOUT_GPU[name]
    machine(*arguments, **options)
    for backend in ("auto", "cuda"):
        with pytest.raises(BackendUnavailable, match=re.escape(reason) if device == 0 else None):
            open_devices(backend, device)


def test_the_variable_names_no_device_where_there_is_none(machine, monkeypatch):
    machine(None)
    monkeypatch.setenv("INDEXER_GPU_DEVICE", "0")
    called = []
    assert open_devices("auto", None, 1, lambda: called.append(1)).name == "cpu"
    monkeypatch.delenv("INDEXER_GPU_DEVICE")
    with pytest.raises(BackendUnavailable):
        open_devices("cuda", None, 1, lambda: called.append(1))
    assert not called


@pytest.mark.parametrize("backend", ["cpu", "reference"])
@pytest.mark.parametrize("device", ["0", 0, "all"])
def test_a_device_for_a_backend_that_has_none(backend, device):
    with pytest.raises(ParameterError, match=f"device = {device!r} .* left out with the backend {backend}"):
        open_devices(backend, device)


def test_hidden_gpus_are_said_to_be_hidden(machine, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    machine(Driver(status=devices.NO_DEVICE), cupy=True)
    assert devices.why_no_cuda() == "the NVIDIA driver shows no GPU (CUDA_VISIBLE_DEVICES is '')"


@pytest.mark.parametrize("name", ["auto", "cuda"])
def test_with_a_usable_gpu(machine, name):
    machine(Driver([T4, H200]), cupy=True, backend=stand_in())
    assert devices.why_no_cuda() == ""
    backend = get_backend(name)
    assert (backend.name, backend.number) == ("cuda", None)
    assert get_backend(name, device="1").number == 1


def test_the_environment_names_the_gpu(machine, monkeypatch):
    machine(Driver([T4, H200]), cupy=True, backend=stand_in())
    monkeypatch.setenv("INDEXER_GPU_DEVICE", "1")
    assert get_backend("cuda").number == 1
    assert get_backend("cuda", device=0).number == 0
    with pytest.raises(BackendUnavailable, match="no GPU 2: this machine has 2, numbered from 0"):
        get_backend("cuda", device=2)


@pytest.mark.parametrize("name", ["auto", "cuda"])
def test_a_gpu_that_does_not_start_is_an_error_and_not_the_cpu(machine, name):
    def fail(number):
        raise RuntimeError("cudaErrorInsufficientDriver: CUDA driver version is insufficient")

    machine(Driver([H200]), cupy=True, backend=stand_in(fail))
    with pytest.raises(BackendUnavailable, match=r"does not start \(RuntimeError: cudaErrorInsufficientDriver.*doctor"):
        get_backend(name)


def test_a_broken_cupy_is_an_error_and_not_the_cpu(machine):
    machine(Driver([H200]), cupy=True)  # the module of the backend is None: importing it fails
    with pytest.raises(BackendUnavailable, match=r"does not start \(ModuleNotFoundError"):
        get_backend("auto")


def test_the_driver_describes_its_gpus(machine):
    machine(Driver([T4, H200], cuda=12090))
    assert devices.gpu_count() == (2, "")
    assert devices.gpus() == [devices.Gpu(0, *T4), devices.Gpu(1, *H200)]
    assert devices.driver_cuda() == (12, 9)
    machine(None)
    assert devices.gpus() == []
    assert devices.driver_cuda() is None
    assert devices.driver_version() == ""


def test_the_context_of_the_gpu_is_made_before_the_backend_starts(machine):
    driver, made = Driver([T4, H200]), []
    machine(driver, cupy=True, backend=stand_in(lambda number: made.append([*driver.contexts])))
    get_backend("cuda", 1)
    get_backend("cuda")
    assert made == [[1], [1, 0]]
    devices.make_context(2)
    machine(None)
    devices.make_context(0)
    assert driver.contexts == [1, 0]


def test_the_driver_is_woken_unless_the_cpu_is_asked_for(monkeypatch):
    woken = threading.Event()
    monkeypatch.setattr("ffbidx_core.devices.devices.why_no_cuda", woken.set)
    wake_driver("cpu")
    assert not [thread for thread in threading.enumerate() if thread.name == "ffbidx-driver"]
    wake_driver("auto")
    assert woken.wait(60)


def test_a_run_on_the_cpu_imports_no_cupy(tmp_path):
    """Not even looking for a GPU does."""
    write_spots(tmp_path / "spots.h5", [frame(0)[1]])
    (tmp_path / "cell.txt").write_text(CELL_LINE)
    arguments = ["index", "spots.h5", "--cell", "cell.txt", *QUICK, "--backend", "cpu"]
    code = f"""
import sys
from ffbidx_cli.main import main
from ffbidx_core.backends.cuda.driver import cupy_packages, why_no_cuda
why_no_cuda(), cupy_packages()
status = main({arguments})
loaded = [name for name in sys.modules if name.partition(".")[0] in ("cupy", "cupyx", "cuda")]
assert not loaded, loaded
sys.exit(status)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("given", "numbers"),
    [("all", [0, 1, 2]), ("0,2", [0, 2]), (" 1 , 0 ", [1, 0]), ("2", [2]), (0, [0]), (None, []), ("", [])],
)
def test_several_gpus_by_number_or_all(monkeypatch, given, numbers):
    monkeypatch.setattr(devices, "gpu_count", lambda: (3, ""))
    monkeypatch.delenv("INDEXER_GPU_DEVICE", raising=False)
    assert devices.device_numbers(given) == numbers


@pytest.mark.parametrize(
    ("given", "error"), [("0,0", ParameterError), ("0,x", ParameterError), ("0,3", BackendUnavailable)]
)
def test_several_gpus_that_make_no_sense(monkeypatch, given, error):
    monkeypatch.setattr(devices, "gpu_count", lambda: (3, ""))
    with pytest.raises(error):
        devices.device_numbers(given)


def test_all_gpus_where_there_is_none(monkeypatch):
    monkeypatch.setattr(devices, "gpu_count", lambda: (0, "no NVIDIA driver on this machine"))
    with pytest.raises(BackendUnavailable, match="no NVIDIA driver"):
        devices.device_numbers("all")
