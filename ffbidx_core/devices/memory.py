"""The error of a run that needs more memory than there is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields

from ..errors import UsageError
from ..parameters import Parameters

_SIZES = (
    "num_halfsphere_points", "num_candidate_vectors", "num_angle_points", "n_output_cells", "max_output_cells",
    "max_input_cells", "max_spots", "race_directions", "candidate_pool", "research_points", "searches", "flat_points",
)  # fmt: skip
"""Parameters on which the sizes of arrays depend."""
_USUAL_BATCH = 1024


@contextmanager
def memory_explained(given: Parameters, batch_size: int | None) -> Iterator[None]:
    """A context that turns lack of memory in a run into a `UsageError`, which names the option that needs the most."""
    default = Parameters.preset("best")
    sizes = {each.name: (getattr(given, each.name), getattr(default, each.name)) for each in fields(given)}
    sizes = {name: numbers for name, numbers in sizes.items() if name in _SIZES}
    if batch_size is not None:
        sizes["batch_size"] = batch_size, _USUAL_BATCH
    with memory_of_options(sizes, "this machine has too little memory for a batch: make --batch-size smaller"):
        yield


@contextmanager
def memory_of_options(sizes: Mapping[str, tuple[int, int]], otherwise: str) -> Iterator[None]:
    """A context that turns lack of memory into a `UsageError`, which names the option that needs the most.

    Parameters
    ----------
    sizes
        Value of each option on which the sizes of arrays depend, and its usual value. The option with the largest ratio
        of the two is named.
    otherwise
        The message if no option has more than its usual value.
    """
    try:
        yield
    except MemoryError as error:
        detail = " ".join(str(error).split()) or "more memory than is available"
        name = max(sizes, key=lambda each: sizes[each][0] / max(1, sizes[each][1]))
        value, usual = sizes[name]
        option = f"--{name.replace('_', '-')}: {value} needs more memory than is available, make it smaller"
        raise UsageError(f"{option if value > max(1, usual) else otherwise}; {detail}") from None
