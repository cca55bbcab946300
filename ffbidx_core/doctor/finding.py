"""Findings of an examination."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import Any


class State(enum.StrEnum):
    """How a thing is.

    OK works; ABSENT is not there and need not be; ATTENTION works, but something about it should be known; BROKEN is
    needed and does not work.
    """

    OK = "ok"
    ABSENT = "absent"
    ATTENTION = "attention"
    BROKEN = "broken"


@dataclass(frozen=True)
class Finding:
    """How one thing is.

    Attributes
    ----------
    what : str
        The thing.
    state : State
    text : str
        How it is, and what to do where that is anything.
    data : dict
        The finding as data, for programs.
    """

    what: str
    state: State
    text: str
    data: dict[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"what": self.what, "state": str(self.state), "text": self.text, **self.data}
