"""The Python example of docs/live.md."""

import re
import subprocess
import sys
import textwrap

import cbor2
import zmq

from tests.helpers.paths import ROOT

EXAMPLE = re.compile(r"^    import cbor2.*?^(?=\S)", flags=re.MULTILINE | re.DOTALL)


def test_the_message_of_the_example_is_sent_before_its_script_ends():
    (code,) = EXAMPLE.findall((ROOT / "docs/live.md").read_text())
    with zmq.Context() as context, context.socket(zmq.PULL) as server:
        port = server.bind_to_random_port("tcp://127.0.0.1")
        script = textwrap.dedent(code).replace(":5555", f":{port}")
        subprocess.run([sys.executable, "-c", script], check=True, timeout=60)
        assert server.poll(60_000)
        message = cbor2.loads(server.recv())
    assert (message["type"], message["run"], message["number"]) == ("frame", "first", 0)
    assert len(message["spots"].value) == 40 * 3 * 4
