"""The policy node as a process: what it refuses to load, when it steps, how it dies."""

import re
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from ros_client import RosClient, StandingRobot, is_safe
from ros_processes import Nodes, wait_until

from acclimate_control import topics
from acclimate_deploy.multirotor_signals import Reference

POLICY = "acclimate_control.policy_node"
SAFETY = "acclimate_control.safety_node"


def fly_standing(nodes: Nodes, client: RosClient, policy: Path, **limits: float) -> None:
    """Arm a robot that stands, with a policy node and a safety node."""
    client.listen(topics.SAFETY_STATE)
    client.listen(topics.ACTUATORS)
    nodes.start(SAFETY, **limits)
    StandingRobot(client)
    client.arm()
    client.wait_for(lambda: not is_safe(client.setpoints()), "an armed command")


@pytest.mark.parametrize("damage", ["missing", "truncated", "not a policy"])
def test_bad_policy_file_does_not_start(
    nodes: Nodes, hover_policy: Path, tmp_path: Path, damage: str
) -> None:
    file = tmp_path / "bad.onnx"
    if damage == "truncated":
        file.write_bytes(hover_policy.read_bytes()[:500])
    elif damage == "not a policy":
        file.write_text("weights: none\n")
    node = nodes.start(POLICY, policy=str(file))
    assert node.wait(lambda: 20.0)
    assert node.exit_code == 1
    assert "Fix:" in node.tail()
    assert str(file) in node.tail()


def test_killed_policy_ends_in_the_safe_command(
    nodes: Nodes, client: RosClient, hover_policy: Path
) -> None:
    policy = nodes.start(POLICY, policy=str(hover_policy), rate_hz=100.0)
    # 100 ms and not 50: on two shared cores the test's own odometry may be late.
    fly_standing(nodes, client, hover_policy, limits__max_command_age_s=0.1)
    policy.send(signal.SIGKILL)
    killed_s = time.monotonic()
    heard = client.heard["actuators/command"]
    client.wait_for(lambda: is_safe(client.setpoints()), "the safe command")
    last_motion_s = max(t for t, m in heard if max(m.effort) > -1.0)
    client.wait_for(lambda: client.mode() == "tripped", "a trip")
    assert last_motion_s - killed_s < 0.1 + 0.1  # the limit, and what a loaded machine adds
    # What the safety node measured itself knows nothing of delays in this test.
    age_s = re.search(r"measurement behind the command is ([0-9.]+) s old", client.reasons())
    assert age_s is not None
    assert float(age_s[1]) < 0.1 + 0.05


def test_memory_advances_once_per_new_stamp(
    nodes: Nodes, client: RosClient, hover_policy: Path
) -> None:
    """Duplicates and messages out of order change nothing and are not answered."""
    client.listen(topics.POLICY_COMMAND)
    client.listen(topics.POLICY_MEMORY)
    nodes.start(POLICY, policy=str(hover_policy), rate_hz=100.0)
    robot = StandingRobot(client)
    references = topics.REFERENCE.publisher(client.node)

    def reference() -> None:  # above the robot, so that the integral grows
        from acclimate_control.messages import to_reference

        above = Reference(position=np.array([0.0, 0.0, 0.5]), linear_velocity=np.zeros(3))
        references.publish(to_reference(above, client.node.get_clock().now().to_msg()))

    client.node.create_timer(0.05, reference)
    client.wait_for(lambda: len(client.heard["policy/memory"]) > 20, "an advancing memory")
    robot.running = False
    client.spin(0.3)
    counts = {name: len(rows) for name, rows in client.heard.items()}
    old = client.heard["policy/command"][0][1].header.stamp
    newest = client.last("policy/command").header.stamp
    from acclimate_control.messages import to_odometry

    for stamp in (newest, old, newest):
        robot.republish(to_odometry(robot.state(), stamp))
        client.spin(0.1)
    assert {name: len(rows) for name, rows in client.heard.items()} == counts
    robot.running = True
    client.wait_for(lambda: len(client.heard["policy/memory"]) > counts["policy/memory"] + 5)


def test_policy_holds_the_pose_without_a_reference(
    nodes: Nodes, client: RosClient, hover_policy: Path
) -> None:
    client.listen(topics.POLICY_COMMAND)
    nodes.start(POLICY, policy=str(hover_policy), rate_hz=100.0)
    robot = StandingRobot(client)
    robot.position = np.array([3.0, -2.0, 1.0])  # far from any default reference
    client.wait_for(lambda: client.last("policy/command"), "a command")
    effort = np.array(client.last("policy/command").effort)
    assert np.ptp(effort) < 1e-3, "no position error, so all motors alike"
    assert 0.0 < effort.mean() < 0.3, "about hover"


def test_odometry_that_is_not_a_number_gets_no_command(
    nodes: Nodes, client: RosClient, hover_policy: Path
) -> None:
    client.listen(topics.POLICY_COMMAND)
    nodes.start(POLICY, policy=str(hover_policy), rate_hz=100.0)
    robot = StandingRobot(client)
    client.wait_for(lambda: client.last("policy/command"), "a command")
    robot.position = np.full(3, np.nan)
    client.spin(0.3)
    count = len(client.heard["policy/command"])
    client.spin(0.3)
    assert len(client.heard["policy/command"]) == count
    robot.position = np.zeros(3)
    client.wait_for(lambda: len(client.heard["policy/command"]) > count, "commands again")
    assert np.isfinite([m.effort for _, m in client.heard["policy/command"]]).all()


def test_lifecycle(nodes: Nodes, client: RosClient, hover_policy: Path) -> None:
    """Silent until activated, silent again after, and it can go round twice."""
    client.listen(topics.POLICY_COMMAND)
    node = nodes.start(POLICY, policy=str(hover_policy), autostart=False, rate_hz=100.0)
    StandingRobot(client)
    proxy = client.node.create_client(ChangeState, "policy_node/change_state")
    client.wait_for(proxy.service_is_ready, "the lifecycle service")
    client.spin(1.0)  # until the way back is discovered too; losing a transition would mislead

    def change(transition: int) -> None:
        future = proxy.call_async(ChangeState.Request(transition=Transition(id=transition)))
        client.wait_for(future.done, "a transition")
        assert future.result().success

    for _ in range(2):
        change(Transition.TRANSITION_CONFIGURE)
        count = len(client.heard["policy/command"])
        client.spin(0.5)
        assert len(client.heard["policy/command"]) == count
        change(Transition.TRANSITION_ACTIVATE)
        client.wait_for(lambda n=count: len(client.heard["policy/command"]) > n, "commands")
        change(Transition.TRANSITION_DEACTIVATE)
        change(Transition.TRANSITION_CLEANUP)
    assert node.exit_code is None


def test_leaves_no_shared_memory_behind(nodes: Nodes, hover_policy: Path) -> None:
    """The middleware's segments live in files; a node that ends well takes its own along."""
    node = nodes.start(POLICY, policy=str(hover_policy))
    wait_until(lambda: "is active" in node.tail(), 20.0, "the node")
    maps = Path(f"/proc/{node.pid}/maps").read_text().splitlines()
    found = [re.search(r"/dev/shm/fastdds_[0-9a-f]{16}$", line) for line in maps]
    segments = {Path(match[0]) for match in found if match}
    assert segments
    node.send(signal.SIGINT)
    assert node.wait(lambda: 20.0)
    assert not [segment for segment in segments if segment.exists()]
