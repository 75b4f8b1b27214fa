"""What oracles are told: the truth, each number of order one, and nothing twice."""

from dataclasses import replace

import torch
from torch import Tensor

from acclimate_sim.multirotor import (
    GRAVITY_M_S2,
    Disturbances,
    Imperfections,
    InitialStates,
    MultirotorParameters,
    MultirotorState,
    calm,
    perfect,
    reset,
)
from acclimate_sim.multirotor.distribution import diverse
from acclimate_sim.robots import load_robot
from acclimate_training.problems.episodes import MAX_DELAY_TAPS, SITUATIONS, draw_episodes
from acclimate_training.problems.privileged import num_privileged, privileged

Told = tuple[MultirotorParameters, Imperfections, Disturbances, MultirotorState, Tensor]


def simple() -> Told:
    """One x500 on a calm day."""
    robot = load_robot("x500")
    state = reset(robot, InitialStates(), torch.Generator().manual_seed(0))
    actions = torch.linspace(-1.0, 1.0, 28, dtype=torch.float64).view(1, 7, 4)
    return robot, perfect(robot), calm(robot, 1, 0.01).at(0), state, actions


def moved(before: Told, after: Told) -> list[int]:
    """Columns that differ between two."""
    difference = privileged(*after) - privileged(*before)
    return difference[0].abs().gt(1e-9).nonzero().flatten().tolist()


def test_every_number_is_finite_and_of_order_one() -> None:
    """Over the widest robots in the harshest situations, at every moment."""
    generator = torch.Generator().manual_seed(1)
    batch = draw_episodes(diverse(), SITUATIONS["harsh"], 3000, 20, generator)
    actions = 2.0 * torch.rand(3000, MAX_DELAY_TAPS, 4, generator=generator) - 1.0
    for t in (0, 10, 19):
        now = batch.disturbances.at(t)
        told = privileged(batch.robots, batch.imperfections, now, batch.start, actions)
        assert told.shape == (3000, num_privileged(4))
        assert told.dtype == torch.float32
        assert told.isfinite().all()
        others = torch.cat((told[:, :17], told[:, 20:]), dim=-1)
        assert others.abs().amax() < 4.0
        # Forces are normal draws that grow with the thrust: three weights on the strongest robots.
        assert told.abs().quantile(0.95, dim=0).max() < 4.0
        assert told.abs().amax() < 30.0
        # Nothing is constant: a column that says nothing is a column too many.
        assert told.std(0).min() > 0.02


def test_by_hand_for_one_robot() -> None:
    robot, imperfections, now, state, actions = simple()
    told = privileged(robot, imperfections, now, state, actions)[0]
    ratio = robot.max_thrust_n / (robot.mass_kg * GRAVITY_M_S2)
    torch.testing.assert_close(told[0], torch.log(ratio)[0] - 1.0)
    torch.testing.assert_close(told[7], 2.0 * robot.hover_speed[0] - 1.0)
    torch.testing.assert_close(told[11:15], torch.zeros(4).double())  # equal motors
    torch.testing.assert_close(told[23:27], 2.0 * state.motor_speed[0] - 1.0)
    torch.testing.assert_close(told[29:41], actions[0, :3].flatten())


def test_changes_in_flight_are_told() -> None:
    robot, imperfections, now, state, actions = simple()
    before = robot, imperfections, now, state, actions

    def with_change(**changes: Tensor) -> list[int]:
        changed = replace(now, **{name: value.double() for name, value in changes.items()})
        return moved(before, (robot, imperfections, changed, state, actions))

    assert with_change(force_n=torch.tensor([[1.0, 2.0, 3.0]])) == [17, 18, 19]
    assert with_change(wind_m_s=torch.tensor([[1.0, 2.0, 3.0]])) == [20, 21, 22]
    assert with_change(mass_factor=torch.tensor([1.3])) == [0, 27]
    weak = torch.tensor([[1.0, 0.7, 1.0, 1.0]])
    assert with_change(thrust_factor=weak) == [0, 11, 12, 13, 14]
    late = replace(imperfections, control_delay_s=torch.full_like(robot.mass_kg, 0.02))
    doubled = replace(now, delay_factor=torch.full_like(robot.mass_kg, 2.0))
    single = robot, late, now, state, actions
    assert moved(before, single) == [8]
    assert moved(single, (robot, late, doubled, state, actions)) == [8]


def test_imperfections_are_told() -> None:
    robot, imperfections, now, state, actions = simple()
    before = robot, imperfections, now, state, actions
    for name, value, column in (("voltage_sag", 0.1, 9), ("rotor_drag_1_s", 0.5, 10)):
        changed = replace(imperfections, **{name: torch.full_like(robot.mass_kg, value)})
        assert moved(before, (robot, changed, now, state, actions)) == [column]
    shift = torch.tensor([0.01, -0.02], dtype=torch.float64)
    shifted = replace(robot, motor_position_m=robot.motor_position_m - shift)
    assert {15, 16} <= set(moved(before, (shifted, imperfections, now, state, actions)))


def test_a_robot_without_delay_has_one_past_action_and_zeros_behind_it() -> None:
    robot, imperfections, now, state, actions = simple()
    told = privileged(robot, imperfections, now, state, actions[:, :1])[0]
    assert told.shape == (num_privileged(4),)
    torch.testing.assert_close(told[29:33], actions[0, 0])
    assert (told[33:41] == 0.0).all()
