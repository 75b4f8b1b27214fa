"""A flight made of closed forms, written as a bag: every figure of it can be computed by hand.

It takes off, hovers, flies a figure eight, gets a payload, lands and disarms in 20 s. The distance
to the reference is prescribed; velocity, attitude, body rate and motor setpoints follow from it as
they do for a quadrotor (the body's z axis carries gravity and acceleration).
"""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from acclimate_deploy.bag import BagWriter, ros_types

RATE_HZ = 200
DURATION_S = 20.0
START_NS = 1_700_000_000_000_000_000
ARM_S, TAKE_OFF_S, HOVER_S, EIGHT_S, HOLD_S = 1.0, 1.5, 3.0, 6.5, 12.5
PAYLOAD_S, LAND_S, TOUCHDOWN_S, DISARM_S = 13.5, 17.0, 19.3, 19.6
HOVER_ERROR_M = 0.05  # in the hover, all the time
EIGHT_ERROR_M = (0.05, 0.04)  # in the figure eight: a + b sin^2, six periods
PAYLOAD_PEAK_M, PAYLOAD_RISE_S, PAYLOAD_DECAY_S = 0.30, 0.9, 0.35
LANDING_SPEED_M_S = 0.5
MISSED_TICKS = 3
MEMORY_UNITS = 16
GRAVITY = 9.81
CHANNELS = ("front_right", "back_right", "back_left", "front_left")

ROBOT = {
    "name": "random",
    "seed": 7,
    "engine": "mujoco",
    "mass_kg": 1.25,
    "thrust_to_weight": 2.4,
    "torque_to_inertia": 310.0,
    "arm_length_m": 0.18,
}
POLICY = {
    "name": "quadrotor",
    "sha256": "9f2c" * 16,
    "num_parameters": 2084,
    "provenance": {"revision": "5df78421aa", "seed": 1},
}


@dataclass(frozen=True, eq=False)
class Flight:
    """Arrays of the synthetic flight, (n, ...), world ENU, body FLU."""

    time_s: np.ndarray
    reference: np.ndarray
    position: np.ndarray
    velocity: np.ndarray
    orientation: np.ndarray
    rate: np.ndarray
    setpoint: np.ndarray
    period_s: np.ndarray
    latency_s: np.ndarray
    memory: np.ndarray


def eight_rmse_m() -> float:
    """Root of the mean of (a + b sin^2)^2 over whole periods."""
    a, b = EIGHT_ERROR_M
    return float(np.sqrt(a * a + a * b + 3.0 / 8.0 * b * b))


def readapt_s() -> float:
    """When 0.3 m * (1 + x) * exp(-x), x = (t - rise) / decay, has come down to 0.1 m."""
    return PAYLOAD_RISE_S + PAYLOAD_DECAY_S * 2.28895  # (1 + x) exp(-x) = 1/3


def fly() -> Flight:
    """Compute the flight."""
    time_s = np.arange(int(DURATION_S * RATE_HZ)) / RATE_HZ
    reference = _reference(time_s)
    position = reference + _offset(time_s)
    position[:, 2] = np.maximum(position[:, 2], 0.0)
    velocity = np.gradient(position, 1.0 / RATE_HZ, axis=0)
    acceleration = _smooth(np.gradient(velocity, 1.0 / RATE_HZ, axis=0))
    thrust = acceleration + np.array([0.0, 0.0, GRAVITY])
    orientation = _level_with(thrust)
    rate = _body_rate(orientation)
    period_s, latency_s = _timing(len(time_s))
    return Flight(
        time_s=time_s,
        reference=reference,
        position=position,
        velocity=velocity,
        orientation=orientation,
        rate=rate,
        setpoint=_setpoint(time_s, np.linalg.norm(thrust, axis=1), rate),
        period_s=period_s,
        latency_s=latency_s,
        memory=_memory(time_s, velocity),
    )


def write_flight(
    path: Path,
    *,
    namespace: str = "",
    omit: Iterable[str] = (),
    trip_s: float | None = None,
    until_s: float = DURATION_S,
    change: Callable[[Flight], Flight] = lambda flight: flight,
) -> Path:
    """Write the flight as a bag.

    Args:
        path: Bag folder to create.
        namespace: Prefix of all topics, like "/drone1".
        omit: Relative names of topics to leave out.
        trip_s: When the safety supervisor trips; never if None.
        until_s: The recording ends here.
        change: Applied to the arrays first.
    """
    flight = change(fly())
    rows = [
        (stamp_s, name, msgtype, message)
        for stamp_s, name, msgtype, message in _messages(flight, trip_s, until_s)
        if stamp_s <= until_s and name not in set(omit)
    ]
    types = ros_types()
    with BagWriter(path) as bag:
        for name, msgtype in dict.fromkeys((name, msgtype) for _, name, msgtype, _ in rows):
            bag.add(f"{namespace}/{name}", msgtype, latched=name.endswith("description"))
        for stamp_s, name, msgtype, message in sorted(rows, key=lambda row: row[0]):
            stamp_ns = START_NS + round(stamp_s * 1e9)
            bag.write(f"{namespace}/{name}", stamp_ns, types.serialize_cdr(message, msgtype))
    return path


def _ramp(time_s: np.ndarray, start_s: float, end_s: float) -> np.ndarray:
    """0 before, 1 after, twice differentiable in between."""
    x = np.clip((time_s - start_s) / (end_s - start_s), 0.0, 1.0)
    return x**3 * (10.0 - 15.0 * x + 6.0 * x**2)


def _reference(time_s: np.ndarray) -> np.ndarray:
    height = _ramp(time_s, TAKE_OFF_S, HOVER_S)
    # Down at a speed that grows to LANDING_SPEED_M_S within half a second and stays.
    x = np.clip(time_s - LAND_S, 0.0, None)
    sunk = np.where(x < 0.5, x**2, x - 0.25) * LANDING_SPEED_M_S
    phase = 2.0 * np.pi * _ramp(time_s, EIGHT_S, HOLD_S)
    return np.stack(
        [np.sin(phase), 0.5 * np.sin(2.0 * phase), np.maximum(height - sunk, 0.0)], axis=1
    )


def _offset(time_s: np.ndarray) -> np.ndarray:
    """Position minus reference; its length is what the figures measure."""
    a, b = EIGHT_ERROR_M
    eight = (time_s >= EIGHT_S) & (time_s < HOLD_S)
    wave = np.sin(6.0 * np.pi * (time_s - EIGHT_S) / (HOLD_S - EIGHT_S)) ** 2
    length = np.where(eight, a + b * wave, HOVER_ERROR_M)
    length *= _ramp(time_s, TAKE_OFF_S, HOVER_S)
    # The payload pulls down to the peak; then back like a critically damped system.
    since = (time_s - PAYLOAD_S - PAYLOAD_RISE_S) / PAYLOAD_DECAY_S
    pulled = _ramp(time_s, PAYLOAD_S, PAYLOAD_S + PAYLOAD_RISE_S)
    length += pulled * (PAYLOAD_PEAK_M - HOVER_ERROR_M)
    back = PAYLOAD_PEAK_M * (1.0 + since) * np.exp(-np.maximum(since, 0.0))
    length = np.where(since > 0.0, np.maximum(back, HOVER_ERROR_M), length)
    down = 0.5 * np.pi * pulled
    angle = 0.4 * (time_s - HOVER_S)
    direction = np.stack(
        [np.cos(down) * np.cos(angle), np.cos(down) * np.sin(angle), -np.sin(down)], axis=1
    )
    return direction * (length * (1.0 - _ramp(time_s, LAND_S, LAND_S + 1.0)))[:, None]


def _smooth(rows: np.ndarray, width: int = 15) -> np.ndarray:
    kernel = np.hanning(width + 2)[1:-1]
    kernel /= kernel.sum()
    padded = np.pad(rows, ((width // 2, width // 2), (0, 0)), mode="edge")
    return np.stack([np.convolve(column, kernel, "valid") for column in padded.T], axis=1)


def _level_with(thrust: np.ndarray) -> np.ndarray:
    """Shortest rotation that turns world z to the thrust direction, (n, 4) w x y z."""
    z = thrust / np.linalg.norm(thrust, axis=1, keepdims=True)
    quaternion = np.stack([1.0 + z[:, 2], -z[:, 1], z[:, 0], np.zeros(len(z))], axis=1)
    return quaternion / np.linalg.norm(quaternion, axis=1, keepdims=True)


def _body_rate(orientation: np.ndarray) -> np.ndarray:
    """Twice the vector part of conj(q) * dq/dt."""
    change = np.gradient(orientation, 1.0 / RATE_HZ, axis=0)
    w, v = orientation[:, :1], orientation[:, 1:]
    return 2.0 * (w * change[:, 1:] - change[:, :1] * v - np.cross(v, change[:, 1:]))


def _setpoint(time_s: np.ndarray, thrust: np.ndarray, rate: np.ndarray) -> np.ndarray:
    payload = 1.0 + 0.2 * (time_s >= PAYLOAD_S)
    speed = np.sqrt(np.clip(thrust * payload / (2.4 * GRAVITY), 0.0, 1.0))
    torque = 0.002 * _smooth(np.gradient(rate, 1.0 / RATE_HZ, axis=0))
    mix = np.array([[-1, -1, -1], [-1, 1, 1], [1, 1, -1], [1, -1, 1]])
    noise = 0.01 * np.random.default_rng(1).standard_normal((len(time_s), 4))
    setpoint = np.clip(2.0 * speed[:, None] - 1.0 + torque @ mix.T + noise, -1.0, 1.0)
    setpoint[(time_s < ARM_S) | (time_s >= DISARM_S)] = -1.0
    return setpoint


def _timing(count: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(2)
    period_s = 1.0 / RATE_HZ + 1e-4 * np.clip(generator.standard_normal(count), -4.0, 4.0)
    period_s[[800, 1700]] += 1.0 / RATE_HZ  # one tick missed each time
    period_s[2600] = 2.0 / RATE_HZ  # the third
    return period_s, np.exp(generator.normal(np.log(6e-4), 0.25, count))


def _memory(time_s: np.ndarray, velocity: np.ndarray) -> np.ndarray:
    """Units that settle after take-off, swing with the motion and settle anew with the payload."""
    generator = np.random.default_rng(3)
    settled, changed = generator.uniform(-0.9, 0.9, (2, MEMORY_UNITS))
    swing = 0.15 * generator.standard_normal((3, MEMORY_UNITS))
    first = 1.0 - np.exp(-np.clip(time_s - ARM_S, 0.0, None)[:, None] / 0.4)
    second = 1.0 - np.exp(-np.clip(time_s - PAYLOAD_S, 0.0, None)[:, None] / 0.5)
    return np.tanh(first * settled + second * (changed - settled) * 0.7 + velocity @ swing)


Row = tuple[float, str, str, Any]


def _messages(flight: Flight, trip_s: float | None, until_s: float) -> Iterable[Row]:
    t = ros_types().types
    for i, now_s in enumerate(flight.time_s[flight.time_s <= until_s].tolist()):
        header = _header(now_s)
        point = t["trajectory_msgs/msg/MultiDOFJointTrajectoryPoint"](
            transforms=[
                t["geometry_msgs/msg/Transform"](
                    translation=_vector(flight.reference[i]),
                    rotation=_quaternion(np.array([1.0, 0.0, 0.0, 0.0])),
                )
            ],
            velocities=[],
            accelerations=[],
            time_from_start=t["builtin_interfaces/msg/Duration"](sec=0, nanosec=0),
        )
        # One stamp for all: the reference in force at an odometry is that of its own instant.
        msgtype = "trajectory_msgs/msg/MultiDOFJointTrajectory"
        yield now_s, "reference", msgtype, t[msgtype](header, ["base_link"], [point])
        yield now_s, "odom", "nav_msgs/msg/Odometry", _odometry(flight, i, header)
        setpoint = flight.setpoint[i] if trip_s is None or now_s < trip_s else np.full(4, -1.0)
        for name in ("policy/command", "actuators/command"):
            # The safety supervisor may name the motors in another order: the log must not care.
            order = [0, 1, 2, 3] if name == "policy/command" else [2, 0, 3, 1]
            command = t["sensor_msgs/msg/JointState"](
                header, [CHANNELS[k] for k in order], np.empty(0), np.empty(0), setpoint[order]
            )
            yield now_s + 6e-4, name, "sensor_msgs/msg/JointState", command
        timing = [flight.period_s[i], flight.latency_s[i]]
        yield now_s + 6e-4, "policy/timing", *_floats(timing)
        if i % 2 == 0:
            yield now_s + 6e-4, "policy/memory", *_floats(flight.memory[i])
    yield 0.0, "robot/description", *_string(json.dumps(ROBOT))
    yield 0.0, "policy/description", *_string(json.dumps(POLICY))
    for now_s, text in (
        (ARM_S - 0.1, "ready"),
        (ARM_S, "armed"),
        (TAKE_OFF_S, "take-off"),
        (HOVER_S, "hover"),
        (EIGHT_S, "figure eight"),
        (HOLD_S, "hover"),
        (PAYLOAD_S, "payload attached: +0.250 kg (+20 %)"),
        (LAND_S, "land"),
        (TOUCHDOWN_S, "touchdown"),
        (DISARM_S, "disarmed"),
    ):
        yield now_s, "events", *_string(text)
    for now_s in np.arange(0.0, DURATION_S, 0.1):
        mode, reasons = "disarmed", []
        if trip_s is not None and now_s >= trip_s - 1e-9:
            mode, reasons = "tripped", ["tilt 1.31 rad is over the limit 1.20 rad"]
        elif ARM_S - 1e-9 <= now_s < DISARM_S - 1e-9:
            mode = "armed"
        yield float(now_s), "safety/state", *_safety(now_s, mode, reasons)


def _odometry(flight: Flight, i: int, header: Any) -> Any:
    t = ros_types().types
    w, v = flight.orientation[i, 0], -flight.orientation[i, 1:]  # world to body
    turn = 2.0 * np.cross(v, flight.velocity[i])
    velocity_body = flight.velocity[i] + w * turn + np.cross(v, turn)
    pose = t["geometry_msgs/msg/Pose"](
        position=_vector(flight.position[i], "Point"),
        orientation=_quaternion(flight.orientation[i]),
    )
    twist = t["geometry_msgs/msg/Twist"](
        linear=_vector(velocity_body), angular=_vector(flight.rate[i])
    )
    return t["nav_msgs/msg/Odometry"](
        header=header,
        child_frame_id="base_link",
        pose=t["geometry_msgs/msg/PoseWithCovariance"](pose=pose, covariance=np.zeros(36)),
        twist=t["geometry_msgs/msg/TwistWithCovariance"](twist=twist, covariance=np.zeros(36)),
    )


def _safety(now_s: float, mode: str, reasons: list[str]) -> tuple[str, Any]:
    t = ros_types().types
    level = 0 if mode != "tripped" else 2
    values = [
        t["diagnostic_msgs/msg/KeyValue"](key=f"reason_{i}", value=reason)
        for i, reason in enumerate(reasons)
    ]
    status = t["diagnostic_msgs/msg/DiagnosticStatus"](
        level=level, name="safety", message=mode, hardware_id="", values=values
    )
    msgtype = "diagnostic_msgs/msg/DiagnosticArray"
    return msgtype, t[msgtype](header=_header(now_s), status=[status])


def _header(now_s: float) -> Any:
    t = ros_types().types
    stamp_ns = START_NS + round(now_s * 1e9)
    stamp = t["builtin_interfaces/msg/Time"](
        sec=stamp_ns // 1_000_000_000, nanosec=stamp_ns % 1_000_000_000
    )
    return t["std_msgs/msg/Header"](stamp=stamp, frame_id="map")


def _vector(xyz: np.ndarray, kind: str = "Vector3") -> Any:
    return ros_types().types[f"geometry_msgs/msg/{kind}"](*(float(value) for value in xyz))


def _quaternion(wxyz: np.ndarray) -> Any:
    w, x, y, z = (float(value) for value in wxyz)
    return ros_types().types["geometry_msgs/msg/Quaternion"](x=x, y=y, z=z, w=w)


def _string(text: str) -> tuple[str, Any]:
    return "std_msgs/msg/String", ros_types().types["std_msgs/msg/String"](data=text)


def _floats(values: Any) -> tuple[str, Any]:
    t = ros_types().types
    layout = t["std_msgs/msg/MultiArrayLayout"](dim=[], data_offset=0)
    msgtype = "std_msgs/msg/Float32MultiArray"
    return msgtype, t[msgtype](layout=layout, data=np.asarray(values, dtype=np.float32))
