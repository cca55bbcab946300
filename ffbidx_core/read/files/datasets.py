"""Datasets of untrusted HDF5 files: no other file is opened through them, and nothing of absurd size is read."""

from __future__ import annotations

import contextlib
import itertools
import os
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from ...errors import InputError
from .content import is_growing

LARGEST_CHUNK = 256 * 2**20
"""Size limit of a chunk, bytes; a chunk is read whole, however few of its values are needed."""

_MOST_SOFT_LINKS = 8
"""Largest number of soft links that are followed to reach an object."""
_MOST_NAMED = 3
"""Largest number of files that a message names."""
_MOST_LOOKED_AT = 20_000
"""Largest number of objects in a file among which groups are sought."""
_KINDS = {"f": "float32 or float64", "iu": "integers", "fiu": "numbers", "text": "strings"}


@contextlib.contextmanager
def errors_of(path: str, place: str = "") -> Iterator[None]:
    """A context that converts the exceptions of h5py for a damaged or foreign file to an `InputError`."""
    try:
        yield
    except (OSError, RuntimeError, ValueError, TypeError, KeyError, MemoryError) as error:
        detail = " ".join(str(error).split()) or type(error).__name__
        raise InputError(path, f"cannot be read as HDF5: {detail}", place) from None


def open_file(path: str) -> h5py.File:
    """Open an HDF5 file for reading, even if another program has locked it, locks do not work, or the file grows.

    Raises
    ------
    InputError
        If the file cannot be read, or is not HDF5.
    """
    with errors_of(path):
        try:
            if is_growing(path):
                # A lock could keep the writer from opening the file again.
                return h5py.File(path, "r", swmr=True, locking=False)
            return h5py.File(path, "r", locking="best-effort")
        except OSError as error:
            if error.errno:
                raise InputError(path, f"cannot be read: {os.strerror(error.errno).lower()}") from None
            if not h5py.is_hdf5(path):
                raise InputError(path, "is not an HDF5 file") from None
            raise


def open_dataset(
    file: h5py.File, path: str, name: str, kind: str, shape: tuple[int | None, ...]
) -> h5py.Dataset | None:
    """A dataset that has been checked before any value is read; None if there is no dataset of this name.

    Parameters
    ----------
    file
        The open file.
    path
        The file, as the user named it.
    name
        Path of the dataset in the file.
    kind
        Expected type: `f` (float32, float64), `iu` (integers of any size), `fiu` (both) or `text`.
    shape
        Expected shape, with None for a dimension of any length.

    Raises
    ------
    InputError
        If the object is not a dataset, keeps its data in other files, or has another shape or type.
    """
    with errors_of(path, name):
        node = _follow(file, path, name, _MOST_SOFT_LINKS)
        if node is None:
            return None
        if not isinstance(node, h5py.Dataset):
            raise InputError(path, f"is a {type(node).__name__.lower()}, expected a dataset", name)
        if node.is_virtual or node.external:
            raise InputError(path, f"keeps its data in {_files_of(node)}: name those, and this one with -g", name)
        _check_layout(node, path, name, kind, shape)
        _check_filters(node, path, name)
    return node


def texts_of(dataset: h5py.Dataset, rows: slice) -> NDArray[np.object_]:
    """Texts in rows of a dataset, which holds them or their numbers among the texts of its attribute `names`."""
    if dataset.dtype.kind != "i":
        return np.asarray(dataset.asstr("utf-8", "backslashreplace")[rows], dtype=object)
    names, numbers = np.asarray(dataset.attrs["names"], dtype=object), dataset[rows]
    if ((numbers < 0) | (numbers >= len(names))).any():
        raise ValueError(f"has numbers outside 0 to {len(names) - 1}")
    return np.asarray(names[numbers], dtype=object)


def _files_of(dataset: h5py.Dataset) -> str:
    """Description of the other files in which a dataset keeps its data."""
    names = [part.file_name for part in dataset.virtual_sources()] if dataset.is_virtual else []
    names += [name for name, _, _ in dataset.external or ()]
    distinct = list(dict.fromkeys(names))
    more = f" and {len(distinct) - _MOST_NAMED} more" if len(distinct) > _MOST_NAMED else ""
    return f"other files ({', '.join(distinct[:_MOST_NAMED])}{more})"


def first_names(file: h5py.File, path: str) -> str:
    """Names of the first objects in a file, for a message."""
    with errors_of(path):
        names = [str(name)[:40] for name in itertools.islice(file, 6)]
    return f"there are {', '.join(names)}" if names else "it is empty"


def groups_with(file: h5py.File, path: str, names: Sequence[str]) -> list[str]:
    """Paths of the groups in a file that have all of some members, the outermost first.

    Only hard links are followed, and at most `_MOST_LOOKED_AT` objects are examined.
    """
    found: list[str] = []
    waiting, n = deque([""]), 0
    with errors_of(path):
        while waiting and n < _MOST_LOOKED_AT:
            place = waiting.popleft()
            group = file[place or "/"]
            if all(name in group for name in names):
                found.append(place or "/")
            for name in group:
                n += 1
                is_inside = isinstance(group.get(name, getlink=True), h5py.HardLink)
                if is_inside and n < _MOST_LOOKED_AT and group.get(name, getclass=True) is h5py.Group:
                    waiting.append(f"{place}/{name}")
    return found


def find(file: h5py.File, path: str, name: str) -> h5py.Group | h5py.Dataset | None:
    """The group or dataset at a path, reached by links inside the file; None if there is none.

    Raises
    ------
    InputError
        If the path leads through a link to another file, or through too many links.
    """
    with errors_of(path, name):
        return _follow(file, path, name, _MOST_SOFT_LINKS)


def _follow(file: h5py.File, path: str, name: str, soft_links: int) -> Any:
    """The object at a path, reached by links inside the file; None if there is none."""
    node, parts = file, [part for part in name.split("/") if part not in ("", ".")]
    for i, part in enumerate(parts):
        link = node.get(part, getlink=True) if isinstance(node, h5py.Group) else None
        if link is None:
            return None
        if isinstance(link, h5py.ExternalLink):
            target = f"{link.filename} ({link.path})"
            raise InputError(path, f"is a link to another file, {target}: name that file as the input", name)
        if isinstance(link, h5py.SoftLink):
            if soft_links == 0:
                raise InputError(path, f"leads through more than {_MOST_SOFT_LINKS} links", name)
            before = [] if link.path.startswith("/") else parts[:i]
            return _follow(file, path, "/".join([*before, link.path, *parts[i + 1 :]]), soft_links - 1)
        node = node[part]
    return node


def _check_layout(dataset: h5py.Dataset, path: str, name: str, kind: str, shape: tuple[int | None, ...]) -> None:
    """Check the shape, the type and the size of the chunks of a dataset."""
    found = dataset.shape
    if found is None or len(found) != len(shape) or any(w not in (None, n) for n, w in zip(found, shape, strict=True)):
        wanted = ", ".join("n" if n is None else str(n) for n in shape)
        raise InputError(path, f"has the shape {found}, expected ({wanted}{',' if len(shape) == 1 else ''})", name)
    dtype = dataset.dtype
    is_text = h5py.check_string_dtype(dtype) is not None
    is_number = dtype.kind in "iu" or (dtype.kind == "f" and dtype.itemsize in (4, 8))
    if not (is_text if kind == "text" else is_number and dtype.kind in kind):
        raise InputError(path, f"is {'strings' if is_text else dtype}, expected {_KINDS[kind]}", name)
    if dataset.chunks is not None:
        size = dtype.itemsize
        for n in dataset.chunks:
            size *= n
        if size > LARGEST_CHUNK:
            raise InputError(path, f"has chunks of {size} bytes; at most {LARGEST_CHUNK} are read", name)


def _check_filters(dataset: h5py.Dataset, path: str, name: str) -> None:
    """Check that the compression filters of a dataset are available; hdf5plugin is imported if one is not."""
    missing = list(_missing_filters(dataset))
    if not missing:
        return
    with contextlib.suppress(ImportError):
        import hdf5plugin  # noqa: F401  (registers its filters)

        missing = list(_missing_filters(dataset))
    if missing:
        need = f"is compressed with {', '.join(missing)}, which is not installed: pip install 'ffbidx[compressed]'"
        raise InputError(path, need, name)


def _missing_filters(dataset: h5py.Dataset) -> Iterator[str]:
    """Names of the compression filters that a dataset needs and HDF5 does not have."""
    created = dataset.id.get_create_plist()
    for i in range(created.get_nfilters()):
        number, _, _, label = created.get_filter(i)
        if not h5py.h5z.filter_avail(number):
            yield label.decode("ascii", "replace").split(";")[0] or f"filter {number}"


def unit_of(dataset: h5py.Dataset, path: str) -> str:
    """The attribute `units` of a dataset of a file, `path`; empty if it has none."""
    with errors_of(path, f"{dataset.name}, attribute units"):
        units = dataset.attrs.get("units", "")
    return units.decode("utf-8", "replace") if isinstance(units, bytes) else str(units)


def units_of(dataset: h5py.Dataset, path: str, known: Mapping[str, float]) -> float | None:
    """The factor that converts the values of a dataset, by its attribute `units`; None if it has no such attribute.

    Parameters
    ----------
    dataset
        The dataset.
    path
        The file, as the user named it.
    known
        Factor of each unit that is allowed.

    Raises
    ------
    InputError
        If the units are others.
    """
    with errors_of(path, f"{dataset.name}, attribute units"):
        if "units" not in dataset.attrs:
            return None
    units = unit_of(dataset, path)
    if units not in known:
        raise InputError(path, f"has the units {units[:40]!r}, expected {' or '.join(known)}", dataset.name)
    return known[units]
