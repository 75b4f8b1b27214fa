"""The robot's side of the control-loop benchmark: odometry out at a fixed rate, commands back.

Runs as a process of its own beside the real policy and safety nodes. The robot hangs still in the
air, so the safety node keeps its commands flowing; each command carries the stamp of the odometry
it answers, which gives the time from sensor to command as this process, the motors, sees it.
"""

import itertools
import json
import sys
import time
from pathlib import Path

import rclpy
from nav_msgs.msg import Odometry
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from sensor_msgs.msg import JointState
from std_srvs.srv import SetBool

from acclimate_control import topics

START_TIMEOUT_S = 30.0
WARM_UP_S = 1.0


class LoopDriver(Node):
    """Publishes odometry on a schedule and notes when each answer arrives."""

    def __init__(self) -> None:
        super().__init__("loop_driver")
        self._odometry = topics.ODOMETRY.publisher(self)
        topics.ACTUATORS.subscription(self, self._on_command)
        self.arm = self.create_client(SetBool, "safety/arm")
        self.sent: list[int] = []
        self.answered: dict[int, int] = {}

    def publish(self) -> None:
        """Send one odometry message stamped now."""
        now = self.get_clock().now()
        message = Odometry()
        message.header.stamp = now.to_msg()
        message.header.frame_id, message.child_frame_id = "map", "base_link"
        message.pose.pose.position.z = 1.0
        message.pose.pose.orientation.w = 1.0
        self._odometry.publish(message)
        self.sent.append(now.nanoseconds)

    def _on_command(self, message: JointState) -> None:
        stamp = message.header.stamp
        ns = stamp.sec * 1_000_000_000 + stamp.nanosec
        self.answered.setdefault(ns, self.get_clock().now().nanoseconds)


def main(rate_hz: float, duration_s: float, out: Path) -> int:
    """Drive the loop and write latencies and periods, in seconds, as JSON."""
    rclpy.init()
    node, executor = LoopDriver(), SingleThreadedExecutor()
    executor.add_node(node)
    period_s = 1.0 / rate_hz

    def run(until_s: float) -> None:
        due_s = time.monotonic()
        while due_s < until_s:
            node.publish()
            due_s += period_s
            while (left_s := due_s - time.monotonic()) > 0.0:
                executor.spin_once(timeout_sec=left_s)

    give_up_s = time.monotonic() + START_TIMEOUT_S
    armed = False
    while not armed:
        if time.monotonic() > give_up_s:
            print("the safety node did not arm in time", file=sys.stderr)
            return 1
        run(time.monotonic() + 0.5)
        request = node.arm.call_async(SetBool.Request(data=True))
        run(time.monotonic() + 0.5)
        answer = request.result() if request.done() else None
        armed = answer is not None and answer.success
    run(time.monotonic() + WARM_UP_S)
    node.sent.clear()
    run(time.monotonic() + duration_s)
    executor.spin_once(timeout_sec=0.1)
    if not node.answered.keys() & set(node.sent):
        print("no odometry was answered: did the safety node trip?", file=sys.stderr)
        return 1
    out.write_text(json.dumps(_figures(node)))
    executor.shutdown()
    rclpy.shutdown()
    return 0


def _figures(node: LoopDriver) -> dict[str, object]:
    arrivals = [(sent, node.answered[sent]) for sent in node.sent if sent in node.answered]
    times = [arrival for _, arrival in arrivals]
    return {
        "sent": len(node.sent),
        "latency_s": [1e-9 * (arrival - sent) for sent, arrival in arrivals],
        "command_interval_s": [1e-9 * (b - a) for a, b in itertools.pairwise(times)],
        "sensor_interval_s": [
            1e-9 * (b - a) for a, b in zip(node.sent[:-1], node.sent[1:], strict=True)
        ],
    }


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]), float(sys.argv[2]), Path(sys.argv[3])))
