"""The kernels compiled without a GPU or its driver, and what the assembler says of them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from . import OPTIONS, source

CUPY_ADDS = ("-ftz=true",)
"""What CuPy gives the compiler besides."""
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
    """What a thread or a block of a kernel takes.

    Attributes
    ----------
    registers : int
        Of a thread.
    spilled : int
        Bytes that a thread stores to and loads from memory for want of registers, both together.
    shared : int
        Static shared memory of a block, bytes.
    """

    registers: int
    spilled: int
    shared: int


def compile_kernels(arch: str) -> dict[str, Usage]:
    """Compile all kernels for an architecture such as sm_90, with the options that CuPy gives.

    Raises
    ------
    CompilerMissing
    ValueError
        With the compiler's messages, when the kernels do not compile.
    """
    try:
        from cuda.bindings import nvrtc
    except ImportError as error:
        raise CompilerMissing("NVRTC is not installed: pip install cuda-bindings nvidia-cuda-nvrtc") from error
    try:
        _, program = nvrtc.nvrtcCreateProgram(source().encode(), b"kernels.cu", 0, None, None)
    except RuntimeError as error:  # the binding is here, its library is not
        raise CompilerMissing(f"NVRTC cannot be loaded: {error}") from error
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
    """Each kernel with its usage, from what ptxas writes under -v."""
    for found in REPORT.finditer(log):
        numbers = {name: int(value or 0) for name, value in found.groupdict().items() if name != "name"}
        yield found["name"], Usage(numbers["registers"], numbers["spilled"] + numbers["reloaded"], numbers["shared"])
