"""Parameter spaces as JSON: nothing is lost, and nothing unknown is taken."""

import json
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch

from acclimate_contract import ConfigError
from acclimate_sim.multirotor import DISTRIBUTIONS, published
from acclimate_sim.randomization import ParameterSpace

OLD = {
    "name": "old",
    "parameters": [
        {
            "name": "mass",
            "unit": "kg",
            "description": "",
            "distribution": {"kind": "log_uniform", "low": 0.02, "high": 5.0},
        }
    ],
}
"""As written into policy files before there was anything but parameters."""
RICH = {
    "name": "rich",
    "parameters": [
        {
            "name": "mass",
            "unit": "kg",
            "description": "Without battery.",
            "bounds": [0.001, None],
            "distribution": {
                "kind": "between",
                "narrow": {"kind": "constant", "value": 1},
                "full": {"kind": "log_uniform", "low": 0.02, "high": 5.0, "unit": "kg"},
                "progress": 0.25,
            },
        },
        {
            "name": "arm",
            "unit": "m",
            "description": "Middle to motor.",
            "distribution": {
                "kind": "truncated_normal",
                "mean": 0.1,
                "std": 0.05,
                "low": 0.04,
                "high": 0.3,
            },
        },
        {
            "name": "blades",
            "unit": "1",
            "description": "Of each propeller.",
            "distribution": {"kind": "categorical", "values": [2, 3], "weights": [3, 1]},
        },
    ],
    "correlations": [{"names": ["mass", "arm"], "matrix": [[1.0, 0.8], [0.8, 1.0]]}],
    "derived": [
        {
            "name": "inertia",
            "unit": "kg m^2",
            "expression": "0.5 * mass * arm ** 2",
            "description": "Roll.",
        }
    ],
    "processes": [
        {
            "kind": "random_walk",
            "parameter": "mass",
            "spread": 0.1,
            "low": 0.8,
            "high": 1.2,
            "interval_s": 0.1,
        },
        {
            "kind": "ramp",
            "parameter": "arm",
            "factor": {"kind": "uniform", "low": 0.5, "high": 1.0},
            "begin_s": {"kind": "constant", "value": 1.0},
            "duration_s": {"kind": "constant", "value": 0.0},
        },
    ],
}


def copy_of(data: dict[str, Any]) -> dict[str, Any]:
    return json.loads(json.dumps(data, allow_nan=False))


@pytest.mark.parametrize("data", [OLD, RICH], ids=["old", "rich"])
def test_what_was_written_is_read_and_written_again(data: dict[str, Any]) -> None:
    space = ParameterSpace.from_json(copy_of(data))
    assert copy_of(space.to_json()) == data
    assert ParameterSpace.from_json(space.to_json()) == space
    space.sample(3, torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_our_own_spaces_survive(name: str) -> None:
    space = DISTRIBUTIONS[name]()
    assert ParameterSpace.from_json(copy_of(space.to_json())) == space


def first(data: dict[str, Any], name: str) -> dict[str, Any]:
    return data[name][0]


Spoil = Callable[[dict[str, Any]], Any]


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda d: d.pop("name"), r"malformed.*lacks \['name'\]"),
        (lambda d: d.pop("parameters"), r"'rich' lacks \['parameters'\]"),
        (lambda d: d.update(seed=3), r"unknown fields \['seed'\].*'processes'"),
        (lambda d: d.update(parameters={}), "parameters of space 'rich' is {}.*list"),
        (lambda d: d.update(parameters=[3]), "parameter is 3.*named fields"),
        (lambda d: d.update(name=3), "name 3"),
        (lambda d: first(d, "parameters").pop("unit"), r"parameter 'mass' lacks \['unit'\]"),
        (lambda d: first(d, "parameters").update(low=1), r"'mass' has unknown fields \['low'\]"),
        (lambda d: first(d, "parameters").update(unit=None), "'mass' has unit None"),
        (lambda d: first(d, "parameters").update(bounds=[0]), "'mass' is wrong"),
        (lambda d: first(d, "parameters").update(bounds=[2, 1]), "'mass' has bounds"),
        (lambda d: first(d, "parameters").update(distribution=None), "'mass' is wrong"),
        (lambda d: first(d, "parameters").update(distribution="uniform"), "'mass' is wrong"),
        (lambda d: first(d, "parameters").update(distribution={}), r"of parameter 'mass' is {}"),
        (lambda d: first(d, "correlations").update(names=["mass"]), "matrix.*two names"),
        (lambda d: first(d, "correlations").update(names=["mass", "x"]), r"\['x'\].*mass, arm"),
        (lambda d: first(d, "correlations").update(matrix=[[1, "a"], [0, 1]]), "correlation is"),
        (lambda d: first(d, "derived").update(expression="mass.x"), "'mass.x'.*no arithmetic"),
        (lambda d: first(d, "derived").update(expression=3), "'inertia' has expression 3"),
        (lambda d: first(d, "processes").update(kind="jump"), "'jump'.*ramp.*random_walk"),
        (lambda d: first(d, "processes").update(low=2.0), "processes of space 'rich'.*cannot walk"),
        (lambda d: first(d, "processes").update(parameter="x"), r"\['x'\].*mass, arm, blades"),
    ],
)
def test_what_is_wrong_is_named(spoil: Spoil, told: str) -> None:
    data = copy_of(RICH)
    spoil(data)
    with pytest.raises(ConfigError, match=told) as refusal:
        ParameterSpace.from_json(data)
    assert "Fix:" in str(refusal.value)


@pytest.mark.parametrize(
    ("distribution", "told"),
    [
        ({"kind": "cauchy"}, "'cauchy'.*uniform.*normal"),
        ({"kind": "uniform", "low": 2.0, "high": 1.0}, "of parameter 'mass'.*empty"),
        ({"kind": "uniform", "low": "0", "high": 1.0}, "of parameter 'mass'.*low '0'"),
        ({"kind": "uniform", "low": True, "high": 1.0}, "of parameter 'mass'.*low True"),
        ({"kind": "uniform", "low": 1.0}, r"of parameter 'mass' lacks \['high'\]"),
        ({"kind": "uniform", "low": 1.0, "high": 2.0, "max": 3.0}, r"\['max'\].*'high'"),
        ({"kind": "uniform", "low": 1.0, "high": 2.0, "unit": "g"}, "'mass' is in 'kg'.*'g'"),
        ({"kind": "uniform", "low": -1.0, "high": 2.0}, "'mass' is physical from 0.001 kg"),
        ({"kind": "categorical", "values": 3}, "of parameter 'mass' is wrong"),
        ({"kind": "categorical", "values": ["a"]}, "of parameter 'mass' is wrong"),
        ({"kind": "constant", "value": math.inf}, "of parameter 'mass'.*finite"),
        ({"kind": ["uniform"]}, "unknown kind"),
    ],
)
def test_a_wrong_distribution_names_its_parameter(distribution: dict[str, Any], told: str) -> None:
    data = copy_of(RICH)
    first(data, "parameters")["distribution"] = distribution
    with pytest.raises(ConfigError, match=told):
        ParameterSpace.from_json(data)


@pytest.mark.parametrize("data", [None, [], "published", 3])
def test_anything_but_an_object_is_refused(data: Any) -> None:
    with pytest.raises(ConfigError, match="malformed parameter space"):
        ParameterSpace.from_json(data)


def test_published_is_written_as_before_but_for_bounds_and_constants() -> None:
    written = published().to_json()
    assert set(written) == {"name", "parameters"}
    assert written["parameters"][0] == {
        "name": "thrust_to_weight",
        "unit": "1",
        "distribution": {"kind": "uniform", "low": 1.5, "high": 5.0},
        "description": "Full thrust over weight.",
        "bounds": [1.0, None],
    }
