"""A node inside the test: plays the robot, calls services, remembers what it hears."""

import time
from collections import defaultdict
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

import numpy as np
import rclpy
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions
from std_srvs.srv import SetBool, Trigger

from acclimate_control import topics
from acclimate_control.messages import to_odometry
from acclimate_deploy.multirotor_signals import MultirotorState

# Generous: starved of CPU, discovery alone takes 3 s.
PATIENCE_S = 20.0


class RosClient:
    """Everything happens inside `wait_for`, which spins; there is no thread."""

    def __init__(self, domain: int) -> None:
        self._context = Context()
        rclpy.init(
            context=self._context,
            domain_id=domain,
            signal_handler_options=SignalHandlerOptions.NO,
        )
        self.node = rclpy.create_node("test_client", context=self._context)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.node)
        self.heard: dict[str, list[tuple[float, Any]]] = defaultdict(list)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._executor.shutdown(timeout_sec=1.0)
        self.node.destroy_node()
        self._context.try_shutdown()

    def listen(self, topic: topics.Topic, namespace: str = "") -> None:
        """Remember (time, message) of everything on a topic, under its name with namespace."""
        name = f"{namespace}/{topic.name}" if namespace else topic.name
        heard = self.heard[name]
        self.node.create_subscription(
            topic.message, name, lambda m: heard.append((time.monotonic(), m)), topic.qos
        )

    def last(self, name: str) -> Any:
        """Newest message of a topic listened to; None before the first."""
        return self.heard[name][-1][1] if self.heard[name] else None

    def wait_for(
        self, condition: Callable[[], Any], what: str = "", timeout_s: float = PATIENCE_S
    ) -> Any:
        """Spin until the condition is true; returns its value."""
        end_s = time.monotonic() + timeout_s
        while not (value := condition()):
            assert time.monotonic() < end_s, f"waited {timeout_s} s for {what or condition}"
            self._executor.spin_once(timeout_sec=0.02)
        return value

    def spin(self, duration_s: float) -> None:
        end_s = time.monotonic() + duration_s
        while time.monotonic() < end_s:
            self._executor.spin_once(timeout_sec=0.02)

    def call(self, service: str, data: bool | None = None) -> Any:
        """Call a Trigger service, or a SetBool one if there is data."""
        kind = Trigger if data is None else SetBool
        request = kind.Request() if data is None else SetBool.Request(data=data)
        proxy = self.node.create_client(kind, service)
        self.wait_for(proxy.service_is_ready, f"service {service}")
        # A first request may be lost while the way back is still being discovered.
        for _ in range(3):
            future = proxy.call_async(request)
            try:
                self.wait_for(future.done, f"an answer of {service}", timeout_s=5.0)
            except AssertionError:
                continue
            self.node.destroy_client(proxy)
            return future.result()
        raise AssertionError(f"service {service} never answered")

    def arm(self) -> Any:
        """Ask for arming until it succeeds; returns the answer."""
        return self.wait_for(
            lambda: (answer := self.call("safety/arm", True)).success and answer, "arming"
        )

    def mode(self, namespace: str = "") -> str:
        name = f"{namespace}/safety/state" if namespace else "safety/state"
        message = self.last(name)
        return message.status[0].message if message else ""

    def reasons(self) -> str:
        return "; ".join(pair.value for pair in self.last("safety/state").status[0].values)

    def setpoints(self) -> dict[str, float]:
        """Newest actuator command by motor name."""
        message = self.last("actuators/command")
        return dict(zip(message.name, message.effort, strict=True)) if message else {}


class StandingRobot:
    """Publishes odometry of a robot that stands still; the test may break it."""

    def __init__(self, client: RosClient, rate_hz: float = 100.0, namespace: str = "") -> None:
        self._client = client
        name = f"{namespace}/odom" if namespace else "odom"
        topic = topics.ODOMETRY
        self._publisher = client.node.create_publisher(topic.message, name, topic.qos)
        self._timer = client.node.create_timer(1.0 / rate_hz, self.publish)
        self.position = np.zeros(3)
        self.running = True
        self.published = 0

    def publish(self) -> Any:
        if not self.running:
            return None
        stamp = self._client.node.get_clock().now().to_msg()
        message = to_odometry(self.state(), stamp)
        self._publisher.publish(message)
        self.published += 1
        return message

    def republish(self, message: Any) -> None:
        self._publisher.publish(message)

    def state(self) -> MultirotorState:
        return MultirotorState(
            position=self.position,
            orientation=np.array([1.0, 0.0, 0.0, 0.0]),
            linear_velocity=np.zeros(3),
            angular_velocity=np.zeros(3),
            stamp_s=0.0,
        )


def is_safe(setpoints: dict[str, float]) -> bool:
    """True if every motor is commanded off."""
    return bool(setpoints) and all(value == -1.0 for value in setpoints.values())
