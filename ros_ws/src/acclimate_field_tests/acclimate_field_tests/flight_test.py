"""Flies one plan from arming to disarming and says whether it went well.

It asks and never commands: references go to the policy, requests to the safety node. A signal
(ctrl-C) in flight lands the robot where it is, then disarms; before the flight it just leaves.
"""

import json
import sys
import time
from collections.abc import Callable
from enum import Enum, auto
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from nav_msgs.msg import Odometry
from rclpy.client import Client
from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.task import Future
from std_msgs.msg import String
from std_srvs.srv import SetBool

from acclimate_contract import REFERENCE_PREVIEW
from acclimate_control import topics
from acclimate_control.messages import state_from, text, to_reference, to_trajectory
from acclimate_control.node_life import INTERRUPTED, ManagedNode, run
from acclimate_control.parameters import declare
from acclimate_deploy.multirotor_signals import MultirotorState, Reference
from acclimate_deploy.rotations import heading
from acclimate_field_tests.flight_plan import LAND, Descent, FlightPlan, check_duration
from acclimate_field_tests.touchdown import TouchdownDetector

ODOMETRY_TIMEOUT_S = 0.5
STEADY_S, STEADY_GAP_S = 1.0, 0.08
"""Arming waits for this much odometry without a gap: processes that still load disturb it."""
RETRY_S = 0.5
REPLY_TIMEOUT_S = 2.0
TOUCHDOWN_TIMEOUT_S = 8.0
LAST_WORDS_S = 0.5
AHEAD_S = tuple(i / 10 for i in range(11))
"""Points of the trajectory sent ahead: as far as a policy looks, and 0.4 s for lost messages."""
# Without these there is no report.
RECORDED = {
    topic.name
    for topic in (
        topics.ODOMETRY,
        topics.POLICY_COMMAND,
        topics.ACTUATORS,
        topics.SAFETY_STATE,
    )
}


class Stage(Enum):
    """Where the test stands."""

    WAITING = auto()
    ARMING = auto()
    FLYING = auto()
    DISARMING = auto()


class FlightTest(ManagedNode, Node):
    """See the module; topics are listed in `acclimate_control.topics`."""

    exit_grace_s = 20

    def __init__(self, **node_options: Any) -> None:
        Node.__init__(self, "flight_test", **node_options)
        self._declare_parameters()
        self._stage = Stage.WAITING
        self._interrupted = False
        self._odometry: Odometry | None = None
        self._state: MultirotorState | None = None
        self._odometry_came_s = -np.inf
        self._steady_since_s = np.inf
        self._policy_ready = False
        self._policy_looks_ahead = False
        self._recorder_ready = not self._with_recorder
        self._mode, self._reasons = "", ()
        self._was_armed = False
        self._refusal = "no answer yet"
        self._plan: FlightPlan | Descent | None = None
        self._phase = ""
        self._payload_asked = False
        self._reference = topics.REFERENCE.publisher(self)
        self._trajectory = topics.REFERENCE_TRAJECTORY.publisher(self)
        self._events = topics.EVENTS.publisher(self)
        topics.ODOMETRY.subscription(self, self._on_odometry)
        topics.SAFETY_STATE.subscription(self, self._on_safety)
        topics.POLICY_DESCRIPTION.subscription(self, self._on_policy)
        if self._with_recorder:
            topics.DIAGNOSTICS.subscription(self, self._on_diagnostics)
        self._arm = Request(self, "safety/arm")
        self._payload = Request(self, "robot/attach_payload")

    def _declare_parameters(self) -> None:
        self._duration_s = declare(self, "duration_s", 20.0, "From take-off to landing, s.")
        check_duration(self._duration_s)
        self._height_m = declare(
            self, "height_m", 1.0, "Flight height above the floor, m.", low=0.3, high=10.0
        )
        self._amplitude_m = declare(
            self, "amplitude_m", 1.0, "Half length of the figure eight, m.", low=0.1, high=20.0
        )
        self._max_speed_m_s = declare(
            self, "max_speed_m_s", 1.5, "Speed limit of the figure eight, m/s.", low=0.1, high=10.0
        )
        self._with_payload = declare(
            self, "payload", True, "Ask the robot for a payload during the figure eight."
        )
        self._with_recorder = declare(
            self, "recorder", True, "Wait until the recorder hears what the report needs."
        )
        self._ready_timeout_s = declare(
            self, "ready_timeout_s", 30.0, "Longest wait for the other nodes, s.", low=1.0, high=600
        )
        self._arm_timeout_s = declare(
            self, "arm_timeout_s", 15.0, "Longest wait until arming succeeds, s.", low=1.0, high=600
        )
        self._rate_hz = declare(
            self, "rate_hz", 50.0, "Rate of the reference, Hz.", low=5.0, high=1000.0
        )

    def begin(self) -> None:
        """Start to wait for the other nodes."""
        self._stage_began_s = time.monotonic()
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(1.0 / self._rate_hz, self._tick, clock=steady)

    def request_stop(self) -> None:
        """Leave before the flight; in flight, go down where the robot is."""
        self._interrupted = True
        if self._stage is Stage.FLYING and self._state is not None:
            self._announce("interrupted: landing")
            start = _standing_at(self._state)
            self._plan = Descent(start=start, floor_m=self._touchdown.floor_m)
            self._flight_began_s = time.monotonic()
        elif self._stage is Stage.ARMING:
            self._enter(Stage.DISARMING)
        elif self._stage is Stage.WAITING:
            self.exit_code = INTERRUPTED

    def close(self) -> None:
        """Let the last events reach the recorder."""
        self._events.wait_for_all_acked(Duration(seconds=LAST_WORDS_S))

    # Stages

    def _tick(self) -> None:
        now_s = time.monotonic()
        if self._odometry is not None:  # converted here: it comes more often than it is used
            self._state = state_from(self._odometry)
        if self.exit_code is None:
            stages: dict[Stage, Callable[[float], None]] = {
                Stage.WAITING: self._wait,
                Stage.ARMING: self._ask_to_arm,
                Stage.FLYING: self._fly,
                Stage.DISARMING: self._disarm,
            }
            stages[self._stage](now_s)

    def _wait(self, now_s: float) -> None:
        missing = [
            what
            for what, there in (
                ("steady odometry", self._odometry_is_steady(now_s)),
                ("the safety node", bool(self._mode)),
                ("the policy node", self._policy_ready),
                ("the recorder to hear all others", self._recorder_ready),
            )
            if not there
        ]
        if not missing:
            self._announce("ready")
            self._enter(Stage.ARMING)
        elif now_s - self._stage_began_s > self._ready_timeout_s:
            self._fail(f"waited {self._ready_timeout_s:g} s for {' and '.join(missing)}")

    def _ask_to_arm(self, now_s: float) -> None:
        if self._state is None or not self._odometry_is_fresh(now_s):
            self._refusal = "no fresh odometry"
        else:
            self._publish(_standing_at(self._state))
            self._arm.ask(True, now_s, self._on_arm_answer)
        if now_s - self._stage_began_s > self._arm_timeout_s:
            self._fail(f"could not arm within {self._arm_timeout_s:g} s: {self._refusal}")

    def _on_arm_answer(self, response: SetBool.Response) -> None:
        if self._stage is not Stage.ARMING or self._state is None:
            return
        if not response.success:
            if response.message != self._refusal:
                self.get_logger().warning(f"arming refused: {response.message}")
            self._refusal = response.message
            return
        standing = _standing_at(self._state)
        self._plan = FlightPlan(
            duration_s=self._duration_s,
            origin=standing.position,
            heading_rad=standing.heading_rad,
            height_m=self._height_m,
            amplitude_m=self._amplitude_m,
            max_speed_m_s=self._max_speed_m_s,
        )
        self._touchdown = TouchdownDetector(floor_m=float(standing.position[2]))
        self._announce("armed")
        self._flight_began_s = time.monotonic()
        self._enter(Stage.FLYING)

    def _fly(self, now_s: float) -> None:
        assert self._plan is not None
        assert self._state is not None
        if problem := self._problem(now_s):
            self._fail(problem)
            return
        time_s = now_s - self._flight_began_s
        self._publish(self._plan.reference(time_s))
        if self._policy_looks_ahead:
            self._publish_ahead(self._plan, time_s)
        landing = isinstance(self._plan, Descent)
        if isinstance(self._plan, FlightPlan):
            landing = self._follow(self._plan, time_s, now_s)
        if landing and self._touchdown.update(self._state):
            self._announce("touchdown")
            self._enter(Stage.DISARMING)
        elif time_s > self._plan.duration_s + TOUCHDOWN_TIMEOUT_S:
            height_m = float(self._state.position[2]) - self._touchdown.floor_m
            self._fail(f"no touchdown: still {height_m:.2f} m above the floor, and armed")

    def _follow(self, plan: FlightPlan, time_s: float, now_s: float) -> bool:
        """Announce phases, ask for the payload; true while landing."""
        phase = plan.phase(time_s).name
        if phase != self._phase:
            self._phase = phase
            self._announce(phase)
        if self._with_payload and not self._payload_asked and time_s >= plan.payload_s:
            self._payload.ask(True, now_s, self._on_payload_answer)
        return phase == LAND

    def _on_payload_answer(self, response: SetBool.Response) -> None:
        self._payload_asked = response.success
        self.get_logger().info(f"robot: {response.message}")

    def _disarm(self, now_s: float) -> None:
        self._arm.ask(False, now_s, self._on_disarm_answer)
        if now_s - self._stage_began_s > self._arm_timeout_s:
            self._fail("the safety node did not answer the request to disarm")

    def _on_disarm_answer(self, response: SetBool.Response) -> None:
        if self._stage is Stage.DISARMING and response.success:
            self._announce("disarmed")
            self.exit_code = INTERRUPTED if self._interrupted else 0

    # Helpers

    def _problem(self, now_s: float) -> str:
        """Why the flight cannot go on; empty if it can."""
        reasons = "; ".join(self._reasons) or "no reason given"
        if self._mode not in ("armed", "disarmed"):
            return f"safety is {self._mode.replace('_', ' ')}: {reasons}"
        if self._was_armed and self._mode == "disarmed":
            return "disarmed in flight by somebody else"
        if not self._odometry_is_fresh(now_s):
            return f"no odometry for {ODOMETRY_TIMEOUT_S:g} s"
        return ""

    def _fail(self, reason: str) -> None:
        self._announce(f"aborted: {reason}")
        self.get_logger().fatal(f"flight test failed: {reason}")
        self.exit_code = 1

    def _enter(self, stage: Stage) -> None:
        self._stage = stage
        self._stage_began_s = time.monotonic()

    def _publish(self, reference: Reference) -> None:
        self._reference.publish(to_reference(reference, self.get_clock().now().to_msg()))

    def _publish_ahead(self, plan: FlightPlan | Descent, time_s: float) -> None:
        """Send where the plan goes next; only a policy that looks ahead is worth the traffic."""
        stamp = self.get_clock().now().to_msg()
        references = [plan.reference(time_s + ahead_s) for ahead_s in AHEAD_S]
        self._trajectory.publish(to_trajectory(references, AHEAD_S, stamp))

    def _announce(self, line: str) -> None:
        self.get_logger().info(f"event: {line}")
        self._events.publish(text(line))

    def _odometry_is_fresh(self, now_s: float) -> bool:
        return now_s - self._odometry_came_s <= ODOMETRY_TIMEOUT_S

    def _odometry_is_steady(self, now_s: float) -> bool:
        return self._odometry_is_fresh(now_s) and now_s - self._steady_since_s >= STEADY_S

    def _on_odometry(self, message: Odometry) -> None:
        now_s = time.monotonic()
        if now_s - self._odometry_came_s > STEADY_GAP_S:
            self._steady_since_s = now_s
        self._odometry = message
        self._odometry_came_s = now_s

    def _on_safety(self, message: DiagnosticArray) -> None:
        if message.status:
            status = message.status[0]  # pyright: ignore[reportIndexIssue]
            self._mode = status.message
            self._reasons = tuple(pair.value for pair in status.values)
            # A state from before our request may still be on its way when the answer is here.
            self._was_armed |= self._mode == "armed"

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            if status.name == topics.RECORDER:
                heard = {pair.key for pair in status.values if pair.value != "0"}
                self._recorder_ready |= heard.issuperset(RECORDED)

    def _on_policy(self, message: String) -> None:
        self._policy_ready = True
        self._policy_looks_ahead = REFERENCE_PREVIEW in json.loads(message.data).get("signals", ())


class Request:
    """Asks a SetBool service again and again, one request at a time, until somebody stops it."""

    def __init__(self, node: Node, name: str) -> None:
        self._client: Client = node.create_client(SetBool, name)
        self._future: Future | None = None
        self._asked_s = -np.inf

    def ask(self, data: bool, now_s: float, on_answer: Callable[[Any], None]) -> None:
        """Send a request unless one is under way or was sent a moment ago."""
        waited_s = now_s - self._asked_s
        pending = self._future is not None and not self._future.done()
        if waited_s < (REPLY_TIMEOUT_S if pending else RETRY_S):
            return
        if not self._client.service_is_ready():
            return
        self._asked_s = now_s
        self._future = self._client.call_async(SetBool.Request(data=data))
        self._future.add_done_callback(lambda future: on_answer(future.result()))


def _standing_at(state: MultirotorState) -> Reference:
    """Reference that stays where the robot is."""
    return Reference(
        position=state.position.copy(),
        linear_velocity=np.zeros(3),
        heading_rad=float(heading(state.orientation)),
    )


def main(args: list[str] | None = None) -> int:
    """Entry point of the executable `flight_test`."""
    return run(FlightTest, args)


if __name__ == "__main__":
    sys.exit(main())
