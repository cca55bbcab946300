"""A check for the packages of live runs, which an installation may lack."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ffbidx_core.errors import UsageError

PACKAGES = ("zmq", "cbor2", "msgpack")


@contextmanager
def live_packages() -> Iterator[None]:
    """A context for imports, in which a missing package raises an error that names the extra to install."""
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name is not None and error.name.partition(".")[0] in PACKAGES:
            raise UsageError("live runs need pyzmq, cbor2 and msgpack: pip install 'ffbidx[live]'") from None
        raise
