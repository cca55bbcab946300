"""The choice of a backend by its name."""

from __future__ import annotations

import threading

from ..errors import BackendUnavailable, ParameterError
from .verbs import Backend

BACKENDS = ("auto", "cuda", "cpu")
"""Names of backends that a user can request; `get_backend` also knows `reference`, the oracle of the tests."""


def get_backend(name: str = "auto", device: str | int | None = None, threads: int | None = None) -> Backend:
    """Make the backend with a name.

    Parameters
    ----------
    name
        One of `BACKENDS` or `reference`. `auto` is the GPU if there is one or a device is named, else the CPU.
    device
        GPU by its number or name; None for the first one.
    threads
        Number of threads of the CPU backend; None for its default.

    Raises
    ------
    BackendUnavailable
        If the backend cannot be used on this machine; the message gives the reason.
    ParameterError
        If no backend has this name, or a device is named for a backend that uses none.
    """
    from .cuda.driver import device_number, make_context, why_no_cuda

    names_device = device not in (None, "")
    if name == "auto":
        name = "cuda" if names_device or not why_no_cuda() else "cpu"
    if name in ("cpu", "reference") and names_device:
        raise ParameterError("device", device, f"left out with the backend {name}, which uses no GPU")
    if name == "cpu":
        from .cpu.backend import CpuBackend

        return CpuBackend(threads)
    if name == "cuda":
        if reason := why_no_cuda():
            raise BackendUnavailable(f"no GPU backend: {reason}")
        number = device_number(device)
        # This needs no lock of Python, which meanwhile imports CuPy.
        context = threading.Thread(target=make_context, args=(number or 0,), name="ffbidx-context")
        context.start()
        try:
            from .cuda.backend import CudaBackend

            context.join()
            return CudaBackend(number)
        except (ImportError, RuntimeError) as error:
            # The CPU does not stand in: a user with a GPU must learn that it is not used.
            raise BackendUnavailable(
                f"the GPU backend does not start ({type(error).__name__}: {error}): "
                "see what `ffbidx doctor` says, or go without it by --backend cpu"
            ) from error
    if name == "reference":
        from .reference.backend import ReferenceBackend

        return ReferenceBackend()
    raise ParameterError("backend", name, "one of " + ", ".join(BACKENDS))
