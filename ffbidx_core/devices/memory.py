"""The error of a run that needs more memory than there is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields

from ..errors import UsageError
from ..parameters import Parameters

_SIZES = (
    "num_halfsphere_points", "num_candidate_vectors", "num_angle_points", "n_output_cells", "max_output_cells",
    "max_input_cells", "max_spots", "race_directions", "candidate_pool", "research_points", "searches",
)  # fmt: skip
"""Parameters on which the sizes of arrays depend."""
_USUAL_BATCH = 1024


@contextmanager
def memory_explained(given: Parameters, batch_size: int | None) -> Iterator[None]:
    """A context that turns lack of memory into a `UsageError`, which names the option that needs the most."""
    try:
        yield
    except MemoryError as error:
        detail = " ".join(str(error).split())
        raise UsageError(f"{_largest(given, batch_size)}; {detail or 'more memory than is available'}") from None


def _largest(given: Parameters, batch_size: int | None) -> str:
    """A message that names the option with the largest ratio to its default in the preset `best`."""
    default = Parameters.preset("best")
    names = [each.name for each in fields(given) if each.name in _SIZES]
    times = {name: getattr(given, name) / max(1, getattr(default, name)) for name in names}
    values = {name: getattr(given, name) for name in names}
    if batch_size is not None:
        times["batch_size"], values["batch_size"] = batch_size / _USUAL_BATCH, batch_size
    name = max(times, key=times.__getitem__)
    if times[name] <= 1:
        return "this machine has too little memory for a batch: make --batch-size smaller"
    return f"--{name.replace('_', '-')}: {values[name]} needs more memory than is available, make it smaller"
