"""NumPy in place of CuPy, and kernels that only compare their arguments with their parameters, without a GPU."""

import contextlib
import importlib
import re
import sys
import types
from typing import ClassVar

import numpy as np

from ffbidx_core.backends import kernels

SOURCE = re.sub(r"//[^\n]*", "", kernels.source())
KERNEL = re.compile(r'extern "C" __global__ (?:__launch_bounds__\(\w+\) )?void (\w+)\(([^)]*)\)')
SCALARS = {"int": np.int32, "i64": np.int64, "u64": np.uint64, "float": np.float32, "double": np.float64}
STRUCTS = ("Trims", "Seed")
ITEMS = (
    SCALARS
    | dict.fromkeys(STRUCTS, np.uint8)
    | {
        "float4": np.float32,
        "bool": np.bool_,
        "unsigned char": np.uint8,
        "unsigned short": np.uint16,
        "SpotOrder": np.float64,
    }
)


def parameters() -> dict[str, list[str]]:
    """Types of each kernel's parameters, as in the source."""
    found = {}
    for name, text in KERNEL.findall(SOURCE):
        declarations = [re.sub(r"\b(const|__restrict__)\b", "", part).strip() for part in text.split(",")]
        found[name] = [re.sub(r"\s*\w+$", "", part).replace(" *", "*").strip() for part in declarations]
    return found


class Kernel:
    """A kernel that only looks at what it is given."""

    launched: ClassVar[set[str]] = set()

    def __init__(self, name: str) -> None:
        self.name, self.wanted = name, parameters()[name]

    def __call__(self, grid, block, arguments, *, shared_mem=0):
        assert 1 <= len(grid) <= 3
        assert all(isinstance(n, int) and 0 < n < 2**31 for n in grid)
        assert block[0] % 32 == 0
        assert block[0] <= 1024
        assert 0 <= shared_mem <= 48 * 1024
        assert len(arguments) == len(self.wanted), self.name
        for number, (kind, given) in enumerate(zip(self.wanted, arguments, strict=True)):
            assert fits(kind, given), f"{self.name}, argument {number}: {type(given)} for {kind}"
        self.launched.add(self.name)


def fits(kind: str, given) -> bool:
    if not kind.endswith("*"):
        return type(given) is SCALARS[kind]
    if isinstance(given, np.uint64):
        return given == 0
    return isinstance(given, np.ndarray) and given.flags.c_contiguous and given.dtype == ITEMS[kind[:-1]]


class NoDevice(contextlib.nullcontext):
    def __init__(self, *arguments, **options) -> None:
        super().__init__()

    def synchronize(self) -> None:
        pass


def cuda_on_numpy(monkeypatch):
    """The GPU backend on NumPy."""
    cupy = types.ModuleType("cupy")
    cupy.__dict__.update({name: getattr(np, name) for name in dir(np) if not name.startswith("__")})
    # What a kernel would have written is all zeros.
    cupy.empty = np.zeros
    cupy.RawModule = lambda **options: types.SimpleNamespace(get_function=Kernel)
    properties = {"name": b"none", "totalGlobalMem": 1 << 33}
    runtime = types.SimpleNamespace(getDevice=lambda: 0, getDeviceProperties=lambda number: properties)
    cupy.cuda = types.SimpleNamespace(
        Device=NoDevice,
        Stream=NoDevice,
        get_current_stream=NoDevice,
        runtime=runtime,
        memory=types.SimpleNamespace(OutOfMemoryError=MemoryError),
    )
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    for name in ("cupyx", "cupyx.scipy", "cupyx.scipy.special"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    modules = ("arrays", "recordings", "tables", "device", "search", "judging", "threes", "lattices", "backend")
    names = [f"ffbidx_core.backends.cuda.{name}" for name in modules]
    for name in names:
        monkeypatch.delitem(sys.modules, name, raising=False)
    yield importlib.import_module(names[-1])
    for name in names:
        sys.modules.pop(name, None)
