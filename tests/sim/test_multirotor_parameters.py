import pytest
import torch

from acclimate_contract import ConfigError
from acclimate_sim.multirotor import (
    GRAVITY_M_S2,
    MultirotorParameters,
    concatenate,
    single_quadrotor,
)
from acclimate_sim.robots import load_robot

GOOD = {
    "mass_kg": 1.0,
    "inertia_kg_m2": (0.01, 0.01, 0.018),
    "motor_x_m": 0.1,
    "motor_y_m": 0.2,
    "thrust_curve_n": (0.1, 2.0, 3.0),
    "torque_coefficient_m": 0.01,
    "rise_time_s": 0.05,
    "fall_time_s": 0.1,
}


def test_derived_quantities_by_hand() -> None:
    robot = single_quadrotor(**GOOD)
    assert len(robot) == 1
    assert robot.max_thrust_n.item() == pytest.approx(20.4)
    assert robot.thrust_to_weight.item() == pytest.approx(20.4 / 9.81)
    assert robot.arm_length_m.item() == pytest.approx(0.05**0.5)
    assert robot.torque_to_inertia.item() == pytest.approx(5.1 * 0.05**0.5 / 0.01)


def test_motors_stand_in_the_contract_order() -> None:
    """front_right, back_right, back_left, front_left; x forward, y left."""
    expected = [[0.1, -0.2], [-0.1, -0.2], [-0.1, 0.2], [0.1, 0.2]]
    assert single_quadrotor(**GOOD).motor_position_m[0].tolist() == expected


@pytest.mark.parametrize(
    "curve", [(0.0, 0.0, 5.0), (0.0, 5.0, 0.0), (-0.5, 9.0, -0.9), (0.5, 2.0, 3.0)]
)
def test_at_hover_speed_thrust_carries_the_weight(curve: tuple[float, float, float]) -> None:
    robot = single_quadrotor(**{**GOOD, "thrust_curve_n": curve})
    w = robot.hover_speed
    powers = torch.stack((torch.ones_like(w), w, w * w), dim=-1)
    thrust = (robot.thrust_curve_n * powers).sum()
    assert thrust.item() == pytest.approx(1.0 * GRAVITY_M_S2, rel=1e-12)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mass_kg": 0.0}, "positive"),
        ({"mass_kg": float("nan")}, "positive"),
        ({"motor_x_m": -0.1}, "positive"),
        ({"fall_time_s": 0.0}, "positive"),
        ({"inertia_kg_m2": (0.01, 0.01, float("inf"))}, "positive"),
        ({"thrust_curve_n": (0.0, 0.0, float("inf"))}, "finite"),
        ({"torque_coefficient_m": float("nan")}, "finite"),
        ({"inertia_kg_m2": (0.1705, 0.0213, 0.0394)}, "slipped digit"),
        ({"thrust_curve_n": (0.0, 0.0, 2.0)}, "cannot hover"),
    ],
)
def test_impossible_robots_are_refused(change: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as error:
        single_quadrotor(**{**GOOD, **change})
    assert "Fix:" in str(error.value)


def test_batches_can_be_cut_joined_and_moved() -> None:
    robot = load_robot("random", 1)
    assert len(robot[torch.tensor([0, 0])]) == 2
    both = concatenate([robot, load_robot("x500")])
    assert both.mass_kg.tolist() == [robot.mass_kg.item(), 2.0]
    assert torch.equal(both[:1].thrust_curve_n, robot.thrust_curve_n)
    single: MultirotorParameters = robot.to(torch.float32)
    assert single.mass_kg.dtype == single.thrust_curve_n.dtype == torch.float32
