"""Ticks of the supervisor, healthy but for what a test changes, and the modes they lead to."""

from typing import Any

import numpy as np

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

LIMITS = MultirotorLimits()
NOW_S = 100.0
COMMAND = np.array([0.1, -0.2, 0.3, -0.4], dtype=np.float32)
NAN, INF = float("nan"), float("inf")


def tilted(angle_rad: float, heading_rad: float = 0.7) -> np.ndarray:
    """Orientation tilted about a horizontal axis."""
    s = np.sin(0.5 * angle_rad)
    return np.array(
        [np.cos(0.5 * angle_rad), s * np.cos(heading_rad), s * np.sin(heading_rad), 0.0]
    )


def odometry(**changes: Any) -> MultirotorState:
    """At rest and level, 5 ms old, but for the changes."""
    fields: dict[str, Any] = {
        "position": np.zeros(3),
        "orientation": tilted(0.0),
        "linear_velocity": np.zeros(3),
        "angular_velocity": np.zeros(3),
        "stamp_s": NOW_S - 0.005,
    }
    arrays = {n: np.asarray(v, float) if n != "stamp_s" else v for n, v in changes.items()}
    return MultirotorState(**{**fields, **arrays})


def inputs(request: Request = Request.NONE, **changes: Any) -> Inputs:
    """A healthy tick, but for the changes; names of the odometry's fields change that."""
    fields: dict[str, Any] = {"now_s": NOW_S, "command": COMMAND, "command_stamp_s": NOW_S - 0.005}
    own = {n: v for n, v in changes.items() if n in (*fields, "odometry")}
    others = {n: v for n, v in changes.items() if n not in own}
    return Inputs(**{**fields, "odometry": odometry(**others), "request": request, **own})


def armed() -> SupervisorState:
    decision = decide(LIMITS, SupervisorState(), inputs(Request.ARM))
    assert decision.state.mode is Mode.ARMED, decision.reasons
    return decision.state


def tripped() -> SupervisorState:
    return decide(LIMITS, armed(), inputs(command=None)).state


def stopped() -> SupervisorState:
    return decide(LIMITS, armed(), inputs(Request.ESTOP)).state


def is_safe(decision: Decision) -> bool:
    return np.array_equal(decision.command, safe_command("quadrotor"))
