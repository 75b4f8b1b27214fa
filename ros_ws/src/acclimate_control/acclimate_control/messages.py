"""Between ROS messages and numpy: frames, quaternion order and motor names change here only."""

# pyright: reportIndexIssue=false
# (The generated messages type their arrays as sets, too.)

from collections.abc import Mapping, Sequence

import numpy as np
from builtin_interfaces.msg import Duration, Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from geometry_msgs.msg import Transform, Twist, Vector3
from nav_msgs.msg import Odometry
from sensor_msgs.msg import JointState
from std_msgs.msg import Float32MultiArray, MultiArrayDimension, MultiArrayLayout, String
from trajectory_msgs.msg import MultiDOFJointTrajectory, MultiDOFJointTrajectoryPoint

from acclimate_contract import ContractError
from acclimate_deploy.multirotor_signals import MultirotorState, Reference
from acclimate_deploy.reference_trajectory import ReferenceTrajectory
from acclimate_deploy.rotations import from_heading, heading, rotate, rotate_inverse

WORLD_FRAME = "map"
BODY_FRAME = "base_link"
MAX_POINTS = 500
"""Longest trajectory: rclpy takes 15 us to read a point, and the control loop waits meanwhile."""


def stamp_s(stamp: Time | Duration) -> float:
    """Seconds of a message's stamp, or of a duration."""
    return stamp.sec + stamp.nanosec * 1e-9


def to_stamp(nanoseconds: int) -> Time:
    """Stamp of a time in nanoseconds."""
    return Time(sec=nanoseconds // 10**9, nanosec=nanoseconds % 10**9)


def state_from(message: Odometry) -> MultirotorState:
    """State of a multirotor; the twist of an Odometry is in the body frame (REP-105)."""
    pose, twist = message.pose.pose, message.twist.twist
    q = pose.orientation
    orientation = np.array([q.w, q.x, q.y, q.z])
    return MultirotorState(
        position=np.array([pose.position.x, pose.position.y, pose.position.z]),
        orientation=orientation,
        linear_velocity=rotate(
            orientation, np.array([twist.linear.x, twist.linear.y, twist.linear.z])
        ),
        angular_velocity=np.array([twist.angular.x, twist.angular.y, twist.angular.z]),
        stamp_s=stamp_s(message.header.stamp),
    )


def to_odometry(state: MultirotorState, stamp: Time) -> Odometry:
    """Inverse of `state_from`."""
    message = Odometry()
    message.header.stamp = stamp
    message.header.frame_id = WORLD_FRAME
    message.child_frame_id = BODY_FRAME
    pose, twist = message.pose.pose, message.twist.twist
    pose.position.x, pose.position.y, pose.position.z = map(float, state.position)
    q = pose.orientation
    q.w, q.x, q.y, q.z = map(float, state.orientation)
    velocity_body = rotate_inverse(state.orientation, state.linear_velocity)
    twist.linear.x, twist.linear.y, twist.linear.z = map(float, velocity_body)
    twist.angular.x, twist.angular.y, twist.angular.z = map(float, state.angular_velocity)
    return message


def reference_from(message: MultiDOFJointTrajectory) -> Reference:
    """Reference pose and velocity, world frame.

    Raises:
        ContractError: The message does not hold exactly one point with a transform and a velocity,
            or a number in it is not finite: one such would stay in a policy's memory for good.
    """
    points = message.points
    if len(points) != 1 or len(points[0].transforms) != 1 or len(points[0].velocities) != 1:
        raise ContractError(
            "a reference needs exactly one point with one transform and one velocity, and this "
            f"one has {len(points)} points. Fix: publish one point per message."
        )
    transform, velocity = points[0].transforms[0], points[0].velocities[0].linear
    p, q = transform.translation, transform.rotation
    position, linear_velocity = _xyz([p, velocity])
    heading_rad = float(heading(np.array([q.w, q.x, q.y, q.z])))
    if not np.isfinite([*position, *linear_velocity, heading_rad]).all():
        raise ContractError(
            f"a reference at {position} with velocity {linear_velocity} and heading {heading_rad} "
            "is not finite: nobody can fly there. Fix: check what publishes it."
        )
    return Reference(position=position, linear_velocity=linear_velocity, heading_rad=heading_rad)


def to_reference(reference: Reference, stamp: Time) -> MultiDOFJointTrajectory:
    """Inverse of `reference_from`."""
    return _trajectory_message([_point(reference, 0.0)], stamp)


def trajectory_from(message: MultiDOFJointTrajectory, now_s: float) -> ReferenceTrajectory:
    """Trajectory of reference poses, with velocities or without, world frame.

    Args:
        message: Its points are due at its stamp plus their `time_from_start`; a stamp of zero
            means now.
        now_s: Time now, on the clock of the stamps.

    Raises:
        ContractError: The message is malformed, ended before now or begins long after it.
    """
    points = message.points
    kinds = {(len(point.transforms), len(point.velocities)) for point in points}
    if len(points) > MAX_POINTS or kinds not in ({(1, 1)}, {(1, 0)}):
        raise ContractError(
            f"a reference trajectory needs 2 to {MAX_POINTS} points with one transform each, and "
            f"one velocity in every point or in none; this one has {len(points)} points with "
            f"(transforms, velocities) {sorted(kinds)}. Fix: fill every point alike, and send a "
            "long trajectory piece by piece."
        )
    quaternions = [point.transforms[0].rotation for point in points]
    twists = [point.velocities[0] for point in points if point.velocities]
    trajectory = ReferenceTrajectory(
        start_s=stamp_s(message.header.stamp) or now_s,
        time_s=np.array([stamp_s(point.time_from_start) for point in points]),
        position=_xyz([point.transforms[0].translation for point in points]),
        linear_velocity=_xyz([twist.linear for twist in twists]) if twists else None,
        heading_rad=heading(np.array([[q.w, q.x, q.y, q.z] for q in quaternions])),
    )
    if reason := trajectory.untimely(now_s):
        raise ContractError(
            f"a reference trajectory {reason}, so it says nothing about now. Fix: stamp it with "
            "the robot's clock when it is sent, or with zero to begin on arrival."
        )
    return trajectory


def to_trajectory(
    references: Sequence[Reference], times_s: Sequence[float], stamp: Time
) -> MultiDOFJointTrajectory:
    """Inverse of `trajectory_from`; each reference is due so many seconds after the stamp."""
    points = [_point(*pair) for pair in zip(references, times_s, strict=True)]
    return _trajectory_message(points, stamp)


def _point(reference: Reference, time_s: float) -> MultiDOFJointTrajectoryPoint:
    transform, velocity = Transform(), Twist()
    p, q = transform.translation, transform.rotation
    p.x, p.y, p.z = map(float, reference.position)
    q.w, q.x, q.y, q.z = map(float, from_heading(reference.heading_rad))
    linear = velocity.linear
    linear.x, linear.y, linear.z = map(float, reference.linear_velocity)
    sec, nanosec = divmod(round(time_s * 1e9), 10**9)
    return MultiDOFJointTrajectoryPoint(
        transforms=[transform],
        velocities=[velocity],
        time_from_start=Duration(sec=sec, nanosec=nanosec),
    )


def _trajectory_message(
    points: list[MultiDOFJointTrajectoryPoint], stamp: Time
) -> MultiDOFJointTrajectory:
    message = MultiDOFJointTrajectory(joint_names=[BODY_FRAME], points=points)
    message.header.stamp = stamp
    message.header.frame_id = WORLD_FRAME
    return message


def _xyz(vectors: Sequence[Vector3]) -> np.ndarray:
    return np.array([[v.x, v.y, v.z] for v in vectors])


class MotorNames:
    """Reads and writes motor setpoints by name, whatever order the other side uses.

    Args:
        channels: Names in the policy's order.
        order: The same names in the order to write; None writes the policy's order.

    Raises:
        ContractError: `order` does not hold each name exactly once.
    """

    def __init__(self, channels: Sequence[str], order: Sequence[str] | None = None) -> None:
        self._channels = tuple(channels)
        self._order = list(order or channels)
        self._read: tuple[list[str], list[int]] = ([], [])
        self._write = [self._channels.index(name) for name in self._checked(self._order)]

    def read(self, message: JointState) -> np.ndarray:
        """Setpoints in the policy's order, (num_channels,) float64.

        Raises:
            ContractError: A name is missing, double or unknown, or an effort is missing.
        """
        names = list(message.name)
        if names != self._read[0]:
            self._checked(names)
            self._read = (names, [names.index(channel) for channel in self._channels])
        if len(message.effort) != len(names):
            raise ContractError(
                f"a motor command has {len(names)} names and {len(message.effort)} efforts. "
                "Fix: send one effort per name."
            )
        return np.asarray(message.effort, dtype=np.float64)[self._read[1]]

    def write(self, setpoints: np.ndarray, stamp: Time) -> JointState:
        """Named message of setpoints that come in the policy's order."""
        effort = [float(setpoints[index]) for index in self._write]
        message = JointState(name=self._order, effort=effort)
        message.header.stamp = stamp
        message.header.frame_id = BODY_FRAME
        return message

    def _checked(self, names: Sequence[str]) -> Sequence[str]:
        if sorted(names) != sorted(self._channels):
            raise ContractError(
                f"motors are named {list(names)} and must be {list(self._channels)}, each once, "
                "in any order. A setpoint on the wrong motor flips the robot. "
                "Fix: correct the names in the robot's YAML or driver."
            )
        return names


def labelled(values: Mapping[str, float]) -> Float32MultiArray:
    """Array that says in its layout what each number is."""
    dim = [MultiArrayDimension(label=label, size=1, stride=1) for label in values]
    return Float32MultiArray(
        layout=MultiArrayLayout(dim=dim), data=[float(value) for value in values.values()]
    )


def text(line: str) -> String:
    """Message of one line."""
    return String(data=line)


def diagnostic(
    name: str,
    message: str,
    values: Sequence[tuple[str, object]],
    stamp: Time,
    *,
    level: bytes = DiagnosticStatus.OK,
) -> DiagnosticArray:
    """Array with one status; `values` become its key-value pairs, written with `str`."""
    pairs = [KeyValue(key=key, value=str(value)) for key, value in values]
    status = DiagnosticStatus(level=level, name=name, message=message, values=pairs)
    array = DiagnosticArray(status=[status])
    array.header.stamp = stamp
    return array
