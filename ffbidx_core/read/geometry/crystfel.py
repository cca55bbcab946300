"""Reading of CrystFEL geometry files."""

from __future__ import annotations

import itertools
import math
import re
from dataclasses import dataclass, field

from ...errors import InputError
from ...model.detector.geometry_file import BY_HAND, SENSOR
from ...model.detector.panels import BadRegion, Detector, Geometry, Panel, Reading, Vector
from ...model.detector.units import LENGTHS_WANTED, WAVELENGTHS_WANTED, millimetres, to_angstrom
from ..files.faults import Faults
from .groups import collections_of_lines, groups_of_lines
from .without_effect import lines_without_effect

LARGEST_GEOMETRY_FILE = 2**20
"""Size of the largest geometry file that CrystFEL reads from a stream, bytes."""

PEAK_LIST_TYPES = ("", "cxi", "list3", "auto")

_RESERVED = ("group", "rigid_group")
_SENSOR_KEY = "; sensor"
_TERM = re.compile(r"([+-]?)(\d*\.?\d*(?:[eE][+-]?\d+)?)\*?([xyz])")
_WAVELENGTH_KEYS = {"wavelength": "m", "photon_energy": "eV", "electron_voltage": "V"}
"""Keys that give the wavelength, and the unit of a number without one."""


@dataclass
class _Lines:
    """The assignments in a geometry file; a default applies to the panels that are first mentioned after it."""

    defaults: dict[str, str] = field(default_factory=dict)
    panels: dict[str, dict[str, str]] = field(default_factory=dict)
    bad: dict[str, dict[str, str]] = field(default_factory=dict)
    groups: dict[str, str] = field(default_factory=dict)


def parse_crystfel(path: str, text: str) -> Geometry:
    """The geometry that the text of a CrystFEL geometry file describes; `path` is for messages.

    Raises
    ------
    InputError
        If the text describes no usable geometry; the message names the line or the panel, and the error has all
        further faults attached.
    """
    faults = Faults()
    lines = _assignments(path, text, faults)
    if not lines.panels:
        faults.raise_all()
        raise InputError(path, "has no panels: a CrystFEL geometry file has lines such as p0/min_fs = 0")
    distance, height = None, dict.fromkeys(lines.panels, 0.0)
    wavelength: Reading | None = None
    shifts: list[Reading | None] = []
    panels, bad = [], []
    with faults.collected():
        wavelength = _wavelength(path, lines)
    with faults.collected():
        distance, height = _distance(path, lines)
    for axis in "xy":
        with faults.collected():
            shifts.append(_shift(path, lines.defaults, f"detector_shift_{axis}"))
    for name, fields in lines.panels.items():
        with faults.collected():
            panels.append(_panel(path, name, fields, height))
    for name, fields in lines.bad.items():
        with faults.collected():
            bad.append(_bad_region(path, name, fields))
    place, kind = (_anywhere(lines, key) for key in ("peak_list", "peak_list_type"))
    if kind not in PEAK_LIST_TYPES:
        problem = f"peak_list_type = {kind[:20]} is none of {', '.join(PEAK_LIST_TYPES[1:])}"
        faults.found.append(InputError(path, problem))
    faults.raise_all()
    detector = Detector(tuple(panels), tuple(bad))
    moved = [0.0 if each is None or each.value is None else each.millimetres for each in shifts]
    if any(moved):
        detector = detector.moved((*moved, 0.0))
    in_files = [None if each is None or each.value is not None else each for each in shifts]
    return Geometry(
        detector,
        wavelength,
        distance,
        place,
        "" if kind == "auto" else kind,
        text=text,
        by_hand=BY_HAND in text,
        groups=groups_of_lines(lines.groups, list(lines.panels)),
        collections=collections_of_lines(lines.groups, list(lines.panels)),
        shift=(in_files[0], in_files[1]),
        notes=lines_without_effect(path, text),
    )


def panel_lines(path: str, text: str) -> dict[str, dict[str, str]]:
    """The text of each panel's values in a CrystFEL geometry file, including defaults, by panel and key.

    Raises
    ------
    InputError
        If a line is no assignment; the message names it.
    """
    faults = Faults()
    lines = _assignments(path, text, faults)
    faults.raise_all()
    return lines.panels


def _anywhere(lines: _Lines, key: str) -> str:
    """A value for the whole file, in whichever line it stands; empty if it is missing."""
    values = (fields[key] for fields in (lines.defaults, *lines.panels.values()) if key in fields)
    return next(values, "")


def _assignments(path: str, text: str, faults: Faults) -> _Lines:
    """The assignments in the text of a geometry file; any other line is added to the faults."""
    lines = _Lines()
    for number, line in enumerate(text.splitlines(), start=1):
        if sensor := SENSOR.fullmatch(line.strip()):
            lines.panels.setdefault(sensor[1], dict(lines.defaults))[_SENSOR_KEY] = f"{sensor[2]} {sensor[3]}"
        content = line.partition(";")[0].strip()
        if not content:
            continue
        key, equals, value = (part.strip() for part in content.partition("="))
        if not equals or not key or not value:
            problem = f"{content[:40]!r} is not KEY = VALUE or PANEL/KEY = VALUE"
            faults.found.append(InputError(path, problem, f"line {number}"))
            continue
        name, slash, panel_key = key.partition("/")
        if not slash:
            (lines.groups if name.startswith(_RESERVED) else lines.defaults)[key] = value
        elif name.startswith("bad"):
            lines.bad.setdefault(name, {})[panel_key] = value
        elif not name.startswith(_RESERVED):
            lines.panels.setdefault(name, dict(lines.defaults))[panel_key] = value
    return lines


def _number(path: str, fields: dict[str, str], key: str, place: str, default: float | None = None) -> float:
    """The finite number of a key, or the default if the key is missing."""
    if key not in fields:
        if default is None:
            raise InputError(path, f"has no {key}", place)
        return default
    try:
        value = float(fields[key].split()[0])
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InputError(path, f"{key} = {fields[key][:40]} is not a number", place)
    return value


def _reading(path: str, key: str, text: str, units: dict[str, str]) -> Reading:
    """A number or a dataset with its unit; `units` holds the units of a number and a dataset that have none."""
    value, _, unit = text.partition(" ")
    unit = unit.strip()
    try:
        number = float(value)
    except ValueError:
        # A value that begins like a number is taken for a mistyped number.
        if not (value[0].isalpha() or value[0] in "/_%"):
            raise InputError(path, f"{key} = {text[:40]} is neither a number nor a dataset (/entry/...)") from None
        return Reading(None, value, unit or units["dataset"])
    # A distance may be an encoder reading that coffset completes, and a shift may have either sign.
    if not (math.isfinite(number) and (number > 0 or key not in _WAVELENGTH_KEYS)):
        raise InputError(path, f"{key} = {text[:40]} is not above 0")
    return Reading(number, "", unit or units["number"])


def _wavelength(path: str, lines: _Lines) -> Reading | None:
    """The wavelength, photon energy or electron voltage; None if the file has none."""
    for key, unit in _WAVELENGTH_KEYS.items():
        if (text := lines.defaults.get(key)) is not None:
            reading = _reading(path, key, text, {"number": unit, "dataset": unit})
            if to_angstrom(reading.unit) is None:
                raise InputError(path, f"{key} has the unit {reading.unit[:20]!r}, expected {WAVELENGTHS_WANTED}")
            return reading
    return None


def _distance(path: str, lines: _Lines) -> tuple[Reading | None, dict[str, float]]:
    """The detector distance of the first panel, and the excess of each panel's own distance over it, mm.

    Old geometry files have a distance for each panel.
    """
    readings: dict[str, Reading | None] = {}
    for name, fields in {"": lines.defaults, **lines.panels}.items():
        # A default distance applies to all panels, wherever in the file it stands.
        text = fields.get("clen")
        readings[name] = _reading(path, "clen", text, {"number": "m", "dataset": "mm"}) if text else None
        _check_length(path, "clen", readings[name], name)
    common = readings.pop("")
    first = next((r for r in readings.values() if r is not None), common)
    if first is None:
        return None, dict.fromkeys(lines.panels, 0.0)
    heights = {}
    for name, own in readings.items():
        reading = own or common or first
        if first.value is None or reading.value is None:
            if reading != first:
                raise InputError(path, "panels have their clen in different datasets, which is not read", name)
            heights[name] = 0.0
        else:
            heights[name] = reading.millimetres - first.millimetres
    return first, heights


def _shift(path: str, fields: dict[str, str], key: str) -> Reading | None:
    """The displacement of the detector along an axis: a number, or a dataset with one for each frame."""
    if key not in fields:
        return None
    reading = _reading(path, key, fields[key], {"number": "m", "dataset": "m"})
    _check_length(path, key, reading, "")
    return reading


def _check_length(path: str, key: str, reading: Reading | None, place: str) -> None:
    """Check that the unit of a reading is one of length."""
    if reading is not None and millimetres(reading.unit) is None:
        raise InputError(path, f"{key} has the unit {reading.unit[:20]!r}, expected {LENGTHS_WANTED}", place)


def _flag(path: str, fields: dict[str, str], key: str, place: str) -> bool:
    """The value of a switch: a number that may be 0, or a word."""
    word = fields.get(key, "0").lower()
    if word in ("true", "yes", "on", "false", "no", "off"):
        return word in ("true", "yes", "on")
    return _number(path, fields, key, place, 0.0) != 0


def _panel(path: str, name: str, fields: dict[str, str], heights: dict[str, float]) -> Panel:
    """The panel that some fields describe."""
    place = f"panel {name}"
    ends = [_number(path, fields, key, place) for key in ("min_fs", "min_ss", "max_fs", "max_ss")]
    low_fs, low_ss, high_fs, high_ss = (int(v) for v in ends)
    if low_fs > high_fs or low_ss > high_ss:
        raise InputError(path, f"ends before it begins: fs {low_fs} to {high_fs}, ss {low_ss} to {high_ss}", place)
    resolution = _number(path, fields, "res", place)
    if resolution <= 0:
        raise InputError(path, f"res = {resolution:g} is not above 0 (pixels a metre)", place)
    size = 1e3 / resolution
    corner = [_number(path, fields, f"corner_{axis}", place) * size for axis in "xy"]
    height = _number(path, fields, "coffset", place, 0.0) * 1e3 + heights[name]
    fast = _direction(path, fields.get("fs", "x"), size, f"{place}, fs")
    slow = _direction(path, fields.get("ss", "y"), size, f"{place}, ss")
    used = not _flag(path, fields, "no_index", place)
    sensor = [_number(path, {"sensor": w}, "sensor", place) for w in fields.get(_SENSOR_KEY, "0 0").split()]
    return Panel(
        name,
        (low_fs, low_ss),
        (high_fs, high_ss),
        (corner[0], corner[1], height),
        fast,
        slow,
        used,
        (sensor[0], sensor[1]),
        fields.get("data", ""),
        _dims(path, fields, place),
    )


def _dims(path: str, fields: dict[str, str], place: str) -> tuple[str, ...]:
    """The dimensions of a panel's images, from the lines dim0, dim1 and so on; empty if there are no such lines."""
    dims = tuple(itertools.takewhile(bool, (fields.get(f"dim{i}", "") for i in itertools.count())))
    if wrong := [dim for dim in dims if dim not in ("%", "ss", "fs") and not dim.isdigit()]:
        raise InputError(path, f"a dimension is {wrong[0][:20]!r}, expected %, ss, fs or a number", place)
    return dims


def _direction(path: str, text: str, size: float, place: str) -> Vector:
    """A vector such as -0.99x +0.001y, times the size of a pixel in mm."""
    squeezed = "".join(text.split())
    terms = list(_TERM.finditer(squeezed))
    if not terms or "".join(term.group() for term in terms) != squeezed:
        raise InputError(path, f"{text[:40]!r} is not a direction such as -0.99x +0.01y", place)
    vector = dict.fromkeys("xyz", 0.0)
    for term in terms:
        sign, digits, axis = term.groups()
        vector[axis] += (-1 if sign == "-" else 1) * float(digits or 1) * size
    if math.hypot(*vector.values()) == 0:
        raise InputError(path, f"{text[:40]!r} is not a direction: it is zero", place)
    return vector["x"], vector["y"], vector["z"]


def _bad_region(path: str, name: str, fields: dict[str, str]) -> BadRegion:
    """The bad region that some fields describe."""
    in_laboratory = "min_x" in fields
    axes = ("x", "y") if in_laboratory else ("fs", "ss")
    low, high = ([_number(path, fields, f"{end}_{axis}", name) for axis in axes] for end in ("min", "max"))
    return BadRegion((low[0], low[1]), (high[0], high[1]), fields.get("panel", ""), in_laboratory)
