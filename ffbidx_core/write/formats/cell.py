"""Unit cell files of CrystFEL."""

from __future__ import annotations

from ...model.cell import cell_parameters
from ...model.lattice import InputCell


def cell_text(cell: InputCell) -> str:
    """An input cell as a CrystFEL unit cell file."""
    lattice = cell.lattice
    axis = [f"unique_axis = {lattice.unique_axis}"] if lattice.unique_axis else []
    a, b, c, alpha, beta, gamma = cell_parameters(cell.cell)
    lines = [
        "CrystFEL unit cell file version 1.0",
        "",
        f"lattice_type = {lattice.kind}",
        f"centering = {lattice.centring}",
        *axis,
        "",
        *(f"{key} = {value:.6f} A" for key, value in (("a", a), ("b", b), ("c", c))),
        *(f"{key} = {value:.6f} deg" for key, value in (("al", alpha), ("be", beta), ("ga", gamma))),
    ]
    return "\n".join(lines) + "\n"
