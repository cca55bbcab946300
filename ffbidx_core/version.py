"""Versions of the installed package and of the packages that its results depend on."""

import platform
from importlib.metadata import PackageNotFoundError, version

try:
    VERSION = version("ffbidx")
except PackageNotFoundError:  # imported from a source tree that is not installed
    VERSION = "0+unknown"

_PACKAGES = ("numpy", "h5py", "numba")
_CUDA_PACKAGES = ("cupy", "cupy-cuda12x", "cupy-cuda13x")


def versions(backend: str) -> dict[str, str]:
    """Versions of Python and of the installed packages on which the results of a backend may depend, by name."""
    found = {"python": platform.python_version()}
    for name in (*_PACKAGES, *(_CUDA_PACKAGES if backend == "cuda" else ())):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
