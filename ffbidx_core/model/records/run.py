"""What makes a run the run it is: its settings and inputs, and how far it has come."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import asdict, astuple, dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..cell import Array
from ..detector.beam_shift import NO_SHIFT, BeamShift
from ..misfit.equations import Spread
from .doubt import Contest
from .frame import Place
from .notes import MOST_NOTES, is_one_of_many


class InputIdentity(NamedTuple):
    """How a source is recognised: path, size, time and content hash.

    Attributes
    ----------
    path
    frame
        -1 for all frames of the file.
    size, mtime_ns
        Bytes of the file and the time of its last change in ns; -1 where there was no file.
    digest
        Number of the bytes that were hashed, a colon and their hash; empty where the hash is not known.
    """

    path: str
    frame: int
    size: int
    mtime_ns: int
    digest: str = ""

    def change(self, then: InputIdentity) -> str | None:
        """What of the file is not as it was then; None where it is the same, by size and hash.

        Without hashes of as many bytes its time of modification decides.
        """
        if self.size != then.size:
            return f"{then.size} bytes then, {self.size} now"
        if self.digest and self.digest.partition(":")[0] == then.digest.partition(":")[0]:
            return None if self.digest == then.digest else "its size is the same, but not its content"
        return None if self.mtime_ns == then.mtime_ns else "it was modified"


@dataclass(frozen=True)
class RunRecord:
    """Settings and inputs of a run; two runs with equal ones have equal results.

    Attributes
    ----------
    settings
        All that the results depend on besides the inputs, ready for JSON; `parameters` is a dictionary in it.
    inputs
        The sources, in their order.
    config
        The options by which the user asked for it, for a run like it.
    growing
        Whether the run follows its inputs, so that `inputs` are those that were there when the record was made.
    versions
        Versions of Python and of the packages that the run was made with. A run may be taken up with others.
    """

    settings: dict[str, Any]
    inputs: tuple[InputIdentity, ...]
    config: dict[str, Any] = field(default_factory=dict)
    growing: bool = False
    versions: dict[str, str] = field(default_factory=dict)

    def difference(self, other: RunRecord, growing: int | None = None) -> str | None:
        """How this run, the one now, differs from another, the one then; None when they are the same.

        Parameters
        ----------
        growing
            Number of the first input that may have grown since, in a run that follows its inputs; None: none may.
        """
        for line in itertools.chain(
            _settings_differ(other.settings, self.settings), _inputs_differ(other.inputs, self.inputs, growing)
        ):
            return line
        return None


def _settings_differ(then: dict[str, Any], now: dict[str, Any]) -> Iterator[str]:
    for name in dict.fromkeys([*then, *now]):
        a, b = then.get(name), now.get(name)
        if a == b:
            continue
        if isinstance(a, dict) and isinstance(b, dict):
            yield from _settings_differ(a, b)
        elif any(isinstance(value, list) and len(str(value)) > 60 for value in (a, b)):
            yield f"{name} is not what it was"
        else:
            yield f"{name} was {a}, is {b} now"


def _inputs_differ(then: Sequence[InputIdentity], now: Sequence[InputIdentity], growing: int | None) -> Iterator[str]:
    for number, (a, b) in enumerate(zip(then, now, strict=False)):
        may_grow = growing is not None and number >= growing and b.size >= a.size
        if a[:2] != b[:2]:
            yield f"input {number} was {_named(a)}, is {_named(b)} now"
        elif not may_grow and (change := b.change(a)):
            yield f"the input {b.path} has changed: {change}"
    if len(now) != len(then):
        yield f"the number of inputs was {len(then)}, is {len(now)} now"


def _named(source: InputIdentity) -> str:
    return source.path if source.frame < 0 else f"{source.path}//{source.frame}"


@dataclass
class Mark:
    """How far a run has come, and what its results do not say of the frames until there.

    Attributes
    ----------
    end
        The place behind the last frame.
    n_left_out
        Padding and duplicates among the spots.
    most_cells
        Most input cells that competed on a frame.
    problems
        An ordered set: a run that is taken up may come across one again, which then changes nothing.
    checksum
        CRC-32 of the last frame's spots, which identifies a file that grows; 0 where no input is followed.
    contest
        How the crystals did against lattices that are not there; one without frames before the run has ended.
    """

    end: Place = field(default_factory=Place)
    n_left_out: int = 0
    most_cells: int = 1
    problems: dict[str, None] = field(default_factory=dict)
    checksum: int = 0
    contest: Contest = field(default_factory=Contest)

    def note(self, problem: str) -> None:
        """Keep a problem, unless it is known, one of many of its kind, or there are too many."""
        is_full = len(self.problems) >= MOST_NOTES or is_one_of_many(problem, self.problems)
        if problem not in self.problems and not is_full:
            self.problems[problem] = None

    def extend(self, later: Mark) -> None:
        """Add the frames of a later mark."""
        self.end, self.checksum = later.end, later.checksum
        self.n_left_out += later.n_left_out
        self.most_cells = max(self.most_cells, later.most_cells)
        self.contest += later.contest
        for problem in later.problems:
            self.note(problem)

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON; the order of the problems, which depends on the batches, is not kept."""
        return asdict(self) | {"end": list(astuple(self.end)), "problems": sorted(self.problems)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Mark:
        """The reverse of `as_dict`."""
        contest = Contest(**values.get("contest", {}))
        problems = dict.fromkeys(values["problems"])
        return cls(**(values | {"end": Place(*values["end"]), "problems": problems, "contest": contest}))


@dataclass(frozen=True)
class Learned:
    """Input cells that compete on some frames, as learned from the run's first frames.

    Attributes
    ----------
    given, cells : (M, 3, 3) float64
        As the user gave them, and as learned.
    n_crystals : (M,) int64
        Crystals that each was learned from; 0 where it is as given.
    spread : Spread or None
        Scatter of their residuals and strains; None where they were too few.
    beam_shift : BeamShift
        Shift of the beam that the run made, see `Geometry`.
    geometry : str
        Text of the geometry whose panels the run moved, the beam shift included; empty where it moved none.
    """

    given: Array
    cells: Array
    n_crystals: NDArray[np.int64]
    spread: Spread | None = None
    beam_shift: BeamShift = NO_SHIFT
    geometry: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON; its numbers are written so that they read back exactly."""
        arrays = {name: getattr(self, name).tolist() for name in ("given", "cells", "n_crystals")}
        spread = None if self.spread is None else asdict(self.spread)
        moved = {"geometry": self.geometry} if self.geometry else {}
        return arrays | {"spread": spread, "beam_shift": list(self.beam_shift.mrad)} | moved

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Learned:
        """The reverse of `as_dict`."""
        spread = values.get("spread")
        return cls(
            np.array(values["given"], dtype=np.float64),
            np.array(values["cells"], dtype=np.float64),
            np.array(values["n_crystals"], dtype=np.int64),
            None if spread is None else Spread(**spread),
            BeamShift(mrad=tuple(values.get("beam_shift", (0.0, 0.0)))),
            values.get("geometry", ""),
        )
