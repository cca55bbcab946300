"""What is handed out, built once for all tests of it."""

import shutil
import subprocess
import sys

import pytest

from tests.helpers.paths import ROOT

NOT_OURS = {"build", "dist", "__pycache__", "demo-output"}


def files_of_the_project():
    """The project's files, relative to its root: those that git does not ignore; without git, all that are visible."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout
    except OSError:
        listed = ""
    if listed:
        return [name for name in listed.split("\0") if (ROOT / name).is_file()]
    paths = [path.relative_to(ROOT) for path in ROOT.rglob("*") if path.is_file()]
    return [path for path in paths if not any(part[0] == "." or part in NOT_OURS for part in path.parts)]


@pytest.fixture(scope="session")
def distributions(tmp_path_factory):
    """The folder of an sdist and of the wheel that is built from it; made of a copy, since building leaves folders."""
    pytest.importorskip("build")
    pytest.importorskip("setuptools", minversion="80")
    copy, out = tmp_path_factory.mktemp("sources") / "ffbidx", tmp_path_factory.mktemp("distributions")
    for name in files_of_the_project():
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, copy / name)
    # With the packages that are here, so that nothing is fetched.
    done = subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(copy)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return out
