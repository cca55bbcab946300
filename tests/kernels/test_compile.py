"""Every kernel compiles for every architecture, without a GPU, and takes no more of a processor than it may.

A thread that takes more registers or spills them, or a block that takes more shared memory, makes a kernel slow long
before it makes it wrong. A budget may be raised by whoever has measured that it pays.
"""

import functools

import pytest

from ffbidx_core.backends.kernels import KERNELS, offline
from ffbidx_core.backends.kernels.offline import Usage, compile_kernels, usages

pytest.importorskip("cuda.bindings.nvrtc")

ARCHITECTURES = ("sm_75", "sm_80", "sm_86", "sm_89", "sm_90", "sm_100", "sm_120")
BUDGETS = {
    "sort_spots": Usage(registers=48, spilled=0, shared=0),
    "count_directions": Usage(registers=54, spilled=0, shared=8192),
    "choose_candidates": Usage(registers=68, spilled=0, shared=8704),
    "refine_vectors": Usage(registers=84, spilled=48, shared=0),
    "frame_candidates": Usage(registers=46, spilled=0, shared=0),
    "turn_cells": Usage(registers=88, spilled=0, shared=11712),
    "choose_minima": Usage(registers=68, spilled=0, shared=16),
    "count_angles": Usage(registers=112, spilled=40, shared=10752),
    "choose_counted": Usage(registers=80, spilled=24, shared=8704),
    "count_within": Usage(registers=74, spilled=0, shared=0),
    "distances": Usage(registers=70, spilled=0, shared=0),
    "fit_rigid": Usage(registers=110, spilled=0, shared=0),
    "refine_cells": Usage(registers=136, spilled=24, shared=0),
    "fit_constrained": Usage(registers=255, spilled=48, shared=0),
    "fit_whitened": Usage(registers=254, spilled=0, shared=0),
    "judge_cells": Usage(registers=96, spilled=0, shared=0),
    "lowest_false": Usage(registers=96, spilled=16, shared=48),
    "pass_cells": Usage(registers=24, spilled=0, shared=0),
    "accept_by_count": Usage(registers=40, spilled=8, shared=0),
    "count_without": Usage(registers=72, spilled=0, shared=0),
    "add_up": Usage(registers=54, spilled=0, shared=256),
    "copy_without": Usage(registers=74, spilled=0, shared=0),
    "coverage": Usage(registers=76, spilled=0, shared=0),
    "drifted": Usage(registers=70, spilled=0, shared=0),
    "better_cells": Usage(registers=72, spilled=0, shared=0),
    "flat_frames": Usage(registers=24, spilled=0, shared=0),
    "check_cells": Usage(registers=100, spilled=0, shared=0),
    "set_canonically": Usage(registers=156, spilled=0, shared=0),
    "scan_maxima": Usage(registers=64, spilled=0, shared=0),
    "refine_hits": Usage(registers=80, spilled=76, shared=0),
    "keep_vectors": Usage(registers=47, spilled=0, shared=0),
    "vector_densities": Usage(registers=55, spilled=0, shared=0),
    "score_pairs": Usage(registers=44, spilled=0, shared=0),
    "score_thirds": Usage(registers=64, spilled=0, shared=0),
    "cell_lengths": Usage(registers=50, spilled=0, shared=0),
    "mark_new": Usage(registers=26, spilled=0, shared=9600),
    "fit_triples": Usage(registers=128, spilled=0, shared=0),
    "keep_lattices": Usage(registers=32, spilled=0, shared=0),
    "whole_vectors": Usage(registers=54, spilled=0, shared=8208),
    "fit_whole_vectors": Usage(registers=72, spilled=0, shared=0),
    "best_triples": Usage(registers=60, spilled=0, shared=8272),
    "distinct_triples": Usage(registers=44, spilled=0, shared=8272),
    "fit_lattices": Usage(registers=120, spilled=0, shared=0),
}
"""The largest usage on any architecture."""

compiled = functools.cache(compile_kernels)


def fits(usage, budget):
    return all(getattr(usage, name) <= most for name, most in vars(budget).items())


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_kernels_keep_to_their_budgets(arch):
    found = compiled(arch)
    assert found.keys() == set(KERNELS) == BUDGETS.keys()
    over = {name: (usage, BUDGETS[name]) for name, usage in found.items() if not fits(usage, BUDGETS[name])}
    assert not over, "\n".join(f"{name}: takes {usage}, has {budget}" for name, (usage, budget) in over.items())


def test_budgets_are_close_to_what_is_taken():
    """A budget far above the need would not notice a change."""
    for name, budget in BUDGETS.items():
        most = {kind: max(getattr(compiled(arch)[name], kind) for arch in ARCHITECTURES) for kind in vars(budget)}
        assert budget.registers <= most["registers"] * 1.2 + 4, (name, most)
        assert budget.spilled <= most["spilled"] * 1.5 + 16, (name, most)
        assert budget.shared <= most["shared"] * 1.2, (name, most)


def test_a_kernel_over_its_budget_is_noticed(monkeypatch):
    """Static shared memory, a live array too large for registers: both are seen in the assembler's report."""
    greedy = """
    extern "C" __global__ void greedy(float* x) {
      __shared__ float kept[1024];
      float many[300];
      for (int i = 0; i < 300; i++) many[i] = x[i * 32 + threadIdx.x];
      kept[threadIdx.x] = many[threadIdx.x % 300];
      __syncthreads();
      for (int round = 0; round < 9; round++) {
    #pragma unroll
        for (int i = 0; i < 300; i++) many[i] = many[i] * many[(i + 7) % 300] + kept[(i + round) & 1023];
      }
    #pragma unroll
      for (int i = 0; i < 300; i++) x[i * 32 + threadIdx.x] = many[i];
    }
    """
    monkeypatch.setattr(offline, "source", lambda: greedy)
    usage = compile_kernels("sm_90")["greedy"]
    assert usage.shared == 4096
    assert usage.registers > 128
    assert not fits(usage, BUDGETS["count_within"])
    assert not fits(usage, Usage(registers=255, spilled=0, shared=0))


def test_an_error_names_the_file_and_the_line(monkeypatch):
    monkeypatch.setattr(offline, "source", lambda: '#line 1 "cells.cu"\n\nint wrong = ;\n')
    with pytest.raises(ValueError, match=r"sm_90: cells.cu\(2\): error"):
        compile_kernels("sm_90")


def test_the_report_of_the_assembler_is_understood():
    log = """ptxas info    : 144 bytes gmem
ptxas info    : Compiling entry function 'a_kernel' for 'sm_75'
ptxas info    : Function properties for a_kernel
ptxas         .     40 bytes stack frame, 40 bytes spill stores, 36 bytes spill loads
ptxas info    : Used 255 registers, used 1 barriers, 40 bytes cumulative stack size, 8192 bytes smem, 400 bytes cmem[0]
ptxas info    : Compile time = 1282.442 ms
ptxas info    : Compiling entry function 'another' for 'sm_75'
ptxas info    : Function properties for another
ptxas         .     0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 16 registers, used 0 barriers, 400 bytes cmem[0]
"""
    assert dict(usages(log)) == {"a_kernel": Usage(255, 76, 8192), "another": Usage(16, 0, 0)}
