"""The base class of HDF5 files that stay open while their frames are read, and quantities in datasets."""

from __future__ import annotations

from abc import ABC, abstractmethod

import h5py
import numpy as np
from numpy.typing import NDArray

from ....errors import InputError
from ....model.cell import Array
from ....model.detector.panels import Reading
from ....model.detector.units import LENGTHS_WANTED, millimetres
from ....nouns import counted
from ...files.datasets import errors_of, find, open_dataset, open_file, unit_of
from ..per_frame import SHIFT, Quantity


class OpenHdf5(ABC):
    """An HDF5 file that is open for reading, and closed again if its content does not fit the format.

    Attributes
    ----------
    path : str
        The file.
    n_frames : int
        Number of frames.
    """

    n_frames: int

    def __init__(self, path: str) -> None:
        self.path = path
        self._file = open_file(path)
        try:
            self._open()
        except BaseException:
            self.close()
            raise

    @abstractmethod
    def _open(self) -> None:
        """Check the content, and open everything that `read` needs."""

    @property
    def grows(self) -> bool:
        """Whether another program is writing the file in SWMR mode, so that lengths of datasets may not agree yet."""
        return bool(self._file.swmr_mode)

    def dataset(self, name: str, kind: str, shape: tuple[int | None, ...]) -> h5py.Dataset:
        """A dataset that must exist; see `open_dataset`."""
        dataset = open_dataset(self._file, self.path, name, kind, shape)
        if dataset is None:
            raise InputError(self.path, "is missing", name)
        return dataset

    def numbers(self, name: str) -> h5py.Dataset:
        """A dataset that must exist, with one number, (), or several, (n,) or (n, 1)."""
        node = find(self._file, self.path, name)
        shape = (node.shape or ()) if isinstance(node, h5py.Dataset) else (0,)
        return self.dataset(name, "fiu", (None, *(1 for _ in shape[1:])) if shape else ())

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def rows_of(dataset: h5py.Dataset, frames: NDArray[np.int64]) -> NDArray[np.generic]:
    """The rows of a dataset that belong to frames with ascending numbers."""
    rows: NDArray[np.generic] = dataset[frames[0] : frames[-1] + 1][frames - frames[0]]
    return rows


class InDataset:
    """A quantity for which the geometry names a dataset, with one number for all frames or one for each.

    Raises
    ------
    InputError
        If the dataset is missing, or has fewer numbers than the file has frames.
    """

    def __init__(self, file: OpenHdf5, quantity: Quantity, reading: Reading) -> None:
        self._file, self._quantity, self._reading = file, quantity, reading
        self.column()

    def column(self) -> h5py.Dataset | None:
        """The dataset if it has a number for each frame; None if one number holds for all frames.

        Raises
        ------
        InputError
            If the dataset is missing, or has fewer numbers than the file has frames.
        """
        file, name = self._file, self._reading.path
        if find(file._file, file.path, name) is None:
            option = f", or give it with --{self._quantity.name}" if self._quantity is not SHIFT else ""
            problem = f"is missing, from which the geometry takes the {self._quantity.name}: give another geometry"
            raise InputError(file.path, problem + option, name)
        dataset = file.numbers(name)
        if self._serves_all(dataset):
            return None
        if len(dataset) < file.n_frames and not file.grows:
            raise InputError(
                file.path, f"has {counted(len(dataset), 'number')} for {counted(file.n_frames, 'frame')}", name
            )
        return dataset

    def _serves_all(self, dataset: h5py.Dataset) -> bool:
        """Whether the only number of a dataset holds for all frames."""
        # In a growing file, one number may be the first of many.
        may_grow = self._file.grows and dataset.maxshape != (1,)
        return dataset.shape == () or (len(dataset) == 1 and not may_grow)

    def of(self, frames: NDArray[np.int64]) -> Array:
        """The values (F,) for some frames, angstrom or mm; numbers after that of the last frame are ignored."""
        file, name = self._file, self._reading.path
        dataset = file.numbers(name)
        with errors_of(file.path, name):
            if self._serves_all(dataset):
                values = np.full(len(frames), float(np.ravel(dataset[()])[0]))
            else:
                values = rows_of(dataset, frames).astype(np.float64).reshape(len(frames))
        return self._quantity.converted(self._reading, values)


class OfFrames:
    """A quantity in a dataset of the file's own format, with a row for each frame.

    Parameters
    ----------
    file
        The open file.
    name
        Path of the dataset.
    unit
        `angstrom` or `mm`, to which the numbers are converted by the dataset's attribute `units`.
    n_frames
        Number of frames, for which there are as many rows or more; None while the file grows.
    columns
        Quantity of numbers in a row.

    Raises
    ------
    InputError
        If the dataset has another shape, fewer rows, or units that are not known.
    """

    def __init__(self, file: OpenHdf5, name: str, unit: str, n_frames: int | None, columns: int = 1) -> None:
        self._path, self._columns = file.path, columns
        node = find(file._file, file.path, name)
        is_list = columns == 1 and isinstance(node, h5py.Dataset) and len(node.shape or ()) == 1
        self.dataset = file.dataset(name, "fiu", (None,) if is_list else (None, columns))
        if n_frames is not None and len(self.dataset) < n_frames:
            problem = f"has {counted(len(self.dataset), 'number')} for {counted(n_frames, 'frame')}"
            raise InputError(file.path, problem, name)
        found, wanted = unit_of(self.dataset, file.path), millimetres(unit)
        factor = millimetres(found or unit)
        if factor is None or wanted is None:
            raise InputError(file.path, f"has the units {found[:40]!r}, expected {unit} or {LENGTHS_WANTED}", name)
        self._factor = factor / wanted

    def of(self, frames: NDArray[np.int64]) -> Array:
        """The values for some frames, angstrom or mm: (F,), or (F, columns) for several columns."""
        with errors_of(self._path, self.dataset.name):
            values = rows_of(self.dataset, frames).astype(np.float64) * self._factor
        return values.reshape(len(frames)) if self._columns == 1 else values
