"""The version of the installed package, and of what it computes with."""

import platform
from importlib.metadata import PackageNotFoundError, version

try:
    VERSION = version("ffbidx")
except PackageNotFoundError:  # run from a source tree that nobody installed
    VERSION = "0+unknown"

_PACKAGES = ("numpy", "h5py", "numba")
_CUDA_PACKAGES = ("cupy", "cupy-cuda12x", "cupy-cuda13x")


def versions(backend: str) -> dict[str, str]:
    """Versions of Python and of the packages here that the results of a backend may depend on."""
    found = {"python": platform.python_version()}
    for name in (*_PACKAGES, *(_CUDA_PACKAGES if backend == "cuda" else ())):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
