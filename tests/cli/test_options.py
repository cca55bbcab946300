"""The options are made from the parameters, and no default is written twice."""

import dataclasses

import pytest

from ffbidx_cli.commands.index import command
from ffbidx_cli.options import chosen_parameters
from ffbidx_core.parameters import PRESETS, Parameters

FIELDS = {field.name: field for field in dataclasses.fields(Parameters)}
OPTIONS = {parameter.name: parameter for parameter in command.params}


@pytest.mark.parametrize("name", FIELDS)
def test_every_parameter_is_an_option_without_a_default_of_its_own(name):
    assert OPTIONS[name].opts == ["--" + name.replace("_", "-")]
    assert command.make_context("index", ["x.h5"]).params[name] is None


@pytest.mark.parametrize("name", FIELDS)
@pytest.mark.parametrize("preset", PRESETS)
def test_an_option_given_by_hand_wins_over_the_preset(name, preset):
    old = getattr(Parameters.preset(preset), name)
    words = {
        "method": "ifss",
        "accept": "count",
        "polish": "none",
        "geometry_level": "group",
        "max_drift": (0.01, 1.0),
    }
    value = words.get(name, not old if isinstance(old, bool) else old + 4 if isinstance(old, int) else 0.1)
    parameters, given = chosen_parameters(preset, dict.fromkeys(FIELDS) | {name: value, "output": "x.h5"})
    assert given == {name: value}
    assert parameters == Parameters.preset(preset, **{name: value})
    assert getattr(parameters, name) == value


@pytest.mark.parametrize("name", FIELDS)
def test_the_help_shows_the_value_in_every_preset(name):
    bracket = OPTIONS[name].help.rpartition("[")[2].rstrip("]")
    shown = dict(part.rsplit(": ", 1)[::-1] for part in bracket.split(", "))
    values = {preset: getattr(Parameters.preset(preset), name) for preset in PRESETS}
    if len(set(values.values())) == 1:
        assert list(shown.values()) == ["default"]
        return
    for text, presets in shown.items():
        for preset in presets.split(" and "):
            value = values.pop(preset)
            wanted = {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value).removesuffix(".0")
            assert wanted == text
    assert not values


@pytest.mark.parametrize("text", ["5%,3", "0.05,3", " 5 % , 3.0 ", "5.0%,3"])
def test_drift_in_percent_or_as_a_fraction(text):
    assert OPTIONS["max_drift"].type.convert(text, None, None) == pytest.approx((0.05, 3.0))


def test_both_forms_of_a_flag():
    for prefix, value in (("--", True), ("--no-", False)):
        context = command.make_context("index", ["x.h5", f"{prefix}redundant-calculations"])
        assert context.params["redundant_calculations"] is value
