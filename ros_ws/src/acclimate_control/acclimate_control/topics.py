"""The ROS graph in one table: every topic's relative name, message type and quality of service.

Publishers of streams offer reliable delivery, so that any driver may ask for it. Our own
subscriptions to them ask for best effort: a reliable reader that lost one message holds back all
newer ones until the old one is settled, which can take longer than a flight controller may wait.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from nav_msgs.msg import Odometry
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.subscription import Subscription
from sensor_msgs.msg import JointState
from std_msgs.msg import Float32MultiArray, Float64MultiArray, String
from trajectory_msgs.msg import MultiDOFJointTrajectory

SENSOR = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
LATEST = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)
STREAM = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)
# A node that joins late still gets these: who flies, in which mode, and what happened so far.
LATCHED = QoSProfile(
    depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL
)
HISTORY = QoSProfile(
    depth=50, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL
)


@dataclass(frozen=True, kw_only=True)
class Topic:
    """One topic; every publisher and subscription of the project is made from one of these."""

    name: str
    message: type[Any]
    qos: QoSProfile

    @property
    def type_name(self) -> str:
        """Type as ROS writes it, e.g. `nav_msgs/msg/Odometry`."""
        package = self.message.__module__.partition(".")[0]
        return f"{package}/msg/{self.message.__name__}"

    def publisher(self, node: Node) -> Publisher:
        """Publisher of this topic on a node, in the node's namespace."""
        return node.create_publisher(self.message, self.name, self.qos)

    def subscription(self, node: Node, callback: Callable[[Any], None]) -> Subscription:
        """Subscription of a node to this topic, in the node's namespace."""
        return node.create_subscription(self.message, self.name, callback, self.requested())

    def requested(self, depth: int | None = None) -> QoSProfile:
        """What our own subscriptions ask for; `depth` replaces the topic's queue length."""
        latched = self.qos.durability == DurabilityPolicy.TRANSIENT_LOCAL
        return QoSProfile(
            depth=self.qos.depth if depth is None else depth,
            reliability=self.qos.reliability if latched else ReliabilityPolicy.BEST_EFFORT,
            durability=self.qos.durability,
        )


ODOMETRY = Topic(name="odom", message=Odometry, qos=SENSOR)
REFERENCE = Topic(name="reference", message=MultiDOFJointTrajectory, qos=LATEST)
REFERENCE_TRAJECTORY = Topic(
    name="reference_trajectory", message=MultiDOFJointTrajectory, qos=LATEST
)
POLICY_COMMAND = Topic(name="policy/command", message=JointState, qos=LATEST)
POLICY_MEMORY = Topic(name="policy/memory", message=Float32MultiArray, qos=STREAM)
POLICY_TIMING = Topic(name="policy/timing", message=Float32MultiArray, qos=STREAM)
POLICY_DESCRIPTION = Topic(name="policy/description", message=String, qos=LATCHED)
ACTUATORS = Topic(name="actuators/command", message=JointState, qos=LATEST)
ACTUATORS_ARRAY = Topic(name="actuators/command_array", message=Float64MultiArray, qos=LATEST)
SAFETY_STATE = Topic(name="safety/state", message=DiagnosticArray, qos=LATCHED)
DIAGNOSTICS = Topic(name="diagnostics", message=DiagnosticArray, qos=STREAM)
ROBOT_DESCRIPTION = Topic(name="robot/description", message=String, qos=LATCHED)
EVENTS = Topic(name="events", message=String, qos=HISTORY)

ALL_TOPICS = (
    ODOMETRY,
    REFERENCE,
    REFERENCE_TRAJECTORY,
    POLICY_COMMAND,
    POLICY_MEMORY,
    POLICY_TIMING,
    POLICY_DESCRIPTION,
    ACTUATORS,
    ACTUATORS_ARRAY,
    SAFETY_STATE,
    DIAGNOSTICS,
    ROBOT_DESCRIPTION,
    EVENTS,
)
TOPICS = {topic.name: topic for topic in ALL_TOPICS}

RECORDER = "recorder"
"""Name of the recorder's status in `diagnostics`; its values count the messages per topic."""
