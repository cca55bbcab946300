"""The array layouts of the published Python interface and of its batch functions."""

from __future__ import annotations

from typing import Any, TypeGuard

import numpy as np
from numpy.typing import ArrayLike, NDArray

DLPACK_CUDA = 2
"""The number of DLPack for memory of a CUDA device."""


def spots_from_published(spots: object) -> NDArray[Any]:
    """Convert spots to (K, 3) from an array (3, K) in C order or (K, 3) in Fortran order.

    An array of shape (3, 3) in C order is read as (3, K).

    Raises
    ------
    ValueError
        If the array has any other shape, order or type.
    """
    return _vectors("spots", spots, "K")


def cells_from_published(name: str, cells: object) -> NDArray[Any]:
    """Convert cells to (M, 3, 3), rows a, b, c, from an array (3, 3M) in C order or (3M, 3) in Fortran order."""
    vectors = _vectors(name, cells, "3M")
    if len(vectors) % 3:
        raise ValueError(f"{name}: given {_described(cells)}; wanted three vectors for each cell, {_wanted('3M')}")
    return vectors.reshape(-1, 3, 3)


def cells_to_published(cells: NDArray[Any]) -> NDArray[Any]:
    """Convert cells (N, 3, 3), rows a, b, c, to an array (3, 3N) in C order."""
    return np.ascontiguousarray(cells.reshape(-1, 3).T)


def checked_batch(spots: object, offsets: ArrayLike) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """The spots (N, 3) in C order and the offsets (F + 1,) of a batch; a `ValueError` says what is wrong with them."""
    rows = _checked("spots", spots, "(N, 3)", lambda shape: len(shape) == 2 and shape[1] == 3)
    bounds = np.asarray(offsets)
    if bounds.ndim != 1 or len(bounds) == 0 or bounds.dtype.kind not in "iu":
        raise ValueError(f"offsets: given {_described(bounds)}; wanted whole numbers of shape (n_frames + 1,)")
    bounds = bounds.astype(np.int64)
    if bounds[0] != 0 or bounds[-1] != len(rows) or (np.diff(bounds) < 0).any():
        raise ValueError(
            f"offsets: given {len(bounds)} numbers from {bounds[0]} to {bounds[-1]}; "
            f"wanted numbers that rise from 0 to the number of spots, {len(rows)}"
        )
    return rows, bounds


def checked_cells(cells: object) -> NDArray[Any]:
    """The input cells (M, 3, 3) of a batch in C order, rows a, b, c; a `ValueError` says what is wrong with them."""
    return _checked("input_cells", cells, "(n_cells, 3, 3)", lambda shape: len(shape) == 3 and shape[1:] == (3, 3))


def _vectors(name: str, array: object, columns: str) -> NDArray[Any]:
    """Convert vectors to rows (K, 3) from an array in one of the two published layouts."""
    if isinstance(array, np.ndarray) and _is_real(array) and array.ndim == 2:
        if array.shape[0] == 3 and array.flags.c_contiguous:
            return np.ascontiguousarray(array.T)
        if array.shape[1] == 3 and array.flags.f_contiguous:
            return np.ascontiguousarray(array)
    raise ValueError(f"{name}: given {_described(array)}; wanted {_wanted(columns)}")


def _checked(name: str, array: object, wanted: str, fits: Any) -> NDArray[Any]:
    if _is_real(array) and fits(array.shape) and array.flags.c_contiguous:
        return array
    given = _described(array)
    raise ValueError(f"{name}: given {given}; wanted a float32 or float64 array of shape {wanted}, order='C'")


def is_on_device(array: object) -> bool:
    """Whether an array is in the memory of a CUDA device, according to the common protocols of array libraries."""
    if hasattr(array, "__cuda_array_interface__"):
        return True
    where = getattr(array, "__dlpack_device__", None)
    return where is not None and int(where()[0]) == DLPACK_CUDA


def _is_real(array: object) -> TypeGuard[NDArray[Any]]:
    known = isinstance(array, np.ndarray) or hasattr(array, "__cuda_array_interface__")
    return known and getattr(array, "dtype", None) in (np.float32, np.float64)


def _wanted(columns: str) -> str:
    return f"a float32 or float64 array of shape (3, {columns}), order='C', or ({columns}, 3), order='F'"


def _described(array: object) -> str:
    if not isinstance(array, np.ndarray):
        return f"a {type(array).__name__}"
    order = "'C'" if array.flags.c_contiguous else "'F'" if array.flags.f_contiguous else "neither 'C' nor 'F'"
    return f"{array.dtype} of shape {array.shape}, order {order}"
