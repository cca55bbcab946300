"""The command with a clock for each stage of a run: python -m tests.helpers.runs.stages FIGURES.json index ...

Processes of several GPUs import this module, too, hence it imports nothing that a command does not.
"""

from __future__ import annotations

import json
import pkgutil
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

READ = "ffbidx_core.run.pipeline.read_ahead"
PIPELINE, SPREAD = "ffbidx_core.run.pipeline", "ffbidx_core.run.spread"
COLLECTOR = "ffbidx_core.run.collector.Collector"
CALLS = {
    "open": (f"{PIPELINE}.open_devices",),
    "learn": (f"{PIPELINE}.settle", f"{SPREAD}.on_workers.settle"),
    "compute": (f"{SPREAD}.batches.index_batch",),
    "write": (f"{COLLECTOR}.take", f"{COLLECTOR}.adopt"),
    "judge": (f"{PIPELINE}.judged", f"{SPREAD}.on_workers.judged"),
    "end": ("ffbidx_core.run.account.Account.finish",),
}
"""The functions that do all the work of each stage of a run, except reading; those of workers are not seen."""


def run_timed(arguments: Sequence[str], figures: Path) -> int:
    """Run `ffbidx` in this process, and write the busy seconds of each stage to a file as JSON."""
    from ffbidx_cli.main import main

    busy: defaultdict[str, float] = defaultdict(float)

    def timed(stage: str, work: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            begin = time.perf_counter()
            try:
                return work(*arguments, **options)
            finally:
                busy[stage] += time.perf_counter() - begin

        return call

    def items(iterable: Iterable[Any]) -> Iterator[Any]:
        iterator, end = iter(iterable), object()
        take = timed("read", lambda: next(iterator, end))
        while (item := take()) is not end:
            yield item

    read_ahead = pkgutil.resolve_name(READ)
    mock.patch(READ, lambda blocks, *others: read_ahead(items(blocks), *others)).start()
    for stage, names in CALLS.items():
        for name in names:
            mock.patch(name, timed(stage, pkgutil.resolve_name(name))).start()
    sys.argv = ["ffbidx", *arguments]
    status = 0
    try:
        main()
    except SystemExit as left:
        status = int(left.code or 0)
    figures.write_text(json.dumps(busy))
    return status


if __name__ == "__main__":
    sys.exit(run_timed(sys.argv[2:], Path(sys.argv[1])))
