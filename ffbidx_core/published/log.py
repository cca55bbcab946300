"""The logger of the Python interface, and the environment variable that sets its level."""

from __future__ import annotations

import logging
import os

from ..errors import ParameterError

VARIABLE = "INDEXER_LOG_LEVEL"
LEVELS = {
    "fatal": logging.CRITICAL,
    "error": logging.ERROR,
    "warn": logging.WARNING,
    "info": logging.INFO,
    "debug": logging.DEBUG,
}

log = logging.getLogger("ffbidx")


def follow_environment() -> None:
    """Give the logger the level that the environment asks for now; without the variable leave it to Python's logging.

    Raises
    ------
    ParameterError
        When the variable holds no level.
    """
    name = os.environ.get(VARIABLE, "")
    if not name:
        return
    if name.lower() not in LEVELS:
        raise ParameterError(VARIABLE, name, "one of " + ", ".join(LEVELS))
    log.setLevel(LEVELS[name.lower()])
    # Without any handler Python shows warnings and errors only.
    if not log.hasHandlers():
        log.addHandler(logging.StreamHandler())
