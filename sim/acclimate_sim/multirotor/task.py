"""The published task: hold a point (Eschmann et al. 2025, arXiv 2509.11481, methods; its code)."""

import torch
from torch import Tensor

from acclimate_sim.multirotor.parameters import MultirotorParameters
from acclimate_sim.multirotor.state import MultirotorState

PERIOD_S = 0.01
MAX_DISTANCE_ARMS = 20.0
MAX_SPEED_M_S, MAX_BODY_RATE_RAD_S = 2.0, 35.0
"""Per axis; beyond them an episode counts as terminated."""
TERMINATION_REWARD = -100.0
"""Replaces the reward of the step that ends beyond a limit."""


def reward(distance_m: Tensor, orientation: Tensor, action_change: Tensor) -> Tensor:
    """Reward (num_envs,) of one control step that ends within the limits.

    Args:
        distance_m: (num_envs,), to the reference, after the step.
        orientation: (num_envs, 4), unit quaternion w x y z, body to world, after the step.
        action_change: (num_envs,), length of the change of the setpoints per 10 ms.
    """
    heading = torch.acos((1 - orientation[:, 3].abs()).clamp(-1, 1))
    return 1.5 - distance_m - 0.2 * heading - action_change


def max_distance_m(robots: MultirotorParameters) -> Tensor:
    """Largest position error (num_envs,) per axis."""
    return MAX_DISTANCE_ARMS * robots.arm_length_m


def beyond_limits(
    position_error: Tensor, velocity_error: Tensor, state: MultirotorState, max_distance_m: Tensor
) -> Tensor:
    """Which robots (num_envs,) end their episode.

    Args:
        position_error: (num_envs, 3) m, to the reference.
        velocity_error: (num_envs, 3) m/s, to that of the reference.
        state: Of the robots.
        max_distance_m: (num_envs,), largest position error per axis.
    """
    inside = (
        (position_error.abs().amax(-1) <= max_distance_m)
        & (velocity_error.abs().amax(-1) <= MAX_SPEED_M_S)
        & (state.angular_velocity.abs().amax(-1) <= MAX_BODY_RATE_RAD_S)
    )
    return ~inside  # NaN compares false: it is beyond every limit
