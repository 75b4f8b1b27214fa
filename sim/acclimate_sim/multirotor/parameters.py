"""What makes one multirotor differ from another."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from acclimate_contract import ConfigError

GRAVITY_M_S2 = 9.81


@dataclass(frozen=True, kw_only=True)
class MultirotorParameters:
    """A batch of multirotors with equally many motors; motors in the contract's order, body FLU.

    Attributes:
        mass_kg: (num_envs,).
        inertia_kg_m2: (num_envs, 3), principal moments about body x, y, z.
        motor_position_m: (num_envs, num_motors, 2), x and y of each motor from the centre of mass.
        motor_axis: (num_envs, num_motors, 3), unit vectors along which the motors pull; mostly up.
        thrust_curve_n: (num_envs, num_motors, 3), thrust c0 + c1 w + c2 w^2 of the motor speed w in
            [0, 1].
        torque_coefficient_m: (num_envs, num_motors), reaction torque about the motor's axis per
            thrust; positive for propellers that turn clockwise, seen from above.
        rise_time_s: (num_envs, num_motors), time constant while the motor speeds up.
        fall_time_s: (num_envs, num_motors), time constant while it slows down.
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
    def num_motors(self) -> int:
        """Of each robot."""
        return self.motor_position_m.shape[1]

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
        return self.max_thrust_n / self.num_motors * self.arm_length_m / self.inertia_kg_m2[:, 0]

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


def motor_directions(num_motors: int) -> Tensor:
    """Unit vectors (num_motors, 2) to evenly spread motors: clockwise, the first front right.

    No motor stands straight ahead: four make an X, six have one on each side.
    """
    turns = (torch.arange(num_motors, dtype=torch.float64) + 0.5) / num_motors
    angle = -2.0 * math.pi * turns
    return torch.stack((torch.cos(angle), torch.sin(angle)), dim=-1)


def motor_spins(num_motors: int) -> Tensor:
    """Sign (num_motors,) of each reaction torque about body z; neighbours turn against each other.

    Raises:
        ConfigError: Their torques would not cancel.
    """
    if num_motors < 4 or num_motors % 2:
        raise ConfigError(
            f"{num_motors} motors: below four not all axes can be held apart, and the reaction "
            "torques of an odd number do not cancel. Fix: use an even number from 4 on."
        )
    return torch.tensor([-1.0, 1.0] * (num_motors // 2), dtype=torch.float64)


def single_multirotor(
    *,
    mass_kg: float,
    inertia_kg_m2: tuple[float, float, float],
    motor_position_m: Sequence[tuple[float, float]],
    thrust_curve_n: tuple[float, float, float],
    torque_coefficient_m: float,
    rise_time_s: float,
    fall_time_s: float,
) -> MultirotorParameters:
    """Build a batch of one from plain numbers, in float64; all motors alike but for their spin.

    The spread of the external force follows the published distribution's mean setting, 0.15 of
    the thrust that is left after hovering (see `distribution`).

    Args:
        mass_kg: With battery.
        inertia_kg_m2: Principal moments about body x, y, z.
        motor_position_m: x and y of each motor from the centre of mass, in the contract's order,
            in which neighbours turn against each other.
        thrust_curve_n: Of one motor, c0 + c1 w + c2 w^2 of its speed w in [0, 1].
        torque_coefficient_m: Reaction torque per thrust.
        rise_time_s: Time constant while a motor speeds up.
        fall_time_s: Time constant while it slows down.

    Raises:
        ConfigError: A number is not finite, a positive quantity is not positive, no rigid body has
            such moments of inertia, or the motors cannot carry the weight.
    """
    positive = (mass_kg, *inertia_kg_m2, rise_time_s, fall_time_s)
    if not all(math.isfinite(x) and x > 0.0 for x in positive):
        raise ConfigError(
            f"multirotor of {mass_kg=}, {inertia_kg_m2=}, {rise_time_s=}, {fall_time_s=}: all must "
            "be finite and positive. Fix: check units."
        )
    places = [x for place in motor_position_m for x in place]
    if not all(math.isfinite(x) for x in (*places, *thrust_curve_n, torque_coefficient_m)):
        raise ConfigError(
            f"{motor_position_m=}, {thrust_curve_n=}, {torque_coefficient_m=}: all must be finite. "
            "Fix: check them."
        )
    if 2 * max(inertia_kg_m2) > sum(inertia_kg_m2):
        raise ConfigError(
            f"{inertia_kg_m2=}: one moment exceeds the sum of the others, as in no rigid body. "
            "Fix: look for a slipped digit."
        )
    n = len(motor_position_m)
    thrust_to_weight = n * sum(thrust_curve_n) / (mass_kg * GRAVITY_M_S2)
    if not thrust_to_weight > 1.0:
        raise ConfigError(
            f"full thrust is {thrust_to_weight:.2f} of the weight: this robot cannot hover. "
            "Fix: check mass_kg and thrust_curve_n (newton per motor)."
        )

    def tensor(values: object) -> Tensor:
        return torch.tensor(values, dtype=torch.float64)

    return MultirotorParameters(
        mass_kg=tensor([mass_kg]),
        inertia_kg_m2=tensor([inertia_kg_m2]),
        motor_position_m=tensor([motor_position_m]),
        motor_axis=tensor([[(0.0, 0.0, 1.0)] * n]),
        thrust_curve_n=tensor([[thrust_curve_n] * n]),
        torque_coefficient_m=torque_coefficient_m * motor_spins(n).unsqueeze(0),
        rise_time_s=tensor([[rise_time_s] * n]),
        fall_time_s=tensor([[fall_time_s] * n]),
        force_std_n=tensor([0.15 * (thrust_to_weight - 1) * thrust_to_weight * mass_kg / 3]),
    )


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
    """Build a batch of one quadrotor from plain numbers, its motors at the corners of a rectangle.

    Args and errors are those of `single_multirotor`, but for the corner of the front left motor.
    """
    x, y = motor_x_m, motor_y_m
    if not (0.0 < x < math.inf and 0.0 < y < math.inf):
        raise ConfigError(f"{motor_x_m=}, {motor_y_m=}: both must be positive. Fix: check units.")
    return single_multirotor(
        mass_kg=mass_kg,
        inertia_kg_m2=inertia_kg_m2,
        motor_position_m=[(x, -y), (-x, -y), (-x, y), (x, y)],
        thrust_curve_n=thrust_curve_n,
        torque_coefficient_m=torque_coefficient_m,
        rise_time_s=rise_time_s,
        fall_time_s=fall_time_s,
    )
