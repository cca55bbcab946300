from collections.abc import Callable
from pathlib import Path

import h5py
import pytest

from tests.helpers.growing import Writer
from tests.helpers.script import Clock
from tests.helpers.spot_files import CELL, OFFSETS, good_spots


@pytest.fixture
def hdf5_file(tmp_path: Path) -> Callable[..., str]:
    """Makes a good spot file of four frames, with its own cell, after `poke` has spoilt it."""

    def make(poke: Callable[[h5py.File], None] = lambda file: None, name: str = "spots.h5") -> str:
        path = tmp_path / name
        with h5py.File(path, "w") as file:
            file["spots"] = good_spots()
            file["spots"].attrs["units"] = "1/angstrom"
            file["offsets"] = OFFSETS
            file["cells"] = CELL[None]
            poke(file)
        return str(path)

    return make


@pytest.fixture
def text_file(tmp_path: Path) -> Callable[..., str]:
    def make(content: str | bytes, name: str = "spots.txt") -> str:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return str(path)

    return make


@pytest.fixture
def clock(monkeypatch):
    return Clock.install(monkeypatch)


@pytest.fixture
def writers(tmp_path):
    """Makes writers of growing files."""
    made = []

    def make(name):
        made.append(Writer(tmp_path / name))
        return made[-1].native()

    yield make
    for writer in made:
        writer.end()
