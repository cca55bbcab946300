"""A simulated clock for followers of growing input: a script schedules events, and no test has to wait."""

import time

import pytest

from ffbidx_core.read.growing import ending, follow, watched


class Clock:
    """Time that passes only while the follower sleeps."""

    def __init__(self) -> None:
        self.now = 0.0
        self._due: list = []

    @classmethod
    def install(cls, monkeypatch: pytest.MonkeyPatch) -> "Clock":
        """Install a new clock in the follower, and return it."""
        clock = cls()
        for module in (ending, follow, watched):
            monkeypatch.setattr(module, "time", clock)
        return clock

    def at(self, seconds: float, action, *arguments) -> None:
        """Schedule an action at a time in seconds."""
        self._due.append((seconds, len(self._due), action, arguments))
        self._due.sort(key=lambda event: event[:2])

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return time.time()

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        assert self.now < 10_000, "the input does not end"
        while self._due and self._due[0][0] <= self.now:
            _, _, action, arguments = self._due.pop(0)
            action(*arguments)
