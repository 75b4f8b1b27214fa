"""Owns the actuators: the only publisher of `actuators/command`, whatever the policy says.

Every command of the policy passes through the supervisor at once; a timer of its own notices when
nothing comes any more. The rules are in `acclimate_deploy.safety`; here are messages and a timer.
"""

import sys
import time
from typing import Any

import numpy as np
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticStatus
from nav_msgs.msg import Odometry
from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.duration import Duration
from rclpy.node import Node
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray
from std_srvs.srv import SetBool, Trigger

from acclimate_contract import QUADROTOR, AcclimateError, robot_family
from acclimate_control import topics
from acclimate_control.messages import MotorNames, diagnostic, stamp_s, state_from
from acclimate_control.node_life import ManagedNode, run
from acclimate_control.parameters import declare, declare_dataclass
from acclimate_deploy.multirotor_signals import MultirotorState
from acclimate_deploy.safety import (
    Decision,
    Inputs,
    Mode,
    MultirotorLimits,
    Request,
    SupervisorState,
    decide,
    safe_command,
)

STATE_PERIOD_S = 0.1
DIAGNOSTICS_PERIOD_S = 1.0
LAST_COMMANDS = 3
"""Said more than once, because a reader that asks for best effort may lose one message."""
LAST_COMMAND_GAP_S = 0.005
LAST_COMMAND_S = 0.3
"""Longest wait for the motors' driver to confirm the last command."""
LEVELS = {
    Mode.DISARMED: DiagnosticStatus.OK,
    Mode.ARMED: DiagnosticStatus.OK,
    Mode.TRIPPED: DiagnosticStatus.ERROR,
    Mode.EMERGENCY_STOPPED: DiagnosticStatus.ERROR,
}


class SafetyNode(ManagedNode, Node):
    """See the module; topics are listed in `acclimate_control.topics`."""

    def __init__(self, **node_options: Any) -> None:
        Node.__init__(self, "safety_node", **node_options)
        self._declare_parameters()
        self._supervisor = SupervisorState(family=self._family)
        self._odometry: MultirotorState | None = None
        self._command: np.ndarray | None = None
        self._command_stamp = Time()
        self._command_problem = ""
        self._published_ns = 0
        self._trips = 0
        self._actuators = topics.ACTUATORS.publisher(self)
        self._actuators_array = topics.ACTUATORS_ARRAY.publisher(self)
        self._state = topics.SAFETY_STATE.publisher(self)
        self._diagnostics = topics.DIAGNOSTICS.publisher(self)
        topics.ODOMETRY.subscription(self, self._on_odometry)
        topics.POLICY_COMMAND.subscription(self, self._on_command)
        self.create_service(SetBool, "safety/arm", self._on_arm)
        self.create_service(Trigger, "safety/estop", self._on_estop)
        self.create_service(Trigger, "safety/reset", self._on_reset)

    def _declare_parameters(self) -> None:
        self._rate_hz = declare(
            self, "rate_hz", 100.0, "Rate of the watch on silent inputs, Hz.", low=20.0, high=2000.0
        )
        self._family = robot_family(
            declare(self, "family", QUADROTOR.name, "Family of the robot whose motors it owns.")
        )
        channels = self._family.action.channels
        names = declare(
            self,
            "motor_names",
            list(channels),
            "Names of the motors in the order the driver wants them.",
        )
        self._motors_in = MotorNames(channels)
        self._motors_out = MotorNames(channels, names)
        self._limits = declare_dataclass(self, "limits", MultirotorLimits())

    def begin(self) -> None:
        """Start the timers; time that jumps must not stop them."""
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(1.0 / self._rate_hz, self._watch, clock=steady)
        self.create_timer(STATE_PERIOD_S, self._publish_state, clock=steady)
        self.create_timer(DIAGNOSTICS_PERIOD_S, self._publish_diagnostics, clock=steady)
        self._publish_state()

    def close(self) -> None:
        """Switch the motors off and give the message time to leave."""
        for _ in range(LAST_COMMANDS):
            self._publish_command(safe_command(self._family.name), self.get_clock().now().to_msg())
            time.sleep(LAST_COMMAND_GAP_S)
        self._actuators.wait_for_all_acked(Duration(seconds=LAST_COMMAND_S))

    # Inputs

    def _on_odometry(self, message: Odometry) -> None:
        self._odometry = state_from(message)

    def _on_command(self, message: JointState) -> None:
        try:
            self._command = self._motors_in.read(message)
            self._command_problem = ""
        except AcclimateError as error:
            self._command = None
            self._command_problem = str(error)
            self.get_logger().error(str(error), throttle_duration_sec=1.0)
        self._command_stamp = message.header.stamp
        self._apply(self._judge(Request.NONE))

    def _watch(self) -> None:
        """Judge again although nothing came; repeat the command if the driver waits for one."""
        decision = self._judge(Request.NONE)
        silent_ns = self.get_clock().now().nanoseconds - self._published_ns
        if silent_ns < 0 or silent_ns > 0.9e9 / self._rate_hz:
            self._apply(decision)

    def _on_arm(self, request: SetBool.Request, response: SetBool.Response) -> Any:
        return self._obey(Request.ARM if request.data else Request.DISARM, response)

    def _on_estop(self, request: Trigger.Request, response: Trigger.Response) -> Any:
        return self._obey(Request.ESTOP, response)

    def _on_reset(self, request: Trigger.Request, response: Trigger.Response) -> Any:
        return self._obey(Request.RESET, response)

    # Decisions

    def _obey(self, request: Request, response: Any) -> Any:
        decision = self._judge(request)
        self._apply(decision)
        response.success = decision.accepted
        reasons = [*decision.reasons, *filter(None, [self._command_problem])]
        response.message = "; ".join(reasons) or self._supervisor.mode.value
        return response

    def _judge(self, request: Request) -> Decision:
        before = self._supervisor.mode
        decision = decide(
            self._limits,
            self._supervisor,
            Inputs(
                now_s=self.get_clock().now().nanoseconds * 1e-9,
                odometry=self._odometry,
                command=self._command,
                command_stamp_s=stamp_s(self._command_stamp),
                request=request,
            ),
        )
        self._supervisor = decision.state
        if decision.state.mode is not before:
            self._on_mode_change(decision)
        return decision

    def _on_mode_change(self, decision: Decision) -> None:
        self._apply(decision)
        self._publish_state()
        mode = decision.state.mode
        self._trips += mode is Mode.TRIPPED
        line = "; ".join([mode.value, *decision.state.reasons])
        if LEVELS[mode] == DiagnosticStatus.OK:
            self.get_logger().info(line)
        else:
            self.get_logger().error(line)

    def _apply(self, decision: Decision) -> None:
        armed = decision.state.mode is Mode.ARMED
        now = self.get_clock().now()
        self._published_ns = now.nanoseconds
        self._publish_command(decision.command, self._command_stamp if armed else now.to_msg())

    def _publish_command(self, command: np.ndarray, stamp: Time) -> None:
        message = self._motors_out.write(command, stamp)
        self._actuators.publish(message)
        self._actuators_array.publish(Float64MultiArray(data=message.effort))

    def _publish_state(self) -> None:
        mode, reasons = self._supervisor.mode, list(self._supervisor.reasons)
        if self._command_problem:
            reasons.append(self._command_problem)
        values = [(f"reason {number}", reason) for number, reason in enumerate(reasons)]
        stamp = self.get_clock().now().to_msg()
        self._state.publish(diagnostic("safety", mode.value, values, stamp, level=LEVELS[mode]))

    def _publish_diagnostics(self) -> None:
        mode = self._supervisor.mode
        values = [("mode", mode.value), ("trips", self._trips)]
        stamp = self.get_clock().now().to_msg()
        message = "; ".join(self._supervisor.reasons) or mode.value
        self._diagnostics.publish(diagnostic("safety", message, values, stamp, level=LEVELS[mode]))


def main(args: list[str] | None = None) -> int:
    """Entry point of the executable `safety_node`."""
    return run(SafetyNode, args)


if __name__ == "__main__":
    sys.exit(main())
