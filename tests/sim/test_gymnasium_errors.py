"""Each way to use the environments wrongly, and what is said about it."""

from dataclasses import replace
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch

from acclimate_contract import ConfigError
from acclimate_sim import envs
from acclimate_sim.engines.errors import SimulationError
from acclimate_sim.multirotor import DISTRIBUTIONS
from acclimate_sim.randomization import ParameterSpace, RandomWalk, Uniform

ZEROS = np.zeros((3, 4), np.float32)


def make(**settings: Any) -> gymnasium.vector.VectorEnv:
    return gymnasium.make_vec(envs.QUADROTOR, num_envs=3, **settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"space": "publised"}, "no space 'publised'.* mean 'published'.* use one of published, "),
        ({"engine": "bullet"}, "unknown engine 'bullet'. Fix: use one of analytic"),
        ({"observation": "pixels"}, "no observation 'pixels'. Fix: use one of signals, flat"),
        ({"context": "shown"}, "no context 'shown'. Fix: use one of hidden, exposed"),
        ({"spaces": "diverse"}, "no setting 'spaces'.* mean 'space'"),
        ({"autoreset_mode": "later"}, "'later'. Fix: use one of NextStep, SameStep, Disabled"),
        ({"render_mode": "human"}, "render_mode='human'. Fix: use 'rgb_array'"),
    ],
)
def test_impossible_settings_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make(**settings)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_missing_gpu_is_named() -> None:
    with pytest.raises(ConfigError, match=r"no CUDA device here. Fix: use 'cpu', or install"):
        make(device="cuda")


def test_no_environment_at_all_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"num_envs=0 fly nothing. Fix"):
        gymnasium.make_vec(envs.QUADROTOR, num_envs=0)


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({"seed": -1}, "seed -1 is out of range. Fix: use 0 to"),
        ({"seed": 2**32}, "out of range"),
        ({"options": {"robots": 3}}, r"no options \['robots'\]. Fix: use robot or reset_mask"),
        ({"options": {"robot": 256}}, "robot 256 must be one number or 3, from 0 to 255"),
        ({"options": {"robot": [1, 2]}}, "must be one number or 3"),
        ({"options": {"robot": 1.5}}, "must be one number or 3"),
        ({"options": {"reset_mask": np.ones(2, bool)}}, "must be 3 bools, at least one"),
        ({"options": {"reset_mask": np.zeros(3, bool)}}, "must be 3 bools, at least one"),
        ({"options": {"reset_mask": np.arange(3) > 0}}, "the first reset cannot leave out any"),
    ],
)
def test_impossible_resets_are_refused(request_: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make().reset(**request_)


def test_stepping_before_a_reset_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"before the first reset. Fix: call reset"):
        make().step(ZEROS)


def test_actions_of_another_shape_are_refused() -> None:
    env = make()
    env.reset(seed=0)
    with pytest.raises(ConfigError, match=r"shape \(4,\), and \(3, 4\) is needed"):
        env.step(ZEROS[0])


def test_an_action_that_is_no_number_is_named_and_leaves_the_flight_as_it_was() -> None:
    env = make()
    env.reset(seed=0)
    broken = ZEROS.copy()
    broken[1, 2] = np.nan
    with pytest.raises(ConfigError, match=r"action of environment 1 is \[0.0, 0.0, nan, 0.0\]"):
        env.step(broken)
    seen, *_ = env.step(ZEROS)
    assert np.isfinite(seen["position_error"]).all()


def weightless() -> ParameterSpace:
    """Robots with so little inertia that single precision holds neither it nor their spin."""
    nimble = {"torque_to_inertia": Uniform(low=1e30, high=1e30)}
    return DISTRIBUTIONS["published"]().with_distributions("quadrotor/weightless", nimble)


def test_robots_that_would_change_in_flight_are_refused() -> None:
    walk = RandomWalk(parameter="thrust_to_weight", spread=0.1, low=0.8, high=1.2)
    with pytest.raises(ConfigError, match=r"'quadrotor/published' change in flight.*Fix: replace"):
        make(space=replace(DISTRIBUTIONS["published"](), processes=(walk,)))


def test_a_space_that_describes_no_robot_is_refused() -> None:
    space = DISTRIBUTIONS["published"]()
    with pytest.raises(ConfigError, match=r"lacks \['curve_linear'\]"):
        make(space=replace(space, parameters=space.parameters[:-1]))


def fly_on(env: Any, action: np.ndarray) -> None:
    for _ in range(5):
        env.step(action)


@pytest.mark.parametrize("mode", ["NextStep", "SameStep"])
def test_a_state_that_is_no_number_names_its_robot_which_can_be_flown_alone(mode: str) -> None:
    env = make(space=weightless(), autoreset_mode=mode)
    env.reset(seed=3, options={"robot": [5, 6, 7]})
    message = (
        "robot 5 of seed 3 of 'quadrotor/weightless', in environment 0, is in no finite state "
        r"after \d+ steps.* thrust_to_weight .*torque_to_inertia 1e\+30.* "
        r"reset\(seed=3, options=\{'robot': 5\}\)"
    )
    with pytest.raises(SimulationError, match=message):
        fly_on(env, ZEROS)
    alone = gymnasium.make(envs.QUADROTOR, space=weightless())
    alone.reset(seed=3, options={"robot": 5})
    with pytest.raises(SimulationError, match="robot 5 of seed 3"):
        fly_on(alone, ZEROS[0])
