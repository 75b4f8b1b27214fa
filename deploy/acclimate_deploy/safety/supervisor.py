"""The safety supervisor: a pure state machine between the policy and the motors.

It, not the policy, owns the actuators. `decide` is called at every tick of the safety node's own
timer, whether or not anything has arrived, and always returns a command that may be applied.

    DISARMED --ARM, if all checks pass--> ARMED --any check fails--> TRIPPED
    ARMED, TRIPPED --DISARM--> DISARMED
    any --ESTOP--> EMERGENCY_STOPPED --RESET--> DISARMED
"""

from dataclasses import dataclass, replace
from enum import Enum
from functools import cache
from math import inf, isfinite

import numpy as np

from acclimate_contract import QUADROTOR, RobotFamily, robot_family
from acclimate_deploy.multirotor_signals import MultirotorState
from acclimate_deploy.safety import checks
from acclimate_deploy.safety.limits import MultirotorLimits


@cache
def safe_command(family: str) -> np.ndarray:
    """Every motor at its lowest setpoint: what is sent in every mode but ARMED, and last at exit.

    Args:
        family: Name of the family whose motors they are.

    Returns:
        (num_motors,) float32, read-only.
    """
    action = robot_family(family).action
    command = np.full(len(action.channels), action.low, dtype=np.float32)
    command.flags.writeable = False
    return command


class Mode(Enum):
    """Who may move the motors."""

    DISARMED = "disarmed"
    ARMED = "armed"
    TRIPPED = "tripped"
    EMERGENCY_STOPPED = "emergency_stopped"


class Request(Enum):
    """What a person or a program asks for in one tick."""

    NONE = "none"
    ARM = "arm"
    DISARM = "disarm"
    ESTOP = "estop"
    RESET = "reset"


@dataclass(frozen=True, kw_only=True)
class SupervisorState:
    """What the supervisor remembers between two ticks.

    Attributes:
        family: Whose motors it owns.
        mode: Present mode.
        reasons: Why it tripped or was stopped; empty in the other modes.
        since_s: When it entered the mode.
        now_s: Time of the last tick.
        odometry_stamp_s: Newest odometry stamp seen.
        command_stamp_s: Newest command stamp seen.
    """

    family: RobotFamily = QUADROTOR
    mode: Mode = Mode.DISARMED
    reasons: tuple[str, ...] = ()
    since_s: float = -inf
    now_s: float = -inf
    odometry_stamp_s: float = -inf
    command_stamp_s: float = -inf


@dataclass(frozen=True, kw_only=True, eq=False)
class Inputs:
    """Everything one tick knows.

    Attributes:
        now_s: Time, on the clock of the stamps.
        odometry: Newest measurement; None before the first.
        command: (num_motors,) newest command of the policy, nominally in [-1, 1]; None before the
            first.
        command_stamp_s: When the measurement behind the command was taken.
        request: What is asked for.
    """

    now_s: float
    odometry: MultirotorState | None
    command: np.ndarray | None
    command_stamp_s: float = -inf
    request: Request = Request.NONE


@dataclass(frozen=True, kw_only=True, eq=False)
class Decision:
    """What one tick decided.

    Attributes:
        state: For the next tick.
        command: (num_motors,) float32, finite, in [-1, 1]: to be applied.
        reasons: Why the motors are held, or a request was refused; sentences with the measured
            value and the limit.
        accepted: False if the request was refused.
    """

    state: SupervisorState
    command: np.ndarray
    reasons: tuple[str, ...] = ()
    accepted: bool = True


def decide(limits: MultirotorLimits, state: SupervisorState, inputs: Inputs) -> Decision:
    """Judge one tick.

    A disarm or an emergency stop is obeyed whatever the inputs hold. A trip happens in the tick
    in which its cause is seen, and lasts until a disarm.
    """
    seen = _remember(state, inputs)
    request = inputs.request
    if request is Request.ESTOP:
        return _emergency_stop(seen)
    if state.mode is Mode.EMERGENCY_STOPPED:
        return _while_stopped(seen, request)
    if request is Request.DISARM:
        return _enter(seen, Mode.DISARMED)
    if state.mode is Mode.TRIPPED:
        return _while_tripped(seen, request)
    if state.mode is Mode.DISARMED:
        return _while_disarmed(limits, state, seen, inputs)
    return _while_armed(limits, state, seen, inputs)


def _emergency_stop(seen: SupervisorState) -> Decision:
    if seen.mode is Mode.EMERGENCY_STOPPED:  # the first stop is the one to be explained
        return _hold(seen, seen.reasons)
    reasons = (f"an emergency stop was requested while {seen.mode.value}",)
    return _enter(seen, Mode.EMERGENCY_STOPPED, (*reasons, *seen.reasons))


def _while_stopped(seen: SupervisorState, request: Request) -> Decision:
    if request is Request.RESET:
        return _enter(seen, Mode.DISARMED)
    if request is Request.ARM:
        reason = "arming is refused after an emergency stop: reset first"
        return _hold(seen, (reason, *seen.reasons), accepted=False)
    return _hold(seen, seen.reasons)  # a disarm finds the motors as it wants them


def _while_tripped(seen: SupervisorState, request: Request) -> Decision:
    if request is Request.ARM:
        reason = "arming is refused after a trip: disarm first"
        return _hold(seen, (reason, *seen.reasons), accepted=False)
    return _hold(seen, seen.reasons, accepted=request is not Request.RESET)


def _while_disarmed(
    limits: MultirotorLimits, state: SupervisorState, seen: SupervisorState, inputs: Inputs
) -> Decision:
    if inputs.request is Request.RESET:
        return _hold(seen, ("there is no emergency stop to reset",), accepted=False)
    if inputs.request is not Request.ARM:
        return _hold(seen, ())
    arming = replace(
        limits,
        max_tilt_rad=limits.arm_max_tilt_rad,
        max_speed_m_s=limits.arm_max_speed_m_s,
        max_body_rate_rad_s=limits.arm_max_body_rate_rad_s,
    )
    if problems := find_problems(arming, state, inputs):
        return _hold(seen, problems, accepted=False)
    decision = _enter(seen, Mode.ARMED)
    return replace(decision, command=_clamped(seen, inputs))


def _while_armed(
    limits: MultirotorLimits, state: SupervisorState, seen: SupervisorState, inputs: Inputs
) -> Decision:
    if problems := find_problems(limits, state, inputs):
        return _enter(seen, Mode.TRIPPED, problems)
    if inputs.request is Request.RESET:
        reason = ("there is no emergency stop to reset",)
        return Decision(state=seen, command=_clamped(seen, inputs), reasons=reason, accepted=False)
    return Decision(state=seen, command=_clamped(seen, inputs))


def find_problems(
    limits: MultirotorLimits, state: SupervisorState, inputs: Inputs
) -> tuple[str, ...]:
    """List everything that forbids to apply the command in this tick.

    Args:
        limits: What is allowed.
        state: After the previous tick.
        inputs: Of this tick.

    Returns:
        Sentences; empty if all is well.
    """
    found = checks.check_clock(inputs.now_s, state.now_s)
    odometry = inputs.odometry
    if odometry is None:
        found.append("no odometry has arrived")
    else:
        found += checks.check_stamp(
            "odometry",
            odometry.stamp_s,
            inputs.now_s,
            state.odometry_stamp_s,
            limits.max_odometry_age_s,
            limits.max_future_s,
        )
        found += _check_odometry(limits, odometry)
    found += checks.check_command(inputs.command, state.family.action.channels, limits.max_command)
    if inputs.command is not None:
        found += checks.check_stamp(
            "the measurement behind the command",
            inputs.command_stamp_s,
            inputs.now_s,
            state.command_stamp_s,
            limits.max_command_age_s,
            limits.max_future_s,
        )
    return tuple(found)


def _check_odometry(limits: MultirotorLimits, odometry: MultirotorState) -> list[str]:
    if found := checks.check_finite(odometry):
        return found  # nothing can be computed from it
    return [
        *checks.check_attitude(odometry, limits.max_tilt_rad, limits.unit_tolerance),
        *checks.check_motion(odometry, limits.max_speed_m_s, limits.max_body_rate_rad_s),
        *checks.check_geofence(odometry, limits),
    ]


def _remember(state: SupervisorState, inputs: Inputs) -> SupervisorState:
    """Note the newest stamps, also after a jump: it is reported once, then it is the past."""
    odometry = inputs.odometry
    odometry_stamp_s = state.odometry_stamp_s if odometry is None else odometry.stamp_s
    command_stamp_s = state.command_stamp_s if inputs.command is None else inputs.command_stamp_s
    return replace(
        state,
        now_s=_if_finite(inputs.now_s, state.now_s),
        odometry_stamp_s=_if_finite(odometry_stamp_s, state.odometry_stamp_s),
        command_stamp_s=_if_finite(command_stamp_s, state.command_stamp_s),
    )


def _if_finite(value: float, otherwise: float) -> float:
    return value if isfinite(value) else otherwise


def _enter(seen: SupervisorState, mode: Mode, reasons: tuple[str, ...] = ()) -> Decision:
    since_s = seen.since_s if mode is seen.mode else seen.now_s
    state = replace(seen, mode=mode, reasons=reasons, since_s=since_s)
    return Decision(state=state, command=safe_command(seen.family.name), reasons=reasons)


def _hold(seen: SupervisorState, reasons: tuple[str, ...], accepted: bool = True) -> Decision:
    command = safe_command(seen.family.name)
    return Decision(state=seen, command=command, reasons=reasons, accepted=accepted)


def _clamped(seen: SupervisorState, inputs: Inputs) -> np.ndarray:
    action = seen.family.action
    return np.clip(np.asarray(inputs.command, dtype=np.float32), action.low, action.high)
