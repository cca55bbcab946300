"""Reading of unit cells from files of other programs: CrystFEL, PDB, mmCIF, XDS and DIALS."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...errors import CellError, InputError
from ...model.basis import CENTRINGS, as_given
from ...model.cell import cell_from_parameters, check_cell
from ...model.lattice import KINDS, WITH_UNIQUE_AXIS, InputCell, Lattice
from ..geometry.xds import KEYWORD

_CRYSTFEL = "CrystFEL unit cell file version"
_LENGTHS = {"A": 1.0, "nm": 10.0}
_ANGLES = {"deg": 1.0, "rad": 180 / np.pi}
_XDS_CELL, _XDS_GROUP = "UNIT_CELL_CONSTANTS", "SPACE_GROUP_NUMBER"
_DUMMY_OF_XDS = (70.0, 80.0, 90.0, 90.0, 90.0, 90.0)
"""Cell in the templates of XDS.INP, which means an unknown cell if the space group number is 0."""


def crystfel_cell(path: str, text: str) -> InputCell:
    """The cell in a CrystFEL unit cell file with the given path and text.

    Raises
    ------
    InputError
        If a line is missing or has an unknown value or unit.
    CellError
        If no cell has these parameters.
    """
    fields: dict[str, list[str]] = {}
    for line in text.splitlines()[1:]:
        words = line.split()
        if len(words) >= 3 and words[1] == "=" and not words[0].startswith(";"):
            fields[words[0]] = words[2:]
    parameters = []
    for key, units in [(key, _LENGTHS) for key in ("a", "b", "c")] + [(key, _ANGLES) for key in ("al", "be", "ga")]:
        if key not in fields:
            raise InputError(path, f"has no {key} = NUMBER UNIT: a CrystFEL cell file has a, b, c, al, be, ga")
        value, unit = (*fields[key], "")[:2]
        if unit not in units:
            raise InputError(path, f"{key} has the unit {unit[:20]!r}, expected {' or '.join(units)}")
        parameters.append(_float(path, key, value) * units[unit])
    for key, known in (("lattice_type", KINDS), ("centering", CENTRINGS)):
        if key not in fields:
            raise InputError(path, f"has no {key} = one of {', '.join(known)}")
    kind, centring, axis = (fields.get(key, [""])[0] for key in ("lattice_type", "centering", "unique_axis"))
    if kind not in KINDS:
        raise InputError(path, f"lattice_type = {kind[:20]} is none of {', '.join(KINDS)}")
    if centring not in CENTRINGS:
        raise InputError(path, f"centering = {centring[:20]} is none of {', '.join(CENTRINGS)}")
    axis = axis if axis in ("a", "b", "c") else ""
    if kind in WITH_UNIQUE_AXIS and not axis:
        raise InputError(path, f"has no unique_axis = a, b or c, which a {kind} cell needs")
    return InputCell(as_given(cell_from_parameters(parameters)), Lattice(kind, centring, axis))


def _float(path: str, key: str, word: str) -> float:
    """The number that a word represents, the value of a key."""
    try:
        return float(word)
    except ValueError:
        raise InputError(path, f"{key} = {word[:40]} is not a number") from None


def _pdb(path: str, text: str) -> InputCell:
    """The cell in the CRYST1 record of a PDB file."""
    line = next(line for line in text.splitlines() if line.startswith("CRYST1"))
    columns = [(6, 15), (15, 24), (24, 33), (33, 40), (40, 47), (47, 54)]
    parameters = [_float(path, "CRYST1", line[begin:end].strip()) for begin, end in columns]
    return cell_with_group(path, parameters, line[55:66].strip())


_GROUP_NAMES = (
    "_symmetry.space_group_name_H-M",
    "_space_group.name_H-M_alt",
    "_symmetry_space_group_name_H-M",
    "_space_group_name_H-M_alt",
)
_GROUP_NUMBERS = (
    "_symmetry.Int_Tables_number",
    "_space_group.IT_number",
    "_symmetry_Int_Tables_number",
    "_space_group_IT_number",
)
"""CIF tags of the space group: the old and new ones of mmCIF for macromolecules, then those for small molecules."""


def _mmcif(path: str, text: str) -> InputCell:
    """The cell in the first block of a CIF or mmCIF file that has one."""
    gemmi = _gemmi(path)
    try:
        blocks = list(gemmi.cif.read_string(text))
    except (ValueError, RuntimeError) as error:
        raise InputError(path, f"cannot be read as CIF: {' '.join(str(error).split())[:80]}") from None
    tags = [f"_length_{axis}" for axis in "abc"] + [f"_angle_{angle}" for angle in ("alpha", "beta", "gamma")]
    for block in blocks:
        # CIF of small molecules has _cell_length_a in place of _cell.length_a.
        values = [block.find_value("_cell." + tag[1:]) or block.find_value("_cell" + tag) for tag in tags]
        if all(values):
            parameters = [_float(path, tag, value.partition("(")[0]) for tag, value in zip(tags, values, strict=True)]
            return cell_with_group(path, parameters, _group_of_block(gemmi, block))
    raise InputError(path, "is CIF without a cell (_cell.length_a and so on)")


def _group_of_block(gemmi: Any, block: Any) -> str:
    """Symbol of the space group in a block of CIF: the symbol given, else that of the number given, else empty."""

    def first(names: Sequence[str]) -> str:
        values = (gemmi.cif.as_string(value) for name in names if (value := block.find_value(name)))
        return next((value for value in values if value), "")

    if symbol := first(_GROUP_NAMES):
        return symbol
    number = first(_GROUP_NUMBERS)
    is_one = number.isdecimal() and 1 <= int(number) <= 230
    return str(gemmi.find_spacegroup_by_number(int(number)).hm) if is_one else ""


def _xds(path: str, text: str) -> InputCell:
    """The cell in an input file or a reflection file of XDS."""
    fields = _xds_fields(text)
    words, group = fields[_XDS_CELL].split(), fields.get(_XDS_GROUP, "").split()[:1]
    parameters = [_float(path, _XDS_CELL, word) for word in words[:6]]
    number = int(group[0]) if group and group[0].isdecimal() else 0
    if number == 0 and tuple(parameters) == _DUMMY_OF_XDS:
        how = f"{_XDS_GROUP}= is 0: that cell stands for an unknown one. Put in the right one, or give another --cell"
        raise InputError(path, f"has the cell of XDS's template, 70 80 90, and {how}")
    return cell_with_group(path, parameters, number)


def _xds_fields(text: str) -> dict[str, str]:
    """Values of XDS keywords in a text, without comments, which begin with `!`.

    The header of a reflection file (XDS_ASCII.HKL) consists of comment lines such as `!UNIT_CELL_CONSTANTS=`, which
    count only in such files.
    """
    if text.startswith(("!FORMAT=", "!OUTPUT_FILE=")):
        text = re.sub(r"^!", "", text.partition("!END_OF_HEADER")[0], flags=re.MULTILINE)
    return {key: value for key, value in KEYWORD.findall(re.sub(r"!.*", "", text)) if value}


def _xparm(path: str, text: str) -> InputCell:
    """The cell in the file XPARM.XDS."""
    lines = text.splitlines()
    try:
        words = lines[3].split()
        group, parameters = int(words[0]), [float(word) for word in words[1:7]]
    except (IndexError, ValueError):
        raise InputError(
            path, "is not an XPARM.XDS: expected a space group and six cell parameters", "line 4"
        ) from None
    return cell_with_group(path, parameters, group)


def _dials(path: str, text: str) -> InputCell:
    """The cell of the first crystal in a DIALS experiment list."""
    try:
        crystals = json.loads(text)["crystal"]
        crystal = crystals[0]
        cell = check_cell([crystal[f"real_space_{axis}"] for axis in "abc"])
    except CellError:
        raise
    except (ValueError, KeyError, IndexError, TypeError):
        raise InputError(path, "is a DIALS experiment list without a crystal") from None
    hall = crystal.get("space_group_hall_symbol", "")
    gemmi = _gemmi(path)
    try:
        group = gemmi.find_spacegroup_by_ops(gemmi.symops_from_hall(str(hall)))
    except (ValueError, RuntimeError):
        group = None
    return InputCell(as_given(cell), Lattice.of_cell(cell) if group is None else _lattice(group))


FOREIGN_FORMATS: Sequence[tuple[Callable[[str], bool], Callable[[str, str], InputCell]]] = (
    (lambda text: text.startswith(_CRYSTFEL), crystfel_cell),
    (lambda text: text.lstrip().startswith("{"), _dials),
    (lambda text: "XPARM.XDS" in text[:40], _xparm),
    (lambda text: _XDS_CELL in text and _XDS_CELL in _xds_fields(text), _xds),
    (lambda text: re.search(r"^CRYST1", text, re.MULTILINE) is not None, _pdb),
    (lambda text: re.search(r"^data_", text, re.MULTILINE) is not None, _mmcif),
)
"""A test whether a text has a format, and the reader of the format; the first format that matches is read."""


def cell_with_group(path: str, parameters: Sequence[float], group: str | int) -> InputCell:
    """The cell with given parameters and the lattice of a space group.

    Parameters
    ----------
    path
        The file, for messages.
    parameters
        a, b, c in angstrom, alpha, beta, gamma in degrees.
    group
        Symbol or number of the space group; if it is empty or 0, the lattice follows from the axes and angles.

    Raises
    ------
    CellError
        If no cell has these parameters.
    InputError
        If the space group is not known.
    """
    cell = cell_from_parameters(parameters)
    if group in ("", "?", ".", 0):
        return InputCell(as_given(cell), Lattice.of_cell(cell))
    gemmi = _gemmi(path)
    if isinstance(group, int):
        found = gemmi.find_spacegroup_by_number(group)
        # XDS describes rhombohedral crystals on hexagonal axes.
        if found is not None and found.centring_type() == "R":
            found = gemmi.find_spacegroup_by_name(f"{found.hm}:H")
    else:
        found = gemmi.find_spacegroup_by_name(group, parameters[3], parameters[5])
    if found is None:
        raise InputError(path, f"has the space group {str(group)[:20]!r}, which is not known")
    return InputCell(as_given(cell), _lattice(found))


def _lattice(group: Any) -> Lattice:
    """The lattice of a gemmi space group."""
    kind, centring = group.crystal_system_str(), group.centring_type()
    if kind == "trigonal":
        kind = "rhombohedral" if group.ext == "R" else "hexagonal"
        centring = {"R": "H"}.get(centring, centring)
    if kind == "rhombohedral":
        centring = "R"
    if kind == "monoclinic":
        axis = group.monoclinic_unique_axis()
    else:
        axis = "c" if kind in ("tetragonal", "hexagonal") else ""
    return Lattice(kind, centring, axis)


def _gemmi(path: str) -> Any:
    """The module gemmi, which is an optional dependency."""
    try:
        import gemmi
    except ImportError:
        raise InputError(path, "needs gemmi, which is not installed: pip install 'ffbidx[formats]'") from None
    return gemmi
