"""A report as one self-contained HTML file, without network and with scripts only to sort and filter its tables."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import PurePath

from ..model.cell import PARAMETER_NAMES
from ..nouns import counted
from .figures import Picture
from .report import CellRow, Report
from .rows import Rows
from .style import image_bytes

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
.made {{ color: #4b5563; margin: 0 0 14px; overflow-wrap: anywhere; }}
.facts, .grid {{ display: grid; gap: 12px; }}
.facts {{ grid-template-columns: repeat(auto-fit, minmax(min(100%, 150px), 1fr)); }}
.grid {{ grid-template-columns: repeat(auto-fill, minmax(min(100%, 390px), 1fr)); }}
.facts div, figure, .card {{ background: #fff; border: 1px solid #e5e7eb; border-radius: 8px; padding: 10px 12px; }}
.facts b {{ display: block; font-size: 1.35rem; font-weight: 600; overflow-wrap: anywhere; }}
.facts span, figcaption {{ color: #4b5563; font-size: .85rem; }}
figure {{ margin: 0; min-width: 0; }}
figure.wide {{ grid-column: 1 / -1; }}
figure svg {{ display: block; width: 100%; height: auto; }}
figure.wide svg {{ min-width: 560px; margin: 0 auto; }}
figure.wide > div {{ overflow-x: auto; }}
figcaption {{ margin-top: 6px; }}
ul {{ margin: 14px 0 0; padding-left: 1.3em; }}
.scroll {{ overflow-x: auto; max-height: 32rem; background:
  linear-gradient(90deg, #fff 30%, #fff0) 0 0 / 40px 100% no-repeat local,
  linear-gradient(270deg, #fff 30%, #fff0) 100% 0 / 40px 100% no-repeat local,
  radial-gradient(farthest-side at 0 50%, #0004, #0000) 0 0 / 12px 100% no-repeat scroll,
  radial-gradient(farthest-side at 100% 50%, #0004, #0000) 100% 0 / 12px 100% no-repeat scroll; }}
nav {{ position: sticky; top: 0; z-index: 1; background: #f3f4f6; padding: 8px 0; display: flex; flex-wrap: wrap;
  gap: 4px 16px; }}
nav a {{ color: #1d4ed8; }}
.sideways {{ display: none; margin: 0; color: #4b5563; font-size: .85rem; }}
@media (max-width: 640px) {{
  nav {{ position: static; }}
  .sideways {{ display: block; }}
}}
.next {{ border-left: 4px solid #1d4ed8; }}
.next code {{ overflow-wrap: anywhere; }}
thead th {{ position: sticky; top: 0; background: #fff; }}
th button {{ all: unset; cursor: pointer; text-decoration: underline dotted; }}
th[aria-sort=ascending] button::after {{ content: " \\25b2"; }}
th[aria-sort=descending] button::after {{ content: " \\25bc"; }}
th button:focus-visible {{ outline: 2px solid #1d4ed8; }}
input[type=search] {{ font: inherit; padding: 4px 8px; margin: 0 0 8px; width: min(100%, 320px);
  border: 1px solid #6b7280; border-radius: 6px; }}
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
_SIDEWAYS = "<p class=sideways aria-hidden=true>&#8596; scroll sideways</p>"
"""What stands above a wide picture or table on a narrow screen."""
NARROW = 4
"""Largest number of columns of a table that fits on a narrow screen."""
_STRANGEST, _FULLEST = "those that differ most from the others, or are least sure", "those with most spots"
"""Which rows a table of a long run has."""
WIDEST, PIXELS_PER_INCH = 1050, 100
"""Largest width of a picture in pixels; a wide picture has this many pixels for each inch of its figure."""
_TAIL = "</main></body>\n</html>\n"


_SCRIPT = """<script>
for (const box of document.querySelectorAll("[data-table]")) {
  const body = box.querySelector("tbody"), rows = [...body.rows], text = (row, i) => row.cells[i].textContent;
  box.querySelector("input").addEventListener("input", event => {
    const words = event.target.value.toLowerCase().split(/\\s+/);
    for (const row of rows) row.hidden = !words.every(word => row.textContent.toLowerCase().includes(word));
  });
  box.querySelectorAll("th button").forEach((button, i) => button.addEventListener("click", () => {
    const down = button.dataset.down = button.dataset.down === "1" ? "" : "1";
    const number = row => text(row, i) === "" ? NaN : Number(text(row, i));
    const isNumber = rows.some(row => !Number.isNaN(number(row)));
    const order = (a, b) => isNumber ? number(a) - number(b) || Number.isNaN(number(a)) - Number.isNaN(number(b))
      : text(a, i).localeCompare(text(b, i));
    rows.sort((a, b) => (down ? 1 : -1) * order(a, b));
    for (const head of box.querySelectorAll("th")) head.removeAttribute("aria-sort");
    button.parentElement.setAttribute("aria-sort", down ? "ascending" : "descending");
    body.append(...rows);
  }));
}
</script>
"""


def page(report: Report) -> bytes:
    """The report as an HTML file."""
    title = f"ffbidx report: {PurePath(report.path).name}"
    made = ", ".join([*([report.date] if report.date else []), *(f"{name} {value}" for name, value in report.made)])
    sections = _sections(report)
    links = (f'<a href="#{_anchor(name)}">{_text(name)}</a>' for name, _ in sections)
    parts = [
        _HEAD.format(title=_text(title)),
        f"<h1>{_text(title)}</h1>\n<p class=made>{_text(made)}</p>\n",
        f"<nav aria-label=Contents>{''.join(links)}</nav>\n",
        *(f'<h2 id="{_anchor(name)}">{_text(name)}</h2>\n{content}' for name, content in sections),
        _SCRIPT,
        _TAIL,
    ]
    return "".join(parts).encode()


def _sections(report: Report) -> list[tuple[str, str]]:
    """The title and the content of each section that is not empty."""
    words = "".join(f"<li>{_marked(sentence)}</li>" for sentence in report.diagnosis[_says_next(report) :])
    diagnosis = f"<div class=card><ul>{words}</ul></div>\n" if words else ""
    found = [
        ("Overview", _overview(report)),
        ("The run", _pictures(report, "run")),
        ("Diagnosis", diagnosis + _pictures(report, "diagnosis")),
        ("The cell found", _pictures(report, "search")),
        ("Example frames", _pictures(report, "examples")),
        ("Spots and crystals", _pictures(report, "spots")),
    ]
    shown = shlex.quote(report.path)
    for row, lines in report.cells.items():
        found.append((f"Cell {row}", _cell_table(lines) + _pictures(report, f"cell{row}")))
    for row in report.cells:
        name = "Orientations" if len(report.cells) == 1 else f"Orientations, cell {row}"
        drawn = _pictures(report, f"orientation{row}")
        found.append((name, drawn and drawn + _HOW_TO_READ))
    found += [
        ("Crystals", _listed(report.crystals, "crystal", _STRANGEST, f"ffbidx table {shown}")),
        ("Frames without a crystal", _listed(report.failed, "frame", _FULLEST, f"ffbidx table {shown} --failed")),
        ("How it was made", _made(report)),
    ]
    return [(name, content) for name, content in found if content]


def _says_next(report: Report) -> bool:
    """Whether the diagnosis begins with the next step."""
    return bool(report.diagnosis) and report.diagnosis[0].startswith("Next: ")


def _overview(report: Report) -> str:
    """The HTML of the overview: the next step, the most important figures, and remarks."""
    parts = []
    if _says_next(report):
        step = _text(report.diagnosis[0].removeprefix("Next: "))
        step = f"<code>{step}</code>" if step.startswith("ffbidx ") else step
        parts.append(f"<p class='card next'><b>Next:</b> {step}</p>\n")
    facts = (f"<div><b>{_text(value)}</b><span>{_text(name)}</span></div>" for name, value in report.facts)
    parts += ["<div class=facts>", *facts, "</div>\n"]
    if report.remarks:
        parts += ["<ul>", *(f"<li>{_marked(remark)}</li>" for remark in report.remarks), "</ul>\n"]
    return "".join(parts)


_HOW_TO_READ = (
    "<p class=card>The half sphere of directions is seen along the beam, which is in the centre, in an equal-area "
    "projection; opposite directions are one. Axes that are equal by the symmetry of the lattice are counted together. "
    "Uneven directions can be a property of the crystals (plates, needles, a rotated sample) or mean that some "
    "orientations are harder to index.</p>\n"
)


def _text(text: str) -> str:
    # Names of files can contain any characters.
    return escape("".join(c if c.isprintable() else "?" for c in text))


def _marked(text: str) -> str:
    """The HTML of a sentence in which commands are in backticks."""
    return re.sub("`([^`]+)`", r"<code>\1</code>", _text(text))


def _anchor(title: str) -> str:
    return re.sub(r"\W+", "-", title.lower())


def _pictures(report: Report, section: str) -> str:
    """The HTML of the pictures of a section; empty if there are none."""
    shown = [_figure(picture) for picture in report.pictures if picture.section == section]
    return f"<div class=grid>\n{''.join(shown)}</div>\n" if shown else ""


def _listed(table: Rows, what: str, which: str, command: str) -> str:
    """The HTML of a table that can be sorted and filtered; empty if it has no rows. `command` lists all rows."""
    if not table.rows:
        return ""
    number = (
        f"All {counted(table.n_all, what, ',')}."
        if table.n_all == len(table.rows)
        else f"{len(table.rows):,} of {table.n_all:,} {what}s: {which}. `{command}` lists all."
    )
    head = "".join(f"<th class=n><button>{_text(name)}</button></th>" for name in table.head)
    rows = "".join(f"<tr>{''.join(f'<td class=n>{_text(value)}</td>' for value in row)}</tr>\n" for row in table.rows)
    field = f"<input type=search placeholder='filter rows' aria-label='Filter the {what}s'>"
    sideways = _SIDEWAYS if len(table.head) > NARROW else ""
    return (
        f"<div class=card data-table><p>{_marked(number)} Click on a title to sort.</p>{field}\n{sideways}"
        "<div class=scroll><table>"
        f"<thead><tr>{head}</tr></thead><tbody>\n{rows}</tbody></table></div></div>\n"
    )


def _figure(picture: Picture) -> str:
    drawing = image_bytes(picture.figure, "svg").decode()
    # The head of the SVG document, and its attributes that do not belong inside a page, are removed.
    drawing = re.sub(r"^.*?(?=<svg)", "", drawing, flags=re.DOTALL)
    drawing = re.sub(r"<metadata>.*?</metadata>", "", drawing, flags=re.DOTALL)
    axes = picture.figure.axes[0]
    title = axes.get_title(loc="left") or picture.figure.get_suptitle().replace("\n", "; ") or axes.get_xlabel()
    described = f"{title}. {picture.caption}" if picture.caption else title
    widest = f' style="max-width: {min(WIDEST, round(PIXELS_PER_INCH * picture.figure.get_figwidth()))}px"'
    style = widest if picture.wide else ""
    drawing = drawing.replace("<svg ", f'<svg role="img" aria-label="{_text(described)}"{style} ', 1)
    kind = ' class="wide"' if picture.wide else ""
    caption = f"<figcaption>{_marked(picture.caption)}</figcaption>" if picture.caption else ""
    sideways = _SIDEWAYS if picture.wide else ""
    return f'<figure{kind} id="{picture.name}">{sideways}<div>{drawing}</div>{caption}</figure>\n'


def _cell_table(lines: Sequence[CellRow]) -> str:
    rows = [[line.what, *(f"{v:.3f}" for v in line.values)] for line in lines]
    return f"<div class=card>{_table(('', *PARAMETER_NAMES), rows, numbers=range(1, 7))}</div>\n"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], numbers: Iterable[int] = ()) -> str:
    right = set(numbers)

    def line(kind: str, values: Sequence[str]) -> str:
        cells = (f"<{kind}{' class=n' if i in right else ''}>{_text(v)}</{kind}>" for i, v in enumerate(values))
        return f"<tr>{''.join(cells)}</tr>\n"

    return f"<div class=scroll><table>\n{line('th', head)}{''.join(line('td', row) for row in rows)}</table></div>\n"


def _made(report: Report) -> str:
    files = [(name, f"{n:,}", f"{rate:.1%}") for name, n, rate in report.files]
    more = f"<p>and {counted(report.files_left_out, 'further file')}</p>" if report.files_left_out else ""
    parts = [f"<p class=card><code>{_text(report.command)}</code></p>\n"] if report.command else []
    parts.append(f"<div class=card>{_table(('input', 'frames', 'indexed'), files, (1, 2))}{more}</div>\n")
    if report.problems:
        notes = _table(("note of the run",), ((problem,) for problem in report.problems))
        parts.append(f"<div class=card>{notes}</div>\n")
    table = _table(("parameter", "value", "what it is"), report.parameters)
    parts.append(f"<details class=card><summary>Parameters</summary>{table}</details>\n")
    return "".join(parts)
