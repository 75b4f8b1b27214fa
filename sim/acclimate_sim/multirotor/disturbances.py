"""What happens to robots while they fly: a schedule with one entry per control step."""

from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from acclimate_sim.multirotor.parameters import MultirotorParameters


@dataclass(frozen=True, kw_only=True)
class Disturbances:
    """A schedule; axes time, env. One step of it (see `at`) lacks the leading axis.

    Attributes:
        time_step_s: (time, num_envs), length of the step.
        force_n: (time, num_envs, 3), external, world frame.
        wind_m_s: (time, num_envs, 3), velocity of the air, world frame.
        mass_factor: (time, num_envs), on the mass; a payload has no extent.
        thrust_factor: (time, num_envs, num_motors), on each motor's thrust.
        delay_factor: (time, num_envs), on the control delay.
        sensor_noise: (time, num_envs, 12), unit normal draws, scaled by the robot's noise.
        dropout: (time, num_envs), 1 where no measurement arrives and the last one stands.
    """

    time_step_s: Tensor
    force_n: Tensor
    wind_m_s: Tensor
    mass_factor: Tensor
    thrust_factor: Tensor
    delay_factor: Tensor
    sensor_noise: Tensor
    dropout: Tensor

    def __len__(self) -> int:
        return len(self.time_step_s)

    def at(self, index: int) -> "Disturbances":
        """One step of the schedule."""
        return replace(self, **{f.name: getattr(self, f.name)[index] for f in fields(self)})

    def to(self, *args: torch.device | torch.dtype | str) -> "Disturbances":
        """Move to a device or a float type, as `Tensor.to`."""
        return replace(self, **{f.name: getattr(self, f.name).to(*args) for f in fields(self)})


def calm(robots: MultirotorParameters, num_steps: int, time_step_s: float) -> Disturbances:
    """Nothing happens: even steps, no force, no wind, no change, every measurement arrives."""
    like = robots.mass_kg
    shape = (num_steps, len(robots))

    def constant(value: float, *width: int) -> Tensor:
        return like.new_full((1,), value).expand(*shape, *width)

    return Disturbances(
        time_step_s=constant(time_step_s),
        force_n=constant(0.0, 3),
        wind_m_s=constant(0.0, 3),
        mass_factor=constant(1.0),
        thrust_factor=constant(1.0, robots.num_motors),
        delay_factor=constant(1.0),
        sensor_noise=constant(0.0, 12),
        dropout=constant(0.0),
    )


def between(times_s: Tensor, begin_s: Tensor | float, end_s: Tensor | float) -> Tensor:
    """Window (time, num_envs) that is 1 from `begin_s` until `end_s`, else 0."""
    return ((times_s >= begin_s) & (times_s < end_s)).to(times_s.dtype)
