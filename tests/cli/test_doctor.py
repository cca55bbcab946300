import json

import pytest

from ffbidx_core.doctor import Finding, State


@pytest.fixture
def finds(monkeypatch):
    """Let the examination find one thing in this state."""

    def replace(state):
        finding = Finding("backend cpu", state, "how [it] is", {"backend": "cpu"})
        monkeypatch.setattr("ffbidx_core.doctor.examine", lambda *asked: iter([finding]))

    return replace


def test_what_it_says_of_this_machine(run):
    ran = run("doctor", "--backend", "cpu")
    assert ran.status == 0, ran.out
    assert ran.err == ""
    things = {line.split("  ")[0] for line in ran.out.splitlines() if not line.startswith(" ")}
    assert {"ffbidx", "import ffbidx", "Numba", "threads", "HDF5", "space", "NVIDIA driver", "backend cpu"} <= things


def test_json(run):
    ran = run("doctor", "--backend", "cpu", "--json")
    assert ran.status == 0
    report = ran.summary
    assert report["works"] is True
    assert {"what", "state", "text"} <= set(report["findings"][0])
    (tested,) = (found for found in report["findings"] if found["what"] == "backend cpu")
    assert tested["right"] == tested["crystals"] > 0


@pytest.mark.parametrize(
    ("state", "status"),
    [
        (State.OK, 0),
        (State.ABSENT, 0),
        (State.ATTENTION, 0),
        (State.BROKEN, 4),
    ],
)
def test_the_status_says_whether_all_that_is_needed_works(run, finds, state, status):
    finds(state)
    ran = run("doctor")
    assert (ran.status, ran.out.split()) == (status, ["backend", "cpu", str(state), "how", "[it]", "is"])
    ran = run("doctor", "--json")
    assert ran.status == status
    assert json.loads(ran.out) == {
        "works": status == 0,
        "findings": [{"what": "backend cpu", "state": str(state), "text": "how [it] is", "backend": "cpu"}],
    }


def test_a_backend_that_is_asked_for_and_not_there(run, monkeypatch):
    monkeypatch.setattr("ffbidx_core.backends.cuda.driver.why_no_cuda", lambda: "no NVIDIA driver")
    monkeypatch.setattr("ffbidx_core.doctor.gpu.offline_kernels", lambda: Finding("GPU kernels", State.OK, ""))
    ran = run("doctor", "--backend", "cuda")
    assert ran.status == 4
    assert ran.out.splitlines()[-1].split() == ["backend", "cuda", "broken", "no", "NVIDIA", "driver"]


def test_no_such_backend(run):
    assert run("doctor", "--backend", "gpu").is_one_line_error(2, "--backend")
