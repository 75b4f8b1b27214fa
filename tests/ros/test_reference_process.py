"""What the policy node makes of references and trajectories, seen through what its policy reads."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.qos import QoSProfile, ReliabilityPolicy
from ros_client import RosClient, StandingRobot
from ros_processes import Nodes
from trajectory_msgs.msg import MultiDOFJointTrajectory

from acclimate_bringup.processes import RunningProcess
from acclimate_contract import PREVIEW_TIMES_S
from acclimate_control import topics
from acclimate_control.messages import stamp_s, to_reference, to_stamp, to_trajectory
from acclimate_deploy.multirotor_signals import Reference

POLICY = "acclimate_control.policy_node"
SPEED_M_S, DURATION_S = 0.5, 3.0
LATE_M = 0.05  # the memory that shows the error is published a step later, on a loaded machine
UNKNOWN = np.zeros(len(PREVIEW_TIMES_S))


class Mirror:
    """A robot that stands at the origin, and a node whose policy shows its signals."""

    def __init__(self, nodes: Nodes, client: RosClient, policy: Path) -> None:
        self.client = client
        for topic in (topics.POLICY_COMMAND, topics.POLICY_MEMORY, topics.DIAGNOSTICS):
            client.listen(topic)
        self.node: RunningProcess = nodes.start(POLICY, policy=str(policy), rate_hz=100.0)
        StandingRobot(client)
        self._references = topics.REFERENCE.publisher(client.node)
        topic = topics.REFERENCE_TRAJECTORY
        careless = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
        self._trajectories = client.node.create_publisher(topic.message, topic.name, careless)
        client.wait_for(lambda: client.last("policy/command"), "policy/command")
        client.wait_for(self._moved_memory, "policy/memory")
        client.wait_for(
            lambda: self._trajectories.get_subscription_count() == 1, "the node to listen"
        )

    def _moved_memory(self) -> Any:
        """A memory that rests is published once, perhaps before the client is known: move it."""
        self.send_reference(time.monotonic() % 1.0)
        return self.client.last("policy/memory")

    def now_ns(self) -> int:
        return self.client.node.get_clock().now().nanoseconds

    def send_reference(self, x: float) -> None:
        reference = Reference(position=np.array([x, 0.0, 0.0]), linear_velocity=np.zeros(3))
        self._references.publish(to_reference(reference, to_stamp(self.now_ns())))

    def send_trajectory(self, message: MultiDOFJointTrajectory) -> None:
        self._trajectories.publish(message)

    @property
    def preview_x(self) -> np.ndarray:
        """x of the preview that the newest command answered."""
        return np.array(self.client.last("policy/command").effort)

    @property
    def position_error_x(self) -> float:
        return self.client.last("policy/memory").data[0]

    @property
    def velocity_error_x(self) -> float:
        return self.client.last("policy/memory").data[3]

    def complaints(self) -> list[str]:
        """Refusals in `diagnostics`; each comes with a warning."""
        found = []
        for _, message in self.client.heard["diagnostics"]:
            for status in message.status:
                refused = [p.value for p in status.values if p.key == "refused trajectory"]
                assert status.level == (DiagnosticStatus.WARN if refused else DiagnosticStatus.OK)
                found += refused
        return found


@pytest.fixture
def mirror(nodes: Nodes, client: RosClient, preview_policy: Path) -> Mirror:
    return Mirror(nodes, client, preview_policy)


@pytest.fixture
def mission(mirror: Mirror) -> Iterator[Any]:
    """Repeats single references at x = 0.3."""
    timer = mirror.client.node.create_timer(0.05, lambda: mirror.send_reference(0.3))
    yield timer
    timer.cancel()


def along_x(stamp: Time, duration_s: float = DURATION_S) -> MultiDOFJointTrajectory:
    times_s = [0.0, 0.25 * duration_s, duration_s]
    references = [
        Reference(
            position=np.array([SPEED_M_S * time_s, 0.0, 0.0]),
            linear_velocity=np.array([SPEED_M_S, 0.0, 0.0]),
        )
        for time_s in times_s
    ]
    return to_trajectory(references, times_s, stamp)


def test_trajectory_is_the_reference_and_its_future(mirror: Mirror, mission: Any) -> None:
    """A single reference has no future; a trajectory has one, until its end, where it rests."""
    client = mirror.client
    client.wait_for(lambda: mirror.position_error_x == pytest.approx(-0.3), "the reference")
    np.testing.assert_array_equal(mirror.preview_x, UNKNOWN)

    mission.cancel()
    start = to_stamp(mirror.now_ns())
    mirror.send_trajectory(along_x(start))
    client.wait_for(lambda: mirror.preview_x.any(), "a preview")
    expected = SPEED_M_S * np.array(PREVIEW_TIMES_S)
    np.testing.assert_allclose(mirror.preview_x, expected, atol=1e-6)
    for _ in range(3):
        client.spin(0.3)
        elapsed_s = stamp_s(client.last("policy/command").header.stamp) - stamp_s(start)
        error_m = mirror.position_error_x
        assert error_m == pytest.approx(-SPEED_M_S * elapsed_s, abs=LATE_M)
        assert mirror.velocity_error_x == pytest.approx(-SPEED_M_S)

    # Longer than the timeout of a single reference: a trajectory is held after its end.
    client.wait_for(lambda: not mirror.preview_x.any(), "the end")
    client.spin(1.0)
    assert mirror.position_error_x == pytest.approx(-SPEED_M_S * DURATION_S)
    assert mirror.velocity_error_x == 0.0
    mission.reset()
    client.wait_for(lambda: mirror.position_error_x == pytest.approx(-0.3), "the last word")
    assert mirror.complaints() == []


def test_trajectory_beside_single_references_counts(mirror: Mirror, mission: Any) -> None:
    client, start = mirror.client, to_stamp(mirror.now_ns())
    timer = client.node.create_timer(0.1, lambda: mirror.send_trajectory(along_x(start, 30.0)))
    client.wait_for(lambda: mirror.preview_x.any(), "a preview")
    count = len(client.heard["policy/command"])
    client.spin(1.5)
    answers = [message.effort for _, message in client.heard["policy/command"][count:]]
    expected = SPEED_M_S * np.array(PREVIEW_TIMES_S)
    np.testing.assert_allclose(answers, np.tile(expected, (len(answers), 1)), atol=1e-6)
    timer.cancel()
    client.wait_for(lambda: not mirror.preview_x.any(), "the single reference")
    client.wait_for(lambda: mirror.position_error_x == pytest.approx(-0.3), "the single reference")


def test_bad_trajectory_is_refused_and_changes_nothing(mirror: Mirror, mission: Any) -> None:
    """One warning for each; the reference in force stays."""
    client = mirror.client
    late = to_stamp(mirror.now_ns() - 60 * 10**9)
    messages = {
        "ended 57": along_x(late),
        "has 0 points": MultiDOFJointTrajectory(),
    }
    for number, (complaint, message) in enumerate(messages.items(), start=1):
        mirror.send_trajectory(message)
        client.wait_for(lambda n=number: len(mirror.complaints()) == n, "a warning")
        assert complaint in mirror.complaints()[-1]
        assert "Fix:" in mirror.complaints()[-1]
    assert next(iter(messages)) in mirror.node.tail(), "the second may come too soon for the log"
    np.testing.assert_array_equal(mirror.preview_x, UNKNOWN)
    assert mirror.position_error_x == pytest.approx(-0.3)
    client.spin(2.5)
    assert len(mirror.complaints()) == len(messages), "said once"
