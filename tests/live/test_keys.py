"""Nobody sends without a key where keys are asked for."""

import contextlib
import functools
import os
import stat
from types import SimpleNamespace

import pytest
import zmq

from ffbidx_core.errors import InputError, UsageError
from ffbidx_core.live.door.keys import make_keys, use_client_keys
from tests.helpers.live.server import Client, message, serving


def try_to_send(stranger, frame):
    """Without a connection there is nowhere to send to, once the server has refused the handshake."""
    stranger.push.setsockopt(zmq.SNDTIMEO, 500)
    with contextlib.suppress(zmq.Again):
        stranger.send(frame)


def test_who_has_a_key_is_answered_and_others_are_not(tmp_path):
    keys, others = str(tmp_path / "keys"), str(tmp_path / "others")
    for path in make_keys(keys):
        assert os.path.exists(path)
        assert not path.endswith("_secret") or stat.S_IMODE(os.stat(path).st_mode) == 0o600
    make_keys(others)
    with serving(keys=keys) as server:
        with Client(server, is_admitted=False) as stranger:
            try_to_send(stranger, message(0))
            assert not stranger.sub.poll(500)
        public, secret = zmq.auth.load_certificate(f"{others}/client.key_secret")
        right, _ = zmq.auth.load_certificate(f"{keys}/server.key")

        def wrong(socket):
            socket.curve_publickey, socket.curve_secretkey, socket.curve_serverkey = public, secret, right

        with Client(server, wrong, is_admitted=False) as stranger:
            try_to_send(stranger, message(1))
            assert not stranger.sub.poll(500)
        with Client(server, functools.partial(use_client_keys, keys=keys)) as client:
            client.send(message(2))
            assert client.answers(1)[0]["number"] == 2
    assert server.state.as_dict()["whole"]["frames"] == 1


def test_keys_are_not_replaced_and_a_folder_without_any_is_refused(tmp_path):
    make_keys(str(tmp_path / "keys"))
    with pytest.raises(UsageError, match="already"):
        make_keys(str(tmp_path / "keys"))
    with pytest.raises(InputError, match="clients"), serving(keys=str(tmp_path)):
        pass


@pytest.mark.parametrize("missing", ["client.key_secret", "server.key"])
def test_a_missing_key_of_a_client_is_named(missing, tmp_path):
    make_keys(str(tmp_path))
    (tmp_path / missing).unlink()
    with pytest.raises(InputError, match=f"{missing}: is no key file"):
        use_client_keys(SimpleNamespace(), str(tmp_path))


@pytest.mark.parametrize("secret", ["", 'secret-key = ""', 'secret-key = "cut"', f'secret-key = "{"x" * 40}"'])
def test_a_key_file_without_the_right_secret_key_is_named(secret, tmp_path):
    make_keys(str(tmp_path))
    path = tmp_path / "client.key_secret"
    lines = path.read_text().splitlines()
    path.write_text("\n".join(line for line in lines if "secret-key" not in line) + f"\n    {secret}\n")
    with pytest.raises(InputError, match=r"client\.key_secret: has no secret key that belongs to its public key"):
        use_client_keys(SimpleNamespace(), str(tmp_path))


def test_a_missing_key_of_a_server_is_named_and_nothing_else_is_shown(tmp_path, capfd):
    make_keys(str(tmp_path))
    (tmp_path / "server.key_secret").unlink()
    with pytest.raises(InputError, match=r"server\.key_secret: is no key file"), serving(keys=str(tmp_path)):
        pass
    assert capfd.readouterr().err == ""
