"""An edited kernel file is never run stale from CuPy's cache, neither in the same process nor in the next one."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import ffbidx_core
from ffbidx_core.backends import kernels

PROBE = 'extern "C" __global__ void probe(int* answer) {{ *answer = {}; }}\n'
CODE = """
import cupy
from ffbidx_core.backends import kernels
module = cupy.RawModule(code=kernels.source(), options=kernels.OPTIONS)
answer = cupy.zeros(1, cupy.int32)
module.get_function("probe")((1,), (1,), (answer,))
print(int(answer[0]))
"""


@pytest.mark.usefixtures("gpu")
def test_an_edited_file_is_compiled_anew(tmp_path):
    package = tmp_path / "ffbidx_core"
    shutil.copytree(Path(ffbidx_core.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    last = package / "backends" / "kernels" / kernels.FILES[-1]
    text = last.read_text()
    # The same cache of CuPy for all, and the number that was first comes again at the end.
    for number in (1, 2, 1):
        last.write_text(text + PROBE.format(number))
        done = subprocess.run([sys.executable, "-c", CODE], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert done.stdout.split() == [str(number)]
