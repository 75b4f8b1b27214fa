"""Runs a policy: one step per new odometry message, the command out at once.

A lifecycle node. `configure` loads the policy file and proves it; `activate` lets it forget the
robot it flew before. The node only proposes: what reaches the motors is up to the safety node.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from nav_msgs.msg import Odometry
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from sensor_msgs.msg import JointState
from std_msgs.msg import Float32MultiArray
from std_srvs.srv import Trigger
from trajectory_msgs.msg import MultiDOFJointTrajectory

from acclimate_contract import (
    GOLDEN_TOLERANCE,
    QUADROTOR,
    AcclimateError,
    ConfigError,
    robot_family,
)
from acclimate_control import topics
from acclimate_control.messages import (
    MotorNames,
    diagnostic,
    labelled,
    reference_from,
    state_from,
    text,
    trajectory_from,
)
from acclimate_control.node_life import ManagedNode, run
from acclimate_control.parameters import declare
from acclimate_control.timing import TimingWindow
from acclimate_deploy.commanded_reference import CommandedReference
from acclimate_deploy.multirotor_signals import MultirotorState, SignalBuilder
from acclimate_deploy.policy import Policy, golden_difference, load_policy
from acclimate_deploy.runtime import PolicyRuntime

CLOCK_RESET_S = 1.0
"""Odometry stamps that jump back further come from a clock that was set back, not from the net."""


class PolicyNode(ManagedNode, LifecycleNode):
    """See the module; topics are listed in `acclimate_control.topics`."""

    def __init__(self, **node_options: Any) -> None:
        LifecycleNode.__init__(self, "policy_node", **node_options)
        self._path = declare(self, "policy", "", "Policy file (.onnx).")
        self._autostart = declare(
            self, "autostart", True, "Configure and activate at start; leave if that fails."
        )
        self._rate_hz = declare(
            self, "rate_hz", 200.0, "Expected odometry rate, Hz.", low=1.0, high=10000.0
        )
        reference_timeout_s = declare(
            self,
            "reference_timeout_s",
            0.5,
            "Age at which a reference is dropped and the current pose is held, s.",
            low=0.0,
            high=60.0,
        )
        self._family = robot_family(
            declare(self, "family", QUADROTOR.name, "Family of the robot it flies.")
        )
        self._motors = MotorNames(self._family.action.channels)
        self._runtime: PolicyRuntime | None = None
        self._active = False
        self._faulty = False
        self._armed = False
        action = self._family.action
        self._applied = np.full(len(action.channels), action.low)
        self._reference = CommandedReference(reference_timeout_s)
        self._refused_trajectory = ""

    def begin(self) -> None:
        """Start by itself if asked to; a policy that cannot fly ends the process."""
        if not self._autostart:
            return
        for transition in (self.trigger_configure, self.trigger_activate):
            if transition() is not TransitionCallbackReturn.SUCCESS:
                self.exit_code = 1
                return

    # Lifecycle

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load and prove the policy, then connect to the graph."""
        try:
            self._policy = self._load()
        except AcclimateError as error:
            self.get_logger().fatal(str(error))
            return TransitionCallbackReturn.FAILURE
        self._runtime = PolicyRuntime(self._policy)
        self._signals = SignalBuilder(self._family)
        self._timing = TimingWindow(1.0 / self._rate_hz)
        self._connect()
        return TransitionCallbackReturn.SUCCESS

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Start to propose commands, with a fresh memory."""
        self._forget()
        self._active = True
        self.get_logger().info(f"policy '{self._policy.manifest.name}' is active")
        return super().on_activate(state)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Fall silent; the safety node notices."""
        self._active = False
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Drop the policy and leave the graph."""
        self._active = False
        self._runtime = None
        self._disconnect()
        return TransitionCallbackReturn.SUCCESS

    def _load(self) -> Policy:
        if not self._path:
            raise ConfigError(
                "parameter 'policy' is empty. Without a policy file there is nothing to fly. "
                "Fix: set it to the path of a policy.onnx."
            )
        return load_policy(Path(self._path), family=self._family.name)

    def _connect(self) -> None:
        self._command = self._lifecycle_publisher(topics.POLICY_COMMAND)
        self._memory = self._lifecycle_publisher(topics.POLICY_MEMORY)
        self._timing_out = self._lifecycle_publisher(topics.POLICY_TIMING)
        self._diagnostics = topics.DIAGNOSTICS.publisher(self)
        self._description = topics.POLICY_DESCRIPTION.publisher(self)
        self._description.publish(text(json.dumps(_describe(self._policy))))
        self._subscriptions_made = [
            topics.ODOMETRY.subscription(self, self._on_odometry),
            topics.REFERENCE.subscription(self, self._on_reference),
            topics.REFERENCE_TRAJECTORY.subscription(self, self._on_trajectory),
            topics.ACTUATORS.subscription(self, self._on_applied),
            topics.SAFETY_STATE.subscription(self, self._on_safety),
        ]
        self._services_made = [
            self.create_service(Trigger, "policy/reset", self._on_reset),
            self.create_service(Trigger, "policy/self_test", self._on_self_test),
        ]
        self._timer = self.create_timer(1.0, self._publish_diagnostics)

    def _lifecycle_publisher(self, topic: topics.Topic) -> Any:
        return self.create_lifecycle_publisher(topic.message, topic.name, topic.qos)

    def _disconnect(self) -> None:
        self.destroy_timer(self._timer)
        for subscription in self._subscriptions_made:
            self.destroy_subscription(subscription)
        for service in self._services_made:
            self.destroy_service(service)
        for publisher in (self._diagnostics, self._description):
            self.destroy_publisher(publisher)
        for publisher in (self._command, self._memory, self._timing_out):
            self.destroy_lifecycle_publisher(publisher)

    # The loop

    def _on_odometry(self, message: Odometry) -> None:
        if not self._active or self._runtime is None or self._faulty:
            return
        state = state_from(message)
        dt_s = self._time_since_last(state.stamp_s)
        if dt_s is None:
            return
        reference = self._reference.current(state, time.monotonic())
        signals = self._signals.fill(state, reference, self._applied, dt_s)
        action = self._runtime.step(signals, dt_s)
        if not np.isfinite(action).all():
            self._on_bad_action(state)
            return
        self._command.publish(self._motors.write(action, message.header.stamp))
        self._publish_timing(state.stamp_s)
        self._publish_memory()

    def _time_since_last(self, stamp_s: float) -> float | None:
        """Seconds since the last step; None for a duplicate or a message out of order."""
        if self._last_stamp_s is None:
            self._last_stamp_s = stamp_s
            return 0.0
        dt_s = stamp_s - self._last_stamp_s
        if dt_s < -CLOCK_RESET_S:
            self.get_logger().warning("the odometry clock was set back: memory reset")
            self._forget()
            dt_s = 0.0
        elif dt_s <= 0.0:
            return None
        self._last_stamp_s = stamp_s
        return dt_s

    def _on_bad_action(self, state: MultirotorState) -> None:
        """Say nothing rather than nonsense: the safety node trips on silence."""
        if all(map(np.all, map(np.isfinite, _vectors(state)))):
            self._faulty = True
            self.get_logger().error(
                "the policy answered finite signals with a non-finite action: no more commands "
                "until policy/reset"
            )
        else:
            self.get_logger().error("odometry is not finite: no command", throttle_duration_sec=1.0)

    def _publish_timing(self, stamp_s: float) -> None:
        now_s = time.monotonic()
        period_s = now_s - self._last_step_s if self._last_step_s else 1.0 / self._rate_hz
        self._last_step_s = now_s
        latency_s = self._now_s() - stamp_s
        self._timing.add(period_s, latency_s)
        self._timing_out.publish(labelled({"period_s": period_s, "latency_s": latency_s}))

    def _publish_memory(self) -> None:
        assert self._runtime is not None
        parts = [part.ravel() for part in self._runtime.memory.values()]
        memory = np.concatenate(parts) if parts else np.zeros(0, dtype=np.float32)
        if not np.array_equal(memory, self._published_memory):
            self._published_memory = memory
            self._memory.publish(Float32MultiArray(data=memory.tolist()))

    # Other inputs

    def _on_reference(self, message: MultiDOFJointTrajectory) -> None:
        try:
            self._reference.command(reference_from(message), time.monotonic())
        except AcclimateError as error:
            self.get_logger().error(str(error), throttle_duration_sec=1.0)

    def _on_trajectory(self, message: MultiDOFJointTrajectory) -> None:
        try:
            trajectory = trajectory_from(message, self._now_s())
        except AcclimateError as error:
            self._refused_trajectory = str(error)
            self.get_logger().error(str(error), throttle_duration_sec=1.0)
            return
        self._reference.command_trajectory(trajectory, time.monotonic())

    def _on_applied(self, message: JointState) -> None:
        try:
            applied = self._motors.read(message)
        except AcclimateError as error:
            self.get_logger().error(str(error), throttle_duration_sec=1.0)
            return
        if np.isfinite(applied).all():
            self._applied = applied

    def _on_safety(self, message: DiagnosticArray) -> None:
        armed = bool(message.status) and message.status[0].message == "armed"  # pyright: ignore[reportIndexIssue]
        if armed and not self._armed:
            self._forget()  # whatever it learnt while the motors stood still is wrong in the air
        self._armed = armed

    def _on_reset(self, request: Trigger.Request, response: Trigger.Response) -> Any:
        self._forget()
        response.success, response.message = True, "memory reset"
        return response

    def _on_self_test(self, request: Trigger.Request, response: Trigger.Response) -> Any:
        if self._armed:
            response.success = False
            response.message = "armed: a self-test would delay the loop. Fix: disarm first."
            return response
        difference = golden_difference(self._policy)
        response.success = difference <= GOLDEN_TOLERANCE
        response.message = f"golden sequence differs by {difference:.3g}"
        return response

    def _forget(self) -> None:
        """Memory, clock and held pose as after a start; a trajectory that still runs goes on."""
        assert self._runtime is not None
        self._runtime.reset()
        self._reference.forget(self._now_s())
        self._faulty = False
        self._last_stamp_s: float | None = None
        self._last_step_s = 0.0
        self._published_memory = np.zeros(0, dtype=np.float32)

    def _publish_diagnostics(self) -> None:
        values = [("policy", self._policy.manifest.name), *self._timing.summary()]
        message = "active" if self._active and not self._faulty else "silent"
        level = DiagnosticStatus.OK
        if self._refused_trajectory:
            values.append(("refused trajectory", self._refused_trajectory))
            level = DiagnosticStatus.WARN
            self._refused_trajectory = ""
        stamp = self.get_clock().now().to_msg()
        self._diagnostics.publish(diagnostic("policy", message, values, stamp, level=level))

    def _now_s(self) -> float:
        return self.get_clock().now().nanoseconds * 1e-9


def _vectors(state: MultirotorState) -> tuple[np.ndarray, ...]:
    return (
        state.position,
        state.orientation,
        state.linear_velocity,
        state.angular_velocity,
    )


def _describe(policy: Policy) -> dict[str, Any]:
    manifest = policy.manifest
    return {
        "name": manifest.name,
        "sha256": policy.sha256,
        "signals": [signal.name for signal in manifest.signals],
        "num_parameters": manifest.num_parameters,
        "provenance": dict(manifest.provenance),
    }


def main(args: list[str] | None = None) -> int:
    """Entry point of the executable `policy_node`."""
    return run(PolicyNode, args)


if __name__ == "__main__":
    sys.exit(main())
