"""The safety node as a process: what it refuses, what it stops, what it says last."""

import signal
import time

import numpy as np
import pytest
from ros_client import RosClient, StandingRobot, is_safe
from ros_processes import Nodes

from acclimate_contract import HEXAROTOR, QUADROTOR
from acclimate_control import topics
from acclimate_control.messages import MotorNames

SAFETY = "acclimate_control.safety_node"
# Stamps are made in a test that shares two cores with everything else.
PATIENT = {"limits__max_odometry_age_s": 0.5, "limits__max_command_age_s": 0.5}
PERMUTED = ("front_left", "back_right", "front_right", "back_left")


class ScriptedPolicy:
    """Publishes motor commands as a policy node would, in any order of names."""

    def __init__(self, client: RosClient, names: tuple[str, ...] = PERMUTED) -> None:
        self.names = list(names)
        self.setpoint = {name: 0.1 * i for i, name in enumerate(QUADROTOR.action.channels)}
        self._motors = MotorNames(QUADROTOR.action.channels)
        self._client = client
        self._publisher = topics.POLICY_COMMAND.publisher(client.node)
        self._timer = client.node.create_timer(0.02, self._publish)

    def _publish(self) -> None:
        values = np.array([self.setpoint[name] for name in QUADROTOR.action.channels])
        message = self._motors.write(values, self._client.node.get_clock().now().to_msg())
        message.name = self.names
        message.effort = [self.setpoint.get(name, 0.0) for name in self.names]
        self._publisher.publish(message)


def listen(client: RosClient) -> None:
    client.listen(topics.SAFETY_STATE)
    client.listen(topics.ACTUATORS)
    client.listen(topics.ACTUATORS_ARRAY)


def test_arming_is_refused_without_odometry_and_says_why(nodes: Nodes, client: RosClient) -> None:
    listen(client)
    nodes.start(SAFETY)
    answer = client.call("safety/arm", True)
    assert not answer.success
    assert "no odometry" in answer.message
    assert "no command" in answer.message
    client.wait_for(client.setpoints)
    assert is_safe(client.setpoints())
    assert client.wait_for(client.mode) == "disarmed"


def test_six_motors_are_held_by_name(nodes: Nodes, client: RosClient) -> None:
    listen(client)
    nodes.start(SAFETY, family="hexarotor")
    client.wait_for(client.setpoints)
    assert is_safe(client.setpoints())
    assert list(client.setpoints()) == list(HEXAROTOR.action.channels)


def test_an_unknown_family_ends_the_node_with_a_hint(nodes: Nodes) -> None:
    node = nodes.start(SAFETY, family="octorotor")
    assert node.wait(lambda: 40.0)
    assert node.exit_code == 1
    assert "use one of quadrotor, hexarotor" in node.tail()


def test_motors_are_matched_by_name(nodes: Nodes, client: RosClient) -> None:
    """In any order in, in the driver's order out: the same motor gets the same setpoint."""
    listen(client)
    driver = ["back_left", "front_left", "back_right", "front_right"]
    nodes.start(SAFETY, motor_names=driver, **PATIENT)
    StandingRobot(client)
    policy = ScriptedPolicy(client)
    client.arm()
    client.wait_for(lambda: not is_safe(client.setpoints()), "an armed command")
    assert client.setpoints() == pytest.approx(policy.setpoint)
    assert list(client.last("actuators/command").name) == driver
    expected = [policy.setpoint[name] for name in driver]
    assert list(client.last("actuators/command_array").data) == pytest.approx(expected)


@pytest.mark.parametrize(
    "names",
    [
        ("front_left", "front_left", "front_right", "back_left"),
        ("front_left", "back_right", "front_right"),
        ("motor1", "motor2", "motor3", "motor4"),
    ],
    ids=["double", "missing", "unknown"],
)
def test_wrong_motor_names_trip(nodes: Nodes, client: RosClient, names: tuple[str, ...]) -> None:
    listen(client)
    nodes.start(SAFETY, **PATIENT)
    StandingRobot(client)
    policy = ScriptedPolicy(client)
    client.arm()
    policy.names = list(names)
    client.wait_for(lambda: client.mode() == "tripped", "a trip")
    assert "motors are named" in client.reasons()
    client.wait_for(lambda: is_safe(client.setpoints()), "the safe command")


def test_wrong_motor_names_in_parameters_do_not_start(nodes: Nodes) -> None:
    node = nodes.start(SAFETY, motor_names=["front_left"] * 4)
    assert node.wait(lambda: 20.0)
    assert node.exit_code == 1
    assert "each once" in node.tail()


def test_misspelt_limit_does_not_start(nodes: Nodes) -> None:
    """rclpy would ignore it, and the robot would fly without the limit."""
    node = nodes.start(SAFETY, limits__max_tlit_rad=0.5)
    assert node.wait(lambda: 20.0)
    assert node.exit_code == 1
    assert "limits.max_tlit_rad" in node.tail()


def test_emergency_stop_latches_until_reset(nodes: Nodes, client: RosClient) -> None:
    listen(client)
    nodes.start(SAFETY, **PATIENT)
    StandingRobot(client)
    ScriptedPolicy(client)
    client.arm()
    client.wait_for(lambda: not is_safe(client.setpoints()), "an armed command")
    assert client.call("safety/estop").success
    client.wait_for(lambda: is_safe(client.setpoints()), "the safe command")
    client.call("safety/arm", False)
    refused = client.call("safety/arm", True)
    assert not refused.success
    assert "emergency stop" in refused.message
    client.wait_for(client.mode, "a state")
    client.spin(0.3)
    assert client.mode() == "emergency_stopped"
    assert is_safe(client.setpoints())
    assert client.call("safety/reset").success
    assert client.arm().success


def test_odometry_that_is_not_a_number_trips(nodes: Nodes, client: RosClient) -> None:
    listen(client)
    nodes.start(SAFETY, **PATIENT)
    robot = StandingRobot(client)
    ScriptedPolicy(client)
    client.arm()
    robot.position = np.array([0.0, np.nan, 0.0])
    client.wait_for(lambda: client.mode() == "tripped", "a trip")
    assert "not finite" in client.reasons()
    client.wait_for(lambda: is_safe(client.setpoints()), "the safe command")
    robot.position = np.zeros(3)
    client.spin(0.3)
    assert client.mode() == "tripped", "a trip lasts until somebody disarms"


def test_silent_odometry_trips(nodes: Nodes, client: RosClient) -> None:
    listen(client)
    nodes.start(SAFETY, limits__max_odometry_age_s=0.3, limits__max_command_age_s=5.0)
    robot = StandingRobot(client)
    ScriptedPolicy(client)
    client.arm()
    robot.running = False
    client.wait_for(lambda: client.mode() == "tripped", "a trip")
    assert "odometry is" in client.reasons()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_last_command_is_the_safe_one(nodes: Nodes, client: RosClient, number: int) -> None:
    listen(client)
    node = nodes.start(SAFETY, **PATIENT)
    StandingRobot(client)
    ScriptedPolicy(client)
    client.arm()
    client.wait_for(lambda: not is_safe(client.setpoints()), "an armed command")
    node.send(number)
    client.wait_for(lambda: node.exit_code is not None, "the end of the node")
    assert node.exit_code == 0
    client.spin(0.3)
    assert is_safe(client.setpoints())


def test_namespaces_keep_two_robots_apart(nodes: Nodes, client: RosClient) -> None:
    for name in ("one", "two"):
        nodes.start(SAFETY, "-r", f"__ns:=/{name}", **PATIENT)
        client.listen(topics.SAFETY_STATE, f"/{name}")
    StandingRobot(client, namespace="/one")
    client.wait_for(
        lambda: "no odometry" not in client.call("/one/safety/arm", True).message, "odometry"
    )
    assert "no odometry" in client.call("/two/safety/arm", True).message
    assert client.call("/one/safety/estop").success
    client.wait_for(lambda: client.mode("/one") == "emergency_stopped", "the stop")
    before, of_two = time.monotonic(), client.heard["/two/safety/state"]
    client.wait_for(lambda: of_two and of_two[-1][0] > before, "a newer state")
    assert client.mode("/two") == "disarmed"
