"""Pure checks of what reaches the supervisor; each finding is a sentence with value and limit.

Every comparison is written so that NaN fails it.
"""

from math import acos, isfinite, sqrt

import numpy as np

from acclimate_deploy.multirotor_signals import MultirotorState
from acclimate_deploy.safety.limits import MultirotorLimits


def check_clock(now_s: float, last_now_s: float) -> list[str]:
    """Find a clock that jumped back or lost its meaning: no age can then be trusted.

    Args:
        now_s: Time of this tick, in seconds.
        last_now_s: Time of the previous tick; minus infinity before the first.
    """
    if not isfinite(now_s):
        return [f"the supervisor's clock says {now_s} s, which is no time"]
    if now_s < last_now_s:
        return [
            f"the supervisor's clock jumped back by {last_now_s - now_s:.3f} s, "
            f"from {last_now_s:.3f} s to {now_s:.3f} s"
        ]
    return []


def check_stamp(
    what: str,
    stamp_s: float,
    now_s: float,
    last_stamp_s: float,
    max_age_s: float,
    max_future_s: float,
) -> list[str]:
    """Find a stamp that is stale, in the future, or older than the one before it.

    Args:
        what: Whose stamp it is, for the sentence.
        stamp_s: The newest stamp, in seconds.
        now_s: Time of this tick, in seconds.
        last_stamp_s: The stamp seen before; equal means that nothing new has arrived.
        max_age_s: Limit of the age.
        max_future_s: Limit ahead of `now_s`.
    """
    age_s = now_s - stamp_s
    if not isfinite(age_s):
        return [f"{what} is stamped {stamp_s} s, which is no time"]
    found = []
    if age_s > max_age_s:
        found.append(f"{what} is {age_s:.3f} s old and the limit is {max_age_s:.3f} s")
    if -age_s > max_future_s:
        found.append(
            f"{what} is stamped {-age_s:.3f} s in the future and the limit is {max_future_s:.3f} s"
        )
    if stamp_s < last_stamp_s:
        found.append(
            f"{what} jumped back by {last_stamp_s - stamp_s:.3f} s, "
            f"from stamp {last_stamp_s:.3f} s to {stamp_s:.3f} s"
        )
    return found


def check_finite(odometry: MultirotorState) -> list[str]:
    """Find values that are not numbers."""
    parts = {
        "position": odometry.position,
        "orientation": odometry.orientation,
        "linear velocity": odometry.linear_velocity,
        "angular velocity": odometry.angular_velocity,
    }
    return [
        f"odometry {name} is not finite: {value.tolist()}"
        for name, value in parts.items()
        if not np.isfinite(value).all()
    ]


def check_attitude(
    odometry: MultirotorState, max_tilt_rad: float, unit_tolerance: float
) -> list[str]:
    """Find an orientation that is no rotation, or too much of one."""
    w, x, y, z = odometry.orientation.tolist()
    norm = sqrt(w * w + x * x + y * y + z * z)
    if not abs(norm - 1.0) <= unit_tolerance:
        return [
            f"odometry orientation has norm {norm:.4f}, which deviates from 1 by more than the "
            f"limit of {unit_tolerance:.4f}"
        ]
    up = 1.0 - 2.0 * (x * x + y * y) / (norm * norm)  # body z along world z
    tilt_rad = acos(min(1.0, max(-1.0, up)))
    if not tilt_rad <= max_tilt_rad:
        return [f"tilt is {tilt_rad:.2f} rad and the limit is {max_tilt_rad:.2f} rad"]
    return []


def check_motion(
    odometry: MultirotorState, max_speed_m_s: float, max_body_rate_rad_s: float
) -> list[str]:
    """Find a robot that is too fast."""
    found = []
    speed = _norm(odometry.linear_velocity)
    if not speed <= max_speed_m_s:
        found.append(f"speed is {speed:.2f} m/s and the limit is {max_speed_m_s:.2f} m/s")
    rate = _norm(odometry.angular_velocity)
    if not rate <= max_body_rate_rad_s:
        found.append(f"body rate is {rate:.2f} rad/s and the limit is {max_body_rate_rad_s:.2f}")
    return found


def check_geofence(odometry: MultirotorState, limits: MultirotorLimits) -> list[str]:
    """Find a robot that left its box."""
    found = []
    for axis, value, low, high in zip(
        "xyz",
        odometry.position.tolist(),
        limits.geofence_min_m,
        limits.geofence_max_m,
        strict=True,
    ):
        if not low <= value <= high:
            found.append(
                f"position {axis} is {value:.2f} m and the geofence is {low:.2f} to {high:.2f} m"
            )
    return found


def check_command(
    command: np.ndarray | None, channels: tuple[str, ...], max_command: float
) -> list[str]:
    """Find a command that no clamping can make good.

    Args:
        command: One setpoint per motor; None before the first.
        channels: Names of the motors.
        max_command: Largest magnitude.
    """
    if command is None:
        return ["no command has arrived from the policy"]
    shape, kind = np.shape(command), np.asarray(command).dtype.kind
    if shape != (len(channels),) or kind not in "fiu":
        return [
            f"the command has shape {shape} of type {np.asarray(command).dtype} and should have "
            f"one number for each of {', '.join(channels)}"
        ]
    values = [float(value) for value in command]
    if not all(map(isfinite, values)):
        return [f"the command is not finite: {values}"]
    largest = max(map(abs, values))
    if largest > max_command:
        return [f"the command reaches {largest:.2f} and the limit is {max_command:.2f}"]
    return []


def _norm(vector: np.ndarray) -> float:
    x, y, z = vector.tolist()
    return sqrt(x * x + y * y + z * z)
