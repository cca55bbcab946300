"""Every locale shows the tables; compiling is counted by itself."""

import os

import pytest

from tests.helpers.calls import CELL_LINE, QUICK, start


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_bars_and_signs_in_any_locale(encoding, spots_file, tmp_path):
    process = start("inspect", spots_file, env=os.environ | {"PYTHONIOENCODING": encoding}, text=False)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert ("█" if encoding == "utf-8" else "#") in out.decode(encoding)


def test_the_first_run_does_not_count_the_time_of_compiling(spots_file, tmp_path):
    """An empty cache, then a full one: about the same speed is shown, and compiling is shown once."""
    (tmp_path / "cell.txt").write_text(CELL_LINE)
    lines = []
    for name in ("cold", "warm"):
        environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path / "kernels")}
        process = start("index", spots_file, "--cell", "cell.txt", *QUICK, "-o", f"{name}.h5", env=environment,
                        cwd=tmp_path)  # fmt: skip
        _, err = process.communicate(timeout=300)
        assert process.returncode == 0, err
        lines += [line for line in err.splitlines() if line.startswith("time")]
    cold, warm = lines
    assert "compiling, once: " in cold
    assert "compiling" not in warm
    seconds = float(cold.split()[1])
    compiling = float(cold.partition("compiling, once: ")[2].split()[0])
    assert seconds < compiling
