"""Reference trajectories: pure functions of time, batched over robots.

A trajectory is `(time_s) -> Reference`, where `time_s` is a number or a 0-d tensor; whatever is
random was drawn when the trajectory was built.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from acclimate_contract import ConfigError


@dataclass(frozen=True, kw_only=True)
class Reference:
    """Where the robots should be; first axis env (or 1, to broadcast).

    Attributes:
        position: (num_envs, 3) m, world.
        linear_velocity: (num_envs, 3) m/s, world.
    """

    position: Tensor
    linear_velocity: Tensor


Trajectory = Callable[[float | Tensor], Reference]


def hover(num_envs: int, *, like: Tensor) -> Trajectory:
    """Stay at the origin; device and float type of `like`."""
    zeros = torch.zeros(num_envs, 3, device=like.device, dtype=like.dtype)
    return lambda time_s: Reference(position=zeros, linear_velocity=zeros)


def figure_eight(
    num_envs: int, *, period_s: float, like: Tensor, ramp_s: float = 1.0
) -> Trajectory:
    """Fly x = sin(p), y = sin(2 p) / 2 in metres, one loop per period.

    The phase p starts with zero rate that grows linearly to the full one within `ramp_s`
    (Eschmann et al. 2025, section "Trajectory tracking").
    """
    if not (period_s > 0.0 and ramp_s > 0.0):
        raise ConfigError(f"figure eight of {period_s=}, {ramp_s=} never moves. Fix: more than 0.")
    full_rate = 2.0 * math.pi / period_s

    def at(time_s: float | Tensor) -> Reference:
        time = torch.as_tensor(time_s, device=like.device, dtype=like.dtype)
        ramp = torch.clamp(time, max=ramp_s)
        phase = full_rate * (ramp * ramp / (2.0 * ramp_s) + torch.clamp(time - ramp_s, min=0.0))
        rate = full_rate * ramp / ramp_s
        zero = torch.zeros_like(phase)
        position = torch.stack((torch.sin(phase), 0.5 * torch.sin(2 * phase), zero))
        velocity = torch.stack((rate * torch.cos(phase), rate * torch.cos(2 * phase), zero))
        return Reference(
            position=position.expand(num_envs, 3), linear_velocity=velocity.expand(num_envs, 3)
        )

    return at


def steps(
    num_envs: int,
    *,
    interval_s: float,
    half_width_m: float,
    count: int,
    generator: torch.Generator,
    like: Tensor,
) -> Trajectory:
    """Jump to a new uniformly drawn point every `interval_s`; the first point is the origin.

    After `count` points the last one is held. The reference velocity is zero throughout.
    """
    if not (interval_s > 0.0 and count > 0):
        raise ConfigError(f"steps of {interval_s=}, {count=} lead nowhere. Fix: more than 0.")
    shape = (count, num_envs, 3)
    unit = torch.rand(shape, generator=generator, device=like.device, dtype=like.dtype)
    points = half_width_m * (2.0 * unit - 1.0)
    points[0] = 0.0
    zeros = torch.zeros_like(points[0])

    def at(time_s: float | Tensor) -> Reference:
        # A jump at 3 * 0.1 s is due although 0.3 / 0.1 is 2.99... in binary.
        index = min(int(float(time_s) / interval_s + 1e-9), count - 1)
        return Reference(position=points[index], linear_velocity=zeros)

    return at


def random_smooth(
    num_envs: int,
    *,
    amplitude_m: float,
    max_rate_rad_s: float,
    generator: torch.Generator,
    like: Tensor,
    num_waves: int = 2,
) -> Trajectory:
    """Sum of `num_waves` sines per axis with random rates; starts at the origin with full speed.

    Each wave's amplitude is uniform up to `amplitude_m` and falls with its rate, so that slow
    waves are wide and fast ones narrow, as flown trajectories are.
    """

    def uniform(low: float, high: float) -> Tensor:
        shape = (num_waves, num_envs, 3)
        unit = torch.rand(shape, generator=generator, device=like.device, dtype=like.dtype)
        return low + (high - low) * unit

    rate = uniform(0.1 * max_rate_rad_s, max_rate_rad_s)
    amplitude = uniform(0.0, amplitude_m) / (1.0 + rate)
    phase = uniform(0.0, 2.0 * math.pi)

    def at(time_s: float | Tensor) -> Reference:
        angle = rate * time_s + phase
        position = (amplitude * (torch.sin(angle) - torch.sin(phase))).sum(0)
        return Reference(
            position=position, linear_velocity=(amplitude * rate * torch.cos(angle)).sum(0)
        )

    return at
