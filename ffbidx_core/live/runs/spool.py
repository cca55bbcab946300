"""The frames of a live run as spot files, from which other commands can read the spots again."""

from __future__ import annotations

import io
import os

import h5py
import numpy as np

from ...model.records.frame import FrameBlock
from ...model.records.ragged import offsets_of
from ...model.records.run import InputIdentity
from ...read.files.identity import identity
from ...write.atomic import make_directory, write_file

SUFFIX = ".spots"


class Spool:
    """Gathers frames, and writes them to the next file of a folder with each saved part of the results.

    Parameters
    ----------
    output
        Name of the results file beside which the folder lies.
    inputs
        The files that the run had written before it was resumed.
    """

    def __init__(self, output: str, inputs: tuple[InputIdentity, ...] = ()) -> None:
        self.folder = output + SUFFIX
        self.inputs = inputs
        self._blocks: list[FrameBlock] = []
        self._n_frames = 0

    @property
    def place(self) -> tuple[int, int]:
        """The number of the file to which the next frame goes, and the number of the frame in it."""
        return len(self.inputs), self._n_frames

    @property
    def path(self) -> str:
        """The file to which the next frame goes."""
        return os.path.join(self.folder, f"{len(self.inputs):06d}.h5")

    def add(self, block: FrameBlock) -> None:
        """Gather the frames of a block."""
        self._blocks.append(block)
        self._n_frames += block.n_frames

    def write(self) -> None:
        """Write the gathered frames to their file, and begin the next one.

        Raises
        ------
        OutputError
            If the file cannot be written.
        """
        if not self._n_frames:
            return
        make_directory(self.folder)
        write_file(self.path, _image(self._blocks), overwrite=True)
        self.inputs = (*self.inputs, identity(self.path))
        self._blocks, self._n_frames = [], 0


def _image(blocks: list[FrameBlock]) -> bytes:
    """The bytes of a spot file with the frames of some blocks."""
    image = io.BytesIO()
    with h5py.File(image, "w") as file:
        file["spots"] = np.concatenate([block.spots for block in blocks])
        file["spots"].attrs["units"] = "1/angstrom"
        file["offsets"] = offsets_of(np.concatenate([np.diff(block.offsets) for block in blocks]))
        names = [name for block in blocks for name in block.ids]
        file.create_dataset("frame_id", data=names, dtype=h5py.string_dtype(), shape=(len(names),))
    return image.getvalue()
