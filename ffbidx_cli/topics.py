"""What `ffbidx help TOPIC` says besides the options: a paragraph for each group of options, and for what has none."""

from __future__ import annotations

TOPICS = {
    "input": (
        "An input is a spot file, a directory of them, a pattern such as 'run1*.h5', one frame of a file, FILE//INDEX "
        "with INDEX counted from 0, or a list of all these, one a line: @frames.lst, frames.lst, or - for standard "
        "input. The content of a file says its format, not its name: `ffbidx inspect FILE` shows what it holds."
    ),
    "cell": (
        "A cell is a file (CrystFEL .cell, PDB, mmCIF, XDS, DIALS .expt, or 6 or 9 numbers), or the numbers "
        "themselves: --cell '79 79 38 90 90 90', a centring letter behind them if it is not P. Several cells compete "
        "on every frame. The run corrects the cell by its first frames (--learn-cell)."
    ),
    "geometry": (
        "Peaks in detector pixels need a geometry: their file's own, or -g FILE. `ffbidx diagnose RESULTS` finds a "
        "beam centre or a distance that is off, and says the option that mends it."
    ),
    "search": (
        "--preset best indexes most frames, fast takes less time, published has the published defaults. Each option "
        "given by hand wins over the preset; behind each option stand its values in the presets."
    ),
    "acceptance": (
        "With --accept chance (the default) a crystal is one if at most --max-false-rate false ones as good as it are "
        "expected on its frame; with --accept count it is one if it covers enough spots."
    ),
    "output": (
        "The suffix of an output says its format; several are written in one run. Finished frames are saved as the run "
        "goes: --resume goes on with a run that was stopped, whatever stopped it. `ffbidx convert` makes further "
        "formats of a results file."
    ),
    "machine": (
        "Without options a run takes the GPU, or all cores where there is none; the results are the same. --device all "
        "takes every GPU, --dask the workers of a cluster, --shard K/N one share of the frames for `ffbidx merge`."
    ),
    "messages": (
        "Standard output has data only; progress, notes and the summary go to standard error. Every option can stand "
        "in a file (--config) or in a variable such as FFBIDX_BATCH_SIZE."
    ),
    "status": (
        "Exit status: 0 finished, however many frames were indexed; 1 a fault of the program; 2 options, cell or the "
        "only input cannot be used; 3 finished, but a frame or an input was bad; 4 the backend or device asked for is "
        "not there; 5 nothing could be processed; 6 the output could not be written; 75 and 130 stopped by SIGTERM and "
        "SIGINT, to be resumed."
    ),
}
"""A paragraph by the word of its topic."""
