"""Where episodes begin (Eschmann et al. 2025, arXiv 2509.11481, methods; released code)."""

from dataclasses import dataclass

import torch
from torch import Tensor

from acclimate_sim.multirotor.parameters import MultirotorParameters
from acclimate_sim.multirotor.state import MultirotorState
from acclimate_sim.rotations import axis_angle_to_quat


@dataclass(frozen=True, kw_only=True)
class InitialStates:
    """Ranges of the first state; the defaults are those of the published student rollouts.

    Attributes:
        position_m: Half width of the cube around the reference.
        tilt_rad: Largest angle of a turn about a random axis.
        speed_m_s: Half width per axis, world frame.
        body_rate_rad_s: Half width per axis, body frame.
        motor_speed: Largest normalised motor speed.
        at_rest_fraction: Share of robots that start exactly at the reference.
    """

    position_m: float = 0.5
    tilt_rad: float = 1.0
    speed_m_s: float = 1.0
    body_rate_rad_s: float = 1.0
    motor_speed: float = 0.5
    at_rest_fraction: float = 0.1


def reset(
    parameters: MultirotorParameters, ranges: InitialStates, generator: torch.Generator
) -> MultirotorState:
    """Draw one first state per robot, relative to a reference at the origin."""
    like = parameters.mass_kg
    n = len(parameters)

    def uniform(width: int, half_width: float) -> Tensor:
        unit = torch.rand(n, width, generator=generator, device=like.device, dtype=like.dtype)
        return half_width * (2.0 * unit - 1.0)

    moving = uniform(1, 1.0) >= 2.0 * ranges.at_rest_fraction - 1.0
    axis = torch.randn(n, 3, generator=generator, device=like.device, dtype=like.dtype)
    axis = axis / axis.norm(dim=-1, keepdim=True)
    angle = moving.squeeze(-1) * uniform(1, ranges.tilt_rad).abs().squeeze(-1)
    return MultirotorState(
        position=moving * uniform(3, ranges.position_m),
        orientation=axis_angle_to_quat(axis, angle),
        linear_velocity=moving * uniform(3, ranges.speed_m_s),
        angular_velocity=moving * uniform(3, ranges.body_rate_rad_s),
        motor_speed=uniform(parameters.num_motors, ranges.motor_speed).abs(),
    )


def external_force(parameters: MultirotorParameters, generator: torch.Generator) -> Tensor:
    """Draw the constant force (num_envs, 3) in newton, world frame, of one episode per robot."""
    like = parameters.force_std_n
    unit = torch.randn(len(like), 3, generator=generator, device=like.device, dtype=like.dtype)
    return unit * like.unsqueeze(-1)
