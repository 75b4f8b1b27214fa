"""What the supervisor allows a multirotor to do."""

from dataclasses import dataclass, fields
from math import inf, pi

from acclimate_contract import ConfigError


@dataclass(frozen=True, kw_only=True)
class MultirotorLimits:
    """Limits in flight, limits for arming, and how old an input may be.

    Attributes:
        max_tilt_rad: Angle between the body's z axis and world up.
        max_body_rate_rad_s: Norm of the angular velocity. Touching down gives short spikes of
            10 to 20 rad/s; beyond 35 rad/s policies have not been trained (RAPTOR ends its
            episodes there).
        max_speed_m_s: Norm of the linear velocity.
        geofence_min_m: Lowest allowed position, world x, y, z. z leaves room below the floor for
            the drift of an estimator on the ground.
        geofence_max_m: Highest allowed position, world x, y, z.
        max_odometry_age_s: Beyond it the attitude is a guess (PX4's RAPTOR mode: 50 to 100 ms).
        max_command_age_s: Age of the measurement that the command was computed from.
        max_future_s: How far a stamp may lie ahead of the supervisor's clock.
        max_command: Magnitude beyond which a command is not an overshoot to be clamped but a sign
            that the policy is broken.
        unit_tolerance: Allowed deviation of the orientation's norm from 1.
        arm_max_tilt_rad: Tilt at which arming is still allowed.
        arm_max_speed_m_s: Speed at which arming is still allowed.
        arm_max_body_rate_rad_s: Body rate at which arming is still allowed.
    """

    max_tilt_rad: float = 1.2
    max_body_rate_rad_s: float = 35.0
    max_speed_m_s: float = 10.0
    geofence_min_m: tuple[float, float, float] = (-10.0, -10.0, -1.0)
    geofence_max_m: tuple[float, float, float] = (10.0, 10.0, 10.0)
    max_odometry_age_s: float = 0.1
    max_command_age_s: float = 0.05
    max_future_s: float = 0.01
    max_command: float = 10.0
    unit_tolerance: float = 0.01
    arm_max_tilt_rad: float = 0.35
    arm_max_speed_m_s: float = 0.5
    arm_max_body_rate_rad_s: float = 1.0

    def __post_init__(self) -> None:
        for field in fields(self):
            if field.name.startswith("geofence"):
                continue
            value = getattr(self, field.name)
            if not 0.0 < value < inf:
                raise ConfigError(
                    f"safety limit {field.name} is {value}: nothing could pass, or everything "
                    "could. Fix: give it a positive, finite number."
                )
        if self.max_tilt_rad > pi:
            raise ConfigError(
                f"safety limit max_tilt_rad is {self.max_tilt_rad} rad and no tilt exceeds pi, so "
                "it would never trip. Fix: give it in radians, for example 1.2."
            )
        if self.max_command < 1.0:
            raise ConfigError(
                f"safety limit max_command is {self.max_command}, below the range of the motors. "
                "Full thrust would trip. Fix: give it at least 1."
            )
        self._check_arming()
        self._check_geofence()

    def _check_arming(self) -> None:
        for name in ("max_tilt_rad", "max_speed_m_s", "max_body_rate_rad_s"):
            arm, flight = getattr(self, f"arm_{name}"), getattr(self, name)
            if arm > flight:
                raise ConfigError(
                    f"safety limit arm_{name} is {arm}, above {name} {flight}: the robot could arm "
                    f"and trip at once. Fix: lower arm_{name}."
                )

    def _check_geofence(self) -> None:
        low, high = self.geofence_min_m, self.geofence_max_m
        ordered = all(-inf < a < b < inf for a, b in zip(low, high, strict=False))
        if not (len(low) == len(high) == 3 and ordered):
            raise ConfigError(
                f"geofence from {low} to {high} m is no box: the robot could be nowhere, or "
                "anywhere. Fix: give three finite coordinates with each minimum below its maximum."
            )
