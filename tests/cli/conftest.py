"""The command as a user calls it, in an empty directory."""

import signal
from pathlib import Path

import pytest

from ffbidx_cli.main import main
from tests.helpers.calls import CELL_LINE, QUICK, Ran, write_spots, write_text
from tests.helpers.frames import frame

CLEAR = [frame(seed)[1] for seed in range(3)]


@pytest.fixture
def run(capfd, tmp_path, monkeypatch):
    """Call the command in this process, in an empty directory."""
    monkeypatch.chdir(tmp_path)
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def call(*arguments) -> Ran:
        capfd.readouterr()
        status = main([str(argument) for argument in arguments])
        out, err = capfd.readouterr()
        return Ran(status, out, err)

    yield call
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def index(run, cell_file):
    """Call `ffbidx index` with the cell and quick settings."""
    return lambda *arguments: run("index", "--cell", cell_file, *QUICK, *arguments)


@pytest.fixture
def cell_file(tmp_path) -> Path:
    path = tmp_path / "cell.txt"
    path.write_text(CELL_LINE)
    return path


@pytest.fixture
def spots_file(tmp_path) -> Path:
    """Three clear frames."""
    return write_spots(tmp_path / "spots.h5", CLEAR, frame_id=["one", "two", "three"])


@pytest.fixture
def text_file(tmp_path) -> Path:
    """A clear frame as text, without a cell."""
    return write_text(tmp_path / "frame.txt", CLEAR[0])


@pytest.fixture
def there(tmp_path, monkeypatch, cell_file):
    """An empty directory `d` to follow, in the current one."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "d").mkdir()
    return tmp_path / "d"
