"""What makes one multirotor differ from another."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from acclimate_contract import ConfigError

GRAVITY_M_S2 = 9.81
MOTOR_SPIN = (-1.0, 1.0, -1.0, 1.0)
"""Sign of each motor's reaction torque about body z, in the contract's motor order."""


@dataclass(frozen=True, kw_only=True)
class MultirotorParameters:
    """A batch of multirotors; motors in the contract's order, body frame FLU.

    Attributes:
        mass_kg: (num_envs,).
        inertia_kg_m2: (num_envs, 3), principal moments about body x, y, z.
        motor_position_m: (num_envs, 4, 2), x and y of each motor from the centre of mass.
        motor_axis: (num_envs, 4, 3), unit vectors along which the motors pull; mostly up.
        thrust_curve_n: (num_envs, 4, 3), thrust c0 + c1 w + c2 w^2 of the motor speed w in [0, 1].
        torque_coefficient_m: (num_envs, 4), reaction torque per thrust.
        rise_time_s: (num_envs, 4), time constant while the motor speeds up.
        fall_time_s: (num_envs, 4), time constant while it slows down.
        force_std_n: (num_envs,), spread per axis of the constant external force of an episode.
    """

    mass_kg: Tensor
    inertia_kg_m2: Tensor
    motor_position_m: Tensor
    motor_axis: Tensor
    thrust_curve_n: Tensor
    torque_coefficient_m: Tensor
    rise_time_s: Tensor
    fall_time_s: Tensor
    force_std_n: Tensor

    def __len__(self) -> int:
        return len(self.mass_kg)

    def __getitem__(self, envs: slice | Tensor) -> "MultirotorParameters":
        return replace(self, **{f.name: getattr(self, f.name)[envs] for f in fields(self)})

    def to(self, *args: torch.device | torch.dtype | str) -> "MultirotorParameters":
        """Move to a device or a float type, as `Tensor.to`."""
        return replace(self, **{f.name: getattr(self, f.name).to(*args) for f in fields(self)})

    @property
    def max_thrust_n(self) -> Tensor:
        """Thrust of all motors at full speed, (num_envs,)."""
        return self.thrust_curve_n.sum(dim=(1, 2))

    @property
    def thrust_to_weight(self) -> Tensor:
        """Full thrust over weight, (num_envs,)."""
        return self.max_thrust_n / (self.mass_kg * GRAVITY_M_S2)

    @property
    def arm_length_m(self) -> Tensor:
        """Mean distance of the motors from the centre, (num_envs,)."""
        return self.motor_position_m.norm(dim=-1).mean(dim=-1)

    @property
    def torque_to_inertia(self) -> Tensor:
        """One motor's full thrust times the arm over the roll inertia, (num_envs,), 1/s^2."""
        return self.max_thrust_n / 4 * self.arm_length_m / self.inertia_kg_m2[:, 0]

    @property
    def hover_speed(self) -> Tensor:
        """Motor speed in [0, 1] at which all motors together carry the weight, (num_envs,)."""
        c0, c1, c2 = self.thrust_curve_n.sum(dim=1).unbind(-1)
        lift = self.mass_kg * GRAVITY_M_S2 - c0
        # Stable form of the quadratic's root: c2 may be zero or negative.
        root = torch.sqrt((c1 * c1 + 4 * c2 * lift).clamp_min(0.0))
        return (2 * lift / (c1 + root)).clamp(0.0, 1.0)


def concatenate(batches: Sequence[MultirotorParameters]) -> MultirotorParameters:
    """Join batches of multirotors into one, in order."""
    joined = {
        f.name: torch.cat([getattr(batch, f.name) for batch in batches])
        for f in fields(MultirotorParameters)
    }
    return MultirotorParameters(**joined)


def single_quadrotor(
    *,
    mass_kg: float,
    inertia_kg_m2: tuple[float, float, float],
    motor_x_m: float,
    motor_y_m: float,
    thrust_curve_n: tuple[float, float, float],
    torque_coefficient_m: float,
    rise_time_s: float,
    fall_time_s: float,
) -> MultirotorParameters:
    """Build a batch of one symmetric quadrotor from plain numbers, in float64.

    The spread of the external force follows the published distribution's mean setting, 0.15 of
    the thrust that is left after hovering (see `distribution`).

    Raises:
        ConfigError: A number is not finite, a positive quantity is not positive, no rigid body has
            such moments of inertia, or the motors cannot carry the weight.
    """
    positive = (mass_kg, *inertia_kg_m2, motor_x_m, motor_y_m, rise_time_s, fall_time_s)
    if not all(math.isfinite(x) and x > 0.0 for x in positive):
        raise ConfigError(
            f"quadrotor of {mass_kg=}, {inertia_kg_m2=}, {motor_x_m=}, {motor_y_m=}, "
            f"{rise_time_s=}, {fall_time_s=}: all must be finite and positive. Fix: check units."
        )
    if not all(math.isfinite(x) for x in (*thrust_curve_n, torque_coefficient_m)):
        raise ConfigError(
            f"{thrust_curve_n=}, {torque_coefficient_m=}: all must be finite. Fix: check them."
        )
    if 2 * max(inertia_kg_m2) > sum(inertia_kg_m2):
        raise ConfigError(
            f"{inertia_kg_m2=}: one moment exceeds the sum of the others, as in no rigid body. "
            "Fix: look for a slipped digit."
        )
    thrust_to_weight = 4 * sum(thrust_curve_n) / (mass_kg * GRAVITY_M_S2)
    if not thrust_to_weight > 1.0:
        raise ConfigError(
            f"full thrust is {thrust_to_weight:.2f} of the weight: this robot cannot hover. "
            "Fix: check mass_kg and thrust_curve_n (newton per motor)."
        )

    def tensor(values: object) -> Tensor:
        return torch.tensor(values, dtype=torch.float64)

    x, y = motor_x_m, motor_y_m
    return MultirotorParameters(
        mass_kg=tensor([mass_kg]),
        inertia_kg_m2=tensor([inertia_kg_m2]),
        motor_position_m=tensor([[(x, -y), (-x, -y), (-x, y), (x, y)]]),
        motor_axis=tensor([[(0.0, 0.0, 1.0)] * 4]),
        thrust_curve_n=tensor([[thrust_curve_n] * 4]),
        torque_coefficient_m=tensor([[torque_coefficient_m] * 4]),
        rise_time_s=tensor([[rise_time_s] * 4]),
        fall_time_s=tensor([[fall_time_s] * 4]),
        force_std_n=tensor([0.15 * (thrust_to_weight - 1) * thrust_to_weight * mass_kg / 3]),
    )
