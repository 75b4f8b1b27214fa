"""Read the bag of a flight into plain arrays; needs no ROS."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rosbags.interfaces import Connection
from rosbags.rosbag2 import Reader

from acclimate_contract import AcclimateError
from acclimate_deploy.bag import PARTIAL_SUFFIX, is_partial, ros_types
from acclimate_deploy.bag_recovery import RECOVERED_KEY
from acclimate_deploy.flight_tracks import (
    CommandTrack,
    FlightEvent,
    MemoryTrack,
    OdometryTrack,
    ReferenceTrack,
    SafetyChange,
    TimingTrack,
    command_track,
    description,
    flight_events,
    memory_track,
    odometry_track,
    reference_track,
    safety_changes,
    timing_track,
)

ODOM = "odom"
REFERENCE = "reference"
ACTUATORS = "actuators/command"
POLICY_COMMAND = "policy/command"
MEMORY = "policy/memory"
TIMING = "policy/timing"
SAFETY = "safety/state"
EVENTS = "events"
ROBOT = "robot/description"
POLICY = "policy/description"

TOPICS: dict[str, str] = {
    ODOM: "nav_msgs/msg/Odometry",
    REFERENCE: "trajectory_msgs/msg/MultiDOFJointTrajectory",
    ACTUATORS: "sensor_msgs/msg/JointState",
    POLICY_COMMAND: "sensor_msgs/msg/JointState",
    MEMORY: "std_msgs/msg/Float32MultiArray",
    TIMING: "std_msgs/msg/Float32MultiArray",
    SAFETY: "diagnostic_msgs/msg/DiagnosticArray",
    EVENTS: "std_msgs/msg/String",
    ROBOT: "std_msgs/msg/String",
    POLICY: "std_msgs/msg/String",
}


class FlightLogError(AcclimateError):
    """A path is not the readable bag of a flight."""


@dataclass(frozen=True, kw_only=True, eq=False)
class FlightLog:
    """A flight as arrays; a topic that was not recorded is empty and named in `missing`.

    Attributes:
        bag: Where it was read from.
        namespace: Prefix of its topics, "" or like "/drone1".
        start_ns: Time zero of all tracks (first odometry), nanoseconds since the epoch.
        end_s: Last message of the flight.
        recovered: True if the recorder was killed, so the end may be missing.
        missing: Relative names of topics without a single message.
        odometry: Track of the robot.
        reference: Track of the reference.
        actuators: What the safety supervisor sent to the motors.
        policy_command: What the policy asked for.
        memory: The policy's memory.
        timing: The policy's loop.
        safety: Changes of the safety mode or of its reasons, in time order.
        events: Announced events, in time order.
        robot: The simulated robot's description of itself.
        policy: The policy's description of itself.
    """

    bag: Path
    namespace: str
    start_ns: int
    end_s: float
    recovered: bool
    missing: tuple[str, ...]
    odometry: OdometryTrack
    reference: ReferenceTrack
    actuators: CommandTrack
    policy_command: CommandTrack
    memory: MemoryTrack
    timing: TimingTrack
    safety: tuple[SafetyChange, ...]
    events: tuple[FlightEvent, ...]
    robot: Mapping[str, Any]
    policy: Mapping[str, Any]


def read_flight_log(
    bag: Path | str, *, namespace: str | None = None, required: Sequence[str] = (ODOM,)
) -> FlightLog:
    """Read a bag that the recorder (or rosbag2) wrote.

    Times are those at which the recorder received a message: one clock for all topics.

    Args:
        bag: Bag folder or .mcap file.
        namespace: Prefix of the topics, like "/drone1"; None finds it if there is only one.
        required: Relative names of topics without which the log is of no use to the caller.

    Raises:
        FlightLogError: Missing, not a bag, truncated, empty, several namespaces, or a required
            topic is missing or carries another message type.
    """
    bag = Path(bag)
    namespace, recovered, received = _read_messages(bag, namespace)
    missing = tuple(name for name in TOPICS if not received.get(name))
    if absent := [name for name in required if name in missing]:
        raise FlightLogError(
            f"'{bag}' has no message on {', '.join(f'{namespace}/{name}' for name in absent)}; it "
            f"has messages on {sorted(f'{namespace}/{name}' for name in received)}. Without that "
            "the flight cannot be judged. Fix: record these topics, and check that their "
            "publishers run."
        )
    every_stamp = [stamp for rows in received.values() for stamp, _ in rows]
    start_ns = received[ODOM][0][0] if received.get(ODOM) else min(every_stamp)

    def stream(name: str) -> tuple[np.ndarray, list[Any]]:
        rows = received.get(name, [])
        time_s = np.array([(stamp - start_ns) * 1e-9 for stamp, _ in rows])
        return time_s, [message for _, message in rows]

    return FlightLog(
        bag=bag,
        namespace=namespace,
        start_ns=start_ns,
        end_s=(max(every_stamp) - start_ns) * 1e-9,
        recovered=recovered,
        missing=missing,
        odometry=odometry_track(*stream(ODOM)),
        reference=reference_track(*stream(REFERENCE)),
        actuators=command_track(*stream(ACTUATORS)),
        policy_command=command_track(*stream(POLICY_COMMAND)),
        memory=memory_track(*stream(MEMORY)),
        timing=timing_track(*stream(TIMING)),
        safety=safety_changes(*stream(SAFETY)),
        events=flight_events(*stream(EVENTS)),
        robot=description(stream(ROBOT)[1]),
        policy=description(stream(POLICY)[1]),
    )


Received = dict[str, list[tuple[int, Any]]]


def _read_messages(bag: Path, namespace: str | None) -> tuple[str, bool, Received]:
    """Namespace, whether the bag was recovered, and (stamp, message) by relative topic name."""
    _check_path(bag)
    try:
        with Reader(bag) as reader:
            namespace = _find_namespace(bag, reader.connections, namespace)
            chosen = _choose(bag, reader.connections, namespace)
            custom = getattr(getattr(reader.storage, "metadata", None), "custom", None) or {}
            received: Received = defaultdict(list)
            for connection, stamp_ns, raw in reader.messages(chosen):
                name = connection.topic.removeprefix(f"{namespace}/")
                message = ros_types().deserialize_cdr(raw, connection.msgtype)
                received[name].append((stamp_ns, message))
    except FlightLogError:
        raise
    except Exception as error:  # rosbags raises many kinds on damaged files
        raise FlightLogError(
            f"'{bag}' cannot be read as a bag ({type(error).__name__}: {error}). It is truncated, "
            "damaged or was written by something else. Fix: copy it again from the robot; if "
            f"its recorder was killed, there is a '{bag.name}{PARTIAL_SUFFIX}' to recover."
        ) from error
    if not received:
        raise FlightLogError(
            f"'{bag}' holds no message of a flight under namespace {namespace or '/'!r}. The "
            "recorder ran alone or in another ROS domain. Fix: start it with the same "
            "ROS_DOMAIN_ID and namespace as the other nodes."
        )
    for rows in received.values():
        rows.sort(key=lambda row: row[0])  # a file without an index comes as it was written
    return namespace, RECOVERED_KEY in custom, dict(received)


def _check_path(bag: Path) -> None:
    partial = bag.with_name(bag.name + PARTIAL_SUFFIX)
    if is_partial(bag) or (not bag.exists() and is_partial(partial)):
        left = bag if is_partial(bag) else partial
        raise FlightLogError(
            f"'{left}' is a recording that was never completed: its recorder still runs or was "
            f"killed. Fix: stop the recorder, or recover it with `acclimate report {left}`."
        )
    if not bag.exists():
        raise FlightLogError(f"there is no bag at '{bag}'. Fix: check the path.")
    if bag.is_dir() and not (bag / "metadata.yaml").is_file():
        raise FlightLogError(
            f"'{bag}' is a folder without metadata.yaml, so it is not a bag. Fix: give the folder "
            "that the recorder named, or the .mcap file itself."
        )
    if bag.is_file() and bag.suffix != ".mcap":
        raise FlightLogError(
            f"'{bag}' is a file but not an .mcap file. Fix: give the bag folder or its .mcap file."
        )


def _find_namespace(bag: Path, connections: Iterable[Connection], wanted: str | None) -> str:
    owners: dict[str, set[str]] = defaultdict(set)  # namespace -> relative names it has
    for connection in connections:
        for name in TOPICS:
            if connection.topic.endswith(f"/{name}"):
                owners[connection.topic.removesuffix(f"/{name}")].add(name)
    found = sorted(owners)
    if wanted is not None:
        wanted = f"/{wanted.strip('/')}" if wanted.strip("/") else ""
        if wanted not in found:
            raise FlightLogError(
                f"'{bag}' has no topics under namespace {wanted or '/'!r}; it has flights under "
                f"{[name or '/' for name in found]}. Fix: give one of these."
            )
        return wanted
    # A lone `events` of another node does not make a second flight.
    flights = [name for name in found if ODOM in owners[name]] or found
    if len(flights) > 1:
        raise FlightLogError(
            f"'{bag}' holds several flights, under namespaces {[n or '/' for n in flights]}. "
            "Fix: say which one (namespace)."
        )
    return flights[0] if flights else ""


def _choose(bag: Path, connections: Iterable[Connection], namespace: str) -> list[Connection]:
    """Connections of this flight."""
    topics = {f"{namespace}/{name}": msgtype for name, msgtype in TOPICS.items()}
    chosen = [connection for connection in connections if connection.topic in topics]
    for connection in chosen:
        if connection.msgtype != topics[connection.topic]:
            raise FlightLogError(
                f"topic {connection.topic} in '{bag}' carries {connection.msgtype} instead of "
                f"{topics[connection.topic]}, so it comes from another node. Fix: remap that "
                "node's topic, or choose another namespace."
            )
    return chosen
