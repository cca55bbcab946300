"""Speed of whole batches on a GPU, and of its parts: python -m tests.bench.gpu.

Wall times are medians over whole calls, from spots in host memory to refined cells and crystals in host memory. The
shares of verbs and kernels come from events on the device. `--backend cpu` measures the same on the CPU.
"""

from __future__ import annotations

import argparse
import functools
import os
import platform
import sys
import time
from collections.abc import Sequence
from statistics import median
from typing import Any

import numpy as np

import ffbidx
from ffbidx_core.backends import Backend, get_backend
from ffbidx_core.backends.cuda.driver import gpu_count
from ffbidx_core.benchmark import BATCHES, LEARNED, SCENARIOS, Measurement, make_batches, measure
from ffbidx_core.devices.lanes import in_lanes
from ffbidx_core.devices.workers import DeviceWorkers
from ffbidx_core.doctor import gpu as gpu_facts
from ffbidx_core.errors import BackendUnavailable
from ffbidx_core.method.index_frames import index_frames
from ffbidx_core.model.plan import SearchPlan
from ffbidx_core.parameters import Parameters
from ffbidx_core.simulate import SimulatedFrames
from tests.bench import record
from tests.bench.timed import GpuClock, HostClock, TimedVerbs

NAMES = ("tetragonal, 100 spots", "tetragonal, 300 spots", "triclinic, 100 spots", "triclinic, 300 spots")
PRESETS = ("published", "best")
ASKED = {
    ("published", "tetragonal, 100 spots"): 100_000,
    ("published", "tetragonal, 300 spots"): 40_000,
    ("published", "triclinic, 100 spots"): 50_000,
    ("published", "triclinic, 300 spots"): 20_000,
    ("best", "tetragonal, 100 spots"): 100_000,
    ("best", "tetragonal, 300 spots"): 100_000,
    ("best", "triclinic, 100 spots"): 50_000,
    ("best", "triclinic, 300 spots"): 50_000,
}
"""Frames per second required on one H200."""
PSI = {"tetragonal, 100 spots": 4_700, "tetragonal, 300 spots": 3_300}
"""Frames per second of PSI's library on an H200 with the same lysozyme frames, driven by 16 threads."""
ASKED_MS = 0.4
"""Largest time of a single frame with the published defaults, ms."""
SMALL, ASKED_SMALL_MS = (1, 16, 64), 3.0
"""Frames of the small calls, as of live data, and the largest time asked of such a call with preset best, ms."""
SIZES = {"cuda": (1024, 4096, 8192, 16384), "cpu": (64, 256)}
"""Batch sizes that are tried, keyed by backend."""


@functools.lru_cache(maxsize=4)
def batches_of(name: str, n_frames: int, n_batches: int = BATCHES) -> list[SimulatedFrames]:
    """Make batches of frames, which takes longer than indexing them."""
    return make_batches(SCENARIOS[name], n_frames, n_batches)


def rate(
    backend: Backend, batches: Sequence[SimulatedFrames], n_frames: int, p: Parameters, calls: int = 3, warm_up: int = 1
) -> float:
    """The frames per second of calls with the first n frames of some batches, after some calls to warm up."""
    plan, seconds = SearchPlan.make(batches[0].input_cells, p, LEARNED), []
    for i in range(warm_up + calls):
        frames = batches[i % len(batches)]
        offsets = frames.offsets[: n_frames + 1]
        start = time.perf_counter()
        index_frames(backend, frames.spots[: offsets[-1]], offsets, plan, p)
        seconds.append(time.perf_counter() - start)
    return n_frames / median(seconds[warm_up:])


def best_size(backend: Backend, name: str, p: Parameters, sizes: Sequence[int]) -> int:
    """The batch size with the most frames per second."""
    if len(sizes) == 1:
        return sizes[0]
    batches = batches_of(name, max(sizes), 2)
    return max(sizes, key=lambda n: rate(backend, batches, n, p))


def line(preset: str, name: str, m: Measurement) -> str:
    """The text of a row of the table of speeds."""
    slowest, fastest = m.n_frames / max(m.seconds), m.n_frames / min(m.seconds)
    overlapped = "-" if m.overlapped is None else f"{m.overlapped:.0f}"
    return (
        f"{preset:10} {name:22} {m.n_frames:6} {m.frames_per_second:9.0f} {slowest:9.0f} {fastest:9.0f} "
        f"{overlapped:>10} {ASKED[preset, name]:8} {PSI.get(name, '-'):>6} {m.indexed:8.4f} {m.tally.false:6} "
        f"{m.tally.frames:7}"
    )


HEADER = (
    f"{'preset':10} {'frames':22} {'batch':>6} {'frames/s':>9} {'slowest':>9} {'fastest':>9} {'overlapped':>10} "
    f"{'asked':>8} {'PSI':>6} {'indexed':>8} {'false':>6} {'judged':>7}"
)


Rows = list[dict[str, Any]]
"""The rows of a table for `--json`."""


def speed_section(backend: Backend, args: argparse.Namespace) -> Rows:
    """Measure frames per second at the best batch size, with the indexing rate."""
    rows: Rows = []
    print(f"Whole calls of index_frames, median of {args.calls}; overlapped: {backend.lanes} at a time")
    print(HEADER)
    for name in NAMES:
        rows.append({"frames": name})
        for preset in PRESETS:
            p = Parameters.preset(preset)
            size = best_size(backend, name, p, args.frames or SIZES[backend.name])
            m = measure(backend, batches_of(name, size), p, args.calls)
            print(line(preset, name, m), flush=True)
            several = m.overlapped or m.frames_per_second
            rows[-1] |= {f"{preset}_one": round(m.frames_per_second), f"{preset}_three": round(several)}
    return rows


def shares_section(backend: Backend, args: argparse.Namespace) -> Rows:
    """Measure the times of the verbs and kernels of a call; returns the kernels' microseconds per frame."""
    size = max(args.frames or SIZES[backend.name])
    print(f"\nTime of the verbs and of the kernels in them, microseconds a frame, in a call of {size} frames")
    rows: dict[str, dict[str, Any]] = {}
    for name in NAMES:
        for preset in PRESETS:
            kernels = show_shares(preset, name, backend, Parameters.preset(preset), batches_of(name, size, 2))
            lattice, spots = name.split(", ")
            column = f"{preset if lattice == 'tetragonal' else lattice}_{spots.split()[0]}"
            if lattice == "tetragonal" or preset == "best":
                for kernel, microseconds in kernels.items():
                    rows.setdefault(kernel, {"kernel": kernel})[column] = round(microseconds, 3)
    return list(rows.values())


def show_shares(
    preset: str, name: str, backend: Backend, p: Parameters, batches: Sequence[SimulatedFrames]
) -> dict[str, float]:
    """Make a warm-up call and then a timed one; returns the microseconds per frame of each kernel."""
    warm_up, timed = batches
    plan = SearchPlan.make(timed.input_cells, p, LEARNED)
    index_frames(backend, warm_up.spots, warm_up.offsets, plan, p)
    clock = GpuClock() if backend.name == "cuda" else HostClock(time.perf_counter)
    with TimedVerbs(backend, clock) as verbs:
        first = clock.mark()
        index_frames(verbs, timed.spots, timed.offsets, plan, p)
        whole = clock.seconds(first, clock.mark())
        parts, kernels = verbs.seconds, verbs.kernel_seconds
    print(f"{preset}, {name}: {whole * 1e6 / timed.n_frames:.2f}")
    rest = {"between the verbs": whole - sum(parts.values())}
    for title, seconds in (("verbs", {**parts, **rest}), ("kernels", kernels)):
        shares = (f"{part} {s * 1e6 / timed.n_frames:.2f} ({s / whole:.0%})" for part, s in seconds.items())
        if seconds:
            print(f"  {title}: " + ", ".join(shares), flush=True)
    return {kernel: s * 1e6 / timed.n_frames for kernel, s in kernels.items()}


def latency_section(backend: Backend, args: argparse.Namespace) -> Rows:
    """Measure a single frame through `Indexer.run` with the published defaults."""
    rows, n = [], 5 * args.calls
    print(f"\nA single frame through Indexer.run, published defaults, milliseconds, {n} frames after 5 to warm up")
    for name in NAMES:
        (frames,) = batches_of(name, n + 5, 1)
        cell = np.ascontiguousarray(frames.input_cells[0].T, dtype=np.float32)
        times = []
        with ffbidx.Indexer(backend=backend.name, device=args.device) as indexer:
            for f in range(frames.n_frames):
                spots = np.ascontiguousarray(frames.spots[frames.offsets[f] : frames.offsets[f + 1]].T)
                start = time.perf_counter()
                indexer.run(spots, cell)
                times.append((time.perf_counter() - start) * 1e3)
        low, middle, high = np.percentile(times[5:], (5, 50, 95))
        print(f"  {name:22} median {middle:.3f}, 5 to 95 %: {low:.3f} to {high:.3f}; asked: {ASKED_MS:g}", flush=True)
        figures = {"ms": middle, "low": low, "high": high}
        rows.append({"frames": name} | {figure: round(float(ms), 3) for figure, ms in figures.items()})
    return rows


def small_section(backend: Backend, args: argparse.Namespace) -> Rows:
    """Measure calls of a few frames."""
    rows: Rows = []
    print(f"\nCalls of index_frames on few frames, milliseconds, median of {4 * args.calls} after 4 to warm up")
    print(f"  {'preset':10} {'frames':22} " + " ".join(f"{n:>8}" for n in SMALL) + f"; asked: best {ASKED_SMALL_MS:g}")
    for name in NAMES:
        rows.append({"frames": name})
        for preset in PRESETS:
            p = Parameters.preset(preset)
            times = {n: 1e3 * n / rate(backend, batches_of(name, n, 8), n, p, 4 * args.calls, 4) for n in SMALL}
            print(f"  {preset:10} {name:22} " + " ".join(f"{ms:8.2f}" for ms in times.values()), flush=True)
            rows[-1] |= {f"{preset}_{n}": round(ms, 2) for n, ms in times.items()}
    return rows


def devices_section(backend: Backend, args: argparse.Namespace) -> Rows:
    """Measure one run that is distributed over several GPUs."""
    there = gpu_count()[0] if backend.name == "cuda" else 1
    if there < 2:
        return []
    p, size = Parameters.preset("best"), max(args.frames or [8192])
    batches = batches_of("tetragonal, 300 spots", size)
    plan = SearchPlan.make(batches[0].input_cells, p, LEARNED)
    print(f"\nSeveral GPUs, a process each, best, tetragonal, 300 spots, batches of {size}")
    alone = 0.0
    for n in (1, 2, 4, 8):
        if n > there:
            break
        speed = size * shared_out_rate(n, batches, plan, p, args.calls)
        alone = alone or speed
        print(f"  {n}: {speed:9.0f} frames/s, {speed / alone:.2f} times one", flush=True)
    return []


def shared_out_rate(n: int, batches: Sequence[SimulatedFrames], plan: SearchPlan, p: Parameters, calls: int) -> float:
    """The batches per second on the first n GPUs, once they are warm."""
    workers = DeviceWorkers([functools.partial(get_backend, "cuda", number) for number in range(n)])
    try:
        warm_up, start = 2 * workers.lanes, 0.0
        work = [batches[i % len(batches)] for i in range(warm_up + n * calls)]
        found = in_lanes(workers, work, lambda b: workers.index_frames(b.spots, b.offsets, plan, p))
        for done, _ in enumerate(found, 1):
            if done == warm_up:
                start = time.perf_counter()
        return n * calls / (time.perf_counter() - start)
    finally:
        workers.close()


SECTIONS = {
    "speed": speed_section,
    "shares": shares_section,
    "small": small_section,
    "latency": latency_section,
    "devices": devices_section,
}
TABLES = ("speed", "shares", "small", "latency")
"""The sections that are a table of the documentation."""


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.gpu", description=__doc__)
    parser.add_argument("--backend", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--device", type=int)
    parser.add_argument("--calls", type=int, default=10, help="timed calls of a figure")
    parser.add_argument("--frames", type=int, action="append", help="batch size to try (repeatable)")
    parser.add_argument("--only", action="append", choices=SECTIONS, help="this section only (repeatable)")
    record.add_option(parser)
    args = parser.parse_args(arguments)
    if args.json and args.only not in ([name] for name in TABLES):
        parser.error(f"--json is for one table: add --only with one of {', '.join(TABLES)}")
    try:
        backend = get_backend(args.backend, args.device)
    except BackendUnavailable as error:
        sys.exit(str(error))
    print(f"{backend.device}; {os.cpu_count()} processors; Python {platform.python_version()}, NumPy {np.__version__}")
    print(f"NVIDIA driver: {gpu_facts.driver().text}; CuPy: {gpu_facts.cupy().text}\n")
    for name, section in SECTIONS.items():
        if not args.only or name in args.only:
            rows = section(backend, args)
            if args.json:
                record.write(args.json, rows, backend.device if backend.name == "cuda" else None)


if __name__ == "__main__":
    main()
