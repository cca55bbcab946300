"""Renders the tables of measured numbers in README and docs from docs/measured/*.json. Run it in the project's root.

    python docs/make_tables.py [--check]

A page has a table between the lines `<!-- measured: NAME -->` and `<!-- end -->`; NAME is one of `TABLES`. A file of
numbers has `command`, `date`, `commit` and `machine`, as the benchmarks write them with `--json FILE`, and `rows`.
"""

import json
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
MEASURED = ROOT / "docs" / "measured"
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
MARK = re.compile(r"(<!-- measured: (\w+) -->\n).*?(<!-- end -->)", flags=re.DOTALL)

Row = dict[str, Any]
Column = str | Callable[[Row], str]


@dataclass(frozen=True)
class Table:
    """A file of numbers and the columns of its table: each is a format string, or a function of the row."""

    file: str
    columns: dict[str, Column]

    def lines(self) -> list[str]:
        """The table in Markdown, and below it a line with machine, date, commit and command."""
        measured = json.loads((MEASURED / f"{self.file}.json").read_text())
        cells = [[cell(column, row) for column in self.columns.values()] for row in measured["rows"]]
        table = [f"| {' | '.join(row)} |" for row in (list(self.columns), ["---"] * len(self.columns), *cells)]
        return [*table, "", f"*{source(measured)}*"]


def cell(column: Column, row: Row) -> str:
    """The entry of a column; it is empty if the row lacks the number."""
    if callable(column):
        return column(row)
    needed = re.findall(r"{(\w+)", column)
    return "" if any(row.get(name) is None for name in needed) else column.format(**row)


def source(measured: Row) -> str:
    """The machine, date, commit and command with which a file of numbers was measured."""
    machine = measured["machine"] or "machine not recorded"
    return (
        f"{machine[0].upper()}{machine[1:]}; {measured['date']}, commit {measured['commit']}: `{measured['command']}`"
    )


def with_error(name: str) -> Column:
    """A column of a share with its standard error."""
    return lambda row: "" if row.get(name) is None else f"{row[name]:.2f} ± {row[name + '_error']:.2f}"


def within(name: str) -> Column:
    """A column of a number with its standard error over the runs."""
    return lambda row: "" if row.get(name) is None else f"{row[name]:.3f} ± {row[f'{name}_se']:.3f}"


def thousands(name: str) -> Column:
    """A column of a whole number with spaces between its thousands."""
    return lambda row: "" if row.get(name) is None else f"{row[name]:,}".replace(",", " ")


def asked(row: Row) -> str:
    """The rate that must be reached, or on blank frames the rate that must not be reached."""
    return f"below {row['target']:g}" if row["measure"] == "blank" else f"{row['target']:.2f}"


def percent(found: list[float], most: list[float]) -> str:
    """The shares found at one limit in percent, with the largest possible share if it is less than the limit."""
    texts = [
        f"{value:.1f}" + ("" if limit is None else f" (≤ {limit:g})") for value, limit in zip(found, most, strict=True)
    ]
    return ", ".join(texts)


def claimed(name: str) -> Column:
    """The column of a nominal limit in the table of false crystals."""
    return lambda row: percent(row[name]["found"], row[name]["at_most"])


def speeds(preset: str) -> Column:
    """The frames per second of a preset, one call after another, and in brackets with several calls at a time."""
    one, several = thousands(f"{preset}_one"), thousands(f"{preset}_three")
    return lambda row: f"{cell(one, row)} ({cell(several, row)})"


DELAYS: dict[str, Column] = {
    "computed on": "{where}", "sent, frames/s": "{frames_per_second:.0f}", "50 % within, ms": "{p50:.1f}",
    "99 % within, ms": "{p99:.1f}", "dropped": lambda row: f"{row['dropped'] / row['sent']:.0%}",
    "indexed of those answered": lambda row: f"{row['indexed'] / row['answered']:.0%}",
}  # fmt: skip
"""The columns of delays of a live server."""
CLAIMS: dict[str, Column] = {
    "what is wrong": "{what}", "runs": "{runs}", "frames": "{frames}", "indexed": "{indexed}",
    "with a wrong crystal": "{wrong}", "of these mates of the true one": lambda row: str(row.get("mates", "")),
    "others in runs without a doubt": "{unsaid}", "runs doubted": "{doubted}", "runs refused": "{refused}",
}  # fmt: skip
"""The columns of the benchmark of claims."""
FILES: dict[str, Column] = {
    "frames": "{frames}", "indexed": "{indexed}", "command, frames/s": "{command}",
    "engine, frames/s": "{engine}", "share": "{share}", "s outside its clock": "{outside}",
    "seconds that each was busy": "{busy}",
}  # fmt: skip
"""The columns of the benchmark of files."""
FILES_OF_SEVERAL: dict[str, Column] = {
    **{name: column for name, column in FILES.items() if name != "seconds that each was busy"},
    "phases, in seconds": "{phases}",
}
"""The columns of the benchmark of files on several GPUs."""
CELLS: dict[str, Column] = {
    "cell, spots a frame, false spots": "{what}", "frames": "{frames}", "lattices": "{cases}",
    "found": with_error("found"), "type right, of these": with_error("typed"), "wrong claims": "{wrong}",
}  # fmt: skip
"""The columns of the benchmark of unknown cells."""
TABLES = {
    "wrong": Table("wrong", CLAIMS),
    "right": Table("right", CLAIMS),
    "few": Table("few", {
        "frames of short runs": "{what}", "runs": "{runs}", "number": "{frames}",
        "indexed rightly, nothing learned": "{right_before}", "`best`": "{right_now}",
        "wrong crystals in runs without a doubt, nothing learned": "{unsaid_before}", "with `best`": "{unsaid_now}",
        "runs doubted": "{doubted}",
    }),
    "distorted": Table("distorted", {
        "detector": "{what}", "runs": "{runs}", "corrected": "{corrected}",
        "stretch off by, %": lambda row: f"{100 * row['stretch_off']:.3f}" if row["corrected"] else "",
        "tilt off by, degrees": lambda row: f"{row['tilt_off']:.3f}" if row["corrected"] else "",
        "indexed without": lambda row: f"{row['before']:.1%}" if row["corrected"] else "",
        "with the correction": lambda row: f"{row['after']:.1%}" if row["corrected"] else "",
        "more unseen spots within 0.0005, 0.001, 0.002/A": lambda row: (
            ", ".join(f"{gain:+.1%}" for gain in row["gain"]) if row["corrected"] else ""
        ),
    }),
    "real": Table("real", {
        "frames": "{what}", "number": "{frames}", "spots": "{spots}", "`best`": "{best}",
        "nothing learned": "{nothing_learned}", "`published`": "{published}",
    }),
    "scales": Table("scales", {
        "what is wrong": "{what}", "runs": "{runs}", "corrected by the run": "{mended}",
        "named, with what to type": "{named}",
        "found": lambda row: f"{row['found']:.1%} ± {row['error']:.1%}",
        "CPU s of the tries: median, longest": "{tries:.1f}, {longest:.1f}",
    }),
    "quality": Table("quality", {
        "frames": "{what}", "indexed rightly": lambda row: f"{row['rate']:.3f}" if row["rate"] else "0",
        "+-": lambda row: f"{row['error']:.4f}" if row["measure"] == "blank" else f"{row['error']:.3f}",
        "asked for": asked,
    }),
    "retry": Table("retry", {
        "frames: true of all spots": "{what}",
        "indexed rightly at first": lambda row: f"{row['first']:.{4 if row['blank'] else 3}f}",
        "with `--retry`": lambda row: f"{row['retry']:.{4 if row['blank'] else 3}f}",
        "frames gained by rung 1, 2, 3": lambda row: ", ".join(map(str, row["rungs"])),
        "CPU time, times": "{times:.1f}",
    }),
    "orientation": Table("orientation", {
        "frames": "{what}", "before: median, 95 %": "{before_median:.3f}, {before_95:.3f}",
        "now: median, 95 %": "{median:.3f}, {high_95:.3f}",
    }),
    "speed": Table("speed", {
        "what": "{what}", "measured": lambda row: " / ".join(map(str, row["values"])) + row["unit"],
    }),
    "limit": Table("limit", {
        "a frame, preset `best`, one thread": "{part}",
        **{name: f"{{{name.replace(', ', '_').replace(' ', '_')}:g}}" for name in (
            "tetragonal, 100 spots", "tetragonal, 300 spots", "triclinic, 100 spots", "triclinic, 300 spots",
        )},
    }),
    "gpu": Table("gpu", {
        "frames/s, one call after another (three at a time)": "{frames}", "`--preset published`": speeds("published"),
        "`--preset best`": speeds("best"),
    }),
    "gpu_small": Table("gpu_small", {
        "ms of a call of `--preset best` (`published`)": "{frames}",
        **{f"{n} frame{'s' * (n > 1)}": f"{{best_{n}:.1f}} ({{published_{n}:.1f}})" for n in (1, 16, 64)},
    }),
    "gpu_latency": Table("gpu_latency", {
        "a frame, published defaults": "{frames}", "ms, median": "{ms:.2f}",
        "ms of 5 to 95 % of the frames": "{low:.2f} to {high:.2f}",
    }),
    "kernels": Table("kernels", {
        "kernel": "{kernel}", "published, 100 spots": "{published_100:.2f}", "published, 300": "{published_300:.2f}",
        "best, 100": "{best_100:.2f}", "best, 300": "{best_300:.2f}", "best, triclinic, 100": "{triclinic_100:.2f}",
        "best, triclinic, 300": "{triclinic_300:.2f}",
    }),
    "profile": Table("profile", {
        "kernel (preset)": "{kernel}", "issue slots busy": "{issue_percent} %",
        "instructions a cycle, of 4": "{instructions:.1f}", "occupancy": "{occupancy_percent} %",
        "what bounds it": "{bound}",
    }),
    "calibration": Table("calibration", {
        "frames, cell": "{what}", "spots": lambda row: ", ".join(map(str, row["spots"])), "10 % claimed": claimed("10"),
        "3 %": claimed("3"), "1 %": claimed("1"),
    }),
    "diagnosis": Table("diagnosis", {
        "run": "{what}", "shift off by, px rms": "{off:.3f}", "stated error, px": "{error:.3f}",
        "z of the shift, rms": "{z:.2f}", "z of distance and scale, rms": "{z_scale:.2f}",
        "indexed before": "{before:.1%}", "indexed with the shift": "{after:.1%}", "advice given": "{advised:.0%}",
        "cause of a wrong scale": "{cause}", "run, beam left": "{left:.1%}", "run, beam moved": "{moved:.1%}",
        "off by then, px rms": "{moved_off:.3f}",
    }),
    "cells": Table("cells", CELLS | {"s, sixteen at once": "{seconds:.1f}"}),
    "cells_more": Table("cells_more", CELLS | {"CPU s": "{seconds:.1f}"}),
    "cells_alone": Table("cells_alone", {
        "cell, spots a frame, false spots": "{what}", "frames": "{frames}", "s, alone on the GPU": "{seconds:.1f}",
    }),
    "cells_cpu": Table("cells_cpu", {
        "cell, spots a frame, false spots": "{what}", "frames": "{frames}", "lattices": "{cases}",
        "all frames": "{found:.2f}", "one frame at a time: best vectors": "{three:.2f}",
        "best joint triple": "{joint:.2f}", "wrong claims": "{wrong}", "CPU s": "{seconds:.0f}",
    }),
    "cells_known": Table("cells_known", {
        "cell, spots a frame, false spots": "{what}", "lattices": "{cases}", "claimed": with_error("found"),
        "CPU s": "{seconds:.1f}",
    }),
    "cells_proposed": Table("cells_proposed", {
        "cell, spots a frame, false spots": "{what}", "lattices": "{cases}",
        "frames that propose it": "{there:.1%}", "lattices with two such frames": "{agreed:.0%}",
        "frames on which it scores higher": "{likely:.1%}", "lattices with two of these": "{likely_cases:.0%}",
        "score ahead": "{ahead:+.1f}",
    }),
    "files": Table("files", FILES),
    "files_long": Table("files_long", FILES),
    "files_four": Table("files_four", FILES_OF_SEVERAL),
    "files_four_long": Table("files_four_long", FILES_OF_SEVERAL),
    "geometry": Table("geometry", {
        "stills and detector": "{what}", "runs moved": "{moved} of {runs}", "indexed, file's panels": "{given:.1%}",
        "refined panels": "{refined:.1%}", "true panels": "{true:.1%}", "worst run, refined − true": "{least:+.1%}",
        "misorientation refined, degrees": "{angle:.4f}", "true": "{angle_true:.4f}",
        "panels off by, px rms": within("off"), "z, rms": lambda row: "" if row["z"] is None else f"{row['z']:.2f}",
        "residual before, px": "{before:.2f}",
        "after": "{after:.3f}", "rounds": "{rounds:.1f}", "CPU s": "{seconds:.0f}",
    }),
    "panel_errors": Table("panel_errors", {
        "stills and detector": "{what}", "panels with 20 spots": "{panels:.0f}", "off by, px rms": within("off"),
        "least possible, px": "{bound:.3f}", "stated, px": "{stated:.3f}", "z, rms": "{z:.2f}",
    }),
    "panel_speed": Table("panel_speed", {
        "stills": "{frames}", "panels": "{panels}", "peaks": "{peaks}", "a fit, CPU s": "{seconds:.1f}",
    }),
    "real_panels": Table("real_panels", {
        "panels off, px": "{off:g}", "stills": "{stills}", "indexed, wrong panels": "{given:.1%}",
        "refined panels": "{refined:.1%}", "residual of unseen crystals before, px": "{before:.2f}",
        "after": "{after:.3f}", "from the panels of DIALS, px rms": "{differ:.2f}", "rounds": "{rounds}",
    }),
    "live": Table("live", DELAYS),
    "live_cpu": Table("live_cpu", DELAYS),
    "live_soak": Table("live_soak", {
        "messages": lambda row: f"{row['sent'] + row['garbage']:,}", "of them invalid": "{garbage:,}",
        "server killed": "{kills} times", "answered": "{answered:,}", "dropped and counted": "{dropped:,}",
        "errors": "{errors:,}", "lost uncounted": "{unanswered}", "memory, MB": "{before:.0f} → {after:.0f}",
    }),
    "one_frame": Table("one_frame", {
        "one frame, one cell": "{what}", "`published`, CPU ms": "{published_cpu:.1f}", "`best`": "{best_cpu:.1f}",
        "`fast`": "{fast_cpu:.1f}",
    }),
    "soak": Table("soak", {"what": "{what}", "measured": "{found}", "asked": "{asked}"}),
}  # fmt: skip


def rendered(text: str) -> str:
    """The text of a page with its tables made anew from the files of numbers."""
    return MARK.sub(lambda mark: mark[1] + "\n".join(TABLES[mark[2]].lines()) + "\n" + mark[3], text)


def main() -> int:
    """Write the pages; with `--check`, only name those that are out of date."""
    stale = [page for page in PAGES if rendered(page.read_text()) != page.read_text()]
    for page in stale:
        if "--check" in sys.argv[1:]:
            print(f"{page.relative_to(ROOT)}: run python docs/make_tables.py")
        else:
            page.write_text(rendered(page.read_text()))
    return 1 if stale and "--check" in sys.argv[1:] else 0


if __name__ == "__main__":
    sys.exit(main())
