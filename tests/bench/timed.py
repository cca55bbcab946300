"""A backend whose verbs are timed, by whatever clock."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any, Protocol, Self


class Clock(Protocol):
    """Marks points in time, and tells what lies between two of them when all is done."""

    def mark(self) -> Any:
        """Now."""

    def seconds(self, first: Any, last: Any) -> float:
        """Time between two marks."""


class HostClock:
    """A clock of the host, `time.process_time` or `time.perf_counter`."""

    def __init__(self, read: Callable[[], float]) -> None:
        self.mark = read

    def seconds(self, first: float, last: float) -> float:
        """Time between two marks."""
        return last - first


class GpuClock:
    """Events in the GPU's current stream."""

    def mark(self) -> Any:
        """An event that comes about when all work before it is done."""
        import cupy

        event = cupy.cuda.Event()
        event.record()
        return event

    def seconds(self, first: Any, last: Any) -> float:
        """Time between two events."""
        import cupy

        last.synchronize()
        return float(cupy.cuda.get_elapsed_time(first, last)) * 1e-3


class TimedVerbs:
    """A backend that notes when each of its verbs begins and ends, and each of its kernels where it launches any.

    Kernels are noted while it is open as a context manager.
    """

    def __init__(self, backend: Any, clock: Clock) -> None:
        self._backend, self._clock = backend, clock
        self._verbs: dict[str, list[tuple[Any, Any]]] = defaultdict(list)
        self._kernels: dict[str, list[tuple[Any, Any]]] = defaultdict(list)

    def __enter__(self) -> Self:
        if launch := getattr(self._backend, "_launch", None):
            # On the instance, so that deleting it leaves the method.
            self._backend._launch = lambda kernel, *args, **kwargs: self._note(
                self._kernels[kernel], launch, kernel, *args, **kwargs
            )
        return self

    def __exit__(self, *error: object) -> None:
        vars(self._backend).pop("_launch", None)

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._backend, name)
        if not callable(attribute) or name == "lane":
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
        """Time of each verb, the longest first."""
        return self._totals(self._verbs)

    @property
    def kernel_seconds(self) -> dict[str, float]:
        """Time of each kernel, which is part of its verb's."""
        return self._totals(self._kernels)

    def _totals(self, spans: dict[str, list[tuple[Any, Any]]]) -> dict[str, float]:
        totals = {name: sum(self._clock.seconds(*span) for span in found) for name, found in spans.items()}
        return dict(sorted(totals.items(), key=lambda item: -item[1]))
