import dataclasses
import json
import math

import pytest

from ffbidx_core.errors import ParameterError
from ffbidx_core.parameters import PRESETS, Parameters


@pytest.mark.parametrize(
    ("name", "bad", "good"),
    [
        ("max_output_cells", 0, 1),
        ("max_input_cells", 0, 1),
        ("max_spots", 3, 4),
        ("num_candidate_vectors", 0, 1),
        ("method", "ifs", "ifss"),
        ("length_threshold", -1e-9, 0),
        ("triml", -1e-6, 0),
        ("trimh", 0.51, 0.5),
        ("num_angle_points", -1, 1),
        ("n_output_cells", 0, 1),
        ("contraction", 0, 0.01),
        ("contraction", 1, 0.99),
        ("max_dist", 0, 1e-9),
        ("min_spots", 3, 4),
        ("n_iter", -1, 0),
        ("vr_min_spots", 3, 4),
        ("vr_min_spots", -1, 0),
        ("crystals_threshold", -1e-6, 0),
        ("crystals_min_spots", 3, 4),
        ("race_spots", 3, 4),
        ("candidate_separation", -0.1, 0),
        ("angle_peaks", -1, 0),
        ("searches", 0, 1),
        ("research_fraction", 1.1, 1),
        ("accept", "luck", "chance"),
        ("max_false_rate", 1.1, 1),
        ("min_new_spots", 3, 4),
        ("max_drift", (0, 3), (0.01, 3)),
        ("max_drift", (0.05, 90), (0.05, 89)),
        ("max_drift", (0.05,), (0.05, 3)),
        ("polish", "free", "constrained"),
        ("strain_prior", -1e-6, 0),
        ("learn_cell", -1, 0),
        ("learn_rounds", 0, 1),
    ],
)
def test_a_value_out_of_range_is_named_with_its_range(name, bad, good):
    Parameters().replace(**{name: good})
    with pytest.raises(ParameterError) as caught:
        Parameters().replace(**{name: bad})
    assert caught.value.name == name
    assert caught.value.wanted
    assert str(caught.value).startswith(f"{name} = ")


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"triml": 0.2, "trimh": 0.1}, "triml"),
        ({"delta": -0.001}, "delta"),
        ({"triml": 0.0, "delta": 0.0}, "delta"),
        ({"num_halfsphere_points": 1, "num_candidate_vectors": 1}, "num_halfsphere_points"),
        ({"num_halfsphere_points": 31}, "num_halfsphere_points"),
    ],
)
def test_ranges_that_hang_on_another_parameter(changes, named):
    with pytest.raises(ParameterError) as caught:
        Parameters().replace(**changes)
    assert caught.value.name == named


def test_the_edges_of_ranges_that_hang_on_another_parameter():
    Parameters().replace(triml=0.3, trimh=0.3)
    Parameters().replace(triml=0.1, delta=-0.09)
    Parameters().replace(num_halfsphere_points=32)
    Parameters().replace(num_halfsphere_points=2, num_candidate_vectors=1)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("name", [f.name for f in dataclasses.fields(Parameters) if isinstance(f.default, int | float)])
def test_no_number_may_be_infinite_or_none(name, value):
    with pytest.raises(ParameterError) as caught:
        Parameters().replace(**{name: value})
    assert caught.value.name == name


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("n_iter", 2.5),
        ("n_iter", "many"),
        ("n_iter", None),
        ("max_dist", "near"),
        ("method", 3),
        ("method", None),
        ("redundant_calculations", "yes"),
        ("redundant_calculations", 2),
        ("max_drift", 5),
        ("max_drift", ("a", "b")),
    ],
)
def test_values_of_the_wrong_kind_are_refused(name, value):
    with pytest.raises(ParameterError) as caught:
        Parameters().replace(**{name: value})
    assert caught.value.name == name


def test_unknown_names_are_refused():
    with pytest.raises(ParameterError, match="no such parameter"):
        Parameters().replace(distance=1)
    with pytest.raises(ParameterError, match="best, fast, published"):
        Parameters.preset("fastest")


def test_values_take_the_type_of_their_field():
    p = Parameters().replace(n_iter=8.0, max_dist=1, redundant_calculations=0, max_drift=[0.1, 2])
    assert (p.n_iter, p.max_dist, p.redundant_calculations, p.max_drift) == (8, 1.0, False, (0.1, 2.0))
    assert [type(v) for v in (p.n_iter, p.max_dist, p.redundant_calculations)] == [int, float, bool]


@pytest.mark.parametrize("preset", PRESETS)
def test_a_value_given_by_hand_wins_over_the_preset(preset):
    p = Parameters.preset(preset, num_angle_points=77, searches=2, method="raw")
    assert (p.num_angle_points, p.searches, p.method) == (77, 2, "raw")


def test_presets_are_in_range_and_refine_with_ifssr():
    for preset in PRESETS:
        assert Parameters.preset(preset).validate().method == "ifssr"


def test_the_published_preset_has_every_lever_off():
    p = Parameters.preset("published")
    assert p == Parameters()
    off = (
        "race_spots",
        "candidate_separation",
        "vector_tolerance",
        "symmetry_tolerance",
        "angle_peaks",
        "rigid_steps",
        "merge_tolerance",
        "setting_tolerance",
        "learn_cell",
    )
    assert [getattr(p, name) for name in off] == [0] * len(off)
    assert (p.searches, p.accept, p.polish) == (1, "count", "none")


def test_best_accepts_by_chance_and_fast_differs_from_it_only_where_it_saves_work():
    best, fast = Parameters.preset("best"), Parameters.preset("fast")
    assert (best.accept, best.polish, best.dist1, best.searches) == ("chance", "constrained", 0.12, 3)
    differing = {f.name for f in dataclasses.fields(Parameters) if getattr(best, f.name) != getattr(fast, f.name)}
    assert differing == {
        "num_halfsphere_points",
        "num_candidate_vectors",
        "n_output_cells",
        "rigid_steps",
    }


def test_json_holds_every_value():
    p = Parameters.preset("best", max_dist=0.001)
    values = json.loads(p.as_json())
    assert list(values) == [f.name for f in dataclasses.fields(Parameters)]
    assert Parameters().replace(**values) == p


def test_rules_for_zero_and_less():
    p = Parameters()
    assert (p.distance1, p.distance3, p.angles) == (0.3, 0.15, 453)
    p = p.replace(dist1=0.2, dist3=-1, num_angle_points=100)
    assert (p.distance1, p.distance3, p.angles) == (0.2, 0.3, 100)


@pytest.mark.parametrize(
    ("changes", "coverage"),
    [
        ({}, (0.00075, False)),
        ({"method": "raw"}, (0.15, True)),
        ({"method": "ifss"}, (0.05, True)),
        ({"method": "ifse"}, (0.05, True)),
        ({"method": "raw", "accept": "chance"}, (0.00075, False)),
        ({"method": "raw", "crystals_threshold": 0.002}, (0.002, False)),
        ({"crystals_threshold": 0.002}, (0.002, False)),
    ],
)
def test_what_counts_as_indexed(changes, coverage):
    assert Parameters().replace(**changes).coverage == coverage


def test_fewest_spots_of_a_frame():
    assert Parameters().fewest_spots == 8
    assert Parameters.preset("best").fewest_spots == 5
