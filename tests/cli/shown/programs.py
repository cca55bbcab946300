"""Programs that show what the commands show, of numbers that are always the same."""

from ffbidx_cli import console
from ffbidx_cli.columns import print_columns
from ffbidx_cli.inspection import show_spots
from ffbidx_cli.next_step import NextStep
from ffbidx_cli.reports import show_findings, show_measurements, show_panels
from ffbidx_cli.sentences import print_sentence
from ffbidx_cli.tables import crystal_columns, frame_columns
from ffbidx_core.benchmark import Measurement, Row
from ffbidx_core.diagnose.diagnosis import Diagnosis
from ffbidx_core.diagnose.words import sentences
from ffbidx_core.doctor.finding import Finding, State
from ffbidx_core.model.records.reason import FrameReason
from ffbidx_core.model.records.results import Results
from ffbidx_core.panels.words import PanelRow
from ffbidx_core.read.inspection import SpotsReport
from ffbidx_core.run.summary import CellSummary, Progress, Summary
from ffbidx_core.simulate.judge import Tally
from ffbidx_core.write import ResultsWriter
from tests.helpers.results_of import CELLS, HEADER, block_of, status_of

FILE = "/data/visitor/mx2600/id29/20261126/RAW_DATA/lysozyme/run_17/lysozyme_17_master.h5"


def progress() -> None:
    """Progress of a long run, the bar left out."""
    event = Progress(123_456, 120_000, 130_000, 1_000_000, 600.0, to_compute=0.5, to_write=0.2)
    shown = console.Console(**console.PLAIN)
    print(console.progress_line(event, 210.0, 0.95, shown.width - min(24, shown.width // 8) - 3))


def summary() -> None:
    """The summary of a run."""
    cell = CellSummary(
        [79.0, 79.0, 38.0, 90.0, 90.0, 90.0], [79.02, 79.02, 37.984, 90.0, 90.0, 90.0], 53, 229,
        [79.005, 79.017, 37.989, 90.006, 90.002, 89.996], [0.119, 0.148, 0.061, 0.028, 0.027, 0.03],
    )  # fmt: skip
    found = Summary(
        200, 176, 229, 0.02, {"indexed": 176, "not_indexed": 20, "bad_spots": 4}, 18455, 12, 1898, [cell], 5.9, 33.7,
        "ifssr", "cpu", "2 threads", FILE.replace("_master.h5", ".ffbidx.h5"), True,
        ["the first frames say that the beam centre is off by +0.31 mrad in x and -0.12 mrad in y"], {"no_vector": 20},
    )  # fmt: skip
    console.show_summary(console.Console(**console.PLAIN), found, NextStep("ffbidx report run_17.ffbidx.h5", ""))


def made_up() -> Results:
    """Results of five frames, two of them without a crystal."""
    writer = ResultsWriter(HEADER)
    block, result = block_of([(1, 1), (2, 2), (0, 0), (1, 1), (1, 0)], FILE)
    writer.add(block, result, status_of(result), writer.input_rows(CELLS))
    return writer.results(True)


def table() -> None:
    """The crystals of a run."""
    print_columns(console.data_console(), crystal_columns(made_up()))


def failed() -> None:
    """Frames without a crystal."""
    print_columns(console.data_console(), frame_columns(made_up(), failed=True))


def bench() -> None:
    """Measurements of two backends."""
    tally = Tally(frames=256, frames_right=256, lattices=512, lattices_found=511)
    measured = [
        Measurement(16384, (0.10, 0.11, 0.12), 222_000.0, tally),
        Measurement(256, (0.20, 0.21, 0.25), None, tally),
    ]
    backends = ("cuda", "cpu")
    show_measurements(
        Row(name, "one device", "best", "two lattices, 200 spots", each)
        for name, each in zip(backends, measured, strict=True)
    )


def doctor() -> None:
    """Findings of each state."""
    show_findings(
        [
            Finding("ffbidx", State.OK, "0.1.0, on Python 3.12.3 (/opt/beamline/software/ffbidx/0.1.0/bin/python3)"),
            Finding("NVIDIA driver", State.ABSENT, "no NVIDIA driver on this machine (libcuda.so.1 is not there)"),
            Finding("Numba", State.ATTENTION, "kernels to be kept in /tmp, which does not last: set NUMBA_CACHE_DIR"),
        ]
    )


def inspect() -> None:
    """What spot files hold."""
    report = SpotsReport(
        formats=["CXI"],
        frames=12_345,
        bad_frames=3,
        spots=987_654,
        left_out=12,
        off_panels=345,
        spots_per_frame=[0, 71, 1999],
        histogram=[(0, 9, 1000), (10, 99, 11_000), (100, 2000, 345)],
        resolution=[33.0, 1.61],
        cells=[],
        panels=128,
        wavelength=1.30112,
        distance=93.012,
        half_pixel_shift=True,
        problems=[f"{FILE}//77: has 2 spots that are not finite"],
    )
    show_spots(console.data_console(), report)


def diagnose() -> None:
    """The diagnosis of a run that used spots of low resolution only."""
    few = Diagnosis(
        FILE.replace("_master.h5", ".ffbidx.h5"),
        12_345,
        [12_300, 45],
        [],
        n_sampled=2000,
        reasons={FrameReason.TOO_FEW_SPOTS: 12_000, FrameReason.NO_VECTOR: 300},
        limits={"d_min": 15.0},
    )
    for sentence in sentences(few):
        print_sentence(console.data_console(), sentence)


def geometry() -> None:
    """The motions of two panels."""
    motion, errors = (12.3, -0.25, 3.1, -12.5, 0.4, 0.1), (0.04, 0.05, 1.25, 0.3, 2.5, 11.2)
    show_panels([PanelRow("p0a0", 12_345.0, motion, errors, False), PanelRow("p15a1", 12.0, motion, errors, True)])
