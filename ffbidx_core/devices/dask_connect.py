"""The connection of a run to a dask cluster: to a running scheduler, or to workers started on this machine."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import re
import signal
from collections.abc import Iterator
from multiprocessing import resource_tracker
from typing import Any

from ..errors import BackendUnavailable, InputError, UsageError

CONNECT_SECONDS = 10.0
"""Time in seconds within which a scheduler must answer."""


def connected(closing: contextlib.ExitStack, address: str, n_local: int) -> Any:
    """The client of a cluster; `closing` ends the client, and a cluster that was started for it."""
    from distributed import Client

    if n_local:
        target: Any = closing.enter_context(_local_cluster(n_local))
    else:
        target = _address_of(address)
        _reach(target)
    try:
        client = Client(target, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, ImportError) as error:
        raise BackendUnavailable(_no_answer(address, error)) from None
    closing.callback(client.close)
    return client


def n_local_workers(address: str) -> int:
    """The number of workers in `local:N`; 0 if `--dask` names a scheduler."""
    if address.split(":")[0] != "local":
        return 0
    match = re.fullmatch(r"local:([1-9]\d{0,3})", address)
    if match is None:
        raise UsageError(f"--dask {address}: expected local:N, such as local:4 for four workers")
    return int(match[1])


def _address_of(text: str) -> str:
    """The address of a scheduler, which may be read from a file that it wrote."""
    from distributed.comm.addressing import parse_address, parse_host_port

    if text.endswith(".json"):
        try:
            with open(text) as file:
                text = str(json.load(file)["address"])
        except OSError as error:
            raise InputError(text, f"cannot be read: {(error.strerror or str(error)).lower()}") from None
        except (ValueError, KeyError, TypeError):
            raise InputError(text, "is not a file written by a dask scheduler (--scheduler-file)") from None
    try:
        parse_host_port(parse_address(text)[1])
    except ValueError:
        wanted = "HOST:PORT of a scheduler, the .json file that it wrote, or local:N"
        raise UsageError(f"--dask {text}: expected {wanted}") from None
    return text


def _reach(address: str) -> None:
    """Connect to an address once, because a `Client` that cannot connect does not clean up."""
    from distributed.comm import connect
    from distributed.security import Security

    async def try_it() -> None:
        comm = await connect(address, timeout=CONNECT_SECONDS, **Security().get_connection_args("client"))
        await comm.close()

    try:
        asyncio.run(try_it())
    except Exception as error:
        # Any exception counts; for example, missing configuration of TLS is a TypeError.
        raise BackendUnavailable(_no_answer(address, error)) from None


def _no_answer(address: str, error: Exception) -> str:
    return f"--dask {address}: no scheduler answers: {' '.join(str(error).split())}"


@contextlib.contextmanager
def _deaf_children() -> Iterator[None]:
    """A context in which new threads and their processes ignore Ctrl-C, which the terminal sends to all processes.

    A Ctrl-C reaches this thread when it leaves the context.
    """
    # The resource tracker is started here, because starting it inside would unblock the signal.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _local_cluster(n_workers: int) -> Any:
    from distributed import LocalCluster

    try:
        with _deaf_children():
            return LocalCluster(
                n_workers=n_workers,
                threads_per_worker=1,
                processes=True,
                host="127.0.0.1",
                # There is no dashboard, and its port is any free one.
                dashboard_address="127.0.0.1:0",
                scheduler_kwargs={"dashboard": False},
                # Otherwise anybody on this machine could connect and make the workers run any code.
                security=True,
                # Dask must not stop a worker because of the memory that its task needs.
                memory_limit=0,
                silence_logs=logging.CRITICAL,
                config={"distributed.worker.profile.enabled": False},
            )
    except (OSError, RuntimeError, ImportError) as error:
        raise BackendUnavailable(f"--dask local:{n_workers} does not start: {' '.join(str(error).split())}") from None
