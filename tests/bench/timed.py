"""A backend whose verbs are timed with any clock."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any, Protocol, Self


class Clock(Protocol):
    """A clock that marks points in time, and at the end gives the time between two of them."""

    def mark(self) -> Any:
        """A mark of the present time."""

    def seconds(self, first: Any, last: Any) -> float:
        """The time between two marks in seconds."""


class HostClock:
    """A clock of the host, such as `time.process_time` or `time.perf_counter`."""

    def __init__(self, read: Callable[[], float]) -> None:
        self.mark = read

    def seconds(self, first: float, last: float) -> float:
        """The time between two marks in seconds."""
        return last - first


class GpuClock:
    """A clock made of events in the current stream of the GPU."""

    def mark(self) -> Any:
        """An event that occurs when all earlier work is done."""
        import cupy

        event = cupy.cuda.Event()
        event.record()
        return event

    def seconds(self, first: Any, last: Any) -> float:
        """The time between two events in seconds."""
        import cupy

        last.synchronize()
        return float(cupy.cuda.get_elapsed_time(first, last)) * 1e-3


class TimedVerbs:
    """A backend that records the begin and end of each of its verbs and, if it launches kernels, of each kernel.

    Kernels are recorded while it is open as a context manager.
    """

    def __init__(self, backend: Any, clock: Clock) -> None:
        self._backend, self._clock = backend, clock
        self._verbs: dict[str, list[tuple[Any, Any]]] = defaultdict(list)
        self._kernels: dict[str, list[tuple[Any, Any]]] = defaultdict(list)

    def __enter__(self) -> Self:
        if launch := getattr(self._backend, "_launch", None):
            # The attribute is set on the instance, so deleting it restores the method.
            self._backend._launch = lambda kernel, *args, **kwargs: self._note(
                self._kernels[kernel], launch, kernel, *args, **kwargs
            )
        return self

    def __exit__(self, *error: object) -> None:
        vars(self._backend).pop("_launch", None)

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._backend, name)
        # `run_steps` calls other verbs, which are timed by themselves.
        if not callable(attribute) or name in ("lane", "run_steps"):
            return attribute
        return lambda *args, **kwargs: self._note(self._verbs[name], attribute, *args, **kwargs)

    def _note(self, spans: list[tuple[Any, Any]], work: Any, *args: Any, **kwargs: Any) -> Any:
        first = self._clock.mark()
        try:
            return work(*args, **kwargs)
        finally:
            spans.append((first, self._clock.mark()))

    @property
    def seconds(self) -> dict[str, float]:
        """The time of each verb in seconds, the longest first."""
        return self._totals(self._verbs)

    @property
    def kernel_seconds(self) -> dict[str, float]:
        """The time of each kernel in seconds, which is part of the time of its verb."""
        return self._totals(self._kernels)

    def _totals(self, spans: dict[str, list[tuple[Any, Any]]]) -> dict[str, float]:
        totals = {name: sum(self._clock.seconds(*span) for span in found) for name, found in spans.items()}
        return dict(sorted(totals.items(), key=lambda item: -item[1]))
