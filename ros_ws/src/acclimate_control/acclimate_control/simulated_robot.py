"""A quadrotor in MuJoCo that behaves like a driver: odometry out, motor commands in, real time.

It stands on a floor, takes off and lands like a real one. Another engine than the one policies
are trained in moves it, so that flying it says something about the step to real robots.
"""

import json
import sys
import time
from typing import Any

import numpy as np
from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.node import Node
from sensor_msgs.msg import JointState
from std_srvs.srv import SetBool

from acclimate_contract import AcclimateError, multirotor_family
from acclimate_control import topics
from acclimate_control.messages import MotorNames, diagnostic, text, to_odometry, to_stamp
from acclimate_control.node_life import ManagedNode, run
from acclimate_control.pacing import Pacer, StampClock
from acclimate_control.parameters import declare
from acclimate_deploy.multirotor_signals import MultirotorState
from acclimate_sim.engines.mujoco_multirotor import MujocoMultirotor
from acclimate_sim.robots import load_robot

MOTORS_OFF = -1.0


class SimulatedRobot(ManagedNode, Node):
    """See the module; topics are listed in `acclimate_control.topics`."""

    def __init__(self, **node_options: Any) -> None:
        Node.__init__(self, "simulated_robot", **node_options)
        self._declare_parameters()
        self._make_robot()
        channels = multirotor_family(self._robot.num_motors).action.channels
        self._motors = MotorNames(channels)
        self._setpoints = np.full(len(channels), MOTORS_OFF)
        self._command_came_s = -np.inf
        self._timed_out = True
        self._odometry = topics.ODOMETRY.publisher(self)
        self._events = topics.EVENTS.publisher(self)
        self._diagnostics = topics.DIAGNOSTICS.publisher(self)
        self._description = topics.ROBOT_DESCRIPTION.publisher(self)
        self._description.publish(text(json.dumps(self._describe())))
        self._actuators = topics.ACTUATORS.subscription(self, self._on_command)
        self.create_service(SetBool, "robot/attach_payload", self._on_payload)
        self.create_service(SetBool, "robot/apply_force", self._on_force)

    def _declare_parameters(self) -> None:
        self._name = declare(self, "robot", "random", "Known platform, or 'random'.")
        self._seed = declare(self, "seed", 0, "Which random robot.", low=0, high=2**31 - 1)
        self._rate_hz = declare(self, "rate_hz", 200.0, "Odometry rate, Hz.", low=10.0, high=1000.0)
        self._payload_fraction = declare(
            self, "payload_fraction", 0.2, "Payload, as a part of the mass.", low=0.0, high=2.0
        )
        self._force_fraction = declare(
            self,
            "force_fraction",
            [0.2, 0.0, 0.0],
            "Force in the world frame, as parts of the weight.",
        )
        self._command_timeout_s = declare(
            self, "command_timeout_s", 0.1, "Silence that stops the motors, s.", low=0.0, high=1.0
        )
        self._catch_up_s = declare(
            self,
            "catch_up_s",
            0.02,
            "Longest delay made good by stepping faster, s; a longer one stops simulated time.",
            low=0.0,
            high=0.1,
        )

    def _make_robot(self) -> None:
        self._robot = load_robot(self._name, seed=self._seed)
        self._engine = MujocoMultirotor(self._robot)
        self._mass_kg = float(self._robot.mass_kg[0])
        self._weight_n = self._engine.weight_n

    def begin(self) -> None:
        """Start simulated time."""
        period_s = 1.0 / self._rate_hz
        self._pacer = Pacer(period_s, catch_up_s=self._catch_up_s)
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        start_s = time.monotonic()
        self._pacer.start(start_s)
        self._stamps = StampClock(start_s, self.get_clock().now().nanoseconds)
        self.create_timer(period_s, self._tick, clock=steady)
        self.create_timer(1.0, self._publish_diagnostics, clock=steady)
        self.get_logger().info(f"{self._name} robot, {self._mass_kg:.3f} kg, stands on the floor")

    def _tick(self) -> None:
        now_s = time.monotonic()
        self._stamps.follow(now_s, self.get_clock().now().nanoseconds)
        self._watch_command(now_s)
        periods = self._pacer.due(now_s)
        for _ in range(periods):
            self._engine.step(self._setpoints, self._pacer.period_s)
        if periods:
            stamp = to_stamp(self._stamps.stamp_ns(self._pacer.stamp_s))
            self._odometry.publish(to_odometry(self._state(), stamp))

    def _state(self) -> MultirotorState:
        engine = self._engine
        return MultirotorState(
            position=engine.position,
            orientation=engine.orientation,
            linear_velocity=engine.linear_velocity,
            angular_velocity=engine.angular_velocity,
            stamp_s=self._pacer.stamp_s,
        )

    def _watch_command(self, now_s: float) -> None:
        """Do what a motor driver does: no command, no thrust."""
        if self._timed_out or now_s - self._command_came_s <= self._command_timeout_s:
            return
        self._timed_out = True
        if (self._setpoints > MOTORS_OFF).any():
            self._announce("driver: no command, motors off")
        self._setpoints = np.full_like(self._setpoints, MOTORS_OFF)

    def _on_command(self, message: JointState) -> None:
        try:
            setpoints = self._motors.read(message)
        except AcclimateError as error:
            self.get_logger().error(str(error), throttle_duration_sec=1.0)
            return
        if np.isfinite(setpoints).all():
            self._setpoints = setpoints
            self._command_came_s = time.monotonic()
            self._timed_out = False

    def _on_payload(self, request: SetBool.Request, response: SetBool.Response) -> Any:
        payload_kg = self._payload_fraction * self._mass_kg if request.data else 0.0
        self._engine.attach_payload(payload_kg)
        line = "payload detached"
        if request.data:
            line = (
                f"payload attached: +{payload_kg:.3f} kg (+{100.0 * self._payload_fraction:.0f} %)"
            )
        return self._answer(response, line)

    def _on_force(self, request: SetBool.Request, response: SetBool.Response) -> Any:
        fraction = np.array(self._force_fraction) if request.data else np.zeros(3)
        self._engine.set_force(fraction * self._weight_n)
        line = "force removed"
        if request.data:
            line = f"force applied: {np.array2string(fraction, precision=2)} of the weight"
        return self._answer(response, line)

    def _answer(self, response: SetBool.Response, line: str) -> SetBool.Response:
        self._announce(line)
        response.success, response.message = True, line
        return response

    def _announce(self, line: str) -> None:
        self.get_logger().info(f"event: {line}")
        self._events.publish(text(line))

    def _describe(self) -> dict[str, Any]:
        robot = self._robot
        return {
            "name": self._name,
            "seed": self._seed,
            "engine": "mujoco",
            "mass_kg": self._mass_kg,
            "thrust_to_weight": float(robot.thrust_to_weight[0]),
            "torque_to_inertia": float(robot.torque_to_inertia[0]),
            "arm_length_m": float(robot.arm_length_m[0]),
        }

    def _publish_diagnostics(self) -> None:
        values = [("robot", self._name), ("missed ticks", self._pacer.missed_ticks)]
        stamp = self.get_clock().now().to_msg()
        self._diagnostics.publish(diagnostic("simulated_robot", "running", values, stamp))


def main(args: list[str] | None = None) -> int:
    """Entry point of the executable `simulated_robot`."""
    return run(SimulatedRobot, args)


if __name__ == "__main__":
    sys.exit(main())
