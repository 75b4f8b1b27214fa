import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from acclimate_contract import ConfigError
from acclimate_sim.multirotor import (
    DISTRIBUTIONS,
    GRAVITY_M_S2,
    MultirotorParameters,
    published,
    sample,
    widened,
)
from acclimate_sim.multirotor.distribution import with_motors
from acclimate_sim.multirotor.sampling import build

# The 5, 50 and 95 % quantiles of the 1000 robots that the published policy was trained on
# (Eschmann et al. 2025, arXiv 2509.11481: released code, seed 0), and half of their last digit.
PUBLISHED_ROBOTS = 1000
QUANTILES: dict[str, tuple[Callable[[MultirotorParameters], Tensor], tuple, float]] = {
    "thrust to weight": (lambda r: r.thrust_to_weight, (1.70, 3.32, 4.83), 0.005),
    "mass": (lambda r: r.mass_kg, (0.045, 1.01, 4.47), 0.0005),
    "arm length": (lambda r: r.arm_length_m, (0.041, 0.115, 0.197), 0.0005),
    "torque to inertia": (lambda r: r.torque_to_inertia, (109.0, 624.0, 1142.0), 0.5),
    "force over weight": (
        lambda r: r.force_std_n / (r.mass_kg * GRAVITY_M_S2),
        (0.002, 0.027, 0.13),
        0.0005,
    ),
}


@pytest.fixture(scope="module")
def robots() -> MultirotorParameters:
    return sample(published(), 100_000, torch.Generator().manual_seed(0))


@pytest.mark.parametrize("quantity", QUANTILES)
def test_quantiles_are_the_published_ones(quantity: str, robots: MultirotorParameters) -> None:
    """Their q-quantile has rank q in our draws, up to three standard errors of their 1000."""
    of, published_values, rounding = QUANTILES[quantity]
    values = of(robots)
    for q, value in zip((0.05, 0.5, 0.95), published_values, strict=True):
        error = 3.0 * math.sqrt(q * (1.0 - q) / PUBLISHED_ROBOTS)
        assert (values < value - rounding).double().mean() < q + error
        assert (values < value + rounding).double().mean() > q - error


def test_bounds_of_the_rules(robots: MultirotorParameters) -> None:
    for values, low, high in (
        (robots.thrust_to_weight, 1.5, 5.0),
        (robots.mass_kg, 0.02, 5.0),
        (robots.torque_to_inertia, 40.0, 1200.0),
        (robots.torque_coefficient_m.abs(), 0.005, 0.05),
        (robots.rise_time_s, 0.03, 0.10),
        (robots.fall_time_s, 0.03, 0.30),
    ):
        span = high - low
        assert low * (1 - 1e-9) <= values.min() < low + 0.001 * span
        assert high - 0.001 * span < values.max() <= high * (1 + 1e-9)


def test_arm_deviates_from_a_scaled_crazyflie(robots: MultirotorParameters) -> None:
    """Mean and spread of the factor over the published robots: 0.92 +- 0.08."""
    factor = robots.arm_length_m / (0.0396 * (robots.mass_kg / 0.0306) ** (1 / 3))
    assert factor.mean().item() == pytest.approx(0.92, abs=0.0076)  # 3 standard errors
    assert factor.std().item() == pytest.approx(0.08, abs=0.01)


def test_proportions(robots: MultirotorParameters) -> None:
    jx, jy, jz = robots.inertia_kg_m2.unbind(-1)
    assert torch.allclose(jy / jx, torch.full_like(jx, 1.0242))
    assert torch.allclose(jz / jx, torch.full_like(jx, 1.8541))
    shares = robots.thrust_curve_n[:, 0] / (robots.max_thrust_n / 4).unsqueeze(-1)
    assert torch.allclose(shares, torch.tensor([0.0320, 0.1305, 0.8375]).double())
    assert (robots.thrust_curve_n == robots.thrust_curve_n[:, :1]).all()
    corners = robots.motor_position_m.abs() / robots.arm_length_m[:, None, None]
    assert torch.allclose(corners, torch.full_like(corners, 2**-0.5), rtol=1e-14)


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_every_robot_of_every_distribution_is_physical(name: str) -> None:
    robots = sample(DISTRIBUTIONS[name](), 10_000, torch.Generator().manual_seed(1))
    assert (robots.thrust_to_weight > 1.3).all()
    assert (robots.mass_kg > 0).all()
    assert (robots.inertia_kg_m2.amax(1) < robots.inertia_kg_m2.sum(1) / 2).all()
    assert (robots.rise_time_s > 0).all()
    assert ((robots.hover_speed > 0) & (robots.hover_speed < 1)).all()
    speed = torch.linspace(0.0, 1.0, 21, dtype=torch.float64)
    powers = torch.stack((torch.ones_like(speed), speed, speed * speed))
    thrust = robots.thrust_curve_n[:, 0] @ powers  # (robots, speeds)
    assert (thrust.diff(dim=1) > 0).all()


@pytest.mark.parametrize("num_motors", [6, 8])
def test_more_motors_are_the_same_robots_otherwise(num_motors: int) -> None:
    space = DISTRIBUTIONS["diverse"]()
    four = sample(space, 200, torch.Generator().manual_seed(2))
    more = sample(with_motors(space, num_motors), 200, torch.Generator().manual_seed(2))
    assert more.num_motors == num_motors
    for name in ("mass_kg", "thrust_to_weight", "torque_to_inertia", "force_std_n"):
        torch.testing.assert_close(getattr(more, name), getattr(four, name), rtol=0.05, atol=1e-12)
    torch.testing.assert_close(more.max_thrust_n, four.max_thrust_n)
    shares = more.thrust_curve_n.sum(-1) / more.max_thrust_n.unsqueeze(-1)
    spread = shares.std(0) * num_motors
    assert spread.min() > 0.7 * spread.max()  # further motors differ like the first


def test_evenly_spread_motors_balance_and_their_torques_cancel() -> None:
    robots = sample(with_motors(published(), 6), 10, torch.Generator().manual_seed(0))
    assert robots.motor_position_m.sum(1).abs().max() < 1e-15
    assert robots.torque_coefficient_m.sum(1).abs().max() < 1e-15
    order = torch.atan2(robots.motor_position_m[0, :, 1], robots.motor_position_m[0, :, 0])
    degrees = [round(math.degrees(angle)) for angle in order.tolist()]
    assert degrees == [-30, -90, -150, 150, 90, 30]  # the contract's: clockwise from front right


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ([4.0, 6.0], r"num_motors of a batch is \[4.0, 6.0\].*Fix: make it a Constant"),
        ([5.0, 5.0], r"5 motors.*do not cancel. Fix: use an even number"),
        ([2.0, 2.0], r"2 motors.*Fix"),
    ],
)
def test_impossible_numbers_of_motors_are_refused(counts: list[float], message: str) -> None:
    draws = published().sample(2, torch.Generator())
    with pytest.raises(ConfigError, match=message):
        build({**draws, "num_motors": torch.tensor(counts)})


def test_widening_changes_only_what_it_names() -> None:
    """Both spaces draw the same masses from the same seed: they can be compared robot by robot."""
    narrow = sample(published(), 100, torch.Generator().manual_seed(5))
    wide = sample(widened(), 100, torch.Generator().manual_seed(5))
    assert torch.equal(narrow.mass_kg, wide.mass_kg)
    assert torch.equal(narrow.rise_time_s, wide.rise_time_s)
    assert not torch.equal(narrow.thrust_to_weight, wide.thrust_to_weight)
