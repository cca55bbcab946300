"""Datasets of HDF5 files that are not trusted: nothing outside the file is opened, nothing of absurd size is read."""

from __future__ import annotations

import contextlib
import os
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import h5py

from ...errors import InputError
from .content import is_growing

LARGEST_CHUNK = 256 * 2**20
"""Bytes of the largest chunk: chunks are read whole, however few of their values are wanted."""

_MOST_SOFT_LINKS = 8
_MOST_NAMED = 3
"""Files that a message names."""
_MOST_LOOKED_AT = 20_000
"""Objects of a file among which groups are looked for."""
_KINDS = {"f": "float32 or float64", "iu": "integers", "fiu": "numbers", "text": "strings"}


@contextlib.contextmanager
def errors_of(path: str, place: str = "") -> Iterator[None]:
    """Turn what h5py raises for a damaged or foreign file into an `InputError`."""
    try:
        yield
    except (OSError, RuntimeError, ValueError, TypeError, KeyError, MemoryError) as error:
        detail = " ".join(str(error).split()) or type(error).__name__
        raise InputError(path, f"cannot be read as HDF5: {detail}", place) from None


def open_file(path: str) -> h5py.File:
    """An HDF5 file opened for reading, also where another program has locked it, locks do not work, or it grows."""
    with errors_of(path):
        try:
            if is_growing(path):
                # Without a lock, which could keep the writer from opening it again.
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
    """A dataset, checked before a single value is read; None where there is none of this name.

    Parameters
    ----------
    path
        The file as the user named it.
    kind
        `f` (float32, float64), `iu` (integers of any size), `fiu` (both) or `text`.
    shape
        Wanted shape; None for any length.

    Raises
    ------
    InputError
        Naming the dataset, its shape or type, and the wanted one.
    """
    with errors_of(path, name):
        node = _follow(file, path, name, _MOST_SOFT_LINKS)
        if node is None:
            return None
        if not isinstance(node, h5py.Dataset):
            raise InputError(path, f"is a {type(node).__name__.lower()}, a dataset is wanted", name)
        if node.is_virtual or node.external:
            raise InputError(path, f"keeps its data in {_files_of(node)}: name those, and this one with -g", name)
        _check_layout(node, path, name, kind, shape)
        _check_filters(node, path, name)
    return node


def _files_of(dataset: h5py.Dataset) -> str:
    """The other files in which a dataset keeps its data, in words."""
    names = [part.file_name for part in dataset.virtual_sources()] if dataset.is_virtual else []
    names += [name for name, _, _ in dataset.external or ()]
    distinct = list(dict.fromkeys(names))
    more = f" and {len(distinct) - _MOST_NAMED} more" if len(distinct) > _MOST_NAMED else ""
    return f"other files ({', '.join(distinct[:_MOST_NAMED])}{more})"


def groups_with(file: h5py.File, path: str, names: Sequence[str]) -> list[str]:
    """The groups of a file that have all of some members, by links that stay in the file, outermost first.

    At most `_MOST_LOOKED_AT` objects are looked at.
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
    """The group or dataset of a name, by links that stay in the file; None where there is none."""
    with errors_of(path, name):
        return _follow(file, path, name, _MOST_SOFT_LINKS)


def _follow(file: h5py.File, path: str, name: str, soft_links: int) -> Any:
    """The object of a name, by links that stay in the file; None when there is none."""
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
    found = dataset.shape
    if found is None or len(found) != len(shape) or any(w not in (None, n) for n, w in zip(found, shape, strict=True)):
        wanted = ", ".join("n" if n is None else str(n) for n in shape)
        raise InputError(path, f"has the shape {found}, expected ({wanted}{',' if len(shape) == 1 else ''})", name)
    dtype = dataset.dtype
    is_text = h5py.check_string_dtype(dtype) is not None
    is_number = dtype.kind in "iu" or (dtype.kind == "f" and dtype.itemsize in (4, 8))
    if not (is_text if kind == "text" else is_number and dtype.kind in kind):
        raise InputError(path, f"is {'strings' if is_text else dtype}, wanted are {_KINDS[kind]}", name)
    if dataset.chunks is not None:
        size = dtype.itemsize
        for n in dataset.chunks:
            size *= n
        if size > LARGEST_CHUNK:
            raise InputError(path, f"has chunks of {size} bytes; at most {LARGEST_CHUNK} are taken", name)


def _check_filters(dataset: h5py.Dataset, path: str, name: str) -> None:
    missing = list(_missing_filters(dataset))
    if not missing:
        return
    with contextlib.suppress(ImportError):
        import hdf5plugin  # noqa: F401  (registers its filters)

        missing = list(_missing_filters(dataset))
    if missing:
        raise InputError(
            path, f"is compressed with {', '.join(missing)}, which is not here: pip install 'ffbidx[compressed]'", name
        )


def _missing_filters(dataset: h5py.Dataset) -> Iterator[str]:
    created = dataset.id.get_create_plist()
    for i in range(created.get_nfilters()):
        number, _, _, label = created.get_filter(i)
        if not h5py.h5z.filter_avail(number):
            yield label.decode("ascii", "replace").split(";")[0] or f"filter {number}"


def units_of(dataset: h5py.Dataset, path: str, known: Mapping[str, float]) -> float | None:
    """The factor that brings a dataset's values to the first of the known units; None without an attribute `units`.

    Raises
    ------
    InputError
        For any other units.
    """
    with errors_of(path, f"{dataset.name}, attribute units"):
        if "units" not in dataset.attrs:
            return None
        units = dataset.attrs["units"]
    units = units.decode("utf-8", "replace") if isinstance(units, bytes) else str(units)
    if units not in known:
        raise InputError(path, f"has the units {units[:40]!r}, wanted are {' or '.join(known)}", dataset.name)
    return known[units]
