"""Compilation of the kernels without a GPU or its driver, and the resources that the assembler reports for them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from . import OPTIONS, source

CUPY_ADDS = ("-ftz=true",)
"""Options that CuPy adds for the compiler."""
REPORT = re.compile(
    r"Compiling entry function '(?P<name>\w+)'.*?"
    r"(?P<spilled>\d+) bytes spill stores, (?P<reloaded>\d+) bytes spill loads\n"
    r"[^\n]*Used (?P<registers>\d+) registers(?:[^\n]*?(?P<shared>\d+) bytes smem)?",
    re.DOTALL,
)


class CompilerMissing(Exception):
    """NVRTC or its Python binding is not installed."""


@dataclass(frozen=True)
class Usage:
    """Resources that a kernel uses.

    Attributes
    ----------
    registers : int
        Number of registers of a thread.
    spilled : int
        Bytes of spill stores and spill loads of a thread together, for lack of registers.
    shared : int
        Static shared memory of a block, bytes.
    """

    registers: int
    spilled: int
    shared: int


def compile_kernels(arch: str) -> dict[str, Usage]:
    """Compile all kernels for an architecture such as sm_90, with the options that CuPy uses.

    Returns
    -------
    dict
        Resources of each kernel by its name.

    Raises
    ------
    CompilerMissing
        If NVRTC or its Python binding is not installed.
    ValueError
        If the kernels do not compile; the message holds those of the compiler.
    """
    try:
        from cuda.bindings import nvrtc
    except ImportError as error:
        raise CompilerMissing("NVRTC is not installed: pip install cuda-bindings nvidia-cuda-nvrtc") from error
    try:
        _, program = nvrtc.nvrtcCreateProgram(source().encode(), b"kernels.cu", 0, None, None)
    except RuntimeError as error:  # the binding is installed, but its library is not
        # The rest of the message is the loader's error for each name that it tried.
        raise CompilerMissing(f"NVRTC cannot be loaded: {str(error).partition(': ')[0]}") from error
    try:
        options = [o.encode() for o in (*OPTIONS, *CUPY_ADDS, f"--gpu-architecture={arch}", "--ptxas-options=-v")]
        (status,) = nvrtc.nvrtcCompileProgram(program, len(options), options)
        _, size = nvrtc.nvrtcGetProgramLogSize(program)
        log = b" " * size
        nvrtc.nvrtcGetProgramLog(program, log)
    finally:
        nvrtc.nvrtcDestroyProgram(program)
    text = log.replace(b"\0", b"").decode()
    if status != nvrtc.nvrtcResult.NVRTC_SUCCESS:
        raise ValueError(f"{arch}: {text}")
    return dict(usages(text))


def usages(log: str) -> Iterator[tuple[str, Usage]]:
    """The name and the resources of each kernel in the log that ptxas writes with -v."""
    for found in REPORT.finditer(log):
        numbers = {name: int(value or 0) for name, value in found.groupdict().items() if name != "name"}
        yield found["name"], Usage(numbers["registers"], numbers["spilled"] + numbers["reloaded"], numbers["shared"])
