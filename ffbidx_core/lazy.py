"""Names of a package that are imported when they are asked for, so that importing the package loads little."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any


def names_from(package: str, **homes: str) -> Callable[[str], Any]:
    """The `__getattr__` of a package, which imports a name from its module.

    Parameters
    ----------
    package
        Name of the package.
    **homes
        The module of the package that defines each name.
    """

    def get(name: str) -> Any:
        if name in homes:
            return getattr(importlib.import_module(f".{homes[name]}", package), name)
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    return get
