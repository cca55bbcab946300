"""Writing of geometries as CrystFEL geometry files."""

from __future__ import annotations

import re

import numpy as np

from .panels import BadRegion, Geometry, Panel, Reading, Vector
from .units import electronvolts, volts

BY_HAND = "; the wavelength was given by hand"
"""Line that marks a geometry file whose wavelength takes precedence over the one in the peaks' own file."""
ADU = re.compile(r"^[ \t]*(adu_per_(?:photon|eV)[ \t]*=[ \t]*[^;\s]+)", re.MULTILINE)
"""Line with the detector units per photon or eV, without which CrystFEL opens no geometry file."""
SENSOR = re.compile(r"^; sensor of (\S+): (\S+) mm, absorption (\S+)/mm$", re.MULTILINE)
"""Line, a comment to CrystFEL, with the name, thickness and absorption of a panel whose parallax is corrected."""


def geometry_text(geometry: Geometry) -> str:
    """The text of a CrystFEL geometry file for a geometry; the detector units are those of its previous text."""
    lines = [BY_HAND] if geometry.by_hand else []
    wave, distance = geometry.wavelength, geometry.distance
    if wave is not None:
        key = "electron_voltage" if volts(wave.unit) else "photon_energy" if electronvolts(wave.unit) else "wavelength"
        lines.append(f"{key} = {_written(wave)} {wave.unit}")
    if distance is not None:
        lines.append(f"clen = {_written(distance)} {distance.unit}")
    lines += [
        f"detector_shift_{axis} = {_written(reading)} {reading.unit}"
        for axis, reading in zip("xy", geometry.shift, strict=True)
        if reading is not None
    ]
    for name, what in (("peak_list", geometry.peak_list), ("peak_list_type", geometry.peak_list_type)):
        if what:
            lines.append(f"{name} = {what}")
    lines.append(found[1] if (found := ADU.search(geometry.text)) else "adu_per_photon = 1")
    panels = geometry.detector.panels
    are_layers = len({p.first for p in panels}) < len(panels) and not any(p.dims for p in panels)
    for number, panel in enumerate(panels):
        lines += _panel_lines(panel)
        # Panels that begin at the same pixel are layers of three-dimensional data.
        dims = ("%", str(number), "ss", "fs") if are_layers else panel.dims
        lines += [f"{panel.name}/dim{i} = {what}" for i, what in enumerate(dims)]
    lines += [line for i, region in enumerate(geometry.detector.bad) for line in _region_lines(f"bad{i}", region)]
    groups = list(dict.fromkeys((*geometry.groups, *(group for _, level in geometry.collections for group in level))))
    lines += [
        f"rigid_group_g{i} = {','.join(panels[number].name for number in group)}" for i, group in enumerate(groups)
    ]
    lines += [
        f"rigid_group_collection_{name} = {','.join(f'g{groups.index(group)}' for group in level)}"
        for name, level in geometry.collections
    ]
    return "\n".join(lines) + "\n"


def _written(reading: Reading) -> str:
    """The dataset's path or the number of a reading, as a geometry file has it."""
    return reading.path or f"{reading.value:.10g}"


def _panel_lines(panel: Panel) -> list[str]:
    """The lines of a geometry file that describe a panel."""
    size = float(np.linalg.norm(panel.fast))
    x, y, z = panel.corner
    fields = {
        "min_fs": panel.first[0],
        "max_fs": panel.last[0],
        "min_ss": panel.first[1],
        "max_ss": panel.last[1],
        "res": f"{1e3 / size:.10g}",
        "corner_x": f"{x / size:.8f}",
        "corner_y": f"{y / size:.8f}",
        "coffset": f"{z / 1e3:.10g}",
        "fs": _algebraic(panel.fast, size),
        "ss": _algebraic(panel.slow, size),
    }
    if not panel.used:
        fields["no_index"] = 1
    if panel.data:
        fields["data"] = panel.data
    lines = [f"{panel.name}/{key} = {value}" for key, value in fields.items()]
    if all(panel.sensor):
        lines.append(f"; sensor of {panel.name}: {panel.sensor[0]:.10g} mm, absorption {panel.sensor[1]:.10g}/mm")
    return lines


def _algebraic(vector: Vector, size: float) -> str:
    """A vector in mm as a sum of x, y and z in pixels of a size in mm, in CrystFEL's notation."""
    return " ".join(f"{v / size:+.10f}{axis}" for v, axis in zip(vector, "xyz", strict=True))


def _region_lines(name: str, region: BadRegion) -> list[str]:
    """The lines of a geometry file that describe a bad region."""
    axes = ("x", "y") if region.in_laboratory else ("fs", "ss")
    lines = [f"{name}/panel = {region.panel}"] if region.panel else []
    for axis, low, high in zip(axes, region.low, region.high, strict=True):
        lines += [f"{name}/min_{axis} = {low:.10g}", f"{name}/max_{axis} = {high:.10g}"]
    return lines
