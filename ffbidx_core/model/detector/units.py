"""Units of length, energy and voltage, in the spelling of UDUNITS and in others that files of the field use."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np

from ...ranges import HC

WAVELENGTHS_WANTED = "A, nm, m, eV, keV, V or kV"
LENGTHS_WANTED = "m, cm, mm or um"
"""Units that error messages name as examples; further ones are known."""

PREFIXES = {
    "": 1.0, "p": 1e-12, "n": 1e-9, "u": 1e-6, "\N{MICRO SIGN}": 1e-6, "\N{GREEK SMALL LETTER MU}": 1e-6, "m": 1e-3,
    "c": 1e-2, "d": 1e-1, "k": 1e3, "M": 1e6, "G": 1e9,
}  # fmt: skip
"""Factor of each prefix of a unit's symbol."""
LONG_PREFIXES = {
    "": 1.0, "pico": 1e-12, "nano": 1e-9, "micro": 1e-6, "milli": 1e-3, "centi": 1e-2, "deci": 1e-1, "kilo": 1e3,
    "mega": 1e6, "giga": 1e9,
}  # fmt: skip
"""Factor of each prefix of a unit's full name."""
_METRE = {"m": 1.0}
_METRES = {"metre": 1.0, "meter": 1.0}
_ALONE = {
    "a": 1e-10, "\N{ANGSTROM SIGN}": 1e-10, "\N{LATIN CAPITAL LETTER A WITH RING ABOVE}": 1e-10, "ang": 1e-10,
    "angstrom": 1e-10, "\N{LATIN SMALL LETTER A WITH RING ABOVE}ngstr\N{LATIN SMALL LETTER O WITH DIAERESIS}m": 1e-10,
    "micron": 1e-6, "\N{LATIN SMALL LETTER A WITH RING ABOVE}": 1e-10,
}  # fmt: skip
"""Units of length that take no prefix, in lower case, and their lengths in metres."""
_NUMBER = re.compile(r"(10\^[-+]?\d+|[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*[*.]?\s*(?=\D)")


def metres(unit: str) -> float | None:
    """Length of a unit in metres; None if the text is not a unit of length.

    Examples of units are `mm`, `millimetre`, `millimeters`, `um`, `micron`, `angstrom` and `A`, and any of these after
    a number, as in `1e-6 m`.
    """
    return _factor(unit, _METRE, _METRES, _ALONE)


def electronvolts(unit: str) -> float | None:
    """Energy of a unit in electronvolts; None if the text is not a unit of energy."""
    names = {"electronvolt": 1.0, "electron_volt": 1.0, "electron volt": 1.0}
    return _factor(unit, {"eV": 1.0, "ev": 1.0, "EV": 1.0}, names, {})


def volts(unit: str) -> float | None:
    """Voltage of a unit in volts; None if the text is not a unit of voltage."""
    return _factor(unit, {"V": 1.0}, {"volt": 1.0}, {})


def millimetres(unit: str) -> float | None:
    """Length of a unit in millimetres; None if the text is not a unit of length."""
    found = metres(unit)
    return None if found is None else _rounded(found * 1e3)


def to_angstrom(unit: str) -> Callable[[Any], Any] | None:
    """The function that converts values in a unit to wavelengths in angstrom.

    The unit may be one of length, of energy (of photons) or of voltage (that accelerates electrons); for another unit
    the result is None.
    """
    if (length := metres(unit)) is not None:
        angstroms = _rounded(length * 1e10)
        return lambda values: values * angstroms
    if (energy := electronvolts(unit)) is not None:
        return lambda values: HC / (values * energy)
    if (voltage := volts(unit)) is not None:
        return lambda values: electron_wavelength(values * voltage)
    return None


def electron_wavelength(volts: Any) -> Any:
    """De Broglie wavelength in angstrom, with the relativistic correction, of electrons accelerated by a voltage."""
    return 12.2642596 / np.sqrt(volts * (1 + 0.978475598e-6 * volts))


def _factor(unit: str, symbols: dict[str, float], names: dict[str, float], alone: dict[str, float]) -> float | None:
    """Factor of a unit, given as a prefixed symbol, a prefixed name or a word without prefix, after a number or not."""
    unit, number = unit.strip(), 1.0
    if match := _NUMBER.match(unit):
        number = float(match[1].replace("10^", "1e"))
        unit = unit[match.end() :].strip()
    known = {prefix + symbol: a * b for prefix, a in PREFIXES.items() for symbol, b in symbols.items()}
    if unit in known:
        return _rounded(number * known[unit])
    word = unit.lower()
    spelled = {prefix + name: a * b for prefix, a in LONG_PREFIXES.items() for name, b in names.items()} | alone
    found = spelled.get(word, spelled.get(word.removesuffix("s")))
    return None if found is None else _rounded(number * found)


def _rounded(factor: float) -> float:
    """A factor rounded to 12 digits, since products of powers of ten have errors in the last ones."""
    return float(f"{factor:.12g}")
