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
# Nothing is written to standard error unless the program or the variable asks for it.
log.addHandler(logging.NullHandler())


def follow_environment() -> None:
    """Set the level of the logger to the current value of the environment variable.

    Without the variable the level is left to the program's own use of `logging`; a program that does not use it gets no
    messages. This corresponds to the default of the variable in PSI's package, `error`, since errors are exceptions.

    Raises
    ------
    ParameterError
        If the variable holds no valid level.
    """
    name = os.environ.get(VARIABLE, "")
    if not name:
        return
    if name.lower() not in LEVELS:
        raise ParameterError(VARIABLE, name, "one of " + ", ".join(LEVELS))
    log.setLevel(LEVELS[name.lower()])
    if not is_heard():
        log.addHandler(logging.StreamHandler())


def is_heard() -> bool:
    """Whether messages of the logger come anywhere."""
    return any(not isinstance(handler, logging.NullHandler) for handler in [*log.handlers, *logging.root.handlers])
