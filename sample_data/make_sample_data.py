"""Make the files of this directory anew: python sample_data/make_sample_data.py."""

from pathlib import Path

import numpy as np

from ffbidx_core.simulate import Scenario, simulate, write_frames

HERE = Path(__file__).parent
LYSOZYME = (79.0, 79.0, 38.0, 90.0, 90.0, 90.0)
FRAMES, SEED = 200, 2024

SCENARIO = Scenario(
    cells=(LYSOZYME,), n_spots=(40, 140), false_share=(0.1, 0.4), lattices=(1, 2), blank_share=0.1, cell_spread=0.002
)


def main() -> None:
    """Write the run of 200 frames, its cell, and one frame as text."""
    write_frames(str(HERE / "lysozyme.h5"), simulate(SCENARIO, FRAMES, SEED), overwrite=True)
    cell = " ".join(f"{value:g}" for value in LYSOZYME)
    (HERE / "lysozyme.cell").write_text(f"# a b c (angstrom), alpha beta gamma (degrees)\n{cell}\n")

    frame = simulate(Scenario(cells=(LYSOZYME,), n_spots=(80, 80), false_share=(0.2, 0.2)), 1, SEED)
    with (HERE / "frame.txt").open("w") as file:
        file.write("# vectors a, b, c of the cell, angstrom; then a spot a line, 1/angstrom\n")
        np.savetxt(file, frame.input_cells.reshape(1, 9).round(4), fmt="%g")
        np.savetxt(file, frame.spots, fmt="%.7f")


if __name__ == "__main__":
    main()
