import json
import re

import pytest

from ffbidx_core.backends import get_backend
from ffbidx_core.benchmark import SCENARIOS, usable_backends
from ffbidx_core.errors import BackendUnavailable

FEW = ("--backend", "cpu", "--frames", "4", "--calls", "2")


@pytest.fixture(autouse=True)
def few_stills(monkeypatch):
    monkeypatch.setattr("ffbidx_core.benchmark.DISTINCT", 8)


def test_json(run):
    ran = run("bench", *FEW, "--preset", "best", "--preset", "published", "--threads", "1", "--json")
    assert ran.status == 0
    figures = json.loads(ran.out)["measurements"]
    assert [(f["frames"], f["preset"]) for f in figures] == [(s, p) for s in SCENARIOS for p in ("best", "published")]
    for figure in figures:
        assert (figure["backend"], figure["device"], figure["calls"]) == ("cpu", "1 thread", 2)
        assert figure["frames_per_call"] == 4
        assert figure["judged"] == 16
        assert 0 < figure["slowest"] <= figure["frames_per_second"] <= figure["fastest"]
        assert figure["indexed"] == 1
        assert figure["lattices_found"] == 1 or figure["preset"] == "published"


def test_table(run):
    ran = run("bench", *FEW)
    assert ran.status == 0
    assert ran.err == ""
    device, header, *rows = ran.out.splitlines()
    assert device.startswith("cpu: ")
    assert header.split()[:4] == ["backend", "preset", "frames", "frames/s"]
    assert [re.split(" {2,}", row)[2] for row in rows] == list(SCENARIOS)


def test_options_out_of_range(run):
    assert run("bench", "--calls", "0").is_one_line_error(2, "--calls")
    assert run("bench", "--backend", "gpu").is_one_line_error(2, "--backend")


def test_a_backend_that_is_not_there(run, monkeypatch):
    monkeypatch.setattr("ffbidx_core.backends.cuda.driver.why_no_cuda", lambda: "no NVIDIA driver")
    assert run("bench", "--backend", "cuda").is_one_line_error(4, "no NVIDIA driver")
    assert [backend.name for backend in usable_backends()] == ["cpu"]


def test_every_backend_there_is_gets_measured(monkeypatch):
    cpu = get_backend("cpu")

    class Gpu:
        name = "cuda"

    monkeypatch.setattr("ffbidx_core.benchmark.get_backend", lambda name, *a, **k: Gpu() if name == "auto" else cpu)
    assert [backend.name for backend in usable_backends("auto", "1")] == ["cuda", "cpu"]

    def fail(*arguments):
        raise BackendUnavailable("the GPU backend does not start")

    monkeypatch.setattr("ffbidx_core.benchmark.get_backend", fail)
    with pytest.raises(BackendUnavailable):
        usable_backends()
