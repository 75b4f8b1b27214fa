"""The verb `fly`; imports here are light, because `acclimate --help` loads this module."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

EXTRA = "report,ros,sim"
REQUIRES = ("rclpy", "mujoco", "torch", "matplotlib", "jinja2")


@dataclass(frozen=True, kw_only=True)
class FlyCfg:
    """Who flies what, for how long."""

    robot: str = "random"
    """Known platform (`acclimate robots` lists them), or "random" or "random_hexarotor" for one
    drawn by the seed."""
    seed: int = 0
    """Which random robot."""
    duration: float = 20.0
    """From take-off to landing, seconds."""
    policy: Path | None = None
    """Policy file that flies it. Default: the one of its family in models/."""
    out: Path | None = None
    """Folder for bag, report and logs; must not exist yet. Default: runs/fly/<date and time>."""
    rate_hz: float = 200.0
    """Rate of the robot's odometry, and so of the control loop."""
    payload_fraction: float = 0.2
    """Mass hung on the robot in mid-flight, as a part of its own; 0 leaves it alone."""
    domain_id: int | None = None
    """ROS domain; by default one that no other run on this computer uses."""
    realtime_priority: int | None = None
    """SCHED_FIFO priority (1 to 99) of robot, safety and policy; needs the right to set it."""


def fly(cfg: Annotated[FlyCfg, tyro.conf.arg(name="")]) -> int:
    """Fly a simulated robot through real ROS 2 nodes, and write a bag and a report.

    Every node runs in a process of its own; all of them end with this command. Ctrl-C lands first;
    a second one stops at once. Exit code 0: landed and nothing tripped. 1: anything else happened.
    2: the flight was refused before it began.
    """
    from acclimate_bringup.processes import StopRequest

    # From here on a signal is taken note of and the flight ends in order. Without it a ctrl-C in
    # the imports below surfaces as the ImportError of some compiled module.
    with StopRequest() as stop:
        from acclimate_bringup.flight import fly_once

        return fly_once(cfg, stop)
