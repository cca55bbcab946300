"""The text of `ffbidx help TOPIC` besides the options: a paragraph for each group of options and for other topics."""

from __future__ import annotations

TOPICS = {
    "input": (
        "An input is a spot file, a directory of spot files, a pattern such as 'run1*.h5', one frame of a file as "
        "FILE//INDEX with INDEX counted from 0, or a list of all these, one per line: @frames.lst, frames.lst, - for "
        "standard input. A file is recognised by its content, not by its name: `ffbidx inspect FILE` shows what it "
        "holds."
    ),
    "cell": (
        "A cell is a file (CrystFEL .cell, PDB, mmCIF, XDS, DIALS .expt, or 6 or 9 numbers), or the numbers "
        "themselves: --cell '79 79 38 90 90 90', followed by a centring letter if it is not P. Several cells compete "
        "on every frame. The run corrects the cell from its first frames (--learn-cell)."
    ),
    "geometry": (
        "Peaks in detector pixels need a geometry: that of their own file, or -g FILE. `ffbidx diagnose RESULTS` finds "
        "a wrong beam centre or distance, and names the option that corrects it."
    ),
    "search": (
        "--preset best indexes the most frames, fast takes less time, published has the published defaults. An option "
        "that is given takes precedence over the preset; the help of each option shows its values in the presets."
    ),
    "acceptance": (
        "With --accept chance (the default) a cell is a crystal if at most --max-false-rate equally good false ones "
        "are expected on its frame; with --accept count it is a crystal if it covers enough spots."
    ),
    "output": (
        "The suffix of an output determines its format; one run can write several outputs. Finished frames are saved "
        "during the run, so --resume can continue a run whatever stopped it. `ffbidx convert` makes other formats from "
        "a results file."
    ),
    "machine": (
        "By default a run uses the GPU, or all CPU cores if there is no GPU; the results are the same. --device all "
        "uses every GPU, --dask the workers of a cluster, --shard K/N one share of the frames for `ffbidx merge`."
    ),
    "messages": (
        "Standard output has data only; progress, notes and the summary go to standard error. Every option can be set "
        "in a file (--config) or in a variable such as FFBIDX_BATCH_SIZE."
    ),
    "status": (
        "Exit status: 0 finished, however many frames were indexed; 1 a bug in the program; 2 options, cell or the "
        "only input cannot be used; 3 finished, but a frame or an input was bad; 4 the backend or device that was "
        "asked for is not available; 5 nothing could be processed; 6 the output could not be written; 75 and 130 "
        "stopped by SIGTERM and SIGINT, to be resumed."
    ),
}
"""The paragraph of each topic, keyed by its name."""
