"""The benchmark of the GPU, run on the CPU, and the clock it takes verbs and kernels apart with."""

import itertools

import pytest

from ffbidx_core.backends import get_backend
from ffbidx_core.parameters import Parameters
from tests.bench import gpu
from tests.bench.timed import HostClock, TimedVerbs


def test_every_section_runs_on_the_cpu(capsys, monkeypatch):
    monkeypatch.setattr(gpu, "NAMES", ("tetragonal, 100 spots", "triclinic, 300 spots"))
    monkeypatch.setattr(gpu, "SMALL", (1,))
    gpu.main(["--backend", "cpu", "--frames", "2", "--frames", "4", "--calls", "2"])
    out = capsys.readouterr().out
    rows = [line.split() for line in out.splitlines() if line.startswith(("published ", "best "))]
    assert [(row[0], row[1]) for row in rows] == [(p, n) for n in ("tetragonal,", "triclinic,") for p in gpu.PRESETS]
    for row in rows:
        assert row[4] in ("2", "4")
        assert 0 < float(row[6]) <= float(row[5]) <= float(row[7])
        assert row[-3] == "1.0000"
    assert out.count("find_oriented_cells") == 4
    assert out.count("between the verbs") == 4
    assert "kernels:" not in out
    assert out.count("asked: 0.4\n") == 2
    small = [line.split() for line in out.partition("asked: best 3\n")[2].splitlines()[:4]]
    assert [row[:2] for row in small] == [row[:2] for row in rows]
    assert all(float(row[-1]) > 0 for row in small)


def test_without_a_gpu_it_says_why(monkeypatch):
    monkeypatch.setattr("ffbidx_core.backends.cuda.driver.why_no_cuda", lambda: "no NVIDIA driver")
    with pytest.raises(SystemExit, match="no GPU backend: no NVIDIA driver"):
        gpu.main([])


def test_the_best_batch_size_is_taken(monkeypatch):
    speeds = {64: 100.0, 128: 300.0, 256: 200.0}
    monkeypatch.setattr(gpu, "rate", lambda backend, batches, n, p: speeds[n])
    monkeypatch.setattr(gpu, "batches_of", lambda *of: [])
    assert gpu.best_size(None, "tetragonal, 100 spots", Parameters(), list(speeds)) == 128


def test_what_is_asked_covers_what_is_measured():
    assert gpu.ASKED.keys() == set(itertools.product(gpu.PRESETS, gpu.NAMES))
    assert set(gpu.PSI) <= set(gpu.NAMES) <= set(gpu.SCENARIOS)


class Launches:
    """A backend that launches kernels; each takes a second of its clock."""

    lanes = 2

    def __init__(self):
        self.now = 0.0

    def load(self):
        self.now += 10
        self._launch("sort", 1)
        self._launch("sort", 2)
        return "loaded"

    def _launch(self, kernel, size):
        self.now += size

    def fail(self):
        self._launch("fail", 5)
        raise ValueError


def test_verbs_and_kernels_are_timed():
    backend = Launches()
    with TimedVerbs(backend, HostClock(lambda: backend.now)) as timed:
        assert timed.lanes == 2
        assert timed.load() == "loaded"
        timed.load()
        with pytest.raises(ValueError):  # noqa: PT011
            timed.fail()
        assert timed.seconds == {"load": 26, "fail": 5}
        assert timed.kernel_seconds == {"sort": 6, "fail": 5}
    backend.load()
    assert timed.kernel_seconds == {"sort": 6, "fail": 5}
    assert "_launch" not in vars(backend)


def test_rates_are_of_the_frames_asked_for(monkeypatch):
    seen, clock = [], itertools.count()
    monkeypatch.setattr(gpu, "index_frames", lambda backend, spots, offsets, *more: seen.append((len(spots), offsets)))
    monkeypatch.setattr(gpu.time, "perf_counter", lambda: next(clock) * 2.0)
    batches = gpu.batches_of("tetragonal, 100 spots", 4, 2)
    assert gpu.rate(get_backend("cpu"), batches, 3, Parameters()) == 3 / 2.0
    assert [(n, len(offsets) - 1) for n, offsets in seen] == [(300, 3)] * 4
