"""Frames on their way through a run: blocks as they are read, and the results of batches."""

from __future__ import annotations

import enum
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from ..basis import ConventionalCells
from .crystals import CellColumns, CrystalColumns
from .names import Names
from .ragged import counts_joined, offsets_of
from .table import Column


class InWords(enum.IntEnum):
    """Numbers in results, whose names are also words for messages and tables."""

    @property
    def words(self) -> str:
        """The name as words: `not indexed` for NOT_INDEXED."""
        return self.name.lower().replace("_", " ")


class FrameStatus(InWords):
    """Outcome of a frame; the values of `/frame/status`."""

    INDEXED = 0
    NOT_INDEXED = 1
    TOO_FEW_SPOTS = 2
    BAD_SPOTS = 3
    UNREADABLE = 4


@dataclass(frozen=True)
class Place:
    """The position of a reader in the whole input, from which a resumed run continues.

    Attributes
    ----------
    source
        Number of the source that is read next, counted from 0.
    frame
        Index of the next frame in that source.
    position
        Number of frames in the whole input before that frame, whether selected or not.
    taken
        Number of these frames that the selection took.
    """

    source: int = 0
    frame: int = 0
    position: int = 0
    taken: int = 0


@dataclass
class FrameBlock:
    """F consecutive frames of the input, with N spots in all, that share the same input cells.

    Attributes
    ----------
    sources : Names of F frames
        Input file of each frame, as the user named it.
    indices : (F,) int64
        Index of each frame in its file; -1 for a file that cannot be read.
    ids : Names of F frames
        Name of each frame in its file, or empty.
    spots : (N, 3) float32
        Spots of all frames, 1/angstrom, without padding and exact duplicates.
    offsets : (F + 1,) int64
        Frame f owns the spots offsets[f]:offsets[f + 1].
    status : (F,) uint8
        NOT_INDEXED for a frame that is to be indexed; BAD_SPOTS and UNREADABLE frames have no spots.
    n_spots : (F,) int32
        Number of spots in the input, without padding and duplicates; for a bad frame, including these.
    cells : (M, 3, 3) float64 or None
        Input cells that the file itself provides, rows a, b, c, angstrom; None if it provides none.
    left_out : (F,) int64 or None
        Number of padding spots and duplicates of each frame that were left out; None for frames without any.
    problems : list of str
        One line for each frame or file that could not be used, and for each assumption.
    places : (F, 4) int64 or None
        The `Place` after each frame; None for frames that come from no reader.
    by_intensity : (F,) bool or None
        Whether the spots of each frame are in the order of falling intensity; None if the order is known on no frame.
    off_panels : (F,) int64 or None
        Number of peaks of each frame that are no spots because they lie on no panel of the geometry, or on several;
        None for frames without any.
    """

    sources: Sequence[str]
    indices: NDArray[np.int64]
    ids: Sequence[str]
    spots: NDArray[np.float32]
    offsets: NDArray[np.int64]
    status: NDArray[np.uint8]
    n_spots: NDArray[np.int32]
    cells: ConventionalCells | None = None
    left_out: NDArray[np.int64] | None = None
    problems: list[str] = field(default_factory=list)
    places: NDArray[np.int64] | None = None
    by_intensity: NDArray[np.bool_] | None = None
    off_panels: NDArray[np.int64] | None = None

    @classmethod
    def pause(cls, problems: Sequence[str] = ()) -> FrameBlock:
        """A block without frames, by which a reader that follows its input reports that there is no new frame yet."""
        return cls(
            [],
            np.zeros(0, np.int64),
            [],
            np.zeros((0, 3), np.float32),
            np.zeros(1, np.int64),
            np.zeros(0, np.uint8),
            np.zeros(0, np.int32),
            problems=list(problems),
        )

    @property
    def n_frames(self) -> int:
        """The number F of frames."""
        return len(self.indices)

    @property
    def n_bad(self) -> int:
        """The number of frames that cannot be used, files that cannot be read included."""
        return int(np.isin(self.status, (FrameStatus.BAD_SPOTS.value, FrameStatus.UNREADABLE.value)).sum())

    @property
    def n_left_out(self) -> int:
        """Number of padding spots and duplicates that were left out on all frames."""
        return 0 if self.left_out is None else int(self.left_out.sum())

    @property
    def n_off_panels(self) -> int:
        """Number of peaks on all frames that are no spots because they lie on no panel, or on several."""
        return 0 if self.off_panels is None else int(self.off_panels.sum())

    @property
    def last_checksum(self) -> int:
        """CRC-32 of the last frame's spots."""
        return zlib.crc32(self.spots[self.offsets[-2] :].tobytes())

    @property
    def end(self) -> Place:
        """The place after the last frame."""
        return Place() if self.places is None else Place(*self.places[-1].tolist())

    @property
    def has_usable_frames(self) -> bool:
        """Whether any frame is to be indexed."""
        return bool((self.status == FrameStatus.NOT_INDEXED.value).any())

    @classmethod
    def joined(cls, parts: Sequence[FrameBlock]) -> FrameBlock:
        """The frames of several blocks in order, with the input cells of the first block that has usable frames."""
        if len(parts) == 1:
            return parts[0]
        places = [part.places for part in parts if part.places is not None]
        counts = np.concatenate([np.diff(part.offsets) for part in parts])
        ranked = [part.by_intensity for part in parts if part.by_intensity is not None]
        n_frames = [part.n_frames for part in parts]
        return cls(
            Names.joined([part.sources for part in parts]),
            np.concatenate([part.indices for part in parts]),
            Names.joined([part.ids for part in parts]),
            np.concatenate([part.spots for part in parts]),
            offsets_of(counts),
            np.concatenate([part.status for part in parts]),
            np.concatenate([part.n_spots for part in parts]),
            next((part.cells for part in parts if part.has_usable_frames), None),
            counts_joined([part.left_out for part in parts], n_frames),
            [problem for part in parts for problem in part.problems],
            np.concatenate(places) if len(places) == len(parts) else None,
            np.concatenate(ranked) if len(ranked) == len(parts) else None,
            counts_joined([part.off_panels for part in parts], n_frames),
        )

    def __getitem__(self, part: slice) -> FrameBlock:
        """The frames of a slice (step 1); problems stay with the slice that begins at frame 0."""
        first, last, _ = part.indices(self.n_frames)
        begin, end = self.offsets[first], self.offsets[last]
        return FrameBlock(
            self.sources[first:last],
            self.indices[first:last],
            self.ids[first:last],
            self.spots[begin:end],
            self.offsets[first : last + 1] - begin,
            self.status[first:last],
            self.n_spots[first:last],
            self.cells,
            None if self.left_out is None else self.left_out[first:last],
            self.problems if first == 0 else [],
            None if self.places is None else self.places[first:last],
            None if self.by_intensity is None else self.by_intensity[first:last],
            None if self.off_panels is None else self.off_panels[first:last],
        )


@dataclass(kw_only=True)
class BatchResult(CrystalColumns, CellColumns):
    """The cells and crystals found on the F frames of a batch, as arrays in host memory.

    The cells are primitive. Input cells are numbered within the batch.

    Attributes
    ----------
    n_sampled : (F,) int32
        Number of spots used in the sampling.
    n_at_origin : (F,) int32
        Number of spots left out because they are too close to the origin, see `SearchPlan.origin_radius`.
    reason : (F,) uint8
        Reason why a frame has no crystal, as `FrameReason`.
    rung : (F,) uint8
        The try that indexed a frame, as `Rung`.
    """

    n_sampled: Annotated[NDArray[np.int32], Column("frames")]
    n_at_origin: Annotated[NDArray[np.int32], Column("frames")]
    reason: Annotated[NDArray[np.uint8], Column("frames")]
    rung: Annotated[NDArray[np.uint8], Column("frames")]

    @property
    def n_frames(self) -> int:
        """The number F of frames."""
        return len(self.n_sampled)


@dataclass(kw_only=True)
class ConventionalResult(BatchResult):
    """Results of F frames with conventional cells, as a run keeps and reports them; a search gives primitive ones."""
