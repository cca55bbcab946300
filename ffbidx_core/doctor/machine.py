"""The machine and its installed software, except GPUs."""

from __future__ import annotations

import importlib.machinery
import importlib.metadata
import importlib.util
import io
import os
import platform
import shutil
import sys
import tempfile
from pathlib import Path

from ..version import VERSION
from .finding import Finding, State

GIB = 2**30
LITTLE_SPACE = GIB
"""Free space in bytes below which a folder needs attention."""
FILTERS = {32008: "bitshuffle", 32004: "LZ4", 32015: "Zstandard", 32001: "Blosc"}
"""HDF5 compressions used by detectors that h5py does not include, keyed by their registered number."""
QUOTA = Path("/sys/fs/cgroup/cpu.max")
"""File with the CPU time that a container may use: microseconds (or max) per period in microseconds."""
HOME = Path(__file__).resolve().parents[2]
"""The folder in which this package is installed."""


def program() -> Finding:
    """The finding about the version of ffbidx and its Python interpreter."""
    python = platform.python_version()
    return Finding(
        "ffbidx",
        State.OK,
        f"{VERSION}, on Python {python} ({sys.executable})",
        {"version": VERSION, "python": python, "executable": sys.executable, "path": str(HOME)},
    )


def module() -> Finding:
    """The finding which module `import ffbidx` finds, since PSI's module of this name may also be installed."""
    ours = HOME / "ffbidx" / "__init__.py"
    spec = importlib.util.find_spec("ffbidx")
    found = Path(spec.origin).resolve() if spec and spec.origin else None
    others = sorted({str(path) for path in _modules_on_the_path() if path != ours})
    data = {"path": str(found) if found else None, "ours": found == ours, "others": others}
    if found is None:
        return Finding("import ffbidx", State.ATTENTION, f"finds nothing; this package is {ours}", data)
    if found != ours:
        mend = f"to use this package, {ours}, uninstall the other or put {HOME} first on PYTHONPATH"
        text = f"finds another package, {found}, which Python scripts import; {mend}"
        return Finding("import ffbidx", State.ATTENTION, text, data)
    if others:
        return Finding(
            "import ffbidx", State.ATTENTION, f"finds this package, {ours}, before {', '.join(others)}", data
        )
    return Finding("import ffbidx", State.OK, f"finds this package, {ours}", data)


def _modules_on_the_path() -> list[Path]:
    """All modules or packages of this name in the folders in which Python searches."""
    specs = (importlib.machinery.PathFinder.find_spec("ffbidx", [entry or "."]) for entry in sys.path)
    return [Path(spec.origin).resolve() for spec in specs if spec and spec.origin]


def numba() -> Finding:
    """The finding about Numba and its cache of compiled kernels."""
    from ..backends.cpu.jit import cache_folder

    folder, version = cache_folder(), importlib.metadata.version("numba")
    kept = any(folder.rglob("*.nbi"))
    data = {"version": version, "cache": str(folder), "compiled": kept}
    text = f"{version}, kernels {'kept' if kept else 'to be kept'} in {folder}"
    if "NUMBA_CACHE_DIR" not in os.environ and folder.is_relative_to(tempfile.gettempdir()):
        text += ", which is not permanent: set NUMBA_CACHE_DIR to a permanent folder"
        return Finding("Numba", State.ATTENTION, text, data)
    return Finding("Numba", State.OK, text, data)


def threads() -> Finding:
    """The finding about the usable processors, and the limit of a container."""
    from ..backends.cpu.threads import available_threads

    usable, there = available_threads(), os.cpu_count() or 1
    data = {"usable": usable, "processors": there}
    text = f"{usable}, of {there} processors"
    quota = _quota()
    if quota is not None and quota < usable:
        text += f"; this container is limited to {quota:g} of them: try --threads {max(1, round(quota))}"
        return Finding("threads", State.ATTENTION, text, {**data, "quota": quota})
    return Finding("threads", State.OK, text, data)


def _quota() -> float | None:
    """The CPU limit of this container in processors; None if there is no limit."""
    try:
        allowed, period = QUOTA.read_text().split()
        return int(allowed) / int(period)
    except (OSError, ValueError):  # no such file, or `max`
        return None


def hdf5() -> Finding:
    """The finding whether HDF5 files can be written and read."""
    import h5py
    import numpy as np

    data = {"h5py": h5py.__version__, "hdf5": h5py.version.hdf5_version}
    text = f"{data['hdf5']}, h5py {data['h5py']}"
    numbers, image = np.arange(1000), io.BytesIO()
    try:
        with h5py.File(image, "w") as file:
            file.create_dataset("numbers", data=numbers, compression="gzip", fletcher32=True)
        with h5py.File(image, "r") as file:
            same = bool((file["numbers"][:] == numbers).all())
    except (OSError, RuntimeError, ValueError) as error:
        return Finding("HDF5", State.BROKEN, f"{text}: {error}", data)
    if not same:
        return Finding("HDF5", State.BROKEN, f"{text}: the numbers read differ from those written", data)
    return Finding("HDF5", State.OK, text, data)


def plugins() -> Finding:
    """The finding which compressions of detectors can be read."""
    import h5py

    version = None
    if importlib.util.find_spec("hdf5plugin") is not None:
        import hdf5plugin  # registers its filters

        version = hdf5plugin.version
    known = [name for number, name in FILTERS.items() if h5py.h5z.filter_avail(number)]
    data = {"hdf5plugin": version, "filters": known}
    source = f"hdf5plugin {version}" if version else f"HDF5_PLUGIN_PATH={os.environ.get('HDF5_PLUGIN_PATH', '')}"
    if known:
        return Finding("HDF5 plugins", State.OK, f"{source}: {', '.join(known)}", data)
    text = "none, for files compressed with bitshuffle or LZ4: pip install 'ffbidx[compressed]'"
    return Finding("HDF5 plugins", State.ABSENT, text, data)


def space() -> Finding:
    """The finding about free space in the folders to which files are written."""
    from ..backends.cpu.jit import cache_folder

    places = {"current directory": os.getcwd(), "temporary files": tempfile.gettempdir(), "cache": str(cache_folder())}
    free = {name: shutil.disk_usage(path).free for name, path in places.items()}
    locked = [name for name, path in places.items() if not os.access(path, os.W_OK)]
    little = min(free.values()) < LITTLE_SPACE
    text = ", ".join(
        f"{name} {free[name] / GIB:.1f} GiB free{' but cannot be written to' * (name in locked)}" for name in places
    )
    data = {"free": {path: free[name] for name, path in places.items()}, "not_writable": [places[n] for n in locked]}
    return Finding("space", State.ATTENTION if little or locked else State.OK, text, data)
