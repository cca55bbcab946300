"""Makes the screens of the tests anew: python -m tests.cli.shown.screens.

Each screen is what a command shows in a terminal of 60, 80 or 120 columns. Times and rates are fixed, so that a screen
shows nothing that differs from run to run.
"""

import sys
import tempfile
from pathlib import Path

from tests.helpers.paths import ROOT
from tests.helpers.terminal import screen_of

WIDTHS = (60, 80, 120)
FOLDER = Path(__file__).parent / "screens"
PROGRAMS = ("progress", "summary", "table", "failed", "bench", "doctor", "inspect", "diagnose", "geometry")
CODE = "import sys; sys.path.insert(0, {root!r}); from tests.cli.shown.programs import {name}; {name}()"


def screen(name: str, width: int, folder: str) -> str:
    """What the program of a name shows in a terminal of a width."""
    code = CODE.format(root=str(ROOT), name=name)
    text = screen_of([sys.executable, "-c", code], width, folder)
    return "\n".join(line.rstrip() for line in text.splitlines()) + "\n"


def main() -> None:
    """Write all screens."""
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        for width in WIDTHS:
            parts = [f"--- {name}\n{screen(name, width, folder)}" for name in PROGRAMS]
            (FOLDER / f"{width}.txt").write_text("".join(parts))


if __name__ == "__main__":
    main()
