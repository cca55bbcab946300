"""CURVE keys, which identify the server and the clients that may send to it."""

from __future__ import annotations

import os
from typing import Any

import zmq.auth
from zmq.auth.thread import ThreadAuthenticator

from ...errors import InputError, UsageError

SERVER, CLIENT = "server", "client"
"""Names of the key files."""


def authenticator(context: Any, keys: str) -> ThreadAuthenticator:
    """An authenticator that admits only clients whose public keys are in the folder `clients`."""
    clients = os.path.join(keys, "clients")
    if not os.path.isdir(clients):
        raise InputError(keys, "has no folder clients with the public keys of permitted clients: --make-keys makes it")
    auth = ThreadAuthenticator(context)
    auth.start()
    auth.configure_curve(domain="*", location=clients)
    return auth


def make_keys(folder: str) -> list[str]:
    """Make the keys of a server and of one client, and return the names of the files.

    Raises
    ------
    UsageError
        If the folder has keys already.
    """
    clients = os.path.join(folder, "clients")
    if os.path.exists(os.path.join(folder, f"{SERVER}.key_secret")):
        raise UsageError(f"--make-keys {folder}: it has keys already; remove them to make others")
    os.makedirs(clients, exist_ok=True)
    made = [*zmq.auth.create_certificates(folder, SERVER), *zmq.auth.create_certificates(folder, CLIENT)]
    public = os.path.join(clients, f"{CLIENT}.key")
    os.replace(os.path.join(folder, f"{CLIENT}.key"), public)
    for path in made:
        if path.endswith("_secret"):
            os.chmod(path, 0o600)
    return [public if path.endswith(f"{CLIENT}.key") else path for path in made]


def use_client_keys(socket: Any, keys: str) -> None:
    """Give the socket of a client its keys and the server's public key, from a folder made by `make_keys`.

    Raises
    ------
    InputError
        If the folder lacks one of these keys, or its secret key is not that of its public key.
    """
    public, secret = _pair_in(keys, f"{CLIENT}.key_secret")
    server, _ = _keys_in(keys, f"{SERVER}.key")
    socket.curve_publickey, socket.curve_secretkey, socket.curve_serverkey = public, secret, server


def use_server_keys(socket: Any, keys: str) -> None:
    """Give the socket of a server its keys, from a folder made by `make_keys`.

    Raises
    ------
    InputError
        If the folder lacks these keys, or its secret key is not that of its public key.
    """
    public, secret = _pair_in(keys, f"{SERVER}.key_secret")
    socket.curve_publickey, socket.curve_secretkey, socket.curve_server = public, secret, True


def _pair_in(folder: str, name: str) -> tuple[bytes, bytes]:
    """The public key and its secret key, both of which are in a file of a folder."""
    public, secret = _keys_in(folder, name)
    try:
        if secret is not None and zmq.curve_public(secret) == public:
            return public, secret
    except (ValueError, zmq.ZMQError):
        pass
    raise InputError(
        os.path.join(folder, name),
        "has no secret key that belongs to its public key: copy the whole file, or make keys with `ffbidx serve "
        "--make-keys DIR`",
    )


def _keys_in(folder: str, name: str) -> tuple[bytes, bytes | None]:
    """The public key in a file of a folder, and the secret one if the file has it."""
    path = os.path.join(folder, name)
    try:
        return zmq.auth.load_certificate(path)
    except (OSError, ValueError):
        raise InputError(path, "is no key file: `ffbidx serve --make-keys DIR` makes the keys") from None
