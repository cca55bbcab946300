"""The page and the numbers of a live server."""

import http.client
import json
import re
import socket
import urllib.request

import pytest

from ffbidx_core.errors import UsageError
from ffbidx_core.live.state import LiveState
from ffbidx_core.live.web import Page, page
from tests.helpers.live.server import Client, message, serving


@pytest.fixture
def shown():
    state = LiveState()
    found = Page("127.0.0.1:0", state)
    yield state, found.url.rpartition(":")[2].strip("/")
    found.close()


@pytest.fixture
def own_address_of_ipv6():
    """Skip the test where this machine has no IPv6."""
    try:
        with socket.socket(socket.AF_INET6) as tried:
            tried.bind(("::1", 0))
    except OSError as error:
        pytest.skip(f"no IPv6: {error}")


def get(port, path):
    connection = http.client.HTTPConnection("127.0.0.1", int(port), timeout=60)
    connection.request("GET", path)
    answer = connection.getresponse()
    return answer, connection


def test_the_page_is_one_file_that_needs_no_network(shown):
    answer, connection = get(shown[1], "/")
    html = answer.read().decode()
    connection.close()
    assert answer.status == 200
    assert html.encode() == page()
    addresses = set(re.findall(r"https?://[^\"' )]+", html))
    assert addresses == {"http://www.w3.org/2000/svg"}
    assert "src=" not in html
    assert get(shown[1], "/nothing")[0].status == 404


def test_the_page_has_an_ipv6_address_if_that_is_asked_for(own_address_of_ipv6):
    found = Page("[::1]:0", LiveState())
    try:
        assert re.fullmatch(r"http://\[::1\]:[0-9]+/", found.url)
        with urllib.request.urlopen(found.url, timeout=60) as answer:
            assert answer.read() == page()
    finally:
        found.close()


def test_events_and_metrics_have_the_counts_of_a_run(shown):
    state, port = shown
    with serving() as server, Client(server) as client:
        server.state = state
        client.send(message(0, "r"), message(1, "r", spots=message(1).spots[:2]))
        client.answers(2)
        client.send(b"x")
        client.answers(1)
    state.failed()
    answer, connection = get(port, "/events")
    assert answer.getheader("Content-Type") == "text/event-stream"
    event = json.loads(answer.readline().removeprefix(b"data: "))
    connection.close()
    assert event["whole"]["frames"] == 2
    assert event["whole"]["reasons"] == {"indexed": 1, "too_few_spots": 1}
    assert event["delay"]["p99"] > 0
    text = get(port, "/metrics")[0].read().decode()
    for line in ("ffbidx_frames_total 2", "ffbidx_crystals_total 1", 'ffbidx_reason_total{reason="too_few_spots"} 1'):
        assert line in text.splitlines()
    values = [line for line in text.splitlines() if not line.startswith("#")]
    assert all(re.fullmatch(r'[a-z_0-9]+(\{reason="[a-z_]+"\})? [0-9.e+-]+', line) for line in values)


@pytest.mark.parametrize("address", ["8080", "127.0.0.1:", "127.0.0.1:99999", ":80", "no.such.host.invalid:80"])
def test_an_address_that_cannot_be_used_is_an_error_with_its_option(address):
    with pytest.raises(UsageError, match="--http"):
        Page(address, LiveState())
