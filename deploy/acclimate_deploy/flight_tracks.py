"""Tracks of a flight as arrays, and how each is made from the messages of its topic.

Every function takes the receive times of the messages, (n,) s, and the decoded messages.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from acclimate_contract import ROBOT_FAMILIES
from acclimate_deploy.rotations import rotate


@dataclass(frozen=True, kw_only=True, eq=False)
class OdometryTrack:
    """Where the robot was.

    Attributes:
        time_s: (n,), since the first odometry.
        position: (n, 3) m, world.
        orientation: (n, 4) unit quaternions w x y z, body to world.
        linear_velocity: (n, 3) m/s, world (the message has it in the body frame).
        angular_velocity: (n, 3) rad/s, body.
    """

    time_s: np.ndarray
    position: np.ndarray
    orientation: np.ndarray
    linear_velocity: np.ndarray
    angular_velocity: np.ndarray


@dataclass(frozen=True, kw_only=True, eq=False)
class ReferenceTrack:
    """Where the robot should have been.

    Attributes:
        time_s: (n,), since the first odometry.
        position: (n, 3) m, world.
        orientation: (n, 4) unit quaternions w x y z, the heading.
        linear_velocity: (n, 3) m/s, world; zero where the message has none.
    """

    time_s: np.ndarray
    position: np.ndarray
    orientation: np.ndarray
    linear_velocity: np.ndarray


@dataclass(frozen=True, kw_only=True, eq=False)
class CommandTrack:
    """Setpoints per actuator.

    Attributes:
        time_s: (n,), since the first odometry.
        channels: Names, in the order of the robot family if there is one with these names.
        setpoint: (n, num_channels), in [-1, 1]; NaN where a message lacks the channel.
    """

    time_s: np.ndarray
    channels: tuple[str, ...]
    setpoint: np.ndarray


@dataclass(frozen=True, kw_only=True, eq=False)
class MemoryTrack:
    """The policy's memory at each advance: `time_s` (n,) and `value` (n, num_units)."""

    time_s: np.ndarray
    value: np.ndarray


@dataclass(frozen=True, kw_only=True, eq=False)
class TimingTrack:
    """The policy's loop.

    Attributes:
        time_s: (n,), since the first odometry.
        period_s: (n,), time between two steps.
        latency_s: (n,), from the stamp of the odometry to the published command.
    """

    time_s: np.ndarray
    period_s: np.ndarray
    latency_s: np.ndarray


@dataclass(frozen=True, kw_only=True)
class SafetyChange:
    """The safety supervisor changed its mode (words in lower case) or its reasons."""

    time_s: float
    mode: str
    reasons: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class FlightEvent:
    """Something the field test or the robot announced."""

    time_s: float
    text: str


def odometry_track(time_s: np.ndarray, messages: Sequence[Any]) -> OdometryTrack:
    """From nav_msgs/Odometry, whose twist is in the body frame."""
    poses = [message.pose.pose for message in messages]
    twists = [message.twist.twist for message in messages]
    orientation = _quaternions([pose.orientation for pose in poses])
    velocity_body = _vectors([twist.linear for twist in twists])
    return OdometryTrack(
        time_s=time_s,
        position=_vectors([pose.position for pose in poses]),
        orientation=orientation,
        linear_velocity=rotate(_normalised(orientation), velocity_body),
        angular_velocity=_vectors([twist.angular for twist in twists]),
    )


def reference_track(time_s: np.ndarray, messages: Sequence[Any]) -> ReferenceTrack:
    """From trajectory_msgs/MultiDOFJointTrajectory; messages without a transform are skipped."""
    filled = [bool(message.points and message.points[0].transforms) for message in messages]
    points = [message.points[0] for message, use in zip(messages, filled, strict=True) if use]
    transforms = [point.transforms[0] for point in points]
    velocity = [
        [twist.linear.x, twist.linear.y, twist.linear.z]
        for point in points
        for twist in (point.velocities[0] if point.velocities else _StillTwist,)
    ]
    return ReferenceTrack(
        time_s=time_s[np.array(filled, dtype=bool)],
        position=_vectors([transform.translation for transform in transforms]),
        orientation=_quaternions([transform.rotation for transform in transforms]),
        linear_velocity=np.array(velocity, dtype=float).reshape(-1, 3),
    )


def command_track(time_s: np.ndarray, messages: Sequence[Any]) -> CommandTrack:
    """From sensor_msgs/JointState: effort by name, whatever order each message has."""
    names = [_channel_names(message) for message in messages]
    channels = _ordered(names[0]) if names else ()
    setpoint = np.full((len(messages), len(channels)), np.nan)
    column = {name: index for index, name in enumerate(channels)}
    for row, (message, own) in enumerate(zip(messages, names, strict=True)):
        for name, value in zip(own, message.effort, strict=False):
            if name in column:
                setpoint[row, column[name]] = value
    return CommandTrack(time_s=time_s, channels=channels, setpoint=setpoint)


def memory_track(time_s: np.ndarray, messages: Sequence[Any]) -> MemoryTrack:
    """From std_msgs/Float32MultiArray; all rows have the size of the first."""
    rows = _rows(messages, len(messages[0].data) if messages else 0)
    return MemoryTrack(time_s=time_s, value=rows)


def timing_track(time_s: np.ndarray, messages: Sequence[Any]) -> TimingTrack:
    """From std_msgs/Float32MultiArray: loop period and latency, seconds."""
    rows = _rows(messages, 2)
    return TimingTrack(time_s=time_s, period_s=rows[:, 0], latency_s=rows[:, 1])


def safety_changes(time_s: np.ndarray, messages: Sequence[Any]) -> tuple[SafetyChange, ...]:
    """From diagnostic_msgs/DiagnosticArray: the status called 'safety', repetitions left out."""
    changes: list[SafetyChange] = []
    for stamp_s, message in zip(time_s, messages, strict=True):
        for status in message.status:
            if not status.name.endswith("safety"):
                continue
            mode = status.message.strip().lower().replace("_", " ")
            reasons = tuple(_reason(value.key, value.value) for value in status.values)
            if not changes or (changes[-1].mode, changes[-1].reasons) != (mode, reasons):
                changes.append(SafetyChange(time_s=float(stamp_s), mode=mode, reasons=reasons))
    return tuple(changes)


def flight_events(time_s: np.ndarray, messages: Sequence[Any]) -> tuple[FlightEvent, ...]:
    """From std_msgs/String, one line per event."""
    return tuple(
        FlightEvent(time_s=float(stamp_s), text=message.data.strip())
        for stamp_s, message in zip(time_s, messages, strict=True)
    )


def description(messages: Sequence[Any]) -> dict[str, Any]:
    """From std_msgs/String: the last JSON object; {"unreadable": text} if it is none."""
    if not messages:
        return {}
    text = messages[-1].data
    try:
        data = json.loads(text)
    except json.JSONDecodeError:
        data = None
    return data if isinstance(data, dict) else {"unreadable": text[:200]}


class _StillVector:
    x = y = z = 0.0


class _StillTwist:
    linear = _StillVector


def _vectors(items: Sequence[Any]) -> np.ndarray:
    return np.array([(item.x, item.y, item.z) for item in items], dtype=float).reshape(-1, 3)


def _quaternions(items: Sequence[Any]) -> np.ndarray:
    values = [(item.w, item.x, item.y, item.z) for item in items]
    return np.array(values, dtype=float).reshape(-1, 4)


def _normalised(orientation: np.ndarray) -> np.ndarray:
    """Unit quaternions; NaN where there is no norm to divide by."""
    norm = np.linalg.norm(orientation, axis=1, keepdims=True)
    return np.divide(orientation, norm, out=np.full_like(orientation, np.nan), where=norm > 1e-6)


def _rows(messages: Sequence[Any], width: int) -> np.ndarray:
    """(n, width); a message with another number of values becomes a row of NaN."""
    rows = np.full((len(messages), width), np.nan)
    for row, message in enumerate(messages):
        if len(message.data) == width:
            rows[row] = message.data
    return rows


def _channel_names(message: Any) -> tuple[str, ...]:
    return tuple(message.name) or tuple(f"channel_{i}" for i in range(len(message.effort)))


def _ordered(names: tuple[str, ...]) -> tuple[str, ...]:
    for family in ROBOT_FAMILIES.values():
        if set(family.action.channels) == set(names):
            return family.action.channels
    return names


def _reason(key: str, value: str) -> str:
    """One reason as a person reads it; a key that only numbers the reasons says nothing."""
    key, value = key.strip(), value.strip()
    if not key or key.isdigit() or key.lower().startswith("reason"):
        return value or key
    return f"{key}: {value}" if value else key
