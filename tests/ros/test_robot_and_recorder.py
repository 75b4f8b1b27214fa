"""The simulated robot keeps real time and behaves like a driver; the recorder writes whole bags."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from ros_client import RosClient, StandingRobot
from ros_processes import MARKER, Nodes, wait_until
from rosbags.rosbag2 import Reader

from acclimate_control import topics
from acclimate_control.messages import MotorNames, stamp_s, state_from
from acclimate_deploy.bag import ros_types
from acclimate_deploy.bag_recovery import recover_bag

ROBOT = "acclimate_control.simulated_robot"
RECORDER = "acclimate_control.recorder"
MOTORS = ("front_right", "back_right", "back_left", "front_left")


def test_simulated_robot_keeps_time_and_stops_without_commands(
    nodes: Nodes, client: RosClient
) -> None:
    for topic in (topics.ODOMETRY, topics.EVENTS, topics.ROBOT_DESCRIPTION):
        client.listen(topic)
    nodes.start(ROBOT, robot="crazyflie", rate_hz=100.0)
    client.wait_for(lambda: len(client.heard["odom"]) > 10, "odometry", timeout_s=40.0)
    about = json.loads(client.wait_for(lambda: client.last("robot/description")).data)
    assert about["name"] == "crazyflie"
    assert about["mass_kg"] == pytest.approx(0.0306, rel=0.2)

    client.spin(2.0)
    rows = client.heard["odom"][10:]
    stamps = np.array([stamp_s(message.header.stamp) for _, message in rows])
    steps = np.diff(stamps) / 0.01
    assert steps.min() > 0.5, "stamps only grow"
    np.testing.assert_allclose(steps, np.round(steps), atol=1e-3)  # whole periods
    received = rows[-1][0] - rows[0][0]
    assert stamps[-1] - stamps[0] == pytest.approx(received, rel=0.05, abs=0.05)

    # Full thrust lifts it off; silence drops it again.
    command = topics.ACTUATORS.publisher(client.node)
    motors = MotorNames(MOTORS)

    def height_m() -> float:
        return float(state_from(client.last("odom")).position[2])

    assert height_m() == pytest.approx(0.0, abs=0.01)
    lift = client.node.create_timer(
        0.02,
        lambda: command.publish(
            motors.write(np.full(4, 0.9), client.node.get_clock().now().to_msg())
        ),
    )
    client.wait_for(lambda: height_m() > 0.3, "a lift-off")
    lift.cancel()
    client.wait_for(
        lambda: any("no command" in m.data for _, m in client.heard["events"]), "the driver's stop"
    )
    client.wait_for(lambda: height_m() < 0.1, "the robot on the floor")

    answer = client.call("robot/attach_payload", True)
    assert answer.success
    assert "(+20 %)" in answer.message
    assert client.call("robot/apply_force", True).success
    assert client.call("robot/apply_force", False).success


def test_unknown_robot_does_not_start(nodes: Nodes) -> None:
    node = nodes.start(ROBOT, robot="crazyfly")
    assert node.wait(lambda: 40.0)
    assert node.exit_code == 1
    assert "crazyflie" in node.tail()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_recorder_completes_its_bag_on_a_signal(
    nodes: Nodes, client: RosClient, tmp_path: Path, number: int
) -> None:
    bag = tmp_path / "bag"
    node = nodes.start(RECORDER, bag=str(bag))
    StandingRobot(client)
    client.wait_for(lambda: client.node.count_subscribers("odom") > 0, "the recorder")
    client.spin(1.0)
    assert not bag.exists(), "a bag that is not complete does not carry the final name"
    node.send(number)
    client.wait_for(lambda: node.exit_code is not None, "the end of the recorder")
    assert node.exit_code == 0
    with Reader(bag) as reader:
        kinds = {connection.topic: connection.msgtype for connection in reader.connections}
        messages = [
            ros_types().deserialize_cdr(raw, connection.msgtype)
            for connection, _, raw in reader.messages()
            if connection.topic == "/odom"
        ]
    assert kinds["/odom"] == "nav_msgs/msg/Odometry"
    assert len(messages) > 50
    assert messages[0].child_frame_id == "base_link"


def test_recorder_refuses_an_existing_path(nodes: Nodes, tmp_path: Path) -> None:
    (tmp_path / "bag").mkdir()
    node = nodes.start(RECORDER, bag=str(tmp_path / "bag"))
    assert node.wait(lambda: 20.0)
    assert node.exit_code == 1
    assert "exists already" in node.tail()
    assert [path.name for path in tmp_path.glob("bag*")] == ["bag"]


def test_recorder_refuses_a_topic_it_cannot_describe(nodes: Nodes, tmp_path: Path) -> None:
    node = nodes.start(RECORDER, bag=str(tmp_path / "bag"), topics=["odom", "gps bad_msgs/msg/X"])
    assert node.wait(lambda: 20.0)
    assert node.exit_code == 1
    assert "bad_msgs/msg/X" in node.tail()
    assert not list(tmp_path.glob("bag*"))


def test_recorder_on_a_full_disk_says_so(
    domain: int, marker: str, client: RosClient, tmp_path: Path
) -> None:
    """A limit on the size of a file stands in for the full disk."""
    command = (
        f"ulimit -f 32; exec {sys.executable} -m {RECORDER} --ros-args -p bag:={tmp_path / 'bag'}"
    )
    process = subprocess.Popen(
        ["bash", "-c", command],
        env={**os.environ, "ROS_DOMAIN_ID": str(domain), MARKER: marker},
        stderr=subprocess.PIPE,
        text=True,
    )
    StandingRobot(client, rate_hz=200.0)
    client.wait_for(lambda: process.poll() is not None, "the end of the recorder")
    assert process.returncode == 1
    assert process.stderr is not None
    assert "reached the allowed size" in process.stderr.read()
    assert not (tmp_path / "bag").exists()


def test_killed_recorder_leaves_what_it_heard(nodes: Nodes, client: RosClient) -> None:
    """Also when the topic fell silent: nothing waits in the recorder for a next message."""
    recorder = nodes.start(RECORDER, bag=str(nodes.folder / "bag"))
    robot = StandingRobot(client)
    client.wait_for(lambda: client.node.count_subscribers("odom") > 0, "the recorder")
    before = robot.published
    client.spin(1.3)
    robot.running = False
    client.spin(1.2)
    recorder.send(signal.SIGKILL)
    wait_until(lambda: recorder.exit_code is not None, 5.0, "the end of the recorder")
    with Reader(recover_bag(nodes.folder / "bag.partial")) as reader:
        assert reader.message_count >= robot.published - before - 5
