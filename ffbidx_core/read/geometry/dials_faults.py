"""All faults of a DIALS experiment list that cannot be read, each with its place."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Mapping
from typing import Any

from ...errors import InputError
from ...model.detector.dxtbx import direction_of, panels_of_model, rotation_of_beam, vector_of
from ...model.detector.panels import SMALLEST_PIXEL
from ...nouns import counted
from ..files.faults import Faults

NEEDED, OPTIONAL = ("beam", "detector"), ("imageset", "scan")
"""Models that an experiment must have, and those that it may have."""
WRONG = (ValueError, KeyError, IndexError, TypeError, AttributeError, OverflowError)
"""Errors that a list with another structure than that of DIALS causes in its reader."""


def raise_faults(path: str, content: Mapping[str, Any]) -> None:
    """Raise an error with all faults of an experiment list; do nothing if none is found.

    Models are checked if an experiment refers to them. A fault of an experiment names its number and identifier.

    Parameters
    ----------
    path
        The experiment list, for messages.
    content
        Its content, as in the JSON file.

    Raises
    ------
    InputError
        If there are faults.
    """
    faults = Faults()
    used: dict[str, dict[int, str]] = {name: {} for name in (*NEEDED, *OPTIONAL)}
    rows = content.get("experiment")
    if not isinstance(rows, list):
        raise InputError(path, "is a DIALS experiment list without a list of experiments")
    for number, row in enumerate(rows):
        if not isinstance(row, dict):
            faults.found.append(InputError(path, f"is {str(row)[:20]!r}, not an experiment", f"experiment {number}"))
            continue
        name = row.get("identifier")
        place = f"experiment {number}" + (f" ({name})" if name else "")
        for kind in used:
            with faults.collected():
                index = _index(path, content, row, kind, place)
                if index is not None:
                    used[kind].setdefault(index, place)
    for kind, places in used.items():
        for index, of in sorted(places.items()):
            _check(path, kind, index, content[kind][index], of, faults)
    faults.raise_all()


def _index(path: str, content: Mapping[str, Any], row: dict[str, Any], kind: str, place: str) -> int | None:
    """The number of an experiment's model of a kind; None if it has none and needs none."""
    index = row.get(kind)
    if index is None:
        if kind in NEEDED:
            raise InputError(path, f"has no {kind}", place)
        return None
    models = content.get(kind)
    n = len(models) if isinstance(models, list) else 0
    if not isinstance(index, int) or not 0 <= index < n:
        raise InputError(path, f"has the {kind} {str(index)[:20]}; the list has {n}", place)
    return index


def _check(path: str, kind: str, index: int, model: Any, of: str, faults: Faults) -> None:
    """Collect the faults of a model, which the experiment at the place `of` is the first to refer to."""
    place = f"{kind} {index} of {of}"
    if not isinstance(model, dict):
        faults.found.append(InputError(path, f"is {str(model)[:20]!r}, not a model of dxtbx", place))
    elif kind == "beam":
        with _named(path, "wavelength", place, faults):
            (wavelength,) = _numbers([model["wavelength"]], 1)
            if not wavelength > 0:
                raise ValueError(f"{wavelength:g} A")
        with _named(path, "direction", place, faults):
            direction_of(model["direction"])
    elif kind == "scan":
        with _named(path, "image_range", place, faults):
            first, last = _numbers(model["image_range"], 2)
            if last < first:
                raise ValueError(f"{first:g} to {last:g}")
    elif kind == "imageset":
        for name in ("images", "single_file_indices"):
            with _named(path, name, place, faults):
                list(model.get(name) or [])
    else:
        _check_detector(path, place, model, faults)


def _check_detector(path: str, place: str, detector: Mapping[str, Any], faults: Faults) -> None:
    """Collect the faults of a detector and of each of its panels."""
    n_before, panels = len(faults.found), detector.get("panels")
    if not isinstance(panels, list) or not panels:
        faults.found.append(InputError(path, "has no panels", place))
        return
    for number, panel in enumerate(panels):
        at = f"panel {number} of {place}"
        for name in ("origin", "fast_axis", "slow_axis"):
            with _named(path, name, at, faults):
                vector_of(panel[name])
        with _named(path, "pixel_size", at, faults):
            x, y = _numbers(panel["pixel_size"], 2)
            if not min(x, y) > SMALLEST_PIXEL:
                raise ValueError(f"{x:g} x {y:g} mm")
        with _named(path, "image_size", at, faults):
            _numbers(panel["image_size"], 2)
    if len(faults.found) == n_before:
        # What is left are the groups of panels, the sensors, and a detector that no beam can meet.
        with _named(path, "", place, faults):
            panels_of_model(detector, rotation_of_beam((0.0, 0.0, -1.0)))


def _numbers(values: Any, n: int) -> list[float]:
    """The n finite numbers in a list, or a `ValueError`."""
    try:
        found = [float(value) for value in values]
    except (TypeError, ValueError):
        found = []
    if len(found) != n or not all(map(math.isfinite, found)):
        raise ValueError(f"{str(values)[:40]} is not {counted(n, 'number')}")
    return found


@contextlib.contextmanager
def _named(path: str, name: str, place: str, faults: Faults) -> Iterator[None]:
    """A context that ends at an error in the value of this name in a model, which becomes a fault with its place."""
    with faults.collected():
        try:
            yield
        except KeyError as error:
            raise InputError(path, f"has no {name or error.args[0]}", place) from None
        except WRONG as error:
            raise InputError(path, f"has a wrong {name or 'model'}: {str(error)[:60]}", place) from None
