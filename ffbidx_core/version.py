"""Versions of the installed package and of the packages that its results depend on."""

import functools
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
        if (installed := _installed(name)) is not None:
            found[name] = installed
    return found


@functools.cache
def _installed(name: str) -> str | None:
    """The version of an installed package, which is looked up once, since that takes milliseconds; None for others."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None
