"""The Python interface needs NumPy and Numba, and nothing else of what the command needs."""

import subprocess
import sys
import textwrap

CODE = """
    import sys

    def first(name):
        return name.partition(".")[0]

    class Refused:
        def find_spec(self, name, path=None, target=None):
            if first(name) in {refused}:
                raise ModuleNotFoundError(name)

    sys.meta_path.insert(0, Refused())
    import numpy as np
    import ffbidx

    ffbidx.runtime_check()
    rng = np.random.default_rng(1)
    spots = rng.uniform(-3, 3, (3, 40)).astype("float32")
    for preset in ("published", "best"):
        with ffbidx.Indexer(preset=preset, backend="cpu") as indexer:
            cells, scores = indexer.run(spots, 40 * np.eye(3), num_halfsphere_points=256)
            indexer.crystals(cells, spots, scores)
    print(sorted({{first(name) for name in sys.modules}} & {refused}))
"""
OF_THE_COMMAND = {"click", "cupy", "dask", "gemmi", "h5py", "matplotlib", "pandas", "rich", "scipy"}


def test_an_indexer_works_without_the_packages_of_the_command():
    code = textwrap.dedent(CODE).format(refused=repr(OF_THE_COMMAND))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "[]\n", "")
