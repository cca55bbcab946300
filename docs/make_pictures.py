"""Makes the pictures of the README: docs/run.svg, docs/report.png and docs/frame.png. Run it in the project's root.

The picture of the report is what Chromium shows of the page; without Chromium it stays as it is.
"""

import re
import shutil
import subprocess
import tempfile
from contextlib import chdir, closing
from pathlib import Path

from rich.console import Console

from ffbidx_cli.columns import print_columns
from ffbidx_cli.console import PLAIN, progress_line, show_summary
from ffbidx_cli.next_step import NextStep
from ffbidx_cli.tables import crystal_columns
from ffbidx_core import RunRequest, index
from ffbidx_core.devices import open_devices
from ffbidx_core.report.frame_picture import draw_frame, find_frame, read_spots
from ffbidx_core.report.page import page
from ffbidx_core.report.report import make_report
from ffbidx_core.report.style import image_bytes
from ffbidx_core.run.summary import Progress

SPOTS, CELL, OUTPUT = "sample_data/lysozyme.h5", "sample_data/lysozyme.cell", "lysozyme.ffbidx.h5"
DOCS = Path("docs")
WIDTH = 136
"""Width of the terminal, in characters."""
FRAME = "16"
"""A frame with two crystals."""
DOTS_PER_INCH = 80
PAGE = (1100, 1000)
"""Width and height of the browser's window, in pixels."""


def main() -> None:
    """Index the sample frames and make the three pictures."""
    docs = DOCS.resolve()
    samples = Path(SPOTS).resolve().parent
    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        Path(samples.name).symlink_to(samples)
        index(RunRequest(SPOTS, CELL, backend="cpu"))  # once unrecorded, as the first run compiles
        events: list[Progress] = []
        outcome = index(RunRequest(SPOTS, CELL, backend="cpu", outputs=OUTPUT), progress=events.append)
        console = Console(record=True, force_terminal=True, width=WIDTH, **PLAIN)
        console.print(f"$ ffbidx index {SPOTS} --cell {CELL}", style="bold")
        console.print(f"━━━━━━━━━━━━━━━━━━━━━━━━ {progress_line(events[-2], width=WIDTH - 25)}", style="cyan")
        show_summary(console, outcome.summary, NextStep(f"ffbidx report {OUTPUT}", ""))
        console.print(f"\n$ ffbidx table {OUTPUT} --max-rows 10", style="bold")
        print_columns(console, crystal_columns(outcome[:], 10))
        # The viewer's own fixed-width font: a picture must not fetch anything.
        svg = re.sub(r"@font-face \{.*?\}", "", console.export_svg(title="ffbidx", unique_id="run"), flags=re.DOTALL)
        (docs / "run.svg").write_text(re.sub(r"[ \t]+$", "", svg, flags=re.MULTILINE))
        number, found = find_frame(OUTPUT, FRAME)
        figure = draw_frame(read_spots(OUTPUT, found), found, number)
        (docs / "frame.png").write_bytes(image_bytes(figure, "png", DOTS_PER_INCH))
        if browser := shutil.which("chromium"):
            with closing(open_devices("cpu")) as devices:
                Path("page.html").write_bytes(page(make_report(OUTPUT, devices)))
            options = ["--headless", "--no-sandbox", "--hide-scrollbars", f"--window-size={PAGE[0]},{PAGE[1]}"]
            picture = f"--screenshot={docs / 'report.png'}"
            subprocess.run([browser, *options, picture, f"file://{folder}/page.html"], check=True)


if __name__ == "__main__":
    main()
