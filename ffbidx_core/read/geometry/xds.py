"""Reading of the detector in XDS.INP or XPARM.XDS."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from ...errors import InputError
from ...model.cell import Array
from ...model.detector.beam import distance_along_beam
from ...model.detector.dxtbx import direction_of, rotation_of_beam, vector_of
from ...model.detector.panels import SMALLEST_PIXEL, Detector, Geometry, Panel, Reading, Vector
from ...nouns import counted
from ..files.faults import Faults

CENTRE_OF_FIRST = 0.5
"""Offset in pixels of XDS positions, which count pixel centres from 1, against distances from the outer corner."""

KEYWORD = re.compile(r"([A-Z][-A-Z_']*)=\s*([^=!]*?)(?=\s+[A-Z][-A-Z_']*=|\s*!|\s*$)", re.MULTILINE)
"""A keyword of XDS and its value, in a text without comments; a line may contain several keywords."""
_X, _Y = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0)


@dataclass
class _Segment:
    """A flat part of the detector: its pixels, counted from 1, and its position in the detector's own system.

    The origin is in pixels, the distance in mm.
    """

    pixels: Sequence[float]
    origin: Sequence[float] = (0.0, 0.0)
    distance: float = 0.0
    x_axis: Sequence[float] = _X
    y_axis: Sequence[float] = _Y


@dataclass
class _Detector:
    """A detector as XDS describes it: origin in pixels, distance and size of a pixel in mm, wavelength in angstrom."""

    origin: Sequence[float]
    distance: float
    wavelength: float
    pixel: Sequence[float]
    x_axis: Sequence[float]
    y_axis: Sequence[float]
    beam: Sequence[float]
    segments: list[_Segment]
    sensor: tuple[float, float] = (0.0, 0.0)


@dataclass
class _Fields:
    """The numbers given for the keywords in XDS.INP: those of the whole detector, and those of each segment."""

    common: dict[str, list[float]] = field(default_factory=dict)
    segments: list[dict[str, list[float]]] = field(default_factory=list)


def is_xds_geometry(text: str) -> bool:
    """Whether a text is XDS.INP or XPARM.XDS."""
    return "XPARM.XDS" in text[:40] or re.search(r"^\s*[^!\n]*DETECTOR_DISTANCE=", text, re.MULTILINE) is not None


def parse_xds_geometry(path: str, text: str) -> Geometry:
    """The detector that XDS.INP or XPARM.XDS describes, of one or several segments, in the frame of this program.

    The laboratory frame of XDS is rotated so that the beam runs along +z.

    Raises
    ------
    InputError
        If the description is incomplete or contains impossible numbers.
    """
    read = _xparm if "XPARM.XDS" in text[:40] else _xds_inp
    try:
        return _geometry(read(path, text))
    except (ValueError, IndexError, KeyError, OverflowError) as error:
        detail = f"{type(error).__name__}: {error}"[:60]
        raise InputError(path, f"cannot be read as the geometry of XDS: {detail}") from None


def _xds_inp(path: str, text: str) -> _Detector:
    """The detector in XDS.INP."""
    found = _fields(text)
    fields = found.common
    wanted = ("ORGX", "ORGY", "DETECTOR_DISTANCE", "X-RAY_WAVELENGTH", "NX", "NY", "QX", "QY")
    faults = Faults([InputError(path, f"has no {key}=") for key in wanted if not fields.get(key)])
    faults.raise_all()
    orgx, orgy, distance, wavelength, nx, ny, qx, qy = (fields[key][0] for key in wanted)
    thickness, absorption = (fields.get(key, [0.0])[0] for key in ("SENSOR_THICKNESS", "SILICON"))
    return _Detector(
        (orgx, orgy),
        distance,
        wavelength,
        (qx, qy),
        fields.get("DIRECTION_OF_DETECTOR_X-AXIS", _X),
        fields.get("DIRECTION_OF_DETECTOR_Y-AXIS", _Y),
        fields.get("INCIDENT_BEAM_DIRECTION", (0.0, 0.0, 1.0)),
        _segments(path, found.segments) or [_Segment((1, nx, 1, ny))],
        # SILICON= -1 lets XDS look up the absorption itself.
        (thickness, absorption) if thickness > 0 and absorption > 0 else (0.0, 0.0),
    )


def _fields(text: str) -> _Fields:
    """The numbers of the keywords in the text of XDS.INP."""
    found = _Fields()
    for key, value in KEYWORD.findall(re.sub(r"!.*", "", text)):
        try:
            numbers = [float(word) for word in value.split()]
        except ValueError:
            continue
        if key == "SEGMENT":
            found.segments.append({})
        of_segment = found.segments and key.startswith(("SEGMENT", "DIRECTION_OF_SEGMENT"))
        (found.segments[-1] if of_segment else found.common)[key] = numbers
    return found


def _segments(path: str, found: Sequence[Mapping[str, list[float]]]) -> list[_Segment]:
    """The segments that the keywords of each describe."""
    faults, segments = Faults(), list[_Segment]()
    for number, fields in enumerate(found, start=1):
        with faults.collected():
            segments.append(_segment(path, number, fields))
    faults.raise_all()
    return segments


def _segment(path: str, number: int, fields: Mapping[str, list[float]]) -> _Segment:
    """The segment with a number, counted from 1, that some keywords describe."""
    axes = ("DIRECTION_OF_SEGMENT_X-AXIS", "DIRECTION_OF_SEGMENT_Y-AXIS")
    lengths = {"SEGMENT": 4, **dict.fromkeys(axes, 3), "SEGMENT_ORGX": 1, "SEGMENT_ORGY": 1, "SEGMENT_DISTANCE": 1}
    for key, n in lengths.items():
        if len(fields.get(key, ())) != n:
            raise InputError(path, f"its segment {number} has no {key}= with {counted(n, 'number')}")
    pixels, x_axis, y_axis, *others = (fields[key] for key in lengths)
    orgx, orgy, distance = (numbers[0] for numbers in others)
    return _Segment(pixels, (orgx, orgy), distance, x_axis, y_axis)


def _xparm(path: str, text: str) -> _Detector:
    """The detector in XPARM.XDS."""
    rows = [[float(word) for word in line.split()] for line in text.splitlines()[1:] if line.strip()]
    wavelength, *beam = rows[1]
    n_segments, nx, ny, qx, qy = rows[6]
    orgx, orgy, distance = rows[7]
    segments = [
        _Segment(area[1:5], place[:2], place[2], place[3:6], place[6:9])
        for area, place in zip(rows[11::2], rows[12::2], strict=False)
    ]
    if segments and len(segments) != int(n_segments):
        raise InputError(path, f"says that it has {int(n_segments)} segments, and describes {len(segments)}")
    if n_segments > 1 and not segments:
        raise InputError(path, "does not describe its segments: it ends too early")
    return _Detector(
        (orgx, orgy), distance, wavelength, (qx, qy), rows[8], rows[9], beam, segments or [_Segment((1, nx, 1, ny))]
    )


def _geometry(made: _Detector) -> Geometry:
    """The geometry of a detector of XDS in the frame of this program."""
    numbers = (made.wavelength, made.distance, *made.origin, *made.pixel)
    if not (np.isfinite(numbers).all() and made.wavelength > 0 and min(made.pixel) > SMALLEST_PIXEL):
        raise ValueError("bad wavelength, distance, origin or pixel size")
    to_ours = rotation_of_beam(made.beam) @ _system(made.x_axis, made.y_axis)
    panels = [_panel(f"p{i}", segment, made, to_ours) for i, segment in enumerate(made.segments)]
    along = abs(made.distance) if len(panels) == 1 and made.distance else distance_along_beam(panels)
    detector = Detector(tuple(panels)).moved((0, 0, -along))
    return Geometry(detector, Reading(made.wavelength, unit="A"), Reading(along, unit="mm"))


def _panel(name: str, segment: _Segment, made: _Detector, to_ours: Array) -> Panel:
    """The panel of a segment, whose axes and origin are given in the detector's own system."""
    x1, x2, y1, y2 = (int(v) for v in segment.pixels)
    if not (1 <= x1 <= x2 and 1 <= y1 <= y2):
        raise ValueError(f"pixels {x1} to {x2}, {y1} to {y2}")
    size = np.array(made.pixel)
    x, y, normal = _system(segment.x_axis, segment.y_axis).T
    first = np.array([x1, y1]) - CENTRE_OF_FIRST
    steps = (first - np.array(segment.origin)) * size
    detector_origin = np.array([*(-np.array(made.origin) * size), made.distance])
    corner = steps[0] * x + steps[1] * y + segment.distance * normal + detector_origin
    fast, slow = to_ours @ x * size[0], to_ours @ y * size[1]
    area = (x1 - 1, y1 - 1), (x2 - 1, y2 - 1)
    return Panel(name, *area, _vector(to_ours @ corner), _vector(fast), _vector(slow), sensor=made.sensor)


def _system(x_axis: Sequence[float], y_axis: Sequence[float]) -> Array:
    """A system of axes as columns (3, 3): the unit vectors x and y, and the normal that makes them right-handed."""
    x, y = direction_of(x_axis), direction_of(y_axis)
    return np.column_stack([x, y, np.cross(x, y)])


def _vector(values: Array) -> Vector:
    a, b, c = (float(v) for v in vector_of(values.tolist()))
    return a, b, c
