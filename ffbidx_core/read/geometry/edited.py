"""Changes of numbers in the text of CrystFEL geometry files, of which every other byte is kept."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np

from ...errors import InputError
from ...model.cell import Array
from ...model.detector.geometry_file import BY_HAND, geometry_text
from ...model.detector.panels import Geometry, Reading
from ...model.detector.units import millimetres
from .crystfel import panel_lines, parse_crystfel

SAME_PLACE = 1e-6
"""Displacement of a panel's corner, mm, up to which its values in the file are kept."""
SAME_DIRECTION = 1e-9
"""Change of a panel's direction, relative to a pixel edge, below which the text of the file is kept."""
_LINE = re.compile(r"(\s*([^/;=]+?)/(\w+)\s*=\s*)([^;\r\n]*?)(\s*(?:;[^\r\n]*)?[\r\n]*)")
_LENGTH = re.compile(r"(\s*(?:[^/;=]+?/)?clen\s*=\s*)([^;\r\n]*?)(\s*(?:;[^\r\n]*)?[\r\n]*)")
_WAVELENGTH = re.compile(
    r"(\s*)(?:wavelength|photon_energy|electron_voltage)(\s*=\s*)([^;\r\n]*?)(\s*(?:;[^\r\n]*)?[\r\n]*)"
)
_END = re.compile(r"[\r\n]*$")


def text_of_changed(geometry: Geometry, changed: Geometry) -> str:
    """The text of a geometry after a change of the detector's position, the distance or the wavelength.

    The numbers are changed in the previous text. If that is not a CrystFEL geometry file, or the changed text does not
    describe the changed geometry, the text is written anew.

    Parameters
    ----------
    geometry, changed
        The geometry before and after the change; their panels differ in their places, steps and directions.
    """
    try:
        text = _edited(geometry, changed)
        written = parse_crystfel("the geometry with changes", text)
    except (InputError, KeyError, ValueError):
        return geometry_text(changed)
    return text if _agree(written, changed) else geometry_text(changed)


def _edited(geometry: Geometry, changed: Geometry) -> str:
    """The previous text with the numbers changed."""
    fields = panel_lines("the geometry", geometry.text)
    values: dict[str, dict[str, str]] = {}
    for before, after in zip(geometry.detector.panels, changed.detector.panels, strict=True):
        vectors = [tuple(np.array(v) for v in (panel.corner, panel.fast, panel.slow)) for panel in (before, after)]
        values[before.name] = values_of_moved(fields[before.name], *vectors)
    text = with_panel_values(geometry.text, values)
    if changed.distance != geometry.distance and changed.distance is not None:
        text = _with_distance(text, geometry.distance, changed.distance)
    if changed.wavelength != geometry.wavelength and changed.wavelength is not None:
        text = _with_wavelength(text, changed.wavelength)
    return f"{BY_HAND}\n{text}" if changed.by_hand and BY_HAND not in text else text


def values_of_moved(fields: Mapping[str, str], before: Sequence[Array], after: Sequence[Array]) -> dict[str, str]:
    """The changed values of a panel; positions change by differences, because other lines also shift panels.

    Parameters
    ----------
    fields
        Values of the panel in the text.
    before, after : sequence of (3,), 3
        Corner, fast and slow step of the panel, mm.
    """
    size = 1e3 / float(fields["res"].split()[0])
    shift = after[0] - before[0]
    changes = {}
    for axis, by in zip("xy", shift[:2] / size, strict=True):
        if abs(by) * size > SAME_PLACE:
            changes[f"corner_{axis}"] = f"{float(fields[f'corner_{axis}'].split()[0]) + by:.6f}"
    for key, old, new in zip(("fs", "ss"), before[1:], after[1:], strict=True):
        if np.abs(new - old).max() > SAME_DIRECTION * size:
            changes[key] = _direction(new / size)
    if abs(shift[2]) > SAME_PLACE:
        changes["coffset"] = f"{float(fields.get('coffset', '0').split()[0]) + shift[2] / 1e3:.9f}"
    return changes


def _direction(vector: Array) -> str:
    """A vector in pixels as a sum of x, y and z in CrystFEL's notation."""
    terms = [
        f"{v:+.10f}{axis}" for v, axis in zip(vector, "xyz", strict=True) if axis != "z" or abs(v) > SAME_DIRECTION
    ]
    return " ".join(terms)


def _agree(written: Geometry, wanted: Geometry) -> bool:
    """Whether two geometries have the same panels, distance and wavelength."""
    pairs = list(zip(written.detector.panels, wanted.detector.panels, strict=True))
    places = max(
        float(np.abs(np.subtract(getattr(a, name), getattr(b, name))).max())
        for a, b in pairs
        for name in ("corner", "fast", "slow")
    )
    lengths = [(a.distance and a.distance.value is not None and a.distance.millimetres) for a in (written, wanted)]
    waves = [(a.wavelength and a.wavelength.value is not None and a.wavelength.angstrom) for a in (written, wanted)]
    near = all(np.isclose(a or 0, b or 0, rtol=1e-8, atol=0) for a, b in (lengths, waves))
    return places < 10 * SAME_PLACE and near and written.by_hand == wanted.by_hand


def with_panel_values(text: str, values: Mapping[str, Mapping[str, str]]) -> str:
    """The text of a CrystFEL geometry file with some values of its panels changed.

    A value that a panel has from a default gets a line of its own after the panel's last line.

    Parameters
    ----------
    text
        Text of the geometry file.
    values
        Changed values of each panel, by the name of the panel and the key.
    """
    lines = text.splitlines(keepends=True)
    places: dict[tuple[str, str], int] = {}
    last: dict[str, int] = {}
    for number, line in enumerate(lines):
        if (found := _LINE.fullmatch(line)) and found[2].strip() in values:
            name = found[2].strip()
            last[name], places[name, found[3]] = number, number
    usual = next((end for line in lines if (end := _ending(line))), "\n")
    added: dict[int, str] = {}
    for name, changes in values.items():
        for key, value in changes.items():
            if (name, key) in places:
                number = places[name, key]
                found = _LINE.fullmatch(lines[number])
                assert found is not None
                lines[number] = found[1] + value + found[5]
            else:
                end = _ending(lines[last[name]]) or usual
                added[last[name]] = added.get(last[name], "") + f"{name}/{key} = {value}{end}"
    for number, own in added.items():
        line = lines[number]
        lines[number] = line if _ending(line) else line + usual
        lines[number] += own
    return "".join(lines)


def _ending(line: str) -> str:
    """The line break at the end of a line."""
    found = _END.search(line)
    return found[0] if found else ""


def _with_distance(text: str, before: Reading | None, after: Reading) -> str:
    """The text with another distance; a panel with its own distance keeps its difference from the first panel's."""
    lines = text.splitlines(keepends=True)
    places = [number for number, line in enumerate(lines) if _LENGTH.fullmatch(line)]
    for number in places:
        found = _LENGTH.fullmatch(lines[number])
        assert found is not None
        value, _, unit = found[2].partition(" ")
        further = 0.0
        if before is not None and before.value is not None:
            factor = millimetres(unit.strip() or "m")
            assert factor is not None
            further = float(value) * factor - before.millimetres
        lines[number] = f"{found[1]}{after.millimetres + further:.10g} mm{found[3]}"
    return "".join(lines) if places else f"clen = {after.millimetres:.10g} mm\n{text}"


def _with_wavelength(text: str, after: Reading) -> str:
    """The text with another wavelength."""
    lines = text.splitlines(keepends=True)
    places = [number for number, line in enumerate(lines) if _WAVELENGTH.fullmatch(line)]
    for number in places:
        found = _WAVELENGTH.fullmatch(lines[number])
        assert found is not None
        # Only one line is kept, since CrystFEL reads the last, and a line with another key would contradict this one.
        first = number == places[0]
        lines[number] = f"{found[1]}wavelength{found[2]}{after.angstrom:.10g} A{found[4]}" if first else ""
    return "".join(lines) if places else f"wavelength = {after.angstrom:.10g} A\n{text}"
