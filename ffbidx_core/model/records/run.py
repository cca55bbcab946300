"""The identity of a run, which is its settings and inputs, and the progress of a run."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import asdict, astuple, dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..basis import ConventionalCells, as_given
from ..detector.beam_shift import NO_SHIFT, BeamShift
from ..detector.distortion import NO_DISTORTION, Distortion
from ..misfit.equations import Spread
from .doubt import Contest
from .frame import Place
from .notes import MOST_NOTES, is_one_of_many


class InputIdentity(NamedTuple):
    """How an input file is recognised: path, size, time of modification and content hash.

    Attributes
    ----------
    path
        Path of the file as the user named it.
    frame
        Index of the only frame that is read; -1 for all frames of the file.
    size, mtime_ns
        Size of the file in bytes and time of its last modification in nanoseconds; -1 if there was no file.
    digest
        Number of hashed bytes, a colon and the hash; empty if the hash is not known.
    """

    path: str
    frame: int
    size: int
    mtime_ns: int
    digest: str = ""

    def change(self, then: InputIdentity) -> str | None:
        """Description of how the file differs from an earlier state; None if size and hash are the same.

        The time of modification decides where there are no hashes of equally many bytes.
        """
        if min(self.size, then.size) < 0 <= max(self.size, then.size):
            return "it was not there, is there now" if then.size < 0 else "it is not there any more"
        if self.size != then.size:
            return f"{then.size} bytes then, {self.size} now"
        if self.digest and self.digest.partition(":")[0] == then.digest.partition(":")[0]:
            return None if self.digest == then.digest else "its size is the same, but not its content"
        return None if self.mtime_ns == then.mtime_ns else "it was modified"


@dataclass(frozen=True)
class RunRecord:
    """Settings and inputs of a run; two runs in which both are equal have equal results.

    Attributes
    ----------
    settings
        Everything besides the inputs on which the results depend, as values that JSON can hold; `parameters` in it is
        a dictionary.
    inputs
        Identities of the sources, in their order.
    config
        Options that the user gave, from which a run with the same settings can be started.
    growing
        Whether the run follows its inputs, so that `inputs` are only those that existed when the record was made.
    versions
        Versions of Python and of the packages that made the run. A run may be resumed with other versions.
    cell_search
        Record of the search for an unknown cell (`--cell auto`), see `CellSearch.as_dict`; empty if cells were given.
    """

    settings: dict[str, Any]
    inputs: tuple[InputIdentity, ...]
    config: dict[str, Any] = field(default_factory=dict)
    growing: bool = False
    versions: dict[str, str] = field(default_factory=dict)
    cell_search: dict[str, Any] = field(default_factory=dict)

    @property
    def shift_given(self) -> bool | None:
        """Whether the user chose to add half a pixel to peaks; None if each format has its usual shift."""
        given: bool | None = self.config.get("half-pixel-shift")
        return given

    def difference(self, other: RunRecord, growing: int | None = None) -> str | None:
        """Description of the first difference between this record and an earlier one; None if there is no difference.

        The half-pixel shift among the settings is that of the first input, so if both records have the user's options,
        the shift in these is compared instead.

        Parameters
        ----------
        other
            The earlier record.
        growing
            Number of the first input that may have grown since then, in a run that follows its inputs; None if no
            input may.
        """
        then, now = other.settings, self.settings
        if other.config and self.config:
            then, now = (each.settings | {"half_pixel_shift": each.shift_given} for each in (other, self))
        for line in itertools.chain(_settings_differ(then, now), _inputs_differ(other.inputs, self.inputs, growing)):
            return line
        return None


def _settings_differ(then: dict[str, Any], now: dict[str, Any]) -> Iterator[str]:
    """One line for each setting that differs."""
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
    """One line for each input that differs, and one if the number of inputs differs."""
    for number, (a, b) in enumerate(zip(then, now, strict=False)):
        may_grow = growing is not None and number >= growing and b.size >= a.size
        if a[:2] != b[:2]:
            yield f"input {number} was {_named(a)}, is {_named(b)} now"
        elif not may_grow and (change := b.change(a)):
            yield f"the input {b.path} has changed: {change}"
    if len(now) != len(then):
        yield f"the number of inputs was {len(then)}, is {len(now)} now"


def _named(source: InputIdentity) -> str:
    """The name of an input in messages."""
    return source.path if source.frame < 0 else f"{source.path}//{source.frame}"


@dataclass
class Mark:
    """The progress of a run, with facts about the finished frames that its results do not hold.

    Attributes
    ----------
    end
        The place after the last finished frame.
    n_left_out
        Number of spots that were left out as padding or duplicates.
    most_cells
        Largest number of input cells that competed on a frame.
    problems
        Problems as the keys of a dictionary, an ordered set: a resumed run may note one of them again without effect.
    checksum
        CRC-32 of the last frame's spots, by which a growing file is recognised; 0 if no input is followed.
    contest
        Outcome of the contest of the crystals with wrong lattices; it has no frames before the run has ended.
    n_off_panels
        Number of peaks that lie on no panel of the geometry, or on several; 0 in marks of earlier versions.
    """

    end: Place = field(default_factory=Place)
    n_left_out: int = 0
    most_cells: int = 1
    problems: dict[str, None] = field(default_factory=dict)
    checksum: int = 0
    contest: Contest = field(default_factory=Contest)
    n_off_panels: int = 0

    def note(self, problem: str) -> None:
        """Keep a problem, unless it or many of its kind are kept already, or there are too many problems."""
        is_full = len(self.problems) >= MOST_NOTES or is_one_of_many(problem, self.problems)
        if problem not in self.problems and not is_full:
            self.problems[problem] = None

    def extend(self, later: Mark) -> None:
        """Add the progress of a later mark, whose frames follow the ones here."""
        self.end, self.checksum = later.end, later.checksum
        self.n_left_out += later.n_left_out
        self.n_off_panels += later.n_off_panels
        self.most_cells = max(self.most_cells, later.most_cells)
        self.contest += later.contest
        for problem in later.problems:
            self.note(problem)

    def as_dict(self) -> dict[str, Any]:
        """The mark as a dictionary that JSON can hold, with sorted problems, whose order depends on the batches."""
        return asdict(self) | {"end": list(astuple(self.end)), "problems": sorted(self.problems)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Mark:
        """The mark from a dictionary that `as_dict` gave."""
        contest = Contest(**values.get("contest", {}))
        problems = dict.fromkeys(values["problems"])
        return cls(**(values | {"end": Place(*values["end"]), "problems": problems, "contest": contest}))


@dataclass(frozen=True)
class Learned:
    """A set of competing input cells, the beam shift and the geometry, as learned from the run's first frames.

    Attributes
    ----------
    given, cells : (M, 3, 3) float64
        Input cells as the user gave them, and as learned; rows a, b, c, angstrom.
    n_crystals : (M,) int64
        Number of crystals from which each cell was learned; 0 for a cell that was not.
    spread : Spread or None
        Scatter of the crystals' residuals and strains; None if there were too few crystals.
    beam_shift : BeamShift
        Shift of the beam that the run applied.
    geometry : str
        Text of the geometry with the panels as the run refined them, including the beam shift; empty if the panels
        were not refined.
    distortion : Distortion
        Distortion of the detector that the run corrected.
    """

    given: ConventionalCells
    cells: ConventionalCells
    n_crystals: NDArray[np.int64]
    spread: Spread | None = None
    beam_shift: BeamShift = NO_SHIFT
    geometry: str = ""
    distortion: Distortion = NO_DISTORTION

    def as_dict(self) -> dict[str, Any]:
        """The record as a dictionary that JSON can hold; its numbers are read back exactly."""
        arrays = {name: getattr(self, name).tolist() for name in ("given", "cells", "n_crystals")}
        spread = None if self.spread is None else asdict(self.spread)
        moved: dict[str, Any] = {"geometry": self.geometry} if self.geometry else {}
        moved |= {"distortion": asdict(self.distortion)} if self.distortion else {}
        return arrays | {"spread": spread, "beam_shift": list(self.beam_shift.mrad)} | moved

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Learned:
        """The record from a dictionary that `as_dict` gave."""
        spread = values.get("spread")
        return cls(
            as_given(np.array(values["given"], dtype=np.float64)),
            as_given(np.array(values["cells"], dtype=np.float64)),
            np.array(values["n_crystals"], dtype=np.int64),
            None if spread is None else Spread(**spread),
            BeamShift(mrad=tuple(values.get("beam_shift", (0.0, 0.0)))),
            values.get("geometry", ""),
            Distortion(**values.get("distortion", {})),
        )
