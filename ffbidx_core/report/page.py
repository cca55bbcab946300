"""A report as one HTML file that needs nothing else: no network, no scripts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import PurePath

from .figures import NAMES, Picture
from .report import CellRow, Report
from .style import image_bytes, styled

_HEAD = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
:root {{ color-scheme: light; }}
* {{ box-sizing: border-box; }}
body {{ margin: 0; background: #f3f4f6; color: #1f2937; font: 15px/1.45 system-ui, "DejaVu Sans", sans-serif; }}
main {{ max-width: 1500px; margin: 0 auto; padding: 20px clamp(10px, 2vw, 28px) 40px; }}
h1 {{ font-size: 1.45rem; margin: 0 0 2px; overflow-wrap: anywhere; }}
h2 {{ font-size: 1.1rem; margin: 28px 0 10px; }}
.made {{ color: #6b7280; margin: 0 0 14px; overflow-wrap: anywhere; }}
.facts, .grid {{ display: grid; gap: 12px; }}
.facts {{ grid-template-columns: repeat(auto-fit, minmax(min(100%, 150px), 1fr)); }}
.grid {{ grid-template-columns: repeat(auto-fill, minmax(min(100%, 390px), 1fr)); }}
.facts div, figure, .card {{ background: #fff; border: 1px solid #e5e7eb; border-radius: 8px; padding: 10px 12px; }}
.facts b {{ display: block; font-size: 1.35rem; font-weight: 600; overflow-wrap: anywhere; }}
.facts span, figcaption {{ color: #6b7280; font-size: .85rem; }}
figure {{ margin: 0; min-width: 0; }}
figure.wide {{ grid-column: 1 / -1; }}
figure svg {{ display: block; width: 100%; height: auto; }}
figure.wide svg {{ min-width: 560px; max-width: 1050px; margin: 0 auto; }}
figure.wide > div {{ overflow-x: auto; }}
figcaption {{ margin-top: 6px; }}
ul {{ margin: 14px 0 0; padding-left: 1.3em; }}
.scroll {{ overflow-x: auto; }}
table {{ border-collapse: collapse; font-variant-numeric: tabular-nums; }}
th, td {{ padding: 3px 14px 3px 0; text-align: left; vertical-align: top; }}
th {{ font-weight: 600; border-bottom: 1px solid #e5e7eb; }}
.n {{ text-align: right; white-space: nowrap; }}
.card + .grid, .grid + .card, .card + .card {{ margin-top: 12px; }}
summary {{ cursor: pointer; font-weight: 600; }}
code {{ font-family: ui-monospace, "DejaVu Sans Mono", monospace; font-size: .9em; }}
@media print {{ body {{ background: #fff; }} figure, .card {{ break-inside: avoid; }} }}
</style>
</head>
<body><main>
"""
_TAIL = "</main></body>\n</html>\n"


def page(report: Report) -> bytes:
    """The report as an HTML file."""
    title = f"ffbidx report: {PurePath(report.path).name}"
    made = ", ".join(f"{name} {value}" for name, value in report.made)
    parts = [
        _HEAD.format(title=_text(title)),
        f"<h1>{_text(title)}</h1>\n<p class=made>{_text(made)}</p>\n",
        "<div class=facts>",
        *(f"<div><b>{_text(value)}</b><span>{_text(name)}</span></div>" for name, value in report.facts),
        "</div>\n",
    ]
    if report.remarks:
        parts += ["<ul>", *(f"<li>{_text(remark)}</li>" for remark in report.remarks), "</ul>\n"]
    words = "".join(f"<li>{_text(sentence)}</li>" for sentence in report.diagnosis)
    with styled():
        parts += _section("Diagnosis", report, "diagnosis", words and f"<div class=card><ul>{words}</ul></div>\n")
        parts += _section("The run", report, "run")
        parts += _section("Spots and crystals", report, "spots")
        for row, lines in report.cells.items():
            parts += _section(f"Cell {row}", report, f"cell{row}", _cell_table(lines))
        for row in report.cells:
            name = "Orientations" if len(report.cells) == 1 else f"Orientations, cell {row}"
            parts += _section(name, report, f"orientation{row}", after=_HOW_TO_READ)
    parts += _made(report)
    return "".join([*parts, _TAIL]).encode()


_HOW_TO_READ = (
    "<p class=card>The half sphere of directions seen along the beam, which meets the middle, in a projection that "
    "keeps areas; opposite directions are one. Axes that the lattice's symmetry makes equal are counted together. "
    "Uneven directions can be the crystals' own (plates, needles, a turned sample) or mean that some "
    "orientations are harder to index.</p>\n"
)


def _text(text: str) -> str:
    # Names of files can hold anything.
    return escape("".join(c if c.isprintable() else "?" for c in text))


def _section(title: str, report: Report, section: str, before: str = "", after: str = "") -> list[str]:
    shown = [picture for picture in report.pictures if picture.section == section]
    if not shown and not before:
        return []
    return [f"<h2>{_text(title)}</h2>\n", before, "<div class=grid>\n", *map(_figure, shown), "</div>\n", after]


def _figure(picture: Picture) -> str:
    drawing = image_bytes(picture.figure, "svg").decode()
    # The document's own head, and what of it is not for a drawing inside a page.
    drawing = re.sub(r"^.*?(?=<svg)", "", drawing, flags=re.DOTALL)
    drawing = re.sub(r"<metadata>.*?</metadata>", "", drawing, flags=re.DOTALL)
    title = picture.figure.axes[0].get_title(loc="left") or picture.figure.axes[0].get_xlabel()
    drawing = drawing.replace("<svg ", f'<svg role="img" aria-label="{_text(title)}" ', 1)
    kind = ' class="wide"' if picture.wide else ""
    caption = f"<figcaption>{_text(picture.caption)}</figcaption>" if picture.caption else ""
    return f'<figure{kind} id="{picture.name}"><div>{drawing}</div>{caption}</figure>\n'


def _cell_table(lines: Sequence[CellRow]) -> str:
    rows = [[line.what, *(f"{v:.3f}" for v in line.values)] for line in lines]
    return f"<div class=card>{_table(('', *NAMES), rows, numbers=range(1, 7))}</div>\n"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], numbers: Iterable[int] = ()) -> str:
    right = set(numbers)

    def line(kind: str, values: Sequence[str]) -> str:
        cells = (f"<{kind}{' class=n' if i in right else ''}>{_text(v)}</{kind}>" for i, v in enumerate(values))
        return f"<tr>{''.join(cells)}</tr>\n"

    return f"<div class=scroll><table>\n{line('th', head)}{''.join(line('td', row) for row in rows)}</table></div>\n"


def _made(report: Report) -> list[str]:
    files = [(name, f"{n:,}", f"{rate:.1%}") for name, n, rate in report.files]
    more = f"<p>and {report.files_left_out} further files</p>" if report.files_left_out else ""
    parts = [
        "<h2>How it was made</h2>\n",
        f"<div class=card>{_table(('input', 'frames', 'indexed'), files, (1, 2))}{more}</div>\n",
    ]
    if report.problems:
        notes = _table(("note of the run",), ((problem,) for problem in report.problems))
        parts.append(f"<div class=card>{notes}</div>\n")
    table = _table(("parameter", "value", "what it is"), report.parameters)
    parts.append(f"<details class=card><summary>Parameters</summary>{table}</details>\n")
    return parts
