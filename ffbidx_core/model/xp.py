"""Arrays of whichever backend computes."""

from __future__ import annotations

from typing import Any, TypeAlias

XpArray: TypeAlias = Any
"""An array of a backend: NumPy's in host memory, or CuPy's on a device; the module of its functions is `xp` beside it.

The two share no type that checkers know, and formulas that work on both are written once. What is only ever in host
memory is an `NDArray` instead.
"""
