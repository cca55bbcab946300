"""The doctor holds backends to the oracle, and notices one that is wrong."""

import pytest

from ffbidx_core.backends.cpu.backend import CpuBackend
from ffbidx_core.doctor import State, examine, selftest
from ffbidx_core.errors import BackendUnavailable, ParameterError


@pytest.fixture
def backend_is(monkeypatch):
    """Let the self-test get this instead of the CPU backend."""
    get_backend = selftest.get_backend

    def replace(make):
        monkeypatch.setattr(
            selftest, "get_backend", lambda name, *more: get_backend(name) if name == "reference" else make()
        )

    return replace


def test_the_cpu_is_right():
    found = selftest.hold_to_oracle("cpu", None, 1)
    assert found.state is State.OK
    assert found.data["right"] == found.data["crystals"] == 8
    assert found.data["degrees"] < 1e-3


def turned(cells):
    """Cells with x and y swapped and z reversed: a rotation by 180 degrees about a diagonal."""
    return cells[..., [1, 0, 2]] * [1, 1, -1]


class Wrong(CpuBackend):
    def fit_rigid(self, spots, cells, p):
        return turned(super().fit_rigid(spots, cells, p))

    def refine_cells(self, spots, cells, scores, p):
        cells, scores = super().refine_cells(spots, cells, scores, p)
        return turned(cells), scores


class Blind(CpuBackend):
    def count_within(self, spots, cells, radii):
        return super().count_within(spots, cells, radii) * 0


class Crashing(CpuBackend):
    def load(self, spots, offsets):
        raise MemoryError("no memory left")


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (Wrong, "finds 0 of the 8 crystals of the NumPy reference"),
        (Blind, "finds 4 of the 8 crystals of the NumPy reference"),
        (Crashing, "MemoryError: no memory left"),
    ],
)
def test_a_backend_that_is_wrong_is_broken(backend_is, kind, words):
    backend_is(kind)
    found = selftest.hold_to_oracle("cpu", None, None)
    assert found.state is State.BROKEN
    assert words in found.text


def test_a_backend_that_does_not_start_is_broken(backend_is):
    def fail():
        raise BackendUnavailable("the GPU backend does not start")

    backend_is(fail)
    found = selftest.hold_to_oracle("cuda", 0, None)
    assert (found.what, found.state, found.text) == (
        "backend cuda, GPU 0",
        State.BROKEN,
        "the GPU backend does not start",
    )


@pytest.fixture
def tested(monkeypatch):
    """What the self-test was asked for; it finds everything in order."""
    asked = []

    def hold_to_oracle(name, device, threads):
        asked.append((name, device))
        return selftest.Finding(f"backend {name}", State.OK, "")

    monkeypatch.setattr(selftest, "hold_to_oracle", hold_to_oracle)
    monkeypatch.setattr("ffbidx_core.doctor.gpu.offline_kernels", lambda: selftest.Finding("GPU kernels", State.OK, ""))
    monkeypatch.setattr("ffbidx_core.backends.cuda.driver.gpus", list)
    monkeypatch.delenv("INDEXER_GPU_DEVICE", raising=False)
    return asked


@pytest.mark.parametrize(
    ("reason", "asked", "wanted"),
    [
        ("", "auto", [("cpu", None), ("cuda", 0), ("cuda", 1)]),
        ("", "cuda", [("cuda", 0), ("cuda", 1)]),
        ("", "cpu", [("cpu", None)]),
        ("no GPU", "auto", [("cpu", None)]),
        ("no GPU", "cuda", []),
    ],
)
def test_which_backends_are_tested(tested, monkeypatch, reason, asked, wanted):
    monkeypatch.setattr("ffbidx_core.backends.cuda.driver.why_no_cuda", lambda: reason)
    monkeypatch.setattr("ffbidx_core.backends.cuda.driver.gpu_count", lambda: (2, ""))
    findings = {found.what: found for found in examine(asked)}
    assert tested == wanted
    broken = [found.what for found in findings.values() if found.state is State.BROKEN]
    assert broken == (["backend cuda"] if reason and asked == "cuda" else [])
    if asked == "auto":
        assert findings["backend auto"].data["backend"] == ("cpu" if reason else "cuda")


def test_named_gpus_are_the_only_ones_tested(tested, monkeypatch):
    monkeypatch.setattr("ffbidx_core.backends.cuda.driver.why_no_cuda", lambda: "")
    monkeypatch.setattr("ffbidx_core.backends.cuda.driver.gpu_count", lambda: (4, ""))
    list(examine("cuda", device="2"))
    list(examine("cuda", device="0,1"))
    monkeypatch.setenv("INDEXER_GPU_DEVICE", "3")
    list(examine("cuda"))
    assert tested == [("cuda", number) for number in ("2", "0", "1", "3")]


def test_no_such_backend():
    with pytest.raises(ParameterError, match="backend = 'tpu'"):
        list(examine("tpu"))
