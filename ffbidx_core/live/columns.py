"""Frames of messages as columns: one array for all spots, so that many frames cost little more than one."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..model.cell import Array
from ..model.records.ragged import offsets_of, rows_of
from .door.waiting import PUSHED, Origin, Received
from .messages import Floats, Frame


@dataclass(frozen=True)
class FrameColumns:
    """F frames of one run with N rows in all, each with spots or each with pixels.

    Attributes
    ----------
    run : str
        Name of the run; empty: the current run.
    numbers : (F,) int64
        Number of each frame in its run; -1 if its message has none.
    names : list of str, F
        Name of each frame; empty if its message has none.
    rows : (N, 3) or (N, 2) float32
        Spots, 1/angstrom; or peak positions fs and ss in the data of the detector, in pixels.
    offsets : (F + 1,) int64
        Frame f has the rows offsets[f]:offsets[f + 1].
    intensity : (N,) float32 or None
        Intensity of each row; None if the messages have none.
    from_corner : bool
        Whether pixels are measured from the corner of the first pixel, so that its centre is at 0.5.
    wavelength, distance : (F,) float64
        Wavelength in angstrom and distance in mm of each frame; nan: those of the geometry.
    sent : (F,) float64
        Time at which each message was sent, seconds on the sender's clock; nan if the message has none.
    at : (F,) float64
        Time of arrival of each message, seconds of `time.perf_counter`.
    origins : list of Origin, F, or None
        Origin of each message; None if nobody waits for a reply.
    """

    run: str
    numbers: NDArray[np.int64]
    names: list[str]
    rows: Floats
    offsets: NDArray[np.int64]
    intensity: Floats | None
    from_corner: bool
    wavelength: Array
    distance: Array
    sent: Array
    at: Array
    origins: list[Origin] | None

    @property
    def n_frames(self) -> int:
        """The number F of frames."""
        return len(self.names)

    @property
    def has_pixels(self) -> bool:
        """Whether the rows are pixels."""
        return int(self.rows.shape[1]) == 2

    @property
    def each_origin(self) -> list[Origin]:
        """The origin of each message."""
        return [PUSHED] * self.n_frames if self.origins is None else self.origins

    def without(self, frames: Collection[int]) -> FrameColumns:
        """All frames but those with these numbers in the columns."""
        if not frames:
            return self
        chosen = np.setdiff1d(np.arange(self.n_frames), list(frames))
        rows, offsets = rows_of(self.offsets, chosen)
        return FrameColumns(
            self.run,
            self.numbers[chosen],
            [self.names[f] for f in chosen],
            self.rows[rows],
            offsets,
            None if self.intensity is None else self.intensity[rows],
            self.from_corner,
            self.wavelength[chosen],
            self.distance[chosen],
            self.sent[chosen],
            self.at[chosen],
            None if self.origins is None else [self.origins[f] for f in chosen],
        )

    def named(self, first: int) -> FrameColumns:
        """The frames with a number and a name each; a number that a message lacks is counted from `first`."""
        if self.numbers.min() >= 0 and all(self.names):
            return self
        numbers = np.where(self.numbers < 0, first + np.arange(self.n_frames), self.numbers)
        names = [name or str(number) for name, number in zip(self.names, numbers.tolist(), strict=True)]
        return replace(self, numbers=numbers, names=names)


Taken = list[FrameColumns] | Received
"""The next messages: frames of a batch, if there are any, or one message of another kind."""


def taken(items: Sequence[Received]) -> Taken:
    """The messages that `Queue.next` returns, with frames as columns."""
    if items and not isinstance(items[0].message, Frame):
        return items[0]
    return columns_of(items)


def columns_of(items: Sequence[Received]) -> list[FrameColumns]:
    """The frames of messages, in their order, as columns for each stretch of frames of one run and one kind."""
    return [
        _columns(run, from_corner, list(group)) for (run, from_corner, *_), group in itertools.groupby(items, _kind)
    ]


def _kind(item: Received) -> tuple[str, bool, bool, bool]:
    frame: Any = item.message
    return frame.run, frame.from_corner, frame.pixels is None, frame.intensity is None


def _columns(run: str, from_corner: bool, items: list[Received]) -> FrameColumns:
    frames: list[Any] = [item.message for item in items]
    rows = [frame.pixels if frame.spots is None else frame.spots for frame in frames]
    origins = [item.origin for item in items]
    is_pushed = all(origin is PUSHED for origin in origins)
    return FrameColumns(
        run,
        np.array([frame.number for frame in frames], np.int64),
        [frame.name for frame in frames],
        np.concatenate(rows),
        offsets_of(np.array([len(each) for each in rows], np.int64)),
        None if frames[0].intensity is None else np.concatenate([frame.intensity for frame in frames]),
        from_corner,
        # None becomes nan.
        np.array([frame.wavelength for frame in frames], np.float64),
        np.array([frame.distance for frame in frames], np.float64),
        np.array([frame.sent for frame in frames], np.float64),
        np.array([item.at for item in items]),
        None if is_pushed else origins,
    )
