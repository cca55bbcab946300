"""The sifting of a block's spots in one pass of machine code, without the interpreter's lock; see `sift`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ..compiled import cache_folder, called_from_python, compiled

RUN = 16
"""Number of rows that are sorted by insertion before runs are merged."""
_FOLDER = cache_folder((Path(__file__),))


def _slot_of(x: Any, y: Any, z: Any) -> Any:
    """A hash of the bits of a spot."""
    mixed = np.uint64(x) * np.uint64(0x9E3779B97F4A7C15)
    mixed += np.uint64(y) * np.uint64(0xC2B2AE3D27D4EB4F)
    mixed += np.uint64(z) * np.uint64(0x165667B19E3779F9)
    return np.int64(mixed >> np.uint64(32))


def _is_new(bits: Any, row: Any, first: Any, table: Any, mask: Any) -> Any:
    """Whether no earlier spot of the frame equals the spot in `row`; a new spot is entered in the table.

    The frame begins at spot `first`, and `bits` (n, 3) uint32 are the bits of its coordinates. Entries of the table
    below `first` belong to earlier frames.
    """
    x, y, z = bits[row, 0], bits[row, 1], bits[row, 2]
    slot = slot_of(x, y, z) & mask
    while table[slot] >= first:
        other = table[slot] - first
        if bits[other, 0] == x and bits[other, 1] == y and bits[other, 2] == z:
            return False
        slot = (slot + 1) & mask
    table[slot] = first + row
    return True


def _order(keys: Any, n: Any, order: Any, other: Any) -> None:
    """Write to `order` the numbers 0 to n - 1 by falling keys, in a stable sort; `other` (n,) is a scratch array."""
    for begin in range(0, n, RUN):
        for i in range(begin, min(begin + RUN, n)):
            key, j = keys[i], i
            while j > begin and keys[order[j - 1]] < key:
                order[j] = order[j - 1]
                j -= 1
            order[j] = i
    width = RUN
    while width < n:
        for begin in range(0, n, 2 * width):
            left, middle, end = begin, min(begin + width, n), min(begin + 2 * width, n)
            right = middle
            for k in range(begin, end):
                if right == end or (left < middle and not keys[order[left]] < keys[order[right]]):
                    other[k] = order[left]
                    left += 1
                else:
                    other[k] = order[right]
                    right += 1
        for k in range(n):
            order[k] = other[k]
        width *= 2


def _sift(
    numbers: Any,
    offsets: Any,
    intensity: Any,
    limits: Any,
    out: Any,
    kept: Any,
    left_out: Any,
    usable: Any,
    table: Any,
    frame_numbers: Any,
    frame: Any,
    bits: Any,
    keys: Any,
    order: Any,
) -> None:
    """Sift the spots of all frames.

    Parameters
    ----------
    numbers : (3 N,) floating
        Coordinates x, y, z of each spot, 1/angstrom.
    offsets : (F + 1,) int64
        Frame f owns the spots offsets[f]:offsets[f + 1].
    intensity : (N,) floating
        Intensities by which the spots of a frame are sorted, falling; an empty array to keep their order.
    limits : (4,) float64
        Upper limit of a coordinate, 1/angstrom; smallest |s|^2 that is not padding; smallest and largest |s|^2 that
        are used, 1/angstrom^2.
    out : (N, 3) float32
        Array that receives the spots that are used.
    kept, left_out : (F,) int64
        Arrays that receive the number of spots used on each frame, and of those left out as padding or duplicates.
    usable : (F,) bool
        Array that receives whether all spots of a frame are finite and within the limit.
    table : (a power of 2 of at least 2 n,) int64
        Hash table for a frame of n spots, the largest one; all entries are -1.
    frame_numbers, frame, bits : (3 n,) float32, (n, 3) float32, (n, 3) uint32
        Three views of the same scratch memory for the spots of a frame.
    keys, order : (1, n) floating, (2, n) int64
        Scratch arrays for the sorting.
    """
    written = 0
    for f in range(len(offsets) - 1):
        first = offsets[f]
        n = offsets[f + 1] - first
        good = True
        for i in range(3 * n):
            # Adding 0 turns -0 into 0, so that all duplicates have the same bits.
            value = np.float32(numbers[3 * first + i]) + np.float32(0)
            frame_numbers[i] = value
            good &= abs(value) < limits[0]
        usable[f] = good
        kept[f] = left_out[f] = 0
        if not good:
            continue
        mask = np.int64(1)
        while mask < 2 * n:
            mask *= 2
        mask -= 1
        begin, sorted_so_far, last = written, True, np.inf
        for i in range(n):
            x, y, z = np.float64(frame[i, 0]), np.float64(frame[i, 1]), np.float64(frame[i, 2])
            squared = x * x + y * y + z * z
            if not (squared >= limits[1] and is_new(bits, i, first, table, mask)):
                left_out[f] += 1
                continue
            if not limits[2] <= squared <= limits[3]:
                continue
            for k in range(3):
                out[written, k] = frame[i, k]
            if len(intensity):
                key = intensity[first + i]
                keys[0, written - begin] = key
                sorted_so_far &= key <= last
                last = key
            written += 1
        kept[f] = written - begin
        if not sorted_so_far:
            ordered(keys[0], kept[f], order[0], order[1])
            for i in range(kept[f]):
                for k in range(3):
                    frame[i, k] = out[begin + order[0, i], k]
            for i in range(kept[f]):
                for k in range(3):
                    out[begin + i, k] = frame[i, k]


slot_of = compiled(_slot_of, _FOLDER, no_cpython_wrapper=True)
is_new = compiled(_is_new, _FOLDER, no_cpython_wrapper=True)
ordered = compiled(_order, _FOLDER, no_cpython_wrapper=True)
sift_frames = called_from_python(compiled(_sift, _FOLDER))
