"""The findings of an examination."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import Any


class State(enum.StrEnum):
    """The state of an examined item.

    OK: it works. ABSENT: it is not installed and not needed. ATTENTION: it works, but the user should know something
    about it. BROKEN: it is needed and does not work.
    """

    OK = "ok"
    ABSENT = "absent"
    ATTENTION = "attention"
    BROKEN = "broken"


@dataclass(frozen=True)
class Finding:
    """The finding about one item.

    Attributes
    ----------
    what : str
        Name of the item.
    state : State
        State of the item.
    text : str
        Description of the item, and what to do if anything needs to be done.
    data : dict
        The finding as data, for programs.
    """

    what: str
    state: State
    text: str
    data: dict[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """All fields as a dictionary that can be written as JSON."""
        return {"what": self.what, "state": str(self.state), "text": self.text, **self.data}
