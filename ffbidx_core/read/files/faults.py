"""Collection of all faults in a file, since raising the first one would hide the others.

A reader makes each of its independent checks in a context `Faults.collected`, and raises what was found before it goes
on to something that needs all of them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from ...errors import InputError
from ...nouns import counted


@dataclass
class Faults:
    """The faults found in a file; those that differ only in their place are reported as one.

    Attributes
    ----------
    found : list of InputError
        Faults in the order in which they were found.
    """

    found: list[InputError] = field(default_factory=list)

    @contextlib.contextmanager
    def collected(self) -> Iterator[None]:
        """A context that ends at the first fault, which is added to those found."""
        try:
            yield
        except InputError as error:
            self.found += error.every or (error,)

    def raise_all(self) -> None:
        """Raise the first fault with the others attached; do nothing if there is none.

        Raises
        ------
        InputError
            If there are faults; the message also gives the number of further ones.
        """
        if not self.found:
            return
        alike: dict[str, list[InputError]] = {}
        for fault in self.found:
            alike.setdefault(fault.problem, []).append(fault)
        first, *rest = (_as_one(faults) for faults in alike.values())
        if not rest:
            first.every = tuple(self.found)
            raise first
        more = f"and {counted(len(rest), 'further fault')} (ffbidx inspect lists all)"
        error = InputError(first.path, f"{first.problem}; {more}", first.place)
        error.further, error.every = tuple(rest), tuple(self.found)
        raise error


def _as_one(faults: list[InputError]) -> InputError:
    """One error for faults that differ only in their place: the first fault, with the number of further places."""
    first, n = faults[0], len(faults) - 1
    if n == 0:
        return first
    return InputError(first.path, f"{first.problem} (and in {counted(n, 'further place')})", first.place)
