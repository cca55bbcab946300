"""The type of arrays that belong to the backend which computes."""

from __future__ import annotations

from typing import Any, TypeAlias

XpArray: TypeAlias = Any
"""An array of a backend: a NumPy array in host memory or a CuPy array on a device.

Functions that take such arrays also take `xp`, the module (NumPy or CuPy) with which they compute. The two kinds of
array have no common type for a type checker, so the alias is `Any`; an array that is always in host memory is
annotated as `NDArray` instead.
"""
