"""The choice of a backend by its name."""

from __future__ import annotations

from ..errors import BackendUnavailable, ParameterError
from .verbs import Backend

BACKENDS = ("auto", "cuda", "cpu")
"""Names that a user can ask for; `get_backend` also knows `reference`, the oracle of the tests."""


def get_backend(name: str = "auto", device: str | int | None = None, threads: int | None = None) -> Backend:
    """The backend of this name; `auto` takes a GPU when there is one, and must when a `device` is named.

    Raises
    ------
    BackendUnavailable
        With the reason, when it is not there.
    ParameterError
        For another name, or a device for a backend that has none.
    """
    from .cuda.driver import device_number, why_no_cuda

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
        try:
            from .cuda.backend import CudaBackend

            return CudaBackend(number)
        except (ImportError, RuntimeError) as error:
            # Never the CPU instead: whoever has a GPU wants to know.
            raise BackendUnavailable(
                f"the GPU backend does not start ({type(error).__name__}: {error}): "
                "see what `ffbidx doctor` says, or go without it by --backend cpu"
            ) from error
    if name == "reference":
        from .reference.backend import ReferenceBackend

        return ReferenceBackend()
    raise ParameterError("backend", name, "one of " + ", ".join(BACKENDS))
