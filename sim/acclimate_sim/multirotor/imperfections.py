"""What real robots have and the plain equations of motion leave out, one draw per robot."""

from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from acclimate_sim.multirotor.parameters import MultirotorParameters


@dataclass(frozen=True, kw_only=True)
class Imperfections:
    """Latency, air, battery and sensors of a batch of robots; first axis env.

    Attributes:
        control_delay_s: (num_envs,), from the policy's answer to the motors' input.
        rotor_drag_1_s: (num_envs,), drag in the rotor plane per speed, mass and mean motor speed
            (Faessler et al. 2018, IEEE RA-L 3(2), eq. 5, which scales with rotor speed).
        body_drag_1_m: (num_envs,), drag per squared speed and mass.
        rotor_radius_m: (num_envs,), sets the height below which the ground lifts.
        floor_m: (num_envs,), height of the floor, world frame; far below where there is none.
        voltage_sag: (num_envs,), share of the battery voltage lost with all motors at full speed.
        sensor_noise: (num_envs, 4), standard deviations: position m, orientation rad,
            velocity m/s, body rate rad/s.
        sensor_bias: (num_envs, 12), constant errors of the same: position, orientation as a
            rotation vector, velocity (world), body rate.
    """

    control_delay_s: Tensor
    rotor_drag_1_s: Tensor
    body_drag_1_m: Tensor
    rotor_radius_m: Tensor
    floor_m: Tensor
    voltage_sag: Tensor
    sensor_noise: Tensor
    sensor_bias: Tensor

    def __len__(self) -> int:
        return len(self.control_delay_s)

    def __getitem__(self, envs: slice | Tensor) -> "Imperfections":
        return replace(self, **{f.name: getattr(self, f.name)[envs] for f in fields(self)})

    def to(self, *args: torch.device | torch.dtype | str) -> "Imperfections":
        """Move to a device or a float type, as `Tensor.to`."""
        return replace(self, **{f.name: getattr(self, f.name).to(*args) for f in fields(self)})


NO_FLOOR_M = -1e3


def perfect(robots: MultirotorParameters) -> Imperfections:
    """Robots that obey the plain equations: no latency, no air but for thrust, exact sensors."""
    zeros = torch.zeros_like(robots.mass_kg)
    return Imperfections(
        control_delay_s=zeros,
        rotor_drag_1_s=zeros,
        body_drag_1_m=zeros,
        rotor_radius_m=zeros,
        floor_m=torch.full_like(zeros, NO_FLOOR_M),
        voltage_sag=zeros,
        sensor_noise=zeros.unsqueeze(-1).repeat(1, 4),
        sensor_bias=zeros.unsqueeze(-1).repeat(1, 12),
    )
