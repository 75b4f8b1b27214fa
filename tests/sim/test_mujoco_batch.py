"""Many robots in MuJoCo at once: what the suite for all engines (test_engines.py) leaves out."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from acclimate_contract import ConfigError
from acclimate_sim.engines import mujoco_models
from acclimate_sim.engines.errors import SimulationError
from acclimate_sim.engines.motors import spin
from acclimate_sim.engines.mujoco_batch import MujocoBatch
from acclimate_sim.engines.mujoco_multirotor import MujocoMultirotor
from acclimate_sim.multirotor import (
    DISTRIBUTIONS,
    GRAVITY_M_S2,
    InitialStates,
    MultirotorParameters,
    MultirotorState,
    reset,
    resting,
    sample,
)
from acclimate_sim.robots import load_robot


def crew(n: int, seed: int = 0) -> tuple[MultirotorParameters, MultirotorState, torch.Tensor]:
    """Robots, states, actions."""
    generator = torch.Generator().manual_seed(seed)
    robots = sample(DISTRIBUTIONS["diverse"](), n, generator)
    action = torch.rand(n, 4, generator=generator, dtype=torch.float64) - 0.5
    return robots, reset(robots, InitialStates(), generator), action


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Masses of the models that were written so far."""
    masses: list[float] = []
    write = mujoco_models.write

    def noted(model: object, row: np.ndarray, scratch: object) -> None:
        masses.append(float(row["mass"]))
        write(model, row, scratch)

    monkeypatch.setattr(mujoco_models, "write", noted)
    return masses


def test_each_robot_flies_as_it_would_alone() -> None:
    robots, state, action = crew(4)
    end = MujocoBatch(threads=1)(robots, state, action, 0.05)
    for i in range(4):
        one = slice(i, i + 1)
        alone = MujocoMultirotor(robots[one], free_flight=True)
        alone.reset(state[one])
        alone.step(action[i].numpy(), 0.05)
        np.testing.assert_allclose(alone.position, end.position[i], rtol=0, atol=1e-12)
        np.testing.assert_allclose(alone.angular_velocity, end.angular_velocity[i], atol=1e-11)
        np.testing.assert_allclose(alone.motor_speed, end.motor_speed[i], atol=1e-15)


def test_threads_change_nothing() -> None:
    robots, state, action = crew(9)
    one, two = (MujocoBatch(threads=n)(robots, state, action, 0.02) for n in (1, 2))
    for name, value in vars(one).items():
        assert torch.equal(value, vars(two)[name]), name


def test_only_robots_that_changed_are_written(written: list[float]) -> None:
    robots, state, action = crew(4)
    engine = MujocoBatch(threads=1)
    engine(robots, state, action, 0.01)
    engine(robots, state, action, 0.01)
    engine(robots[:2], state[:2], action[:2], 0.01)
    copied = replace(robots, mass_kg=robots.mass_kg.clone())
    engine(replace(copied, thrust_curve_n=0.9 * robots.thrust_curve_n), state, action, 0.01)
    assert written == robots.mass_kg.tolist()
    loaded = robots.mass_kg * torch.tensor([1.0, 1.0, 1.3, 1.0])
    engine(replace(robots, mass_kg=loaded), state, action, 0.01)
    assert written[4:] == [loaded[2].item()]


@pytest.mark.parametrize("inference", [False, True])
def test_a_tensor_that_is_written_to_is_noticed(inference: bool, written: list[float]) -> None:
    with torch.inference_mode(inference):
        robots, state, action = crew(2)
        engine = MujocoBatch(threads=1)
        engine(robots, state, action, 0.01)
        robots.mass_kg[1] *= 2.0
        engine(robots, state, action, 0.01)
    assert written[2:] == [robots.mass_kg[1].item()]


def test_a_payload_must_be_carried() -> None:
    robot = load_robot("x500")
    hover = 2.0 * robot.hover_speed - 1.0
    state = replace(resting(1, like=hover), motor_speed=robot.hover_speed.expand(1, 4))
    engine = MujocoBatch(threads=1)
    light = engine(robot, state, hover.expand(1, 4), 0.1)
    heavy = engine(replace(robot, mass_kg=1.2 * robot.mass_kg), state, hover.expand(1, 4), 0.1)
    assert light.linear_velocity[0, 2].item() == pytest.approx(0.0, abs=1e-12)
    sinking = -0.1 * GRAVITY_M_S2 * 0.2 / 1.2
    assert heavy.linear_velocity[0, 2].item() == pytest.approx(sinking, rel=1e-9)


def test_every_robot_stands_on_its_own_floor() -> None:
    """Dropped from 10 cm above it; the centre of mass comes to rest at the length of the legs."""
    robots = sample(DISTRIBUTIONS["published"](), 3, torch.Generator().manual_seed(0))
    floor_m = torch.tensor([-2.0, 0.0, 5.0])
    standing = floor_m + 0.3 * robots.arm_length_m
    state = resting(3, like=robots.mass_kg)
    position = torch.stack((torch.zeros(3), torch.ones(3), standing + 0.1), dim=-1)
    state = replace(state, position=position.double())
    engine = MujocoBatch(floor_m=floor_m, threads=1)
    for _ in range(75):
        state = engine(robots, state, -torch.ones(3, 4), 0.02)
    np.testing.assert_allclose(state.position[:, 2], standing, atol=2e-3)
    np.testing.assert_allclose(state.position[:, :2], position[:, :2], atol=1e-3)
    assert state.linear_velocity.abs().max() < 1e-3
    assert state.orientation[:, 0].min() > 0.9999


def test_propellers_pull_down_in_the_bare_equations_only() -> None:
    """The mrs curve says -1.8 N per motor at standstill."""
    robot = load_robot("mrs")
    state = resting(1, like=robot.mass_kg)
    off = -torch.ones(1, 4)
    free = MujocoBatch(threads=1)(robot, state, off, 0.1).linear_velocity[0, 2]
    above = MujocoBatch(floor_m=-50.0, threads=1)(robot, state, off, 0.1).linear_velocity[0, 2]
    pull = robot.thrust_curve_n[0, :, 0].sum() / robot.mass_kg[0]
    assert above.item() == pytest.approx(-0.1 * GRAVITY_M_S2)
    assert free.item() == pytest.approx(0.1 * (pull.item() - GRAVITY_M_S2))


def test_longer_periods_take_more_steps_not_longer_ones() -> None:
    robots, state, action = crew(2)
    engine = MujocoBatch(threads=1)
    once = engine(robots, state, action, 0.02)
    twice = engine(robots, engine(robots, state, action, 0.01), action, 0.01)
    torch.testing.assert_close(once.position, twice.position, rtol=0, atol=1e-12)


def test_motors_reach_what_the_lag_says_and_pull_by_its_mean() -> None:
    """Against ten thousand small steps of the same lag."""
    robots, state, action = crew(5)
    goal, length_s = 0.5 * (action + 1.0), torch.full((5,), 0.03, dtype=torch.float64)
    end, thrust = spin(robots, state.motor_speed, goal, length_s / 3, 3)
    lag = torch.where(goal >= state.motor_speed, robots.rise_time_s, robots.fall_time_s)
    times = (torch.arange(30_000).double() + 0.5) * 1e-6
    speed = goal + (state.motor_speed - goal) * torch.exp(-times.view(-1, 1, 1) / lag)
    c0, c1, c2 = robots.thrust_curve_n.unbind(-1)
    means = (c0 + c1 * speed + c2 * speed**2).view(3, 10_000, 5, 4).mean(1).transpose(0, 1)
    torch.testing.assert_close(thrust, means, rtol=1e-8, atol=1e-10)
    torch.testing.assert_close(end, speed[-1], rtol=0, atol=1e-4)


def test_divergence_names_robots_and_leaves_the_others_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # MuJoCo logs its warnings to the working directory
    robots, state, action = crew(3)
    engine = MujocoBatch(threads=1)
    expected = engine(robots, state, action, 0.01)
    force = torch.zeros(3, 3).double()
    force[1, 0] = 1e13
    with pytest.raises(SimulationError, match=r"robot 1 became unusable.*Fix:") as error:
        engine(robots, state, action, 0.01, external_force_n=force)
    assert error.value.rows == (1,)
    after = error.value.state
    assert after is not None
    assert after.position[1].isnan().all()
    assert torch.equal(after.position[[0, 2]], expected.position[[0, 2]])


def test_divergence_in_the_last_step_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MuJoCo would notice it at the next step, which there is none of."""
    monkeypatch.chdir(tmp_path)
    robots, state, action = crew(2)
    force = torch.zeros(2, 3).double()
    force[0, 0] = 1e13
    with pytest.raises(SimulationError, match="robot 0 became"):
        MujocoBatch(threads=1)(robots, state, action, 0.001, external_force_n=force)


@pytest.mark.parametrize("bad", ["action", "force", "curve"])
def test_what_is_not_finite_is_named(bad: str) -> None:
    robots, state, action = crew(12)
    force = torch.zeros(12, 3).double()
    curve = robots.thrust_curve_n.clone()
    {"action": action, "force": force, "curve": curve}[bad][1:11] = math.nan
    robots = replace(robots, thrust_curve_n=curve)
    with pytest.raises(SimulationError, match="robots 1, 2, 3, 4, 5, 6, 7, 8 and 2 more became"):
        MujocoBatch(threads=1)(robots, state, action, 0.01, external_force_n=force)


@pytest.mark.parametrize(
    ("name", "value"), [("mass_kg", 0.0), ("inertia_kg_m2", -1.0), ("motor_position_m", math.nan)]
)
def test_impossible_robots_are_refused_by_name(name: str, value: float) -> None:
    robots, state, action = crew(3)
    changed = getattr(robots, name).clone()
    changed[2] = value
    with pytest.raises(ConfigError, match=r"^robot 2 with.*Fix:"):
        MujocoBatch(threads=1)(replace(robots, **{name: changed}), state, action, 0.01)


def test_gradients_are_refused_where_somebody_waits_for_them() -> None:
    robots, state, action = crew(2)
    action.requires_grad_()
    engine = MujocoBatch(threads=1)
    with pytest.raises(ConfigError, match=r"no gradients.*analytic"):
        engine(robots, state, action, 0.01)
    with torch.no_grad():
        engine(robots, state, action, 0.01)


@pytest.mark.parametrize("dt_s", [0.0, -0.01, math.nan, math.inf])
def test_bad_periods_are_refused(dt_s: float) -> None:
    robots, state, action = crew(2)
    with pytest.raises(ConfigError, match="Fix:"):
        MujocoBatch(threads=1)(robots, state, action, dt_s)


def test_sizes_must_fit() -> None:
    robots, state, action = crew(3)
    engine = MujocoBatch(floor_m=torch.zeros(2), threads=1)
    with pytest.raises(ConfigError, match=r"2 heights of the floor for 3 robots.*Fix:"):
        engine(robots, state, action, 0.01)
    with pytest.raises(ConfigError, match=r"3 robots, but.*\[3, 2\].*Fix:"):
        engine(robots, state, action[:2], 0.01)


@pytest.mark.parametrize("options", [{"timestep_s": 0.002}, {"timestep_s": 0.0}, {"threads": 0}])
def test_bad_options_are_refused(options: dict) -> None:
    with pytest.raises(ConfigError, match="Fix:"):
        MujocoBatch(**options)
