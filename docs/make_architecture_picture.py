"""Makes docs/architecture.svg, the rooms of the sources and their imports. Run it in the project's root.

    python docs/make_architecture_picture.py

Rooms and arrows are read from the sources, as `tests/house/test_imports.py` reads them; an arrow is left out where
others lead there, too. A room stands one floor above the highest one that it may import from.
"""

import sys
import textwrap
from pathlib import Path
from xml.sax.saxutils import escape

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.helpers.paths import ROOT
from tests.house.test_imports import MAY_IMPORT, MODULES, imports_of, reached_from, room_of_file

PICTURE = ROOT / "docs" / "architecture.svg"

COLUMN = {
    "read": 2, "backends": 1, "method": 1, "write": 2, "devices": 1, "published": 0, "simulate": 3, "learn": 1,
    "cell_search": 0, "panels": 1, "run": 2, "live": 1, "diagnose": 0, "report": 0, "benchmark": 3, "doctor": 3,
    "ffbidx": 0, "ffbidx_core": 2,
}  # fmt: skip
"""The column in which each room is drawn, except the rooms of full width."""
WHOLE_WIDTH = ("ground", "model", "ffbidx_cli")

WAY = {
    "ffbidx_cli": 1,
    "ffbidx_core": 2,
    "run": 3,
    "read": 4,
    "learn": 5,
    "devices": 6,
    "method": 7,
    "backends": 8,
    "write": 9,
}
"""The rooms on the path of a frame, in the order of the table in docs/architecture.md."""

PURPOSE = {
    "ground": "The base of all rooms: errors, ranges, the version, each parameter with default and range.",
    "model": "Formulas and records of crystallography: cells, lattices, detectors, orientations, batches. "
    "NumPy or a compatible array module, no files.",
    "backends": "The verbs of the method on a whole batch: NumPy, Numba, CUDA",
    "read": "Inputs, formats, geometry, cells, growing files; results",
    "method": "One batch in, its crystals out: search, acceptance, last fit",
    "write": "Saved parts, ledger, results, formats; files written whole",
    "devices": "Where to compute: lanes, processes, workers of dask",
    "published": "The published interface: indexer, engine, array layouts",
    "simulate": "Stills with known truth, and the judge of answers",
    "learn": "Cell, noise and beam, learned from the first frames",
    "cell_search": "The search for an unknown unit cell",
    "panels": "Positions of detector panels, from many crystals",
    "run": "A whole run, from the request to the outcome",
    "live": "Spot lists as messages, answers while the detector runs",
    "diagnose": "What is wrong with a run, and what to type next",
    "report": "A run in pictures and words, a frame in a picture",
    "benchmark": "Frames per second, and the share indexed correctly",
    "doctor": "What is installed, what works, how to fix it",
    "ffbidx": "import ffbidx: published method, in memory",
    "ffbidx_core": "A run from Python, and its results",
    "ffbidx_cli": "Options in, exit status out. No science.",
}
"""The purpose of each room, in the words of the picture."""

WIDTH, HEIGHT, SLAB, GUTTER, RISE, MARGIN = 226, 64, 52, 36, 36, 24
FONT = "font-family='Helvetica, Arial, sans-serif'"
COLOURS = {"way": ("#e6f0fa", "#2b6cb0"), "aside": ("#f6f6f4", "#8a8f98"), "door": ("#fdf3e1", "#b7791f")}


def imports() -> dict[str, set[str]]:
    """For each room, the other rooms from which its modules import."""
    found: dict[str, set[str]] = {room: set() for room in MAY_IMPORT}
    for path in MODULES:
        found[room_of_file(path)] |= set(imports_of(path)) - {room_of_file(path)}
    return found


def direct(arrows: dict[str, set[str]]) -> dict[str, set[str]]:
    """Arrows without those that a way through other rooms makes needless."""
    return {
        room: {to for to in below if not any(to in reached_from(other, arrows) for other in below - {to})}
        for room, below in arrows.items()
    }


def floors(arrows: dict[str, set[str]]) -> dict[str, int]:
    """The floor of each room, 0 the lowest: one above the highest of those that it may import from."""
    found: dict[str, int] = {}
    for room in MAY_IMPORT:  # lowest first
        found[room] = max((found[below] + 1 for below in arrows[room]), default=0)
    return found


class Picture:
    """Boxes on floors, arrows between them, as SVG."""

    def __init__(self) -> None:
        self.arrows = direct(imports())
        self.floors = floors(MAY_IMPORT)
        self.top = max(self.floors.values())
        self.columns = 1 + max(COLUMN.values())
        places = [(COLUMN[room], floor) for room, floor in self.floors.items() if room not in WHOLE_WIDTH]
        if len(set(places)) < len(places):
            raise SystemExit("two rooms in one place: mend COLUMN in docs/make_architecture_picture.py")

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the picture."""
        width = 2 * MARGIN + self.columns * WIDTH + (self.columns - 1) * GUTTER
        return width, self.upper_edge(0) + self.height("ground") + MARGIN

    def height(self, room: str) -> int:
        """Height of a room."""
        return SLAB if room in WHOLE_WIDTH else HEIGHT

    def upper_edge(self, floor: int) -> int:
        """Upper edge of a floor."""
        above = {self.floors[room]: self.height(room) for room in self.floors if self.floors[room] > floor}
        return MARGIN + sum(height + RISE for height in above.values())

    def box(self, room: str) -> tuple[int, int, int]:
        """Left edge, upper edge and width of a room."""
        y = self.upper_edge(self.floors[room])
        if room in WHOLE_WIDTH:
            return MARGIN, y, self.size[0] - 2 * MARGIN
        return MARGIN + COLUMN[room] * (WIDTH + GUTTER), y, WIDTH

    def is_blocked(self, room: str, below: str) -> bool:
        """Whether another room lies between two rooms of one column."""
        between = range(self.floors[below] + 1, self.floors[room])
        return any(COLUMN[room] == column and self.floors[other] in between for other, column in COLUMN.items())

    def arrow(self, room: str, below: str) -> str:
        """A line from the lower edge of a room to the upper edge of another."""
        (x0, y0, w0), (x1, y1, w1) = self.box(room), self.box(below)
        start, end = y0 + self.height(room), y1 - 3
        wide = max(w0, w1) > WIDTH
        if wide or (x0 == x1 and not self.is_blocked(room, below)):
            # Rooms of one column, or a floor as wide as the house: straight down.
            path = f"M{(x1 if w0 > w1 else x0) + WIDTH // 2} {start}V{end}"
        else:
            aside = 1 if x1 >= x0 else -1
            x_from, x_to = x0 + WIDTH // 2 + 60 * aside, x1 + WIDTH // 2 + (60 if x1 == x0 else -60 * aside)
            if self.floors[room] - self.floors[below] == 1:
                path = f"M{x_from} {start}C{x_from} {end - 6} {x_to} {start + 6} {x_to} {end}"
            else:  # between the columns, past the rooms on the floors between
                gap = x1 - GUTTER // 2 if x1 > x0 else x1 + WIDTH + GUTTER // 2
                first, last = start + RISE - 3, end - RISE + 3
                path = f"M{x_from} {start}C{x_from} {first - 6} {gap} {start + 6} {gap} {first}V{last}"
                path += f"C{gap} {end - 6} {x_to} {last + 6} {x_to} {end}"
        way = room in WAY and below in WAY
        colour = COLOURS["way" if way else "aside"][1]
        return (
            f"<path d='{path}' fill='none' stroke='{colour}' stroke-width='{1.8 if way else 1.2}' "
            f"marker-end='url(#{'way' if way else 'aside'})'><title>{room} imports {below}</title></path>"
        )

    def room(self, room: str) -> list[str]:
        """The box of a room with its name, its purpose and its number on the path of a frame."""
        x, y, width = self.box(room)
        fill, line = COLOURS["door" if room in ("ffbidx", "ffbidx_core") else "way" if room in WAY else "aside"]
        lines = textwrap.wrap(PURPOSE[room], 36 if width == WIDTH else 160)
        parts = [
            f"<g id='{room}'>",
            f"<rect x='{x}' y='{y}' width='{width}' height='{self.height(room)}' rx='7' "
            f"fill='{fill}' stroke='{line}'/>",
            f"<text x='{x + 12}' y='{y + 21}' font-size='15' font-weight='bold' fill='#1a202c'>{room}</text>",
        ]
        for i, text in enumerate(lines):
            parts.append(
                f"<text x='{x + 12}' y='{y + 38 + 14 * i}' font-size='11' fill='#4a5568'>{escape(text)}</text>"
            )
        if room in WAY:
            parts.append(f"<circle cx='{x + width - 18}' cy='{y + 18}' r='11' fill='{COLOURS['way'][1]}'/>")
            parts.append(
                f"<text x='{x + width - 18}' y='{y + 22}' font-size='12' font-weight='bold' fill='#fff' "
                f"text-anchor='middle'>{WAY[room]}</text>"
            )
        return [*parts, "</g>"]

    def svg(self) -> str:
        """The picture."""
        width, height = self.size
        parts = [
            f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {width} {height}' "
            f"width='{width}' height='{height}' {FONT}>",
            "<title>The rooms of ffbidx: each imports from those that its arrows reach</title>",
            "<defs>",
        ]
        for name in ("way", "aside"):
            parts.append(
                f"<marker id='{name}' viewBox='0 0 8 8' refX='6' refY='4' markerWidth='8' markerHeight='8' "
                f"markerUnits='userSpaceOnUse' orient='auto'><path d='M0 0L8 4L0 8z' fill='{COLOURS[name][1]}'/>"
                "</marker>"
            )
        parts += ["</defs>", f"<rect width='{width}' height='{height}' fill='#fff'/>"]
        parts += [self.arrow(room, below) for room in self.arrows for below in sorted(self.arrows[room])]
        for room in MAY_IMPORT:
            parts += self.room(room)
        return "\n".join([*parts, *self.legend(), "</svg>", ""])

    def legend(self) -> list[str]:
        """The legend of colours, numbers and arrows, drawn in a free corner."""
        x, y = MARGIN + WIDTH + GUTTER, self.upper_edge(self.top - 1)
        words = {
            "way": "numbered: the path of a frame",
            "door": "entry points for Python",
            "aside": "beside the path",
        }
        parts = []
        for i, (name, text) in enumerate(words.items()):
            fill, line = COLOURS[name]
            at = y + 22 * i
            parts.append(f"<rect x='{x}' y='{at}' width='22' height='14' rx='3' fill='{fill}' stroke='{line}'/>")
            parts.append(f"<text x='{x + 30}' y='{at + 11}' font-size='11' fill='#4a5568'>{text}</text>")
        arrow = f"M{x} {y + 73}H{x + 21}"
        parts.append(f"<path d='{arrow}' stroke='{COLOURS['aside'][1]}' stroke-width='1.2' marker-end='url(#aside)'/>")
        words_of_arrow = f"<text x='{x + 30}' y='{y + 77}' font-size='11' fill='#4a5568'>imports</text>"
        return [*parts, words_of_arrow]


if __name__ == "__main__":
    PICTURE.write_text(Picture().svg())
