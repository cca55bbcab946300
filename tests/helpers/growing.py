"""Spot files that another process writes in SWMR mode, step by step on command."""

import subprocess
import sys
from pathlib import Path

import numpy as np

CXI_DATASETS = ("nPeaks", "peakXPosRaw", "peakYPosRaw", "peakTotalIntensity")

_WRITER = """
import sys
import h5py
import numpy as np

file = h5py.File(sys.argv[1], "w", libver="latest")
for line in sys.stdin:
    exec(line)
    print(flush=True)
"""


class Writer:
    """A process that has a file open and executes lines of code, so that each half of a step can be examined.

    In these lines `file` is the file; `s` and `o` are the spots and the offsets of `native`.
    """

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self._numbers = Path(f"{path}.npy")
        self.process = subprocess.Popen(
            [sys.executable, "-c", _WRITER, self.path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __call__(self, line: str) -> None:
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline(), "the writer failed"

    def native(self, chunk: int = 64, more: str = "pass") -> "Writer":
        """Begin a spot file, with further datasets."""
        self(f"s = file.create_dataset('spots', (0, 3), maxshape=(None, 3), dtype='f4', chunks=({chunk}, 3))")
        self("s.attrs['units'] = '1/angstrom'")
        self("o = file.create_dataset('offsets', (1,), maxshape=(None,), dtype='i8', chunks=(64,))")
        self(more)
        self("file.swmr_mode = True")
        return self

    def cxi(self, n_rows: int = 0, width: int = 32) -> "Writer":
        """Begin a file of CXI peak lists with a photon energy for each row: `d` are its datasets, `e` the energies."""
        self("g = file.create_group('entry_1/result_1'); d = {}")
        for name in CXI_DATASETS:
            tail, kind = ("", "i4") if name == "nPeaks" else (f", {width}", "f4")
            self(
                f"d['{name}'] = g.create_dataset('{name}', ({n_rows}{tail},), maxshape=(None{tail},), dtype='{kind}', "
                f"chunks=(4{tail},))"
            )
        self("e = file.create_dataset('LCLS/photon_energy_eV', (0,), maxshape=(None,), dtype='f8', chunks=(4,))")
        self("file.swmr_mode = True")
        return self

    def add_peaks(self, peaks: np.ndarray, energy: float) -> None:
        """Append a row of peaks: fs, ss (measured from corners) and any third column."""
        np.save(self._numbers, peaks)
        self(f"n = len(e); x = np.load({str(self._numbers)!r}); [v.resize(n + 1, 0) for v in (*d.values(), e)]")
        self(f"e[n] = {energy}; d['nPeaks'][n] = len(x)")
        self("[d[f'peak{axis}PosRaw'].__setitem__((n, slice(len(x))), x[:, k] - 0.5) for k, axis in enumerate('XY')]")
        self("file.flush()")
        self._numbers.unlink()

    def add(self, *frames: np.ndarray) -> None:
        """Append whole frames."""
        for spots in frames:
            np.save(self._numbers, spots)
            self(f"n = len(s); x = np.load({str(self._numbers)!r}); s.resize(n + len(x), 0); s[n:] = x")
            self("o.resize(len(o) + 1, 0); o[-1] = len(s); file.flush()")
        self._numbers.unlink(missing_ok=True)

    def close(self) -> None:
        """Close the file and end the process."""
        self("file.close()")
        self.end()

    def kill(self) -> None:
        """Kill the writer."""
        self.process.kill()
        self.process.wait()
        self.end()

    def end(self) -> None:
        """End the process, whatever files it has open."""
        if self.process.poll() is None:
            # Closing the pipe would not suffice, because children of this process may also have it.
            self.process.stdin.write("sys.exit()\n")
            self.process.stdin.flush()
            self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()
