"""A robot in its world: latency, air, ground, battery, payloads and sensors, one by one."""

import math
from dataclasses import fields, replace
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from acclimate_sim.multirotor import (
    DISTRIBUTIONS,
    GRAVITY_M_S2,
    Disturbances,
    Imperfections,
    InitialStates,
    MultirotorParameters,
    MultirotorState,
    advance,
    calm,
    delayed,
    measure,
    perfect,
    reset,
    resting,
    sample,
    sample_imperfect,
    step,
)
from acclimate_sim.robots import load_robot
from acclimate_sim.rotations import axis_angle_to_quat, quat_multiply, rotation_matrix

DT_S = 0.01
TAPS = 7
STATE_FIELDS = [field.name for field in fields(MultirotorState)]
UNIT = st.floats(0.0, 1.0)
FEW = settings(max_examples=30, deadline=None)  # busy machines stall for longer than a deadline


def full(*values: float) -> Tensor:
    return torch.tensor([values], dtype=torch.float64)


def quiet(robots: MultirotorParameters, time_step_s: float = DT_S) -> Disturbances:
    return calm(robots, 1, time_step_s).at(0)


def delay_weights(delay_s: float, time_step_s: float = DT_S, factor: float = 1.0) -> Tensor:
    """Share (TAPS,) of each action, the newest first: taps that are the rows of the identity."""
    robot = load_robot("x500")
    late = replace(perfect(robot), control_delay_s=full(delay_s)[0])
    now = replace(quiet(robot, time_step_s), delay_factor=full(factor)[0])
    taps = torch.eye(TAPS, dtype=torch.float64).unsqueeze(-1).expand(-1, -1, 4)
    each = [delayed(late, now, taps[:, i].unsqueeze(0)) for i in range(TAPS)]
    assert all((one == one[0, 0]).all() for one in each)
    return torch.stack([one[0, 0] for one in each])


def flying(velocity: Tensor, orientation: Tensor, motor_speed: float = 0.5) -> MultirotorState:
    still = resting(1, like=velocity)
    return replace(
        still,
        linear_velocity=velocity,
        orientation=orientation,
        motor_speed=torch.full_like(still.motor_speed, motor_speed),
    )


def acceleration(
    robot: MultirotorParameters,
    imperfections: Imperfections,
    now: Disturbances,
    state: MultirotorState,
) -> Tensor:
    """Mean acceleration (num_envs, 3) over a very short step at constant motor speed."""
    now = replace(now, time_step_s=torch.full_like(now.time_step_s, 1e-6))
    end = advance(robot, imperfections, now, state, 2.0 * state.motor_speed - 1.0)
    return (end.linear_velocity - state.linear_velocity) / 1e-6


def air(
    velocity: Tensor, wind: Tensor, orientation: Tensor, motor_speed: float = 0.5, **changes: Tensor
) -> Tensor:
    """Acceleration (3,) of an x500 by the air alone: with drag minus without."""
    robot = load_robot("x500")
    state, now = flying(velocity, orientation, motor_speed), replace(quiet(robot), wind_m_s=wind)
    dragged = replace(perfect(robot), **changes)
    with_air = acceleration(robot, dragged, now, state)
    return (with_air - acceleration(robot, perfect(robot), now, state))[0]


LEVEL = full(1.0, 0.0, 0.0, 0.0)
VECTOR = st.tuples(*[st.floats(-8.0, 8.0)] * 3).map(lambda v: full(*v))
ATTITUDE = st.tuples(*[st.floats(-1.0, 1.0)] * 4).filter(lambda q: math.hypot(*q) > 0.1)
ORIENTATION = ATTITUDE.map(lambda q: torch.nn.functional.normalize(full(*q), dim=-1))


# Latency


def test_without_delay_the_newest_action_arrives() -> None:
    assert delay_weights(0.0).tolist() == [1.0] + [0.0] * (TAPS - 1)


@pytest.mark.parametrize("steps", range(TAPS))
def test_a_delay_of_whole_steps_picks_one_tap(steps: int) -> None:
    expected = [float(tap == steps) for tap in range(TAPS)]
    assert delay_weights(steps * DT_S).tolist() == pytest.approx(expected, abs=1e-9)
    # A quarter of the delay and a step of a quarter are the same number of steps.
    assert delay_weights(steps * DT_S / 4, DT_S / 4).tolist() == pytest.approx(expected, abs=1e-9)
    assert delay_weights(steps * DT_S / 2, factor=2.0).tolist() == pytest.approx(expected, abs=1e-9)


@FEW
@given(delay_s=st.floats(0.0, 0.2), time_step_s=st.floats(0.004, 0.03))
def test_what_arrives_is_a_mean_of_two_neighbours_at_the_delay(
    delay_s: float, time_step_s: float
) -> None:
    """Beyond the last tap the last tap stands."""
    weights = delay_weights(delay_s, time_step_s)
    assert (weights >= 0.0).all()
    assert weights.sum().item() == pytest.approx(1.0, abs=1e-12)
    age = (weights * torch.arange(TAPS)).sum().item()
    assert age == pytest.approx(min(delay_s / time_step_s, TAPS - 1), abs=1e-9)
    used = weights.nonzero().flatten()
    assert used[-1] - used[0] <= 1


@FEW
@given(share=UNIT, older=UNIT, newer=UNIT, lag_s=st.floats(0.03, 0.3))
def test_a_motor_cannot_tell_the_mean_from_the_switch_within_the_step(
    share: float, older: float, newer: float, lag_s: float
) -> None:
    """The exact answer holds the older setpoint for a share of the step, then the newer one.

    Expanding both exponentials, they differ by share (1 - share) / 2 (dt / T)^2 of the jump.
    """
    robot = load_robot("x500")
    lag = torch.full((1, 4), lag_s, dtype=torch.float64)
    robot = replace(robot, rise_time_s=lag, fall_time_s=lag)
    late = replace(perfect(robot), control_delay_s=full(share * DT_S)[0])
    setpoints = torch.stack([full(*[2.0 * u - 1.0] * 4) for u in (newer, older)], dim=1)
    start = flying(full(0.0, 0.0, 0.0), LEVEL)
    arriving = delayed(late, quiet(robot), setpoints)
    end = advance(robot, late, quiet(robot), start, arriving).motor_speed[0, 0].item()
    switch = older + (0.5 - older) * math.exp(-share * DT_S / lag_s)
    exact = newer + (switch - newer) * math.exp(-(1.0 - share) * DT_S / lag_s)
    bound = 0.5 * share * (1.0 - share) * (DT_S / lag_s) ** 2 * abs(newer - older)
    # What Runge-Kutta adds: (dt / T)^5 / 120 of the gap.
    assert abs(end - exact) <= bound + (DT_S / lag_s) ** 5 / 120 + 1e-12


# Air


@FEW
@given(velocity=VECTOR, wind=VECTOR, orientation=ORIENTATION)
def test_body_drag_is_quadratic_against_the_air_velocity(
    velocity: Tensor, wind: Tensor, orientation: Tensor
) -> None:
    got = air(velocity, wind, orientation, body_drag_1_m=full(0.07)[0])
    relative = (velocity - wind)[0]
    # The smoothed length is 1 mm/s off at rest; the difference over a microsecond loses digits.
    torch.testing.assert_close(got, -0.07 * relative.norm() * relative, atol=2e-3, rtol=1e-3)


@FEW
@given(velocity=VECTOR, wind=VECTOR, orientation=ORIENTATION, motor_speed=st.floats(0.0, 1.0))
def test_rotor_drag_acts_in_the_rotor_plane_and_grows_with_motor_speed(
    velocity: Tensor, wind: Tensor, orientation: Tensor, motor_speed: float
) -> None:
    got = air(velocity, wind, orientation, motor_speed, rotor_drag_1_s=full(0.8)[0])
    rotation = rotation_matrix(orientation)[0]
    in_body = rotation.T @ (velocity - wind)[0]
    expected = -0.8 * motor_speed * (rotation @ (in_body * full(1.0, 1.0, 0.0)[0]))
    torch.testing.assert_close(got, expected, atol=1e-4, rtol=1e-4)


def test_at_rest_in_still_air_nothing_drags() -> None:
    zero, wind = full(0.0, 0.0, 0.0), full(3.0, -2.0, 1.0)
    rotor, body = full(1.0)[0], full(0.1)[0]
    assert air(zero, zero, LEVEL, rotor_drag_1_s=rotor, body_drag_1_m=body).abs().max() == 0.0
    assert air(wind, wind, LEVEL, rotor_drag_1_s=rotor, body_drag_1_m=body).abs().max() < 1e-9


def test_air_takes_energy_from_a_robot_that_moves_through_it() -> None:
    """Coasting sideways for a second; the closed form of linear drag at constant motor speed."""
    robot = load_robot("x500")
    hover = robot.hover_speed.item()
    dragged = replace(perfect(robot), rotor_drag_1_s=full(0.5)[0])
    state = flying(full(4.0, 0.0, 0.0), LEVEL, hover)
    for _ in range(100):
        state = advance(robot, dragged, quiet(robot), state, full(*[2.0 * hover - 1.0] * 4))
    # Held over 10 ms steps: (1 - k dt)^(1 s / dt) instead of exp(-k 1 s), relative k^2 dt / 2.
    expected = 4.0 * math.exp(-0.5 * hover)
    assert state.linear_velocity[0, 0].item() == pytest.approx(expected, rel=hover**2 * 0.25 * 0.01)


# Ground and battery


def thrust_factor(height_m: float, **changes: float) -> float:
    """Vertical thrust of an x500 over what it has far up with a stiff battery."""
    robot = load_robot("x500")
    state = flying(full(0.0, 0.0, 0.0), LEVEL, 0.8)
    state = replace(state, position=full(0.0, 0.0, height_m))
    imperfections = replace(perfect(robot), **{n: full(v)[0] for n, v in changes.items()})
    lifts = [
        acceleration(robot, one, quiet(robot), state)[0, 2] + GRAVITY_M_S2
        for one in (imperfections, perfect(robot))
    ]
    return (lifts[0] / lifts[1]).item()


@FEW
@given(radius_m=st.floats(0.02, 0.3), heights=st.floats(0.6, 20.0), floor_m=st.floats(-2.0, 2.0))
def test_ground_effect_is_that_of_cheeseman_and_bennett(
    radius_m: float, heights: float, floor_m: float
) -> None:
    """1955, equation 5, at `heights` rotor radii above the floor."""
    height_m = floor_m + heights * radius_m
    got = thrust_factor(height_m, rotor_radius_m=radius_m, floor_m=floor_m)
    assert got == pytest.approx(1.0 / (1.0 - (1.0 / (4.0 * heights)) ** 2), rel=1e-6)


def test_the_ground_lifts_less_the_higher_and_finitely_at_the_floor() -> None:
    heights = (-0.1, 0.0, 0.05, 0.1, 0.2, 0.5, 5.0)
    got = [thrust_factor(h, rotor_radius_m=0.15, floor_m=0.0) for h in heights]
    assert got[:3] == pytest.approx([4.0 / 3.0] * 3, rel=1e-6)
    assert all(a > b for a, b in pairwise(got[2:]))
    assert got[-1] == pytest.approx(1.0, abs=1e-4)
    assert thrust_factor(0.0, rotor_radius_m=0.15) == pytest.approx(1.0, abs=1e-6)  # no floor


def test_a_sagging_battery_costs_the_square_of_the_voltage() -> None:
    """All motors at 0.8: the current is 0.8 cubed of the full one."""
    expected = (1.0 - 0.15 * 0.8**3) ** 2
    assert thrust_factor(0.0, voltage_sag=0.15) == pytest.approx(expected, rel=1e-6)


# Payloads and motors


def test_changed_mass_and_motors_are_those_of_a_robot_built_that_way() -> None:
    generator = torch.Generator().manual_seed(0)
    robots, imperfections = sample_imperfect(DISTRIBUTIONS["diverse"](), 32, generator)
    state = reset(robots, InitialStates(), generator)
    heavier = 1.0 + torch.rand(32, generator=generator, dtype=torch.float64)
    weaker = torch.rand(32, 4, generator=generator, dtype=torch.float64)
    now = quiet(robots)
    changed = replace(now, mass_factor=heavier, thrust_factor=weaker)
    built = replace(
        robots,
        mass_kg=heavier * robots.mass_kg,
        thrust_curve_n=weaker.unsqueeze(-1) * robots.thrust_curve_n,
    )
    # Drag is given per mass, and the payload adds mass and no drag.
    slimmer = replace(
        imperfections,
        rotor_drag_1_s=imperfections.rotor_drag_1_s / heavier,
        body_drag_1_m=imperfections.body_drag_1_m / heavier,
    )
    setpoint = torch.zeros_like(weaker)
    got = advance(robots, imperfections, changed, state, setpoint)
    expected = advance(built, slimmer, now, state, setpoint)
    for name in STATE_FIELDS:
        torch.testing.assert_close(getattr(got, name), getattr(expected, name), rtol=1e-12, atol=0)
    unchanged = advance(robots, imperfections, now, state, setpoint)
    assert (got.linear_velocity - unchanged.linear_velocity).norm(dim=1).min() > 1e-4


def test_a_perfect_robot_on_a_calm_day_obeys_the_plain_equations(
    generator: torch.Generator,
) -> None:
    robots = sample(DISTRIBUTIONS["published"](), 32, generator)
    state = reset(robots, InitialStates(), generator)
    action = 2.0 * torch.rand(32, 4, generator=generator, dtype=torch.float64) - 1.0
    force = torch.randn(32, 3, generator=generator, dtype=torch.float64)
    now = replace(quiet(robots), force_n=force)
    got = advance(robots, perfect(robots), now, state, action)
    expected = step(robots, state, action, now.time_step_s, external_force_n=force)
    for name in STATE_FIELDS:
        torch.testing.assert_close(getattr(got, name), getattr(expected, name), rtol=1e-12, atol=0)


def test_holding_air_ground_and_battery_over_a_period_converges() -> None:
    """Two seconds of pulsing thrust in wind, near the floor, tilted: 10 ms against 1 ms.

    Equal motors, so that the flight is not a tumble that amplifies anything. What is held is of
    first order in the step: half the step, half the error. Measured, it is 0.2 % of the distance
    flown in the median and 0.6 % at worst; without the air it would be tens of percent.
    """
    generator = torch.Generator().manual_seed(1)
    n = 32
    space = DISTRIBUTIONS["diverse"]()
    wild, imperfections = sample_imperfect(space, n, generator)
    robots = sample(DISTRIBUTIONS["widened"](), n, generator)
    tilted = axis_angle_to_quat(full(0.6, 0.8, 0.0), full(0.2)[0]).expand(n, 4)
    rest = resting(n, like=robots.mass_kg)
    hover = robots.hover_speed.unsqueeze(-1).expand(n, 4)
    start = replace(rest, orientation=tilted, motor_speed=hover)
    low = replace(
        imperfections,
        rotor_radius_m=0.6 * wild.arm_length_m,
        floor_m=torch.full_like(robots.mass_kg, -0.1),
    )
    wind = 5.0 * torch.randn(n, 3, generator=generator, dtype=torch.float64)

    def end(steps_per_period: int) -> MultirotorState:
        state = start
        now = replace(quiet(robots, DT_S / steps_per_period), wind_m_s=wind)
        for t in range(200):
            setpoint = 2.0 * hover - 1.0 + 0.1 * math.sin(0.1 * t)
            for _ in range(steps_per_period):
                state = advance(robots, low, now, state, setpoint)
        return state

    coarse, half, fine = (end(k).position for k in (1, 2, 10))
    flown = (fine - start.position).norm(dim=1)
    error = (coarse - fine).norm(dim=1)
    assert flown.median() > 1.0
    assert (error / flown).max() < 0.01
    # Against 1 ms the errors go with 10 - 1 and 5 - 1, which makes 2.25; measured 2.20 to 2.27.
    ratio = error / (half - fine).norm(dim=1)
    assert ratio.min() > 2.1
    assert ratio.max() < 2.4


# Sensors


def sensing(n: int) -> tuple[Imperfections, Disturbances, MultirotorState, MultirotorState]:
    """Perfect sensors, a calm moment, the true state and another that was read before."""
    generator = torch.Generator().manual_seed(2)
    robots = sample(DISTRIBUTIONS["published"](), n, generator)
    anyhow = InitialStates(tilt_rad=3.0, at_rest_fraction=0.0)
    truth, before = (reset(robots, anyhow, generator) for _ in range(2))
    return perfect(robots), quiet(robots), truth, before


def turn_between(start: Tensor, end: Tensor) -> Tensor:
    """Rotation vector (num_envs, 3), world frame, that turns `start` into `end`; small angles."""
    inverse = start * full(1.0, -1.0, -1.0, -1.0)
    turn = quat_multiply(end, inverse)
    return 2.0 * turn[:, 1:] / turn[:, :1]


def test_perfect_sensors_say_the_truth() -> None:
    imperfections, now, truth, before = sensing(16)
    reading = measure(imperfections, now, truth, before)
    for name in STATE_FIELDS:
        torch.testing.assert_close(getattr(reading, name), getattr(truth, name), rtol=0, atol=1e-15)


def test_biases_add_to_what_they_belong_to() -> None:
    imperfections, now, truth, before = sensing(16)
    bias = 0.01 * torch.arange(1.0, 13.0, dtype=torch.float64).repeat(16, 1)
    reading = measure(replace(imperfections, sensor_bias=bias), now, truth, before)
    for name, error in (
        ("position", bias[:, 0:3]),
        ("linear_velocity", bias[:, 6:9]),
        ("angular_velocity", bias[:, 9:12]),
    ):
        torch.testing.assert_close(getattr(reading, name) - getattr(truth, name), error)
    turn = turn_between(truth.orientation, reading.orientation)
    torch.testing.assert_close(turn, bias[:, 3:6])
    assert torch.equal(reading.motor_speed, truth.motor_speed)


def test_noise_has_the_spread_the_robot_says() -> None:
    imperfections, now, truth, before = sensing(20_000)
    spread = torch.tensor([0.01, 0.02, 0.05, 0.1], dtype=torch.float64)
    generator = torch.Generator().manual_seed(3)
    noisy = replace(imperfections, sensor_noise=spread.expand(20_000, 4))
    draws = torch.randn(20_000, 12, generator=generator, dtype=torch.float64)
    reading = measure(noisy, replace(now, sensor_noise=draws), truth, before)
    errors = torch.cat(
        (
            reading.position - truth.position,
            turn_between(truth.orientation, reading.orientation),
            reading.linear_velocity - truth.linear_velocity,
            reading.angular_velocity - truth.angular_velocity,
        ),
        dim=-1,
    )
    # Four standard errors of a spread from 20,000 draws: 4 / sqrt(40,000).
    torch.testing.assert_close(errors.std(0), spread.repeat_interleave(3), rtol=0.02, atol=0)


def test_a_dropout_holds_the_last_reading() -> None:
    imperfections, now, truth, before = sensing(4)
    biased = replace(imperfections, sensor_bias=torch.full_like(imperfections.sensor_bias, 0.1))
    dropout = torch.tensor([1.0, 0.0, 1.0, 0.0], dtype=torch.float64)
    reading = measure(biased, replace(now, dropout=dropout), truth, before)
    fresh = measure(biased, now, truth, before)
    for name in ("position", "orientation", "linear_velocity", "angular_velocity"):
        got = getattr(reading, name)
        assert torch.equal(got[::2], getattr(before, name)[::2])
        assert torch.equal(got[1::2], getattr(fresh, name)[1::2])


@pytest.mark.parametrize("spread", [0.02, 1.0])
def test_a_measured_orientation_is_a_unit_quaternion(spread: float) -> None:
    imperfections, now, truth, before = sensing(1000)
    generator = torch.Generator().manual_seed(4)
    draws = torch.randn(1000, 12, generator=generator, dtype=torch.float64)
    noisy = replace(imperfections, sensor_noise=torch.full_like(imperfections.sensor_noise, spread))
    reading = measure(noisy, replace(now, sensor_noise=draws), truth, before)
    assert (reading.orientation.norm(dim=1) - 1.0).abs().max() < 1e-14
