"""Detectors of many panels as CrystFEL geometry files, made by code."""

import numpy as np

ASIC = (194, 185)
"""Size of a panel, pixels."""
GAP, MARGIN = 3, 30
"""Gaps between the two panels of a sensor, and between sensors, pixels."""
PIXEL = 0.11
"""Edge of a pixel, mm."""


def many_panels(quadrants: int = 4, sensors: int = 8, *, groups: bool = True, distance: float = 93.0) -> str:
    """A geometry file of 2 * sensors * quadrants panels, two per sensor, in four quadrants about the beam."""
    lines = [
        "; made by code",
        f"clen = {distance / 1e3:g}  ; m",
        "photon_energy = 9537.25 eV",
        f"res = {1e3 / PIXEL:.8g}",
    ]
    members: dict[str, list[str]] = {}
    width = 2 * ASIC[0] + GAP
    columns = 1 if sensors <= 4 else 2
    rows = -(-sensors // columns)
    for quadrant in range(quadrants):
        turn = np.exp(2j * np.pi * quadrant / quadrants)
        for sensor in range(sensors):
            column, row = divmod(sensor, rows)
            for half in range(2):
                name = f"q{quadrant}a{2 * sensor + half}"
                corner = complex(
                    26 - 0.3 * quadrant + column * (width + MARGIN) + half * (ASIC[0] + GAP),
                    -4 + 0.7 * sensor + row * (ASIC[1] + MARGIN),
                )
                corner, fast = corner * turn, turn
                slow = 1j * turn
                index = 2 * sensor + half
                lines += [
                    f"{name}/min_fs = {half * ASIC[0]}",
                    f"{name}/max_fs = {(half + 1) * ASIC[0] - 1}",
                    f"{name}/min_ss = {(quadrant * sensors + sensor) * ASIC[1]}",
                    f"{name}/max_ss = {(quadrant * sensors + sensor + 1) * ASIC[1] - 1}",
                    f"{name}/fs = {fast.real:+.6f}x {fast.imag:+.6f}y ; along",
                    f"{name}/ss = {slow.real:+.6f}x {slow.imag:+.6f}y",
                    f"{name}/corner_x = {corner.real:.4f}",
                    f"{name}/corner_y = {corner.imag:.4f}",
                    "",
                ]
                members.setdefault(f"q{quadrant}", []).append(name)
                members.setdefault(f"d{quadrant}_{index // 2}", []).append(name)
    if groups:
        lines += [f"rigid_group_{name} = {','.join(names)}" for name, names in members.items()]
        lines.append(f"rigid_group_collection_quadrants = {','.join(f'q{q}' for q in range(quadrants))}")
    return "\n".join(lines) + "\n"
