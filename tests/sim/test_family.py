"""A space from anybody's hands describes quadrotors, or is refused with a reason."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

from acclimate_contract import ConfigError
from acclimate_sim.multirotor import DISTRIBUTIONS, published, sample, sample_imperfect
from acclimate_sim.randomization import Constant, Derived, Parameter, ParameterSpace

WEAR = Parameter(name="wear", unit="1", distribution=Constant(value=2.0), description="Age.")


def without(name: str) -> ParameterSpace:
    space = published()
    return replace(space, parameters=tuple(p for p in space.parameters if p.name != name))


def with_more(parameter: Parameter) -> ParameterSpace:
    return replace(published(), parameters=(*published().parameters, parameter))


def with_derived(name: str, expression: str, **settings: Any) -> ParameterSpace:
    rule: dict[str, Any] = {"unit": "s", "description": ""} | settings
    derived = Derived(name=name, expression=expression, **rule)
    return replace(published(), parameters=(*without(name).parameters, WEAR), derived=(derived,))


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_our_own_spaces_describe_quadrotors(name: str) -> None:
    sample_imperfect(DISTRIBUTIONS[name](), 2, seeded())


def test_a_parameter_may_be_derived_from_one_that_only_the_space_knows() -> None:
    space = with_derived("rise_time", "0.02 * wear", bounds=(0.01, 0.1))
    assert (sample(space, 3, seeded()).rise_time_s == 0.04).all()


def delay(unit: str, value: float) -> Parameter:
    return Parameter(
        name="control_delay", unit=unit, distribution=Constant(value=value), description=""
    )


@pytest.mark.parametrize(
    ("space", "told"),
    [
        (lambda: without("size"), r"lacks \['size'\]"),
        (lambda: with_more(WEAR), r"'wear'.*thrust_to_weight, size"),
        (lambda: with_more(delay("ms", 20.0)), r"'control_delay' is in 'ms'.*'s'"),
        (lambda: with_more(delay("s", -0.01)), r"'control_delay' is physical from 0 s"),
        (lambda: with_derived("rise_time", "wear"), r"'rise_time' has bounds.*from 0.0001 s"),
        (lambda: with_derived("rise_time", "wear", unit="ms"), r"'rise_time' is in 'ms'"),
        (lambda: with_derived("rise_time", "wear", bounds=(0.0, 1.0)), r"'rise_time' has bounds"),
    ],
)
def test_other_spaces_are_refused(space: Callable[[], ParameterSpace], told: str) -> None:
    for draw in (sample, sample_imperfect):
        with pytest.raises(ConfigError, match=told):
            draw(space(), 2, seeded())
