"""What a control step costs: more the farther away, and almost nothing around the reference."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from acclimate_sim.multirotor import resting
from acclimate_sim.references import Reference
from acclimate_training.problems.multirotor_tracking import TrackingCost, step_cost

WEIGHTS = TrackingCost()


def cost(distance_m: float, *, change: float = 0.0, settled: float = 1.0, moving: float = 0.0):
    """Cost of resting `distance_m` beside the reference, and what it says the distance is."""
    like = torch.zeros(1, dtype=torch.float64)
    origin, state = torch.zeros(1, 3).to(like), resting(1, like=like)
    velocity = origin + torch.tensor([moving, 0.0, 0.0])
    reference = Reference(position=origin, linear_velocity=velocity)
    state = replace(
        state, position=origin + torch.tensor([distance_m, 0.0, 0.0]), linear_velocity=velocity
    )
    before, action = torch.zeros(1, 4).to(like), torch.full((1, 4), change).to(like)
    paid, distance = step_cost(WEIGHTS, state, reference, action, before, like + settled)
    return paid.item(), distance.item()


@given(st.floats(0.0, 8.0), st.floats(0.001, 1.0))
def test_farther_away_costs_more(distance_m: float, more_m: float) -> None:
    assert cost(distance_m + more_m)[0] > cost(distance_m)[0]


def test_cost_is_flat_at_the_reference() -> None:
    """Twice as far costs four times as much within millimetres, not twice as much."""
    here, near, twice = (cost(distance)[0] for distance in (0.0, 0.001, 0.002))
    assert (twice - here) / (near - here) == pytest.approx(4.0, rel=0.1)
    assert cost(0.002)[1] == pytest.approx(0.002, abs=2e-4)


def test_change_of_the_setpoints_counts_when_the_robot_should_hover() -> None:
    resting_costs = cost(0.0, change=0.1)[0] - cost(0.0)[0]
    assert resting_costs > cost(0.0, change=0.1, settled=0.0)[0] - cost(0.0)[0]
    following = cost(0.0, change=0.1, moving=2.0)[0] - cost(0.0, moving=2.0)[0]
    assert resting_costs > 3.0 * following
