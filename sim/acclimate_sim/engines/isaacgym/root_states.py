"""Rows of numbers for states: ours and Isaac Gym's.

Ours hold position, quaternion w x y z, velocity in the world and rates in the body; Isaac Gym's
root states have quaternions x y z w and rates in the world. Motors are in neither.
"""

import torch
from torch import Tensor

from acclimate_sim.multirotor.state import MultirotorState
from acclimate_sim.rotations import rotation_matrix


def packed(state: MultirotorState) -> Tensor:
    """Our rows (num_envs, 13) of a state."""
    return torch.cat(
        (state.position, state.orientation, state.linear_velocity, state.angular_velocity), dim=-1
    )


def unpacked(rows: Tensor, motor_speed: Tensor) -> MultirotorState:
    """State of our rows (num_envs, 13) and motor speeds (num_envs, num_motors)."""
    return MultirotorState(
        position=rows[:, :3],
        orientation=rows[:, 3:7],
        linear_velocity=rows[:, 7:10],
        angular_velocity=rows[:, 10:],
        motor_speed=motor_speed,
    )


def to_root(rows: Tensor) -> Tensor:
    """Isaac Gym's rows (num_envs, 13) for ours."""
    rate = rotation_matrix(rows[:, 3:7]) @ rows[:, 10:].unsqueeze(-1)
    orientation = rows[:, 3:7].roll(-1, dims=-1)
    return torch.cat((rows[:, :3], orientation, rows[:, 7:10], rate.squeeze(-1)), dim=-1)


def from_root(root: Tensor) -> Tensor:
    """Our rows (num_envs, 13) for Isaac Gym's."""
    orientation = root[:, 3:7].roll(1, dims=-1)
    rate = to_body(root, root[:, 10:])
    return torch.cat((root[:, :3], orientation, root[:, 7:10], rate), dim=-1)


def to_body(root: Tensor, vec_world: Tensor) -> Tensor:
    """Turn vectors (num_envs, 3) from the world into the bodies' frames of Isaac Gym's rows."""
    rotation = rotation_matrix(root[:, 3:7].roll(1, dims=-1))
    return (rotation.mT @ vec_world.unsqueeze(-1)).squeeze(-1)
