"""Detection of lines without effect in a CrystFEL geometry file: unknown keys, and defaults that come too late."""

from __future__ import annotations

import re

_OF_PANELS = (
    "min_fs|min_ss|max_fs|max_ss|corner_x|corner_y|res|fs|ss|clen|coffset|no_index|data|dim\\d+|adu_per_eV|"
    "adu_per_photon|max_adu|mask\\d*|mask\\d*_(data|file|goodbits|badbits)|mask_file|mask_good|mask_bad|satmap|satmap_file|"
    "saturation_map|saturation_map_file|rail_direction|clen_for_centering|integr_radius|mask_edge_pixels|badrow|"
    "badrow_direction|flag_lessthan|flag_morethan|flag_equal"
)
_OF_FILES = (
    "wavelength|photon_energy|electron_voltage|bandwidth|beam_bandwidth|photon_energy_bandwidth|photon_energy_scale|"
    "detector_shift_x|detector_shift_y|peak_list|peak_list_type|peak_info_location|beam_energy|profile_radius|divergence"
)
_PANEL_KEY, _KEY = re.compile(_OF_PANELS), re.compile(f"{_OF_PANELS}|{_OF_FILES}")
_ANYWHERE = re.compile("clen|data|mask.*|adu_.*|max_adu|sat.*|flag_.*|rail_direction|clen_for_centering|badrow.*")
"""Keys of panels that are read in any line, or not at all."""
_RESERVED = ("bad", "group", "rigid_group")
_MOST = 5


def lines_without_effect(path: str, text: str) -> tuple[str, ...]:
    """Notes on the first lines without effect, and on the number of further ones; `path` is for messages."""
    notes = []
    last_panel, known = 0, set[str]()
    bare: list[tuple[int, str]] = []
    for number, line in enumerate(text.splitlines(), start=1):
        key = line.partition(";")[0].partition("=")[0].strip()
        if not key or key.startswith(_RESERVED):
            continue
        name, slash, panel_key = key.rpartition("/")
        if slash and name not in known:
            known.add(name)
            last_panel = number
        if not (_PANEL_KEY if slash else _KEY).fullmatch(panel_key):
            notes.append(f"{path}, line {number}: {panel_key[:40]} is not a key of a geometry, the line has no effect")
        elif not slash:
            bare.append((number, key))
    late = "is a default for panels that are mentioned after it, and none is: the line has no effect"
    notes += [
        f"{path}, line {number}: {key} {late}"
        for number, key in bare
        if number > last_panel and _PANEL_KEY.fullmatch(key) and not _ANYWHERE.fullmatch(key)
    ]
    more = [f"{path}: {len(notes) - _MOST} more lines have no effect"] if len(notes) > _MOST else []
    return (*notes[:_MOST], *more)
