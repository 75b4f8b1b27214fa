"""Records topics as they come from the wire into an MCAP bag that is whole or not there."""

import importlib
import sys
from functools import partial
from pathlib import Path
from typing import Any

from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

from acclimate_contract import ConfigError
from acclimate_control.messages import diagnostic
from acclimate_control.node_life import ManagedNode, run
from acclimate_control.parameters import declare
from acclimate_control.topics import DIAGNOSTICS, RECORDER, TOPICS
from acclimate_deploy.bag import BagWriter, ros_types

QUEUE_DEPTH = 200
"""Messages per topic that wait while the disk is slow."""
FLUSH_PERIOD_S = 0.5
STATE_PERIOD_S = 0.2


class Recorder(ManagedNode, Node):
    """Subscribes without deserialising and hands every message to a `BagWriter`."""

    def __init__(self, **node_options: Any) -> None:
        Node.__init__(self, "recorder", **node_options)
        self._writer: BagWriter | None = None
        self._counts: dict[str, int] = {}
        path = declare(self, "bag", "", "Folder to record into; it must not exist yet.")
        chosen = declare(
            self,
            "topics",
            list(TOPICS),
            "Relative names of this project's topics, or 'name package/msg/Type' for any other.",
        )
        if not path:
            raise ConfigError(
                "parameter 'bag' is empty, so there is nowhere to record to. "
                "Fix: set it to a folder that does not exist yet."
            )
        wanted = [_resolve(entry) for entry in dict.fromkeys(chosen)]
        self._writer = BagWriter(Path(path))
        for message, name, qos in wanted:
            self._record(message, name, qos)
        self._diagnostics = DIAGNOSTICS.publisher(self)
        self.create_timer(FLUSH_PERIOD_S, self._writer.flush)
        self.create_timer(STATE_PERIOD_S, self._publish_counts)
        self.get_logger().info(f"recording {len(wanted)} topics to '{path}'")

    def _record(self, message: type[Any], name: str, qos: QoSProfile) -> None:
        assert self._writer is not None
        resolved = self.resolve_topic_name(name)
        latched = qos.durability == DurabilityPolicy.TRANSIENT_LOCAL
        self._writer.add(resolved, _type_name(message), latched=latched)
        self._counts[name] = 0
        on_message = partial(self._on_message, name, resolved)
        self.create_subscription(message, name, on_message, qos, raw=True)

    def _on_message(self, name: str, topic: str, raw: bytes) -> None:
        assert self._writer is not None
        self._writer.write(topic, self.get_clock().now().nanoseconds, raw)
        self._counts[name] += 1

    def _publish_counts(self) -> None:
        """Say what is being heard, so that a flight can wait until all of it is."""
        stamp = self.get_clock().now().to_msg()
        counts = list(self._counts.items())
        self._diagnostics.publish(diagnostic(RECORDER, "recording", counts, stamp))

    def close(self) -> None:
        """Complete the bag and give it its final name."""
        if self._writer is not None:
            self._writer.close()


def _resolve(entry: str) -> tuple[type[Any], str, QoSProfile]:
    """Message class, relative name and quality of service of one entry of `topics`."""
    name, _, type_name = entry.strip().partition(" ")
    if not type_name and name in TOPICS:
        topic = TOPICS[name]
        return topic.message, name, topic.requested(QUEUE_DEPTH)
    # Best effort and volatile: matches whatever a publisher offers.
    qos = QoSProfile(depth=QUEUE_DEPTH, reliability=ReliabilityPolicy.BEST_EFFORT)
    return _message_class(name, type_name.strip()), name, qos


def _type_name(message: type[Any]) -> str:
    return f"{message.__module__.partition('.')[0]}/msg/{message.__name__}"


def _message_class(name: str, type_name: str) -> type[Any]:
    package, _, rest = type_name.partition("/msg/")
    try:
        message = getattr(importlib.import_module(f"{package}.msg"), rest)
        ros_types().get_msgdef(type_name)  # what the bag could not describe is refused here
        return message
    except (ImportError, AttributeError, KeyError, ValueError) as error:
        known = ", ".join(TOPICS)
        raise ConfigError(
            f"cannot record topic {name!r}: message type {type_name!r} is not "
            "installed or not a standard one. "
            f"Fix: write 'name package/msg/Type', or one of {known}."
        ) from error


def main(args: list[str] | None = None) -> int:
    """Entry point of the executable `recorder`."""
    return run(Recorder, args)


if __name__ == "__main__":
    sys.exit(main())
