"""Wavelengths that are usual in experiments, and those that a number may have meant whose unit was mistaken."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ...ranges import HC, LONGEST_WAVELENGTH
from ..cell import Array
from .units import electron_wavelength

ELECTRONS, X_RAYS = (0.015, 0.06), (0.2, 5.0)
"""Smallest and largest usual wavelength, angstrom: of electrons of 40 to 500 keV, and of photons of 2.5 to 62 keV."""
SAME_WAVELENGTH = 1e-3
"""Relative difference of the wavelengths of frames up to which one wavelength stands for all."""
AS_PHOTONS = (0.03, 0.2)
"""Wavelengths, angstrom, of photons that have the energy of the electrons that are usual."""
IN_KEV = "a photon energy in keV had been taken for eV"
MISTAKES: dict[str, Callable[[float], float]] = {
    "a wavelength in nm had been taken for A": lambda wavelength: 10 * wavelength,
    "a wavelength in A had been taken for nm": lambda wavelength: wavelength / 10,
    "a wavelength in pm had been taken for A": lambda wavelength: wavelength / 100,
    IN_KEV: lambda wavelength: wavelength / 1000,
    "a photon energy in eV had been taken for keV": lambda wavelength: wavelength * 1000,
    "a photon energy in keV had been taken for a wavelength, or a wavelength for one": lambda wavelength: (
        HC / 1000 / wavelength
    ),
    "a wavelength in A had been taken for a photon energy in eV": lambda wavelength: HC / wavelength,
}
"""Mistakes about a number as they follow `as if`, each with the function that mends a wavelength, angstrom."""
OF_ELECTRONS = "the energy of electrons had been taken for that of photons"


def is_usual(wavelength: float) -> bool:
    """Whether electrons or X-rays of experiments have a wavelength, angstrom."""
    return any(shortest <= wavelength <= longest for shortest, longest in (ELECTRONS, X_RAYS))


def common_wavelength(wavelengths: Array) -> float | None:
    """The wavelength that frames have in common, angstrom; None if theirs differ or are not known."""
    known = wavelengths[np.isfinite(wavelengths)]
    if len(known) == 0 or np.ptp(known) > SAME_WAVELENGTH * abs(float(np.median(known))):
        return None
    return float(np.median(known))


def wavelengths_meant(wavelength: float) -> dict[float, str]:
    """The usual wavelengths, angstrom, that may have been meant by a wavelength as read, each with the mistake.

    Where the wavelength as read is a usual one, only the energy of electrons may have been mistaken.
    """
    found = {}
    if not is_usual(wavelength):
        found = {mended: why for why, mend in MISTAKES.items() if is_usual(mended := mend(wavelength))}
    if AS_PHOTONS[0] <= wavelength <= AS_PHOTONS[1]:
        mended = float(electron_wavelength(HC / wavelength))
        found |= {mended: OF_ELECTRONS} if ELECTRONS[0] <= mended <= ELECTRONS[1] else {}
    return found


def impossible_wavelength(wavelengths: Array) -> tuple[float, str] | None:
    """The wavelength meant by frames with impossible ones, angstrom, and the mistake about it as it follows `as if`.

    It is None if the wavelengths as read are possible, or if no mistake gives a possible one.
    """
    if len(wavelengths) == 0 or wavelengths.min() <= LONGEST_WAVELENGTH:
        return None
    read = float(np.median(wavelengths))
    in_kev = {mend(read): why for why, mend in MISTAKES.items() if why == IN_KEV and mend(read) <= LONGEST_WAVELENGTH}
    return next(iter((wavelengths_meant(read) | in_kev).items()), None)
