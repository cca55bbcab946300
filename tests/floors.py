"""The tests of the Python interface, and some of the command, with the oldest packages that are allowed.

    python -m tests.floors [--python FOLDER_OR_FILE]...

For every Python that pyproject.toml names, `uv` makes two environments in `.venv-floors/`: one with the lowest release
of each dependency that has a wheel for this Python, and one with NumPy and Numba alone, as a client of `import ffbidx`
may have it. A Python that is not on this machine is left out, and the last lines say so.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Sequence
from pathlib import Path

from tests.helpers.paths import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
ENVIRONMENTS = ROOT / ".venv-floors"
PUBLISHED = "tests/published"
WITH_H5PY = (f"{PUBLISHED}/test_presets.py", f"{PUBLISHED}/test_dials.py")
"""Tests whose helpers write HDF5."""
OF_COMMAND = (
    "tests/cli/test_index.py",
    "tests/cli/shown/test_console.py",
    "tests/cli/shown/test_table.py",
    "tests/read/test_spots.py",
    "tests/write/test_text_table.py",
)
TOOLS = ("pytest", "hypothesis")


def named_pythons() -> list[str]:
    """The Pythons of the classifiers, such as `3.11`, oldest first."""
    found = [re.fullmatch(r"Programming Language :: Python :: (3\.\d+)", each) for each in PROJECT["classifiers"]]
    return [match[1] for match in found if match]


def requirements(listed: Iterable[str], names: Sequence[str]) -> list[str]:
    """Those of the listed requirements that are for these packages."""
    return [each for each in listed if re.split(r"[\s\[<>=!~;]", each)[0] in names]


def interpreter(version: str, places: Sequence[str]) -> str | None:
    """A Python of this version, such as `3.11`, in the places given, among pyenv's, or on the path."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    folders = [*map(Path, places), *sorted(pyenv.glob(f"{version}.*/bin"), reverse=True)]
    folders += map(Path, os.environ.get("PATH", "").split(os.pathsep))
    for place in folders:
        candidate = place / f"python{version}" if place.is_dir() else place
        ask = [str(candidate), "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
        try:
            said = subprocess.run(ask, capture_output=True, text=True, check=False).stdout
        except OSError:
            continue
        if said.strip() == version:
            return str(candidate)
    return None


def uv(*words: str) -> str:
    """Run uv and return its standard output; it must be installed beside the Python that runs this."""
    return subprocess.run(
        [sys.executable, "-m", "uv", *words], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True
    ).stdout


def environment(python: str, name: str, wanted: Sequence[str]) -> tuple[str, str]:
    """An environment with the lowest wheels of the wanted packages: its Python, and what is in it, as one line."""
    folder = str(ENVIRONMENTS / name)
    uv("venv", "--quiet", "--clear", "--python", python, folder)
    inside = str(Path(folder, "bin", "python"))
    install = ("pip", "install", "--quiet", "--python", inside)
    uv(*install, "--resolution", "lowest-direct", "--only-binary", ":all:", *wanted)
    # The project itself, for its own version.
    uv(*install, "--no-deps", str(ROOT))
    frozen = uv("pip", "freeze", "--quiet", "--python", inside).splitlines()
    listed = [line.split("==") for line in frozen if "==" in line]
    direct = {re.split(r"[\s\[<>=!~;]", each)[0] for each in wanted} - set(TOOLS)
    return inside, ", ".join(f"{package} {release}" for package, release in listed if package in direct)


def tests_pass(python: str, *arguments: str) -> bool:
    """Whether tests of this checkout pass in an environment."""
    kernels = str(ENVIRONMENTS / "kernels")
    done = subprocess.run(
        [python, "-m", "pytest", "-p", "no:cacheprovider", *arguments],
        cwd=ROOT, env={**os.environ, "NUMBA_CACHE_DIR": kernels}, check=False,
    )  # fmt: skip
    return done.returncode == 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.floors", description=__doc__.splitlines()[0])
    parser.add_argument("--python", action="append", default=[], metavar="PLACE", help="a Python, or a folder of some")
    args = parser.parse_args()
    tools = requirements(PROJECT["optional-dependencies"]["test"], TOOLS)
    alone = requirements(PROJECT["dependencies"], ("numpy", "numba"))
    lines, failed = [], 0
    for version in named_pythons():
        python = interpreter(version, args.python)
        if python is None:
            lines.append(f"Python {version}: not on this machine, left out")
            continue
        for name, wanted, tests in (
            (version, PROJECT["dependencies"], (PUBLISHED, *OF_COMMAND)),
            (f"{version}-alone", alone, (PUBLISHED, *(f"--ignore={name}" for name in WITH_H5PY))),
        ):
            inside, packages = environment(python, name, [*wanted, *tools])
            print(f"Python {version}: {packages}", flush=True)
            passed = tests_pass(inside, *tests)
            failed += not passed
            lines.append(f"Python {version}: {'passed' if passed else 'FAILED'} with {packages}")
    print("\n" + "\n".join(lines))
    return 1 if failed or not any("passed" in line for line in lines) else 0


if __name__ == "__main__":
    sys.exit(main())
