"""The MuJoCo engine: against the analytic one in free flight, and what only it has, the floor."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from acclimate_contract import AcclimateError, ConfigError, ContractError
from acclimate_sim.engines.errors import SimulationError
from acclimate_sim.engines.mujoco_multirotor import MujocoMultirotor
from acclimate_sim.multirotor import (
    DISTRIBUTIONS,
    GRAVITY_M_S2,
    InitialStates,
    MultirotorParameters,
    MultirotorState,
    published,
    reset,
    resting,
    sample,
    step,
)
from acclimate_sim.robots import DRAWN, ROBOTS, load_robot

OFF = -np.ones(4)
EVERY_ROBOT = [*ROBOTS, *DRAWN]


def hover_setpoint(robot: MultirotorParameters, factor: float = 1.0) -> np.ndarray:
    """Setpoint (num_motors,) whose thrust is `factor` times the weight."""
    heavier = replace(robot, mass_kg=factor * robot.mass_kg)
    return np.full(robot.num_motors, 2.0 * heavier.hover_speed.item() - 1.0)


def dropped_from(
    height_m: float, robot: MultirotorParameters, **changes: torch.Tensor
) -> MultirotorState:
    position = torch.tensor([[0.0, 0.0, height_m]], dtype=torch.float64)
    still = resting(1, like=robot.mass_kg, num_motors=robot.num_motors)
    return replace(still, position=position, **changes)


def tumbling(n: int, seed: int) -> tuple[MultirotorParameters, MultirotorState, torch.Tensor]:
    """Robots, first states and constant, unequal motor speeds (n, 4)."""
    generator = torch.Generator().manual_seed(seed)
    robots = sample(published(), n, generator)
    state = reset(robots, InitialStates(), generator)
    # Uneven enough to tumble at up to 30 rad/s after a second, whatever the robot's agility.
    share = 20.0 / robots.torque_to_inertia.unsqueeze(-1)
    unit = torch.rand(n, 4, generator=generator, dtype=torch.float64)
    speed = (robots.hover_speed.unsqueeze(-1) + share * (unit - 0.5)).clamp(0.05, 0.95)
    return robots, state, speed


def analytic(
    robots: MultirotorParameters,
    state: MultirotorState,
    speed: torch.Tensor,
    count: int,
    dt_s: float,
) -> MultirotorState:
    for _ in range(count):
        state = step(robots, state, 2.0 * speed - 1.0, dt_s)
    return state


def free_flight(
    robot: MultirotorParameters,
    start: MultirotorState,
    speed: torch.Tensor,
    duration_s: float,
    timestep_s: float,
) -> MujocoMultirotor:
    """The engine after flying with constant setpoints for motor speeds (4,)."""
    engine = MujocoMultirotor(robot, timestep_s, free_flight=True)
    engine.reset(start)
    engine.step(2.0 * speed.numpy() - 1.0, duration_s)
    return engine


@settings(max_examples=4, deadline=None, derandomize=True, phases=[Phase.generate])
@given(seed=st.integers(0, 2**31))
def test_same_forces_same_flight(seed: int) -> None:
    """One second of tumbling at constant, unequal thrust.

    MuJoCo's Runge-Kutta steps average body rates without their commutator, so its orientation is of
    second order: at 1 ms positions are up to 5e-6 m off, at half the step a quarter of that. What
    two steps extrapolate to agrees with the analytic engine a hundred times better.
    """
    robots, start, speed = tumbling(8, seed)
    start = replace(start, motor_speed=speed)
    end = analytic(robots, start, speed, 500, 0.002)
    assert end.angular_velocity.abs().max() > 2.0
    for i in range(len(robots)):
        whole = free_flight(robots[i : i + 1], start[i : i + 1], speed[i], 1.0, 0.001)
        half = free_flight(robots[i : i + 1], start[i : i + 1], speed[i], 1.0, 0.0005)
        np.testing.assert_allclose(whole.angular_velocity, end.angular_velocity[i], atol=1e-8)
        np.testing.assert_allclose(whole.position, end.position[i], rtol=0, atol=5e-6)
        extrapolated = (4.0 * half.position - whole.position) / 3.0
        np.testing.assert_allclose(extrapolated, end.position[i], rtol=0, atol=2e-8)
        alignment = abs(half.orientation @ end.orientation[i].numpy())
        assert alignment == pytest.approx(1.0, abs=1e-10)
        assert half.time_s == pytest.approx(1.0)


@pytest.mark.parametrize("name", ROBOTS)
def test_same_forces_same_flight_on_known_platforms(name: str) -> None:
    robot = load_robot(name)
    uneven = torch.tensor([[1.0, -1.0, 0.5, 0.2, 0.4, -0.3]]).double()[:, : robot.num_motors]
    speed = robot.hover_speed.item() + 0.01 * uneven
    start = dropped_from(0.0, robot, motor_speed=speed)
    end = analytic(robot, start, speed, 200, 0.005)
    engine = free_flight(robot, start, speed[0], 1.0, 0.001)
    np.testing.assert_allclose(engine.position, end.position[0], rtol=0, atol=1e-6)
    np.testing.assert_allclose(engine.angular_velocity, end.angular_velocity[0], atol=1e-7)


def test_same_forces_same_flight_with_tilted_motors_and_the_mass_beside_the_middle() -> None:
    """A tenth of a second, before the asymmetry makes a tumble of it; orders as above."""
    generator = torch.Generator().manual_seed(3)
    robots = sample(DISTRIBUTIONS["diverse"](), 24, generator)
    bent = robots.motor_axis[..., :2].abs().amax((1, 2)) > 0.01
    robots = robots[bent]
    assert len(robots) >= 4
    start = reset(robots, InitialStates(), generator)
    speed = robots.hover_speed.unsqueeze(-1).expand(-1, 4).clone()
    start = replace(start, motor_speed=speed)
    end = analytic(robots, start, speed, 100, 0.001)
    straight = replace(
        robots, motor_axis=torch.tensor([0.0, 0.0, 1.0]).double().expand(len(robots), 4, 3)
    )
    upright = analytic(straight, start, speed, 100, 0.001)
    for i in range(len(robots)):
        engine = free_flight(robots[i : i + 1], start[i : i + 1], speed[i], 0.1, 0.0005)
        np.testing.assert_allclose(engine.angular_velocity, end.angular_velocity[i], atol=1e-7)
        np.testing.assert_allclose(engine.position, end.position[i], rtol=0, atol=1e-7)
        assert np.abs(engine.angular_velocity - upright.angular_velocity[i].numpy()).max() > 1e-2


def test_motor_lag_and_thrust_follow_the_analytic_model() -> None:
    """Setpoints that jump, against the analytic engine at 1 ms.

    The mean thrust over a step is exact and its course within the step is not, so the difference
    is of second order in the step: a quarter at half the step.
    """
    robots, start, speed = tumbling(8, seed=5)
    end = analytic(robots, start, speed, 500, 0.001)

    def error(timestep_s: float) -> np.ndarray:
        ends = []
        for i in range(len(robots)):
            one, first = robots[i : i + 1], start[i : i + 1]
            engine = free_flight(one, first, speed[i], 0.5, timestep_s)
            np.testing.assert_allclose(engine.motor_speed, end.motor_speed[i], atol=1e-9)
            ends.append(engine.position)
        return np.linalg.norm(np.array(ends) - end.position.numpy(), axis=1)

    coarse, fine = error(0.001), error(0.0005)
    assert coarse.max() < 2e-5
    assert 3.5 < np.median(coarse / fine) < 4.5


def test_mass_and_inertia_are_exact() -> None:
    for name in EVERY_ROBOT:
        robot = load_robot(name)
        engine = MujocoMultirotor(robot)
        np.testing.assert_allclose(engine._model.body_inertia[1], robot.inertia_kg_m2[0], rtol=0)
        assert engine._model.body_mass[1] == robot.mass_kg.item()
        assert engine.weight_n == pytest.approx(robot.mass_kg.item() * GRAVITY_M_S2)


@pytest.mark.parametrize("name", EVERY_ROBOT)
def test_stands_on_the_floor_with_motors_off(name: str) -> None:
    robot = load_robot(name, 3)
    engine = MujocoMultirotor(robot)
    assert engine.position.tolist() == [0.0, 0.0, 0.0]
    engine.step(-np.ones(robot.num_motors), 2.0)
    assert np.abs(engine.position).max() < 1e-5
    assert np.abs(engine.linear_velocity).max() < 1e-4
    assert engine.orientation[0] == pytest.approx(1.0, abs=1e-9)
    assert engine.time_s == pytest.approx(2.0)


@pytest.mark.parametrize("name", EVERY_ROBOT)
def test_lifts_off_above_hover_thrust_only(name: str) -> None:
    robot = load_robot(name, 3)
    engine = MujocoMultirotor(robot)
    engine.step(hover_setpoint(robot, 0.9), 1.0)
    assert engine.position[2] < 1e-4
    engine.step(hover_setpoint(robot, 1.1), 1.0)
    # 10 % of gravity for the second that is left after the motors' lag.
    assert 0.2 < engine.position[2] < 0.5 * 0.1 * GRAVITY_M_S2 + 0.01
    assert engine.orientation[0] == pytest.approx(1.0, abs=1e-6)


def test_motors_follow_setpoints_on_the_floor() -> None:
    robot = load_robot("crazyflie")
    engine = MujocoMultirotor(robot)
    engine.step(np.array([-1.0, 0.0, 0.5, -0.4]), 0.1)
    expected = np.array([0.0, 0.5, 0.75, 0.3]) * (1 - math.exp(-0.1 / 0.05545))
    np.testing.assert_allclose(engine.motor_speed, expected, atol=1e-12)
    engine.step(OFF, 0.1)
    np.testing.assert_allclose(engine.motor_speed, expected * math.exp(-0.1 / 0.2494), atol=1e-12)


def test_a_fitted_curve_below_zero_does_not_pull_down() -> None:
    """At standstill the mrs curve says -1.8 N per motor; a robot in the air must fall at g."""
    robot = load_robot("mrs")
    assert robot.thrust_curve_n[0, 0, 0] < -1.0
    engine = MujocoMultirotor(robot)
    engine.reset(dropped_from(5.0, robot))
    engine.step(OFF, 0.5)
    assert engine.linear_velocity[2] == pytest.approx(-0.5 * GRAVITY_M_S2, rel=1e-9)


def test_a_payload_must_be_carried() -> None:
    robot = load_robot("x500")
    setpoint = hover_setpoint(robot)
    engine = MujocoMultirotor(robot)
    start = dropped_from(2.0, robot, motor_speed=torch.full((1, 4), 0.5 * (setpoint[0] + 1)))
    engine.reset(start)
    weight = engine.weight_n
    engine.step(setpoint, 0.5)
    assert abs(engine.linear_velocity[2]) < 1e-6

    engine.attach_payload(0.4)
    assert engine.weight_n == pytest.approx(1.2 * weight)
    before = engine.linear_velocity
    engine.step(setpoint, 0.1)
    acceleration = (engine.linear_velocity - before)[2] / 0.1
    assert acceleration == pytest.approx(-GRAVITY_M_S2 * 0.2 / 1.2, rel=1e-6)

    engine.reset(start)
    engine.attach_payload(0.4)
    engine.step(hover_setpoint(robot, 1.2), 1.0)
    assert abs(engine.linear_velocity[2]) < 0.6  # the motors needed a moment to speed up
    before = engine.linear_velocity
    engine.step(hover_setpoint(robot, 1.2), 0.1)
    assert (engine.linear_velocity - before)[2] == pytest.approx(0.0, abs=1e-6)

    engine.attach_payload(0.0)
    assert engine.weight_n == weight


def test_a_payload_in_the_air_keeps_position_and_velocity() -> None:
    robot = load_robot("x500")
    engine = MujocoMultirotor(robot)
    velocity = torch.tensor([[1.0, 2.0, 3.0]]).double()
    engine.reset(dropped_from(2.0, robot, linear_velocity=velocity, angular_velocity=velocity))
    engine.attach_payload(1.0)
    assert engine.position.tolist() == pytest.approx([0.0, 0.0, 2.0])
    assert engine.linear_velocity.tolist() == [1.0, 2.0, 3.0]
    assert engine.angular_velocity.tolist() == [1.0, 2.0, 3.0]


def test_a_force_pushes_along_the_world_axes() -> None:
    robot = load_robot("x500")
    engine = MujocoMultirotor(robot, free_flight=True)
    side = torch.tensor([[0.5**0.5, 0.5**0.5, 0.0, 0.0]]).double()
    engine.reset(dropped_from(0.0, robot, orientation=side))
    engine.set_force(np.array([2.0, -4.0, 2.0 * GRAVITY_M_S2]))
    engine.step(OFF, 1.0)
    np.testing.assert_allclose(engine.linear_velocity, [1.0, -2.0, 0.0], atol=1e-9)
    engine.set_force(np.zeros(3))
    engine.step(OFF, 0.5)
    np.testing.assert_allclose(engine.linear_velocity[:2], [1.0, -2.0], atol=1e-9)


@pytest.mark.parametrize("name", EVERY_ROBOT)
@pytest.mark.parametrize("tilt_rad", [0.0, 0.3])
def test_lands_on_its_feet(name: str, tilt_rad: float) -> None:
    """Dropped from 20 cm, level and tilted: neither thrown up again nor through the floor."""
    robot = load_robot(name, 3)
    half = torch.tensor([[math.cos(tilt_rad / 2), math.sin(tilt_rad / 2), 0.0, 0.0]]).double()
    engine = MujocoMultirotor(robot)
    arm = robot.arm_length_m.item()
    engine.reset(dropped_from(0.2 + arm * math.sin(tilt_rad), robot, orientation=half))
    heights = []
    for _ in range(150):
        engine.step(-np.ones(robot.num_motors), 0.02)
        heights.append(engine.position[2])
    landed = int(np.argmax(np.array(heights) < 0.01))
    assert min(heights) > -0.02
    assert max(heights[landed:]) < 0.03
    assert abs(heights[-1]) < 1e-3
    assert engine.orientation[0] ** 2 + engine.orientation[3] ** 2 > 0.999


def test_upside_down_it_lies_on_its_motors() -> None:
    robot = load_robot("x500")
    flipped = torch.tensor([[0.0, 1.0, 0.0, 0.0]]).double()
    engine = MujocoMultirotor(robot)
    engine.reset(dropped_from(0.5, robot, orientation=flipped))
    engine.step(OFF, 3.0)
    assert -0.06 < engine.position[2] < 0.0
    assert np.abs(engine.linear_velocity).max() < 1e-3


def test_a_duration_is_kept_exactly_whatever_the_step() -> None:
    robot = load_robot("x500")
    engine = MujocoMultirotor(robot, free_flight=True)
    engine.reset()
    for _ in range(30):
        engine.step(OFF, 1.0 / 300.0)
    assert engine.time_s == pytest.approx(0.1, abs=1e-12)
    assert engine.linear_velocity[2] == pytest.approx(-0.1 * GRAVITY_M_S2, rel=1e-9)


def test_reset_forgets_everything() -> None:
    robot = load_robot("crazyflie")
    engine = MujocoMultirotor(robot)
    engine.attach_payload(0.02)
    engine.set_force(np.ones(3))
    engine.step(np.ones(4), 0.5)
    engine.reset()
    fresh = MujocoMultirotor(robot)
    assert engine.weight_n == fresh.weight_n
    for one in (engine, fresh):
        one.step(hover_setpoint(robot, 1.2), 0.7)
    np.testing.assert_array_equal(engine.position, fresh.position)
    np.testing.assert_array_equal(engine.motor_speed, fresh.motor_speed)
    assert engine.time_s == fresh.time_s


def test_what_it_returns_is_a_copy() -> None:
    engine = MujocoMultirotor(load_robot("crazyflie"))
    for value in (
        engine.position,
        engine.orientation,
        engine.linear_velocity,
        engine.angular_velocity,
        engine.motor_speed,
    ):
        value += 1.0
    assert engine.position.tolist() == [0.0, 0.0, 0.0]
    assert engine.orientation.tolist() == [1.0, 0.0, 0.0, 0.0]
    assert engine.motor_speed.tolist() == [0.0] * 4


@pytest.mark.parametrize(
    "setpoints", [[math.nan, 0, 0, 0], [0, 0, 0, math.inf], [0, 0, 0], [[0, 0, 0, 0]]]
)
def test_bad_setpoints_are_refused_and_change_nothing(setpoints: list) -> None:
    engine = MujocoMultirotor(load_robot("crazyflie"))
    with pytest.raises(ValueError, match=r"4 finite numbers.*Fix:") as error:
        engine.step(np.array(setpoints), 0.01)
    assert isinstance(error.value, ContractError)
    assert engine.time_s == 0.0


@pytest.mark.parametrize("duration_s", [0.0, -0.1, math.nan, math.inf])
def test_bad_durations_are_refused(duration_s: float) -> None:
    with pytest.raises(ConfigError, match="Fix:"):
        MujocoMultirotor(load_robot("crazyflie")).step(OFF, duration_s)


@pytest.mark.parametrize("mass_kg", [-0.1, math.nan, math.inf])
def test_bad_payloads_are_refused(mass_kg: float) -> None:
    with pytest.raises(ConfigError, match="Fix:"):
        MujocoMultirotor(load_robot("crazyflie")).attach_payload(mass_kg)


@pytest.mark.parametrize("force", [[math.nan, 0, 0], [0, 0]])
def test_bad_forces_are_refused(force: list) -> None:
    with pytest.raises(ConfigError, match="Fix:"):
        MujocoMultirotor(load_robot("crazyflie")).set_force(np.array(force))


@pytest.mark.parametrize("timestep_s", [0.0, 0.002, -1.0, math.nan])
def test_bad_time_steps_are_refused(timestep_s: float) -> None:
    with pytest.raises(ConfigError, match="Fix:"):
        MujocoMultirotor(load_robot("crazyflie"), timestep_s)


def test_one_robot_at_a_time(generator: torch.Generator) -> None:
    robots = sample(published(), 2, generator)
    with pytest.raises(ConfigError, match="one robot"):
        MujocoMultirotor(robots)
    with pytest.raises(ConfigError, match="2 states"):
        MujocoMultirotor(robots[:1]).reset(resting(2, like=robots.mass_kg))


def test_a_state_that_is_not_finite_is_refused() -> None:
    robot = load_robot("crazyflie")
    with pytest.raises(SimulationError, match="Fix:"):
        MujocoMultirotor(robot).reset(dropped_from(math.nan, robot))


def test_divergence_is_an_error_until_reset(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # MuJoCo logs its warnings to the working directory
    engine = MujocoMultirotor(load_robot("crazyflie"))
    engine.set_force(np.array([1e12, 0.0, 0.0]))
    with pytest.raises(SimulationError, match="unusable") as error:
        engine.step(OFF, 0.01)
    assert isinstance(error.value, AcclimateError)
    # Not back at the start as if nothing had happened; NaN counts as far away, too.
    assert not np.abs(engine.position).max() < 1.0
    engine.set_force(np.zeros(3))
    with pytest.raises(SimulationError):
        engine.step(OFF, 0.01)
    engine.reset()
    engine.step(OFF, 0.01)
    assert np.abs(engine.position).max() < 1e-5
