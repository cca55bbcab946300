"""The arguments of `run` and `crystals`, with the published names and order and those of PSI's package."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from numbers import Real
from typing import Any, ParamSpec, TypedDict, TypeVar

from ..parameters import Parameters

_P = ParamSpec("_P")
_R = TypeVar("_R")

_D = Parameters.preset("published")


class IndexerOptions(TypedDict, total=False):
    """The options of `Indexer`, in the published order."""

    max_output_cells: int
    max_input_cells: int
    max_spots: int
    num_candidate_vectors: int
    redundant_calculations: bool


class RunOptions(TypedDict, total=False):
    """The options of `run`, in the published order, followed by `vr_min_spots`, which the published text lacks."""

    method: str
    length_threshold: float
    triml: float
    trimh: float
    delta: float
    dist1: float
    dist3: float
    num_halfsphere_points: int
    num_angle_points: int
    n_output_cells: int
    contraction: float
    max_dist: float
    min_spots: int
    n_iter: int
    vr_min_spots: int


PUBLISHED = tuple(RunOptions.__annotations__)
"""Names of the options of `run`, in the published order."""
_EARLY = PUBLISHED.index("num_halfsphere_points")
WITH_VR_EARLY = (*PUBLISHED[:_EARLY], "vr_min_spots", *PUBLISHED[_EARLY:-1])
"""Names of the options of `run`, in the order of PSI's module since 1.0."""


def with_signature(before: tuple[str, ...], options: type) -> Callable[[Callable[_P, _R]], Callable[_P, _R]]:
    """A decorator that makes `inspect.signature` and `help` show the options of a function with published defaults.

    The function itself takes the options without defaults, so that it knows which ones its caller has given.

    Parameters
    ----------
    before
        Names of the arguments before the options.
    options
        A `TypedDict` of the options.
    """

    def decorate(function: Callable[_P, _R]) -> Callable[_P, _R]:
        kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
        own = inspect.signature(function).parameters.values()
        shown = [
            *(inspect.Parameter(name, kind) for name in before),
            *(inspect.Parameter(name, kind, default=getattr(_D, name)) for name in options.__annotations__),
            *(each for each in own if each.kind is inspect.Parameter.KEYWORD_ONLY),
        ]
        function.__signature__ = inspect.Signature(shown)  # type: ignore[attr-defined]
        return function

    return decorate


def indexer_options(positional: tuple[Any, ...], named: Mapping[str, Any]) -> dict[str, Any]:
    """The options that a caller of `Indexer` gave, keyed by name.

    Raises
    ------
    TypeError
        If there are too many options, an unknown one, or one that is given twice.
    """
    return _options("Indexer", tuple(IndexerOptions.__annotations__), positional, named)


def run_options(positional: tuple[Any, ...], named: Mapping[str, Any], num_candidate_vectors: int) -> dict[str, Any]:
    """The options that a caller of `run` gave, keyed by name.

    Options given by position are in the published order, or in that of PSI's module since 1.0, which has `vr_min_spots`
    after `dist3`. The order is recognised by impossible values: a contraction of 1 or more, or, in calls that end
    before the contraction, fewer directions than candidate vectors.

    Raises
    ------
    TypeError
        If there are too many options, an unknown one, or one that is given twice.
    """
    order = WITH_VR_EARLY if _has_vr_early(positional, num_candidate_vectors) else PUBLISHED
    return _options("run", order, positional, named)


def _options(
    function: str, order: tuple[str, ...], positional: tuple[Any, ...], named: Mapping[str, Any]
) -> dict[str, Any]:
    if len(positional) > len(order):
        raise TypeError(f"{function} has {len(order)} options, {len(positional)} were given by position")
    if unknown := sorted(named.keys() - set(order)):
        raise TypeError(f"{function} has no option {', '.join(unknown)}: its options are {', '.join(order)}")
    options = dict(zip(order, positional, strict=False))
    if twice := sorted(options.keys() & named.keys()):
        raise TypeError(f"{function} got {', '.join(twice)} by position and by name")
    return {**options, **named}


def other_than_published(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options except those that repeat a published default.

    A `dist1` of 0.3, as clients give it, also repeats the default: the published default 0 means `trimh`, which is 0.3.
    """
    usual = {name: _same(value, getattr(_D, name)) for name, value in options.items()}
    if usual.get("trimh", True):
        usual["dist1"] = usual.get("dist1", False) or _same(options.get("dist1"), _D.trimh)
    return {name: value for name, value in options.items() if not usual[name]}


def _same(value: Any, default: Any) -> bool:
    # Other code decides whether numbers are usable; nan, for example, is no default.
    return isinstance(value, Real | str) and bool(value == default)


def _has_vr_early(positional: tuple[Any, ...], num_candidate_vectors: int) -> bool:
    contraction = PUBLISHED.index("contraction")
    if len(positional) > contraction:
        return isinstance(positional[contraction], Real) and positional[contraction] >= 1
    if len(positional) > _EARLY:
        return isinstance(positional[_EARLY], Real) and positional[_EARLY] < num_candidate_vectors
    return False


def also_called(**names: str) -> Callable[[Callable[_P, _R]], Callable[_P, _R]]:
    """A decorator that lets the arguments of a function also be given by another name.

    Parameters
    ----------
    **names
        Pairs of the other name and the function's own name.
    """

    def decorate(function: Callable[_P, _R]) -> Callable[_P, _R]:
        @functools.wraps(function)
        def renamed(*args: _P.args, **given: _P.kwargs) -> _R:
            for other in given.keys() & names.keys():
                if names[other] in given:
                    raise TypeError(f"{function.__name__} got {other} and {names[other]}, which are the same")
                given[names[other]] = given.pop(other)
            return function(*args, **given)

        return renamed

    return decorate
