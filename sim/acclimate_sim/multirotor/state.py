"""The state of a batch of multirotors."""

from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class MultirotorState:
    """Motion of the body and of its motors; first axis env.

    Attributes:
        position: (num_envs, 3) m, world.
        orientation: (num_envs, 4), unit quaternion w x y z, body to world.
        linear_velocity: (num_envs, 3) m/s, world.
        angular_velocity: (num_envs, 3) rad/s, body.
        motor_speed: (num_envs, num_motors), normalised to [0, 1].
    """

    position: Tensor
    orientation: Tensor
    linear_velocity: Tensor
    angular_velocity: Tensor
    motor_speed: Tensor

    def __len__(self) -> int:
        return len(self.position)

    def __getitem__(self, envs: slice | Tensor) -> "MultirotorState":
        return replace(self, **{f.name: getattr(self, f.name)[envs] for f in fields(self)})

    def detach(self) -> "MultirotorState":
        """The same numbers without their history."""
        return replace(self, **{f.name: getattr(self, f.name).detach() for f in fields(self)})


def resting(num_envs: int, *, like: Tensor, num_motors: int = 4) -> MultirotorState:
    """At the origin, level, still, motors off; device and float type of `like`."""
    zeros = torch.zeros(num_envs, 3, device=like.device, dtype=like.dtype)
    level = torch.tensor([1.0, 0.0, 0.0, 0.0]).to(like).repeat(num_envs, 1)
    return MultirotorState(
        position=zeros,
        orientation=level,
        linear_velocity=zeros,
        angular_velocity=zeros,
        motor_speed=zeros.new_zeros(num_envs, num_motors),
    )
