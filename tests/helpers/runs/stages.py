"""The command with a clock for each stage of a run: python -m tests.helpers.runs.stages FIGURES.json index ...

Processes of several GPUs import this module, too, hence it imports nothing that a command does not.
"""

from __future__ import annotations

import functools
import json
import pkgutil
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

ASK = "ffbidx_core.devices.workers._Worker.ask"
"""The function by which the process of a run waits for a task of another one."""
PIPELINE, SPREAD = "ffbidx_core.run.pipeline", "ffbidx_core.run.spread"
READ = f"{SPREAD}.here.read_ahead"
COLLECTOR = "ffbidx_core.run.collector.Collector"
CALLS = {
    "open": (f"{PIPELINE}.open_devices",),
    "learn": (f"{PIPELINE}.settle",),
    "compute": (f"{SPREAD}.batches.index_batch",),
    "write": (f"{COLLECTOR}.take", f"{COLLECTOR}.adopt"),
    "judge": (f"{PIPELINE}.judged",),
    "end": ("ffbidx_core.run.account.Account.finish",),
}
"""The functions that do all the work of each stage of a run, except reading; those of workers are not seen."""


def replace(name: str, made: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
    """Replace a function with a dotted name by what is made from it."""
    owner, _, last = name.rpartition(".")
    setattr(pkgutil.resolve_name(owner), last, made(pkgutil.resolve_name(name)))


def run_timed(arguments: Sequence[str], figures: Path) -> int:
    """Run `ffbidx` in this process, and write a file of JSON when it ends.

    The file has the busy seconds of each stage (`busy`), when its first call began and its last one ended (`spans`),
    and the begin and end of each task with the name of its device (`tasks`), in seconds of the machine's clock.
    """
    from ffbidx_cli.main import main

    busy: defaultdict[str, float] = defaultdict(float)
    spans: dict[str, tuple[float, float]] = {}
    tasks: list[tuple[float, float, str]] = []

    def timed(stage: str, work: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            begin = time.perf_counter()
            try:
                return work(*arguments, **options)
            finally:
                end = time.perf_counter()
                busy[stage] += end - begin
                spans[stage] = spans.get(stage, (begin, end))[0], end

        return call

    def items(iterable: Iterable[Any]) -> Iterator[Any]:
        iterator, end = iter(iterable), object()
        take = timed("read", lambda: next(iterator, end))
        while (item := take()) is not end:
            yield item

    def noted(ask: Callable[..., Any]) -> Callable[..., Any]:
        def call(worker: Any, task: bytes) -> Any:
            begin = time.perf_counter()
            try:
                return ask(worker, task)
            finally:
                tasks.append((begin, time.perf_counter(), worker.device))

        return call

    def with_clocks(index: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            # The command, too, imports these modules here, while the driver of GPUs starts.
            replace(READ, lambda read_ahead: lambda blocks, *others: read_ahead(items(blocks), *others))
            replace(ASK, noted)
            for stage, names in CALLS.items():
                for name in names:
                    replace(name, functools.partial(timed, stage))
            return index(*arguments, **options)

        return call

    replace("ffbidx_core.run.preparation.PreparedRun.index", with_clocks)
    sys.argv = ["ffbidx", *arguments]
    status = 0
    try:
        main()
    except SystemExit as left:
        status = int(left.code or 0)
    figures.write_text(json.dumps({"busy": busy, "spans": spans, "tasks": tasks}))
    return status


if __name__ == "__main__":
    sys.exit(run_timed(sys.argv[2:], Path(sys.argv[1])))
