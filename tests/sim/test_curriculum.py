"""A curriculum widens what it is told to, steadily, robot by robot."""

import json
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from acclimate_contract import ConfigError
from acclimate_sim.multirotor import published, widened
from acclimate_sim.randomization import Categorical, Parameter, ParameterSpace, pair, widening

UNHURRIED = settings(deadline=None)  # busy machines stall for longer than a deadline
PROGRESS = st.floats(0.0, 1.0)


def draw(space: ParameterSpace, n: int = 50) -> dict[str, Tensor]:
    return space.sample(n, torch.Generator().manual_seed(4))


NARROW, FULL = draw(published()), draw(widened())


@UNHURRIED
@given(progress=PROGRESS)
def test_every_robot_moves_steadily_to_its_full_self(progress: float) -> None:
    stage = draw(widening(published(), widened(), progress))
    for name, values in stage.items():
        expected = (1.0 - progress) * NARROW[name] + progress * FULL[name]
        torch.testing.assert_close(values, expected)


def test_the_ends_are_the_spaces_themselves() -> None:
    assert widening(published(), widened(), 1.0) == widened()
    begin = widening(published(), widened(), 0.0)
    assert begin == replace(published(), name="quadrotor/widened")


@UNHURRIED
@given(progress=PROGRESS)
def test_a_stage_survives_json(progress: float) -> None:
    stage = widening(published(), widened(), progress)
    assert ParameterSpace.from_json(json.loads(json.dumps(stage.to_json()))) == stage


def test_parameters_can_widen_one_by_one() -> None:
    stage = draw(widening(published(), widened(), {"thrust_to_weight": 0.5}))
    assert torch.equal(stage["torque_to_inertia"], NARROW["torque_to_inertia"])
    half = 0.5 * (NARROW["thrust_to_weight"] + FULL["thrust_to_weight"])
    torch.testing.assert_close(stage["thrust_to_weight"], half)


def test_progress_of_a_stranger_is_refused_with_what_exists() -> None:
    with pytest.raises(ConfigError, match=r"\['thrust'\].*thrust_to_weight"):
        widening(published(), widened(), {"thrust": 0.5})


@pytest.mark.parametrize("progress", [-0.1, 1.1, float("nan")])
def test_progress_outside_its_range_is_refused(progress: float) -> None:
    with pytest.raises(ConfigError, match="not from 0 to 1"):
        widening(published(), widened(), progress)


def test_spaces_that_differ_in_more_than_ranges_are_refused() -> None:
    full = widened()
    more = Parameter(
        name="more", unit="1", distribution=full.parameters[0].distribution, description=""
    )
    other_unit = replace(full.parameters[0], unit="N")
    for other, told in (
        (replace(full, parameters=(*full.parameters, more)), "more"),
        (replace(full, parameters=(other_unit, *full.parameters[1:])), "thrust_to_weight"),
        (replace(full, correlations=(pair("size", "rise_time", 0.5),)), "correlated"),
    ):
        with pytest.raises(ConfigError, match=told):
            widening(published(), other, 0.5)


def test_another_choice_is_no_wider_one() -> None:
    full = published().with_distributions("test", {"rise_time": Categorical(values=(0.05, 0.1))})
    with pytest.raises(ConfigError, match="same Categorical"):
        widening(published(), full, 0.5)
    assert widening(full, full, 0.5) == full
