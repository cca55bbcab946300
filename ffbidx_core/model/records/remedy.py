"""What a run should be given instead of a length that is probably wrong."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Remedy:
    """A length that is probably wrong, and the option that mends it.

    Attributes
    ----------
    option : str or None
        Name of the option as it is typed; None if no option mends the run.
    values : list of str
        Right values, one for each time that the option is given.
    why : str
        Sentence that gives the reason.
    """

    option: str | None
    values: list[str]
    why: str
