"""What a flight log says without being asked: armed time, error, tilt, phases, disturbances."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from acclimate_deploy.flight_log import FlightLog
from acclimate_deploy.flight_tracks import FlightEvent, SafetyChange

TRIPPED_MODES = ("tripped", "emergency stopped")
DISTURBANCE_WORDS = ("payload", "force", "torque", "gust", "wind", "motor", "fault")

Window = tuple[float, float]

_LAND = re.compile(r"^land\b|\blanding\b")


@dataclass(frozen=True, kw_only=True, eq=False)
class Analysis:
    """Tracks and windows derived from a log, on the times of its odometry.

    Attributes:
        time_s: (n,), times of the odometry.
        error_m: (n,), distance to the reference in force; NaN before the first reference.
        tilt_rad: (n,), angle between the body's and the world's z axis.
        body_rate_rad_s: (n,), magnitude of the angular velocity.
        armed: Windows in which the motors were armed; the whole log if safety was not recorded.
        ground_m: Height at which the robot stood before it was armed; NaN without odometry.
        disturbances: Events that changed the robot or pushed it.
        land_s: When the landing was announced; None if it was not.
    """

    time_s: np.ndarray
    error_m: np.ndarray
    tilt_rad: np.ndarray
    body_rate_rad_s: np.ndarray
    armed: tuple[Window, ...]
    ground_m: float
    disturbances: tuple[FlightEvent, ...]
    land_s: float | None


def analyse(log: FlightLog) -> Analysis:
    """Derive everything that figures and plots share."""
    odometry = log.odometry
    armed = armed_windows(log.safety, log.end_s)
    x, y = odometry.orientation[:, 1], odometry.orientation[:, 2]
    lands = [event.time_s for event in log.events if _LAND.search(event.text.lower())]
    return Analysis(
        time_s=odometry.time_s,
        error_m=np.linalg.norm(odometry.position - reference_at(log, odometry.time_s), axis=1),
        tilt_rad=np.arccos(np.clip(1.0 - 2.0 * (x * x + y * y), -1.0, 1.0)),
        body_rate_rad_s=np.linalg.norm(odometry.angular_velocity, axis=1),
        armed=armed,
        ground_m=_ground(log, armed),
        disturbances=tuple(event for event in log.events if is_disturbance(event)),
        land_s=lands[0] if lands else None,
    )


def is_disturbance(event: FlightEvent) -> bool:
    """True if the event changes the robot or pushes it, rather than starting a manoeuvre."""
    return event.text.lower().startswith(DISTURBANCE_WORDS)


def armed_windows(safety: Sequence[SafetyChange], end_s: float) -> tuple[Window, ...]:
    """When the motors were armed; everything if nobody recorded it."""
    if not safety:
        return ((0.0, end_s),)
    ends = [change.time_s for change in safety[1:]] + [end_s]
    windows: list[Window] = []
    for change, stop_s in zip(safety, ends, strict=True):
        if change.mode != "armed":
            continue
        if windows and windows[-1][1] == change.time_s:  # armed with other reasons
            windows[-1] = (windows[-1][0], stop_s)
        else:
            windows.append((change.time_s, stop_s))
    return tuple(windows)


def inside(time_s: np.ndarray, windows: Sequence[Window]) -> np.ndarray:
    """(n,), true where a time lies in one of the windows."""
    mask = np.zeros(len(time_s), dtype=bool)
    for start_s, end_s in windows:
        mask |= (time_s >= start_s) & (time_s < end_s)
    return mask


def reference_at(log: FlightLog, time_s: np.ndarray) -> np.ndarray:
    """(n, 3), the latest reference position at each time; NaN before the first."""
    reference = log.reference
    latest = np.searchsorted(reference.time_s, time_s, side="right") - 1
    known = latest >= 0
    position = np.full((len(time_s), 3), np.nan)
    position[known] = reference.position[latest[known]]
    return position


def resting_s(log: FlightLog, time_s: np.ndarray) -> np.ndarray:
    """(n,), for how long the reference has been at rest; 0 before the first."""
    reference = log.reference
    if not len(reference.time_s):
        return np.zeros(len(time_s))
    step = np.linalg.norm(np.diff(reference.position, axis=0), axis=1)
    moves_s = np.concatenate([reference.time_s[:1], reference.time_s[1:][step > 1e-6]])
    last = np.searchsorted(moves_s, time_s, side="right") - 1
    return np.where(last >= 0, time_s - moves_s[np.maximum(last, 0)], 0.0)


def _ground(log: FlightLog, armed: Sequence[Window]) -> float:
    odometry = log.odometry
    if not len(odometry.time_s):
        return float("nan")
    standing = odometry.time_s < armed[0][0] if armed and log.safety else odometry.time_s >= 0.0
    heights = odometry.position[standing if standing.any() else slice(0, 1), 2]
    heights = heights if log.safety else heights[:1]
    return float(np.nanmedian(heights)) if np.isfinite(heights).any() else float("nan")
