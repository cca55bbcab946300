"""Messages of a live run in any dialect, and the checks that all of them pass."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

LARGEST_MESSAGE = 16 * 2**20
"""Largest size of a message, bytes."""
MOST_SPOTS = 20_000
"""Largest number of spots of a frame in a message."""
LONGEST_NAME = 256
"""Largest length of the name of a run or a frame, characters."""
LARGEST_NUMBER = 2**53
"""Upper limit of frame numbers, below which JSON represents them exactly."""

Floats = NDArray[np.float32]


class MessageError(ValueError):
    """An error for a message that cannot be used; its text says what is wrong and what is expected."""


@dataclass
class Frame:
    """The spots of a frame; not a frozen class, because making one of these takes three times as long.

    Attributes
    ----------
    run : str
        Name of the run to which the frame belongs; empty: the current run.
    number : int
        Number of the frame in its run; -1 if the message has none.
    name : str
        Name of the frame; empty if the message has none.
    spots : (n, 3) float32 or None
        Spots, 1/angstrom; None if there are pixels.
    pixels : (n, 2) float32 or None
        Peak positions fs and ss in the data of the detector, in pixels; None if there are spots.
    from_corner : bool
        Whether pixels are measured from the corner of the first pixel, so that its centre is at 0.5.
    intensity : (n,) float32 or None
        Intensity of each spot.
    wavelength, distance : float or None
        Wavelength in angstrom and distance in mm; None: those of the geometry.
    sent : float or None
        Time at which the message was sent, seconds on the sender's clock; the answer repeats it.
    """

    run: str
    number: int
    name: str
    spots: Floats | None = None
    pixels: Floats | None = None
    from_corner: bool = True
    intensity: Floats | None = None
    wavelength: float | None = None
    distance: float | None = None
    sent: float | None = None

    @property
    def pixel_numbers(self) -> NDArray[np.float64]:
        """The peak positions of a frame with pixels, measured from the centre of the first pixel."""
        assert self.pixels is not None
        return self.pixels.astype(np.float64) - (0.5 if self.from_corner else 0.0)


@dataclass(frozen=True)
class FlatPanel:
    """The detector in a start message: one panel perpendicular to the beam.

    Attributes
    ----------
    beam_centre : (2,) float
        Position of the beam, in pixels from the corner of the first pixel.
    distance : float
        Distance from the sample, mm.
    pixel_size : float
        Edge of a pixel, micrometres.
    size : (2,) int
        Number of pixels along fs and ss.
    """

    beam_centre: tuple[float, float]
    distance: float
    pixel_size: float
    size: tuple[int, int]


@dataclass(frozen=True)
class Start:
    """The start of a run; `detector` and `wavelength` (angstrom) are None if the message has none."""

    run: str
    detector: FlatPanel | None = None
    wavelength: float | None = None


@dataclass(frozen=True)
class End:
    """The end of a run."""

    run: str


@dataclass(frozen=True)
class Control:
    """New input cells and parameters for the frames that follow.

    Attributes
    ----------
    cells : tuple of str
        Cells as numbers for `--cell`: a,b,c,alpha,beta,gamma and a centring letter; empty: cells stay the same.
    parameters : dict
        Values of parameters, keyed by their names.
    """

    cells: tuple[str, ...] = ()
    parameters: dict[str, Any] = field(default_factory=dict)

    @property
    def words(self) -> str:
        """The cells and parameters in words."""
        words = [f"the cells {'; '.join(self.cells)}"] if self.cells else []
        return ", ".join(words + [f"{name} = {value}" for name, value in self.parameters.items()])


Message = Frame | Start | End | Control


def frame_of(values: Mapping[str, Any]) -> Frame:
    """A checked frame, made from fields of a message with the names of `Frame`.

    Raises
    ------
    MessageError
        If a field cannot be used; the error names it.
    """
    spots, pixels = table(values, "spots", 3), table(values, "pixels", 2)
    if (spots is None) == (pixels is None):
        raise MessageError("a frame must have either spots (n, 3) in 1/angstrom or pixels (n, 2)")
    rows = spots if spots is not None else pixels
    assert rows is not None
    intensity = table(values, "intensity", 1)
    if intensity is not None and len(intensity) != len(rows):
        raise MessageError(f"intensity has {len(intensity)} numbers for {len(rows)} spots")
    return Frame(
        name(values, "run"),
        number(values),
        name(values, "name"),
        spots,
        pixels,
        bool(values.get("from_corner", True)),
        None if intensity is None else intensity[:, 0],
        quantity(values, "wavelength"),
        quantity(values, "distance"),
        quantity(values, "sent"),
    )


def start_of(values: Mapping[str, Any]) -> Start:
    """A checked start of a run; its `detector` is a map with the fields of `FlatPanel`.

    Raises
    ------
    MessageError
        If a field cannot be used; the error names it.
    """
    given, detector = values.get("detector"), None
    if given is not None:
        if not isinstance(given, Mapping):
            raise MessageError("detector must be a map of beam_centre, distance, pixel_size and size")
        centre, size = pair(given, "beam_centre"), pair(given, "size")
        detector = FlatPanel(
            centre, needed(given, "distance"), needed(given, "pixel_size"), (int(size[0]), int(size[1]))
        )
        if min(detector.distance, detector.pixel_size, *detector.size) <= 0 or max(detector.size) > 2**20:
            raise MessageError("distance, pixel_size and size of the detector must be above 0, the size at most 2^20")
    wavelength = quantity(values, "wavelength")
    if wavelength is not None and wavelength <= 0:
        raise MessageError(f"wavelength is {wavelength:g}; it must be above 0")
    return Start(name(values, "run"), detector, wavelength)


def control_of(values: Mapping[str, Any]) -> Control:
    """A control message, checked for its form; the run checks its values."""
    cells, parameters = values.get("cells", []), values.get("parameters", {})
    if not (isinstance(cells, list) and len(cells) <= 100 and all(isinstance(cell, str) for cell in cells)):
        raise MessageError("cells must be a list of at most 100 texts a,b,c,alpha,beta,gamma")
    if not (isinstance(parameters, Mapping) and all(isinstance(key, str) for key in parameters)):
        raise MessageError("parameters must be a map from names of parameters to values")
    if not cells and not parameters:
        raise MessageError("a control message must have cells, parameters or both")
    return Control(tuple(cells), dict(parameters))


def table(values: Mapping[str, Any], key: str, width: int) -> Floats | None:
    """A table of numbers in a message, shape (n, width); None if there is none.

    Raises
    ------
    MessageError
        If the table has another shape, an entry that is not a number, or too many rows.
    """
    given = values.get(key)
    if given is None:
        return None
    if isinstance(given, np.ndarray) and given.dtype == np.float32 and given.ndim == 1 and not given.size % width:
        rows = given.reshape(-1, width)
    else:
        rows = _rows(given, key, width)
    if len(rows) > MOST_SPOTS:
        raise MessageError(f"{key} has {len(rows)} rows; a frame has at most {MOST_SPOTS} spots")
    return rows


def _rows(given: Any, key: str, width: int) -> Floats:
    """Lists of numbers, or an array of any type and shape, as a table (n, width)."""
    try:
        if isinstance(given, list) and len(given) > 3 * MOST_SPOTS:
            raise MessageError(f"{key} has {len(given)} entries; a frame has at most {MOST_SPOTS} spots")
        array = np.asarray(given)
        if array.size and array.dtype.kind not in "fiu":
            raise MessageError(f"{key} has an entry that is not a number")
        if array.ndim > 2 or (array.ndim == 2 and array.size and array.shape[1] != width):
            raise MessageError(f"{key} has the shape {array.shape}; expected (n, {width})")
        if array.dtype != np.float32:
            with np.errstate(over="ignore"):
                array = array.astype(np.float32)
        return array.reshape(-1, width)
    except (ValueError, TypeError, OverflowError) as error:
        if isinstance(error, MessageError):
            raise
        raise MessageError(f"{key} is not a table of {width} numbers for each spot") from None


def name(values: Mapping[str, Any], key: str) -> str:
    """A name in a message, empty if there is none; a number is converted to its digits."""
    given = values.get(key, "")
    if isinstance(given, int) and not isinstance(given, bool):
        given = str(given) if abs(given) < LARGEST_NUMBER else None
    if not isinstance(given, str) or len(given) > LONGEST_NAME:
        raise MessageError(f"{key} must be a text of at most {LONGEST_NAME} characters")
    # Half of a surrogate pair cannot be written to a file or an answer.
    text = given if given.isascii() else given.encode("utf-8", "replace").decode()
    return text.replace("\0", " ")


def number(values: Mapping[str, Any], key: str = "number") -> int:
    """The number of a frame; -1 if there is none."""
    given = values.get(key)
    if given is None:
        return -1
    if not isinstance(given, int) or isinstance(given, bool) or not 0 <= given < LARGEST_NUMBER:
        raise MessageError(f"{key} must be a whole number from 0 to 2^53")
    return given


def quantity(values: Mapping[str, Any], key: str) -> float | None:
    """A finite number in a message; None if there is none."""
    given = values.get(key)
    if given is None:
        return None
    if isinstance(given, bool) or not isinstance(given, (int, float)) or abs(given) > 1e30 or not math.isfinite(given):
        raise MessageError(f"{key} must be a finite number")
    return float(given)


def needed(values: Mapping[str, Any], key: str) -> float:
    """A finite number that a message must have."""
    if (found := quantity(values, key)) is None:
        raise MessageError(f"{key} is missing")
    return found


def pair(values: Mapping[str, Any], key: str) -> tuple[float, float]:
    """Two finite numbers that a message must have."""
    given = values.get(key)
    if not isinstance(given, (list, tuple)) or len(given) != 2:
        raise MessageError(f"{key} must be two numbers")
    return needed({key: given[0]}, key), needed({key: given[1]}, key)
