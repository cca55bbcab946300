"""Values out of range, and where the device comes from."""

import numpy as np
import pytest

import ffbidx
import ffbidx_core.published.environment
from ffbidx_core.backends.cuda import driver as devices
from ffbidx_core.errors import BackendUnavailable
from tests.helpers.frames import CELL, frame, published_cells, published_spots


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("method", "ifs"),
        ("length_threshold", -1),
        ("triml", -0.1),
        ("triml", 0.31),
        ("trimh", 0.6),
        ("delta", -0.001),
        ("dist1", np.nan),
        ("dist3", np.inf),
        ("num_halfsphere_points", 31),
        ("num_angle_points", -1),
        ("n_output_cells", 0),
        ("contraction", 0),
        ("contraction", 1.0),
        ("max_dist", 0),
        ("min_spots", 3),
        ("n_iter", -1),
        ("n_iter", 1.5),
        ("vr_min_spots", 3),
    ],
)
def test_options_of_run_out_of_range(indexer, option, value):
    _, rows = frame()
    with pytest.raises(ValueError, match=rf"^{option} = .* is out of range: "):
        indexer.run(published_spots(rows), published_cells(CELL), **{option: value})


@pytest.mark.parametrize("option", ["max_output_cells", "max_input_cells", "max_spots", "num_candidate_vectors"])
def test_limits_of_the_indexer_out_of_range(option):
    with pytest.raises(ValueError, match=rf"^{option} = 0 is out of range: "):
        ffbidx.Indexer(**{option: 0}, backend="cpu")


def test_backends_that_are_not_there():
    with pytest.raises(ValueError, match=r"^backend = 'tpu' is out of range: one of auto, cuda, cpu"):
        ffbidx.Indexer(backend="tpu")


def test_the_device_reaches_the_backend(monkeypatch):
    """Where none is given the backend asks the environment (INDEXER_GPU_DEVICE)."""
    asked = []
    make = ffbidx_core.published.environment.get_backend

    def get_backend(name, device):
        asked.append((name, device))
        return make("cpu")

    monkeypatch.setattr(ffbidx_core.published.environment, "get_backend", get_backend)
    ffbidx.Indexer()
    ffbidx.Indexer(backend="cuda", device=1)
    ffbidx.Indexer(device="2")
    assert asked == [("auto", None), ("cuda", 1), ("auto", "2")]


def test_the_device_comes_from_the_environment_unless_given(monkeypatch):
    monkeypatch.setattr(devices, "gpu_count", lambda: (4, ""))
    monkeypatch.delenv("INDEXER_GPU_DEVICE", raising=False)
    assert devices.device_number(None) is None
    for value, given, number in (("3", None, 3), ("3", 0, 0), ("3", "1", 1), ("", None, None)):
        monkeypatch.setenv("INDEXER_GPU_DEVICE", value)
        assert devices.device_number(given) == number
    monkeypatch.setenv("INDEXER_GPU_DEVICE", "first")
    with pytest.raises(ValueError, match="'first'"):
        devices.device_number(None)
    for missing in ("4", "-1"):
        monkeypatch.setenv("INDEXER_GPU_DEVICE", missing)
        with pytest.raises(BackendUnavailable):
            devices.device_number(None)
