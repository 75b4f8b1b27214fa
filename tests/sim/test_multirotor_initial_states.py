import pytest
import torch

from acclimate_contract import QUADROTOR
from acclimate_sim.multirotor import (
    InitialStates,
    MultirotorParameters,
    MultirotorState,
    external_force,
    published,
    reset,
    resting,
    sample,
    signals,
)
from acclimate_sim.references import figure_eight
from acclimate_sim.rotations import tilt

NUM_ENVS = 20_000
RANGES = InitialStates(
    position_m=0.4, tilt_rad=0.8, speed_m_s=1.2, body_rate_rad_s=0.9, motor_speed=0.6
)


@pytest.fixture(scope="module")
def robots() -> MultirotorParameters:
    return sample(published(), NUM_ENVS, torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def first(robots: MultirotorParameters) -> MultirotorState:
    return reset(robots, RANGES, torch.Generator().manual_seed(1))


def at_rest(state: MultirotorState) -> torch.Tensor:
    return (state.position == 0).all(1)


def test_ranges_are_filled_and_kept(first: MultirotorState) -> None:
    for values, half_width in (
        (first.position, 0.4),
        (first.linear_velocity, 1.2),
        (first.angular_velocity, 0.9),
    ):
        assert (values.abs() <= half_width).all()
        assert (values.amax(0) > 0.99 * half_width).all()
        assert (values.amin(0) < -0.99 * half_width).all()
    assert ((first.motor_speed >= 0) & (first.motor_speed <= 0.6)).all()
    assert (first.motor_speed.amax(0) > 0.59).all()


def test_tilt_and_heading_come_from_a_turn_about_any_axis(first: MultirotorState) -> None:
    angle = 2 * torch.acos(first.orientation[:, 0].clamp(max=1.0))
    moving = angle[~at_rest(first)]
    assert moving.max() <= 0.8 + 1e-6
    assert moving.mean().item() == pytest.approx(0.4, abs=0.01)
    assert tilt(first.orientation).max() <= 0.8 + 1e-6
    assert torch.allclose(first.orientation.norm(dim=1), torch.ones(NUM_ENVS).double())


def test_a_tenth_starts_at_rest_with_motors_turning(first: MultirotorState) -> None:
    still = at_rest(first)
    assert still.double().mean().item() == pytest.approx(0.1, abs=0.007)  # 3 standard errors
    assert (first.linear_velocity[still] == 0).all()
    assert (first.angular_velocity[still] == 0).all()
    assert (first.orientation[still] == torch.tensor([1.0, 0.0, 0.0, 0.0])).all()
    assert (first.motor_speed[still] > 0).any()


@pytest.mark.parametrize(("fraction", "expected"), [(0.0, 0.0), (1.0, 1.0)])
def test_share_at_rest_can_be_none_or_all(
    fraction: float, expected: float, robots: MultirotorParameters, generator: torch.Generator
) -> None:
    state = reset(robots, InitialStates(at_rest_fraction=fraction), generator)
    assert at_rest(state).double().mean().item() == expected


def test_same_seed_same_start(robots: MultirotorParameters, first: MultirotorState) -> None:
    again = reset(robots, RANGES, torch.Generator().manual_seed(1))
    other = reset(robots, RANGES, torch.Generator().manual_seed(2))
    assert torch.equal(first.position, again.position)
    assert torch.equal(first.orientation, again.orientation)
    assert not torch.equal(first.position, other.position)


def test_force_has_the_robots_spread(
    robots: MultirotorParameters, generator: torch.Generator
) -> None:
    unit = external_force(robots, generator) / robots.force_std_n.unsqueeze(-1)
    assert unit.mean(0).abs().max() < 0.03
    assert (unit.std(0) - 1.0).abs().max() < 0.02


def test_signals_keep_the_contract(first: MultirotorState, robots: MultirotorParameters) -> None:
    reference = figure_eight(1, period_s=5.0, like=robots.mass_kg)(0.7)
    filled = signals(first, reference, torch.zeros(NUM_ENVS, 4), 0.01)
    for name, value in filled.items():
        assert value.shape == (NUM_ENVS, *QUADROTOR.signal(name).shape)
    assert torch.equal(filled["position_error"], first.position - reference.position)
    velocity = filled["linear_velocity_error"]
    assert torch.equal(velocity, first.linear_velocity - reference.linear_velocity)
    assert torch.equal(filled["orientation"], first.orientation)
    assert torch.equal(filled["angular_velocity"], first.angular_velocity)
    assert filled["time_step"].dtype == first.position.dtype
    assert (filled["time_step"] == 0.01).all()
    assert (filled["reference_preview"] == 0.0).all()


def test_each_robot_has_its_own_time_step_and_future(
    first: MultirotorState, robots: MultirotorParameters
) -> None:
    reference = figure_eight(1, period_s=5.0, like=robots.mass_kg)(0.7)
    elapsed = torch.linspace(0.005, 0.02, NUM_ENVS, dtype=torch.float64)
    ahead = torch.rand(NUM_ENVS, 4, 3, dtype=torch.float64)
    filled = signals(first, reference, torch.zeros(NUM_ENVS, 4), elapsed, ahead)
    assert torch.equal(filled["time_step"], elapsed.unsqueeze(-1))
    assert torch.equal(filled["reference_preview"], ahead)


def test_resting_is_level_still_and_off(robots: MultirotorParameters) -> None:
    state = resting(3, like=robots.mass_kg)
    assert state.orientation.tolist() == [[1.0, 0.0, 0.0, 0.0]] * 3
    moving = (state.position, state.linear_velocity, state.angular_velocity, state.motor_speed)
    assert all((value == 0).all() for value in moving)
    assert state.position.dtype == torch.float64
