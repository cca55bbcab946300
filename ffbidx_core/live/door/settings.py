"""The settings of a live server's sockets."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ...errors import UsageError

LOOPBACK = ("127.0.0.1", "localhost", "[::1]", "::1")


@dataclass(frozen=True)
class DoorSettings:
    """The settings of a live server's sockets; an empty address is not used.

    Attributes
    ----------
    bind, reply, publish : str
        Addresses of the PULL socket for spot lists, the ROUTER socket for requests, the PUB socket for all answers.
    connect, subscribe : tuple of str
        Addresses of other programs: PUSH sockets from which to pull, PUB sockets to which to subscribe.
    request : tuple of str
        Addresses of other programs that answer the request `next` with a message.
    topic : str
        Topic of the subscriptions.
    dialect : str
        Name of the dialect of the messages, or `auto`.
    keys : str
        Folder with the CURVE keys of the server and its clients; empty: no keys.
    """

    bind: str = ""
    reply: str = ""
    publish: str = ""
    connect: tuple[str, ...] = ()
    subscribe: tuple[str, ...] = ()
    request: tuple[str, ...] = ()
    topic: str = ""
    dialect: str = "auto"
    keys: str = ""

    def completed(self) -> DoorSettings:
        """The settings, with the ports of `bind` + 1 and + 2 for answers if these are not given."""
        if not self.bind:
            return self
        publish, reply = (self.bind,) * 2 if self.bind.endswith(":*") else beside("--bind", self.bind)
        return replace(self, reply=self.reply or reply, publish=self.publish or publish)

    def check(self) -> None:
        """Raise an error if other machines could send without a key."""
        for option, address in (("--bind", self.bind), ("--reply", self.reply), ("--publish", self.publish)):
            host = address.removeprefix("tcp://").rpartition(":")[0]
            if address and not self.keys and not address.startswith("ipc://") and host not in LOOPBACK:
                raise UsageError(
                    f"{option} {address}: other machines could send there; give keys with --keys DIR (made by "
                    "--make-keys DIR), or listen on 127.0.0.1"
                )


def beside(option: str, address: str) -> tuple[str, str]:
    """The addresses for published answers and for requests that belong to an address for spot lists.

    Parameters
    ----------
    option
        The option with the address, for the error.
    address
        The address for spot lists: tcp://HOST:PORT, or ipc://FILE.

    Raises
    ------
    UsageError
        If the address is neither, or its port has no two further ones.
    """
    if address.startswith("ipc://"):
        return f"{address}.answers", f"{address}.reply"
    host, _, port = address.rpartition(":")
    if not (port.isdigit() and 0 < int(port) < 65534):
        raise UsageError(f"{option} {address}: expected tcp://HOST:PORT or ipc://FILE")
    return f"{host}:{int(port) + 1}", f"{host}:{int(port) + 2}"
