"""The frames of a live run as spot files, so that all that reads spots again finds them."""

from __future__ import annotations

import io
import os

import h5py
import numpy as np

from ..model.records.frame import FrameBlock
from ..model.records.ragged import offsets_of
from ..model.records.run import InputIdentity
from ..read.files.identity import identity
from ..write.atomic import make_directory, write_file

SUFFIX = ".spots"


class Spool:
    """Frames are gathered, and written to the next file of a folder with each saved part of the results.

    Parameters
    ----------
    output
        Results file that the folder lies beside.
    inputs
        The files that the run has written before it was taken up.
    """

    def __init__(self, output: str, inputs: tuple[InputIdentity, ...] = ()) -> None:
        self.folder = output + SUFFIX
        self.inputs = inputs
        self._blocks: list[FrameBlock] = []
        self._n_frames = 0

    @property
    def place(self) -> tuple[int, int]:
        """Number of the file that the next frame comes to, and the frame's number in it."""
        return len(self.inputs), self._n_frames

    @property
    def path(self) -> str:
        """The file that the next frame comes to."""
        return os.path.join(self.folder, f"{len(self.inputs):06d}.h5")

    def add(self, block: FrameBlock) -> None:
        """Gather frames."""
        self._blocks.append(block)
        self._n_frames += block.n_frames

    def write(self) -> None:
        """Write what is gathered to its file, and begin the next one.

        Raises
        ------
        OutputError
            When it cannot be written.
        """
        if not self._n_frames:
            return
        make_directory(self.folder)
        write_file(self.path, _image(self._blocks), overwrite=True)
        self.inputs = (*self.inputs, identity(self.path))
        self._blocks, self._n_frames = [], 0


def _image(blocks: list[FrameBlock]) -> bytes:
    """A spot file of some blocks."""
    image = io.BytesIO()
    with h5py.File(image, "w") as file:
        file["spots"] = np.concatenate([block.spots for block in blocks])
        file["spots"].attrs["units"] = "1/angstrom"
        file["offsets"] = offsets_of(np.concatenate([np.diff(block.offsets) for block in blocks]))
        names = [name for block in blocks for name in block.ids]
        file.create_dataset("frame_id", data=names, dtype=h5py.string_dtype(), shape=(len(names),))
    return image.getvalue()
