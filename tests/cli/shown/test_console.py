"""What is said while a run goes on and at its end."""

import pytest
from rich.console import Console

from ffbidx_cli import console
from ffbidx_core.run.pipeline import Progress


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (Progress(0, 0, 0, 10, 0.0), "0/10 frames"),
        (
            Progress(50, 40, 45, 200, 10.0),
            ("50/200 frames, 80.0% indexed, 45 crystals, 5.0 frames/s, 0:00:30 left, queues: read 0%, write 0% full"),
        ),
        (
            Progress(50, 40, 45, None, 10.0, to_compute=1.0, to_write=0.5),
            ("50 frames, 80.0% indexed, 45 crystals, 5.0 frames/s, queues: read 100%, write 50% full"),
        ),
        # The frames of a run that follows its input are not known before.
        (Progress(0, 0, 0, None, 3.0, to_learn=17), "17 frames, waiting for more to learn the cell from"),
        # What was finished before counts for no speed.
        (
            Progress(7200, 0, 0, 14400, 3600.0, before=3600),
            ("7200/14400 frames, 0.0% indexed, 0 crystals, 1.0 frames/s, 2:00:00 left, queues: read 0%, write 0% full"),
        ),
    ],
)
def test_progress_in_words(event, line):
    assert console.progress_line(event) == line


def test_the_rate_of_now_is_that_of_the_last_minute():
    rate = console.Rate()
    assert rate(Progress(0, 0, 0, None, 1.0)) is None
    # 100 frames/s for ten minutes, then 10.
    for second in range(2, 600):
        now = rate(Progress(100 * second, 0, 0, None, float(second)))
    assert now == pytest.approx(100, rel=0.02)
    for second in range(1, 70):
        now = rate(Progress(59_900 + 10 * second, 0, 0, None, 599.0 + second))
    assert now == pytest.approx(10)
    line = console.progress_line(Progress(60_590, 0, 0, None, 668.0), now)
    assert "10.0 frames/s (mean 90.7)" in line


def test_the_share_indexed_of_now_is_that_of_the_last_minute():
    rate = console.Rate()
    rate(Progress(0, 0, 0, None, 0.0))
    assert rate.indexed is None
    # 10 frames/s, all of which are indexed for two minutes, then a quarter.
    for second in range(1, 121):
        rate(Progress(10 * second, 10 * second, 0, None, float(second)))
    assert rate.indexed == 1
    for second in range(1, 61):
        event = Progress(1200 + 10 * second, 1200 + int(2.5 * second), 1350, None, 120.0 + second)
        now = rate(event)
    assert rate.indexed == pytest.approx(0.25)
    line = console.progress_line(event, now, rate.indexed)
    assert line.startswith("1800 frames, 75.0% indexed (25.0% in the last minute), 1350 crystals, 10.0 frames/s (mean ")
    # Nothing comes for a minute.
    for second in range(1, 62):
        now = rate(Progress(1800, 1350, 1350, None, 180.0 + second))
    assert (now, rate.indexed) == (0, None)
    line = console.progress_line(Progress(1800, 1350, 1350, None, 241.0), now, rate.indexed)
    assert line.startswith("1800 frames, 75.0% indexed, 1350 crystals, 0.0 frames/s (mean 7.5)")


def test_a_heartbeat_line_every_half_minute_off_a_terminal(monkeypatch, capsys):
    clock = iter(range(0, 1000, 12))
    monkeypatch.setattr(console.time, "monotonic", lambda: next(clock))
    with console.Reporter() as reporter:
        for n in range(1, 21):
            reporter(Progress(n, n, n, 20, float(n)))
    lines = capsys.readouterr().err.splitlines()
    # Every event reads the clock, 12 s later each time, and a line reads it once more.
    assert [line.split()[0] for line in lines] == ["3/20", "6/20", "9/20", "12/20", "15/20", "18/20"]


def test_quiet_has_no_heartbeat(monkeypatch, capsys):
    clock = iter(range(0, 100_000, 60))
    monkeypatch.setattr(console.time, "monotonic", lambda: next(clock))
    with console.Reporter(quiet=True) as reporter:
        reporter(Progress(1, 1, 1, 20, 1.0))
        reporter(Progress(2, 2, 2, 20, 1.0))
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(("environment", "colour"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_no_color_is_honoured(monkeypatch, environment, colour):
    monkeypatch.delenv("NO_COLOR", raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    shown = Console(force_terminal=True, color_system="standard", **console.PLAIN)
    with shown.capture() as capture:
        shown.print("x", style="red")
    assert ("\x1b[31m" in capture.get()) is colour
