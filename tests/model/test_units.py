"""Units as files spell them."""

import numpy as np
import pytest

from ffbidx_core.model.detector.units import electronvolts, metres, millimetres, to_angstrom, volts


@pytest.mark.parametrize(
    ("unit", "factor"),
    [
        ("m", 1.0),
        ("meter", 1.0),
        ("metres", 1.0),
        ("mm", 1e-3),
        ("millimeter", 1e-3),
        ("Millimetres", 1e-3),
        ("cm", 1e-2),
        ("um", 1e-6),
        ("\N{MICRO SIGN}m", 1e-6),
        ("micron", 1e-6),
        ("microns", 1e-6),
        ("micrometer", 1e-6),
        ("nm", 1e-9),
        ("nanometre", 1e-9),
        ("pm", 1e-12),
        ("angstrom", 1e-10),
        ("Angstroms", 1e-10),
        ("A", 1e-10),
        ("\N{ANGSTROM SIGN}", 1e-10),
        ("1e-3 m", 1e-3),
        ("10^-6 m", 1e-6),
        ("75 um", 75e-6),
    ],
)
def test_lengths(unit: str, factor: float):
    assert metres(unit) == pytest.approx(factor, rel=1e-12)


@pytest.mark.parametrize("unit", ["", "pixels", "parsec", "eV", "s", "1/angstrom", "mmm", "m2", "m s"])
def test_what_is_no_length(unit: str):
    assert metres(unit) is None
    assert millimetres(unit) is None


def test_energies_and_voltages():
    units = ("eV", "keV", "MeV", "electronvolt", "kiloelectronvolts", "V")
    assert [electronvolts(unit) for unit in units] == [1.0, 1e3, 1e6, 1.0, 1e3, None]
    assert [volts(unit) for unit in ("V", "kV", "kilovolt", "volts", "eV")] == [1.0, 1e3, 1e3, 1.0, None]


@pytest.mark.parametrize(
    ("unit", "value", "angstroms"),
    [("A", 1.3, 1.3), ("pm", 130, 1.3), ("m", 1.3e-10, 1.3), ("keV", 12.39842, 1.0), ("kV", 200.0, 0.02507934)],
)
def test_wavelengths(unit: str, value: float, angstroms: float):
    convert = to_angstrom(unit)
    assert convert is not None
    np.testing.assert_allclose(convert(np.array([value])), [angstroms], rtol=1e-6)
    assert to_angstrom("parsec") is None
