"""The motors of a batch of multirotors over the physics steps of one control period."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from acclimate_sim.multirotor.parameters import MultirotorParameters


@dataclass(frozen=True, kw_only=True)
class Rotors:
    """Motors that approach a setpoint which is held.

    Attributes:
        allocation: (num_envs, num_motors, 6), force and torque on the body per newton of a motor.
        thrust_curve_n: (num_envs, num_motors, 3).
        setpoint: (num_envs, num_motors), motor speeds in [0, 1].
        half_decay: (num_envs, num_motors), what half a physics step leaves of the gap to it.
        mid_speed: (num_envs, num_motors), in the middle of the last physics step.
        speed: (num_envs, num_motors), now.
    """

    allocation: Tensor
    thrust_curve_n: Tensor
    setpoint: Tensor
    half_decay: Tensor
    mid_speed: Tensor
    speed: Tensor

    @classmethod
    def spinning(
        cls, robots: MultirotorParameters, speed: Tensor, action: Tensor, timestep_s: float
    ) -> "Rotors":
        """Start from motor speeds towards an action in [-1, 1], both (num_envs, num_motors).

        The lag is that of the first moment: an exponential never crosses its setpoint.
        """
        setpoint = 0.5 * (action.clamp(-1.0, 1.0) + 1.0)
        lag_s = torch.where(setpoint >= speed, robots.rise_time_s, robots.fall_time_s)
        return cls(
            allocation=_allocation(robots),
            thrust_curve_n=robots.thrust_curve_n,
            setpoint=setpoint,
            half_decay=torch.exp(-0.5 * timestep_s / lag_s),
            mid_speed=speed,
            speed=speed,
        )

    def advanced(self) -> "Rotors":
        """One physics step later."""
        mid_speed = torch.lerp(self.setpoint, self.speed, self.half_decay)
        return replace(
            self,
            mid_speed=mid_speed,
            speed=torch.lerp(self.setpoint, mid_speed, self.half_decay),
        )

    def wrench(self) -> tuple[Tensor, Tensor]:
        """Force in N and torque in N m (num_envs, 3) of the last step's middle, body frame."""
        c0, c1, c2 = self.thrust_curve_n.unbind(-1)
        thrust = c0 + (c1 + c2 * self.mid_speed) * self.mid_speed
        force, torque = (thrust.unsqueeze(-1) * self.allocation).sum(1).split(3, dim=-1)
        return force, torque


def _allocation(robots: MultirotorParameters) -> Tensor:
    axis = robots.motor_axis
    arm = torch.nn.functional.pad(robots.motor_position_m, (0, 1))  # motors lie in the plane z = 0
    reaction = robots.torque_coefficient_m.unsqueeze(-1) * axis
    torque = torch.cross(arm, axis, dim=-1) + reaction
    return torch.cat((axis, torque), dim=-1)
