"""Every refusal to arm, and every trip."""

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from supervisor_ticks import (
    COMMAND,
    INF,
    LIMITS,
    NAN,
    NOW_S,
    armed,
    inputs,
    is_safe,
    odometry,
    stopped,
    tilted,
    tripped,
)

from acclimate_contract import HEXAROTOR, AcclimateError, ConfigError
from acclimate_deploy.safety import (
    Inputs,
    Mode,
    MultirotorLimits,
    Request,
    SupervisorState,
    decide,
    safe_command,
)

# What forbids flight: refuses to arm, and trips in the very tick in which it is seen.
FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "no odometry": ({"odometry": None}, "no odometry has arrived"),
    "stale odometry": (
        {"stamp_s": NOW_S - 0.153},
        "odometry is 0.153 s old and the limit is 0.100 s",
    ),
    "future odometry": (
        {"stamp_s": NOW_S + 0.5},
        "odometry is stamped 0.500 s in the future and the limit is 0.010 s",
    ),
    "odometry without a time": ({"stamp_s": NAN}, "odometry is stamped nan s"),
    "odometry at infinity": ({"stamp_s": INF}, "odometry is stamped inf s"),
    "position is nan": ({"position": [0, NAN, 0]}, "position is not finite: [0.0, nan, 0.0]"),
    "orientation is nan": ({"orientation": [NAN, 0, 0, 0]}, "orientation is not finite"),
    "velocity is inf": ({"linear_velocity": [0, 0, -INF]}, "linear velocity is not finite"),
    "rate is nan": ({"angular_velocity": [NAN] * 3}, "angular velocity is not finite"),
    "zero quaternion": (
        {"orientation": [0, 0, 0, 0]},
        "orientation has norm 0.0000, which deviates from 1 by more than the limit of 0.0100",
    ),
    "long quaternion": ({"orientation": [1.02, 0, 0, 0]}, "has norm 1.0200"),
    "enormous quaternion": ({"orientation": [1e200, 0, 0, 0]}, "has norm inf"),
    "tilt": ({"orientation": tilted(1.3)}, "tilt is 1.30 rad and the limit is "),
    "upside down": ({"orientation": tilted(np.pi)}, "tilt is 3.14 rad"),
    "body rate": ({"angular_velocity": [0, 36, 0]}, "body rate is 36.00 rad/s and the limit is "),
    "speed": ({"linear_velocity": [6, 0, -9]}, "speed is 10.82 m/s and the limit is "),
    "outside in x": (
        {"position": [10.5, 0, 1]},
        "position x is 10.50 m and the geofence is -10.00 to 10.00 m",
    ),
    "outside in y": ({"position": [0, -11, 1]}, "position y is -11.00 m"),
    "below": ({"position": [0, 0, -1.5]}, "position z is -1.50 m"),
    "too high": ({"position": [0, 0, 12]}, "position z is 12.00 m"),
    "no command": ({"command": None}, "no command has arrived from the policy"),
    "command is nan": ({"command": np.array([0, NAN, 0, 0])}, "the command is not finite: [0.0, n"),
    "command is inf": ({"command": np.array([0, 0, 0, INF])}, "the command is not finite"),
    "absurd command": (
        {"command": np.array([0, -50.0, 0, 0])},
        "the command reaches 50.00 and the limit is 10.00",
    ),
    "three motors": (
        {"command": np.zeros(3)},
        "should have one number for each of front_right, back_right, back_left, front_left",
    ),
    "command of words": ({"command": np.array(["a", "b", "c", "d"])}, "has shape (4,) of type <U1"),
    "stale command": (
        {"command_stamp_s": NOW_S - 0.06},
        "the measurement behind the command is 0.060 s old and the limit is 0.050 s",
    ),
    "future command": ({"command_stamp_s": NOW_S + 1}, "behind the command is stamped 1.000 s in"),
    "command without a time": ({"command_stamp_s": NAN}, "behind the command is stamped nan s"),
    "clock is nan": ({"now_s": NAN}, "the supervisor's clock says nan s"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_refuses_to_arm(fault: str) -> None:
    changes, reason = FAULTS[fault]
    decision = decide(LIMITS, SupervisorState(), inputs(Request.ARM, **changes))
    assert decision.state.mode is Mode.DISARMED
    assert not decision.accepted
    assert any(reason in said for said in decision.reasons), decision.reasons
    assert is_safe(decision)


@pytest.mark.parametrize("fault", FAULTS)
def test_trips_in_the_same_tick(fault: str) -> None:
    changes, reason = FAULTS[fault]
    decision = decide(LIMITS, armed(), inputs(**changes))
    assert decision.state.mode is Mode.TRIPPED
    assert any(reason in said for said in decision.reasons), decision.reasons
    assert decision.state.reasons == decision.reasons
    assert is_safe(decision)


@pytest.mark.parametrize("fault", [f for f in FAULTS if f != "clock is nan"])
def test_each_fault_is_told_once_and_alone(fault: str) -> None:
    """One cause, one sentence: what follows from it is not listed beside it."""
    changes, reason = FAULTS[fault]
    (told,) = decide(LIMITS, SupervisorState(mode=Mode.ARMED), inputs(**changes)).reasons
    assert reason in told


BACKWARDS: dict[str, tuple[dict[str, Any], str]] = {
    "odometry": (
        {"stamp_s": NOW_S - 0.009},
        "odometry jumped back by 0.004 s, from stamp 99.995 s to 99.991 s",
    ),
    "command": (
        {"command_stamp_s": NOW_S - 0.009},
        "the measurement behind the command jumped back by 0.004 s",
    ),
    "clock": (
        {"now_s": NOW_S - 0.001},
        "the supervisor's clock jumped back by 0.001 s, from 100.000 s to 99.999 s",
    ),
}


@pytest.mark.parametrize("what", BACKWARDS)
def test_trips_when_time_runs_backwards(what: str) -> None:
    changes, reason = BACKWARDS[what]
    decision = decide(LIMITS, armed(), inputs(**changes))
    assert decision.state.mode is Mode.TRIPPED
    assert decision.reasons == (reason,) or reason in decision.reasons[0]
    assert is_safe(decision)


@pytest.mark.parametrize("what", BACKWARDS)
def test_a_jump_while_disarmed_refuses_one_tick_only(what: str) -> None:
    """A restarted simulator starts its clock anew; the supervisor need not be restarted."""
    changes, reason = BACKWARDS[what]
    seen = decide(LIMITS, SupervisorState(), inputs()).state
    refused = decide(LIMITS, seen, inputs(Request.ARM, **changes))
    assert reason in refused.reasons[0]
    again = decide(LIMITS, refused.state, inputs(Request.ARM, **changes))
    assert again.state.mode is Mode.ARMED


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"orientation": tilted(0.5)}, "tilt is 0.50 rad and the limit is 0.35 rad"),
        ({"linear_velocity": [0.6, 0, 0]}, "speed is 0.60 m/s and the limit is 0.50 m/s"),
        ({"angular_velocity": [0, 0, 2]}, "body rate is 2.00 rad/s and the limit is 1.00"),
    ],
)
def test_arming_is_stricter_than_flight(changes: dict[str, Any], reason: str) -> None:
    refused = decide(LIMITS, SupervisorState(), inputs(Request.ARM, **changes))
    assert refused.state.mode is Mode.DISARMED
    assert refused.reasons == (reason,)
    assert decide(LIMITS, armed(), inputs(**changes)).state.mode is Mode.ARMED


def test_all_reasons_are_listed() -> None:
    decision = decide(
        LIMITS, SupervisorState(), inputs(Request.ARM, position=[0, 0, 99], command=None)
    )
    assert len(decision.reasons) == 2


@pytest.mark.parametrize(
    "changes",
    [
        {"orientation": tilted(1.19)},
        {"orientation": -tilted(1.19)},
        {"orientation": 1.009 * tilted(1.19)},
        {"angular_velocity": [20, 20, 20]},
        {"linear_velocity": [0, 0, -9.9]},
        {"position": [-9.9, 9.9, 9.9]},
        {"stamp_s": NOW_S - 0.0, "command_stamp_s": NOW_S},
        {"stamp_s": NOW_S + 0.009, "command_stamp_s": NOW_S + 0.009},
        {"now_s": NOW_S + 0.04},
    ],
)
def test_within_the_limits_nothing_trips(changes: dict[str, Any]) -> None:
    decision = decide(LIMITS, armed(), inputs(**changes))
    assert decision.state.mode is Mode.ARMED, decision.reasons
    assert decision.reasons == ()
    np.testing.assert_array_equal(decision.command, COMMAND)


def test_at_rest_on_the_ground_nothing_trips() -> None:
    """Ten seconds armed on the floor, 500 ticks a second, 200 noisy measurements a second."""
    rng = np.random.default_rng(0)
    state, measured = armed(), odometry()
    for tick in range(5000):
        now_s = NOW_S + 0.002 * tick
        if tick % 5 < 2:  # uneven, as two clocks are
            measured = odometry(
                position=rng.normal(0, 0.02, 3),
                orientation=tilted(0.02 * rng.normal(), rng.uniform(0, 6)),
                linear_velocity=rng.normal(0, 0.05, 3),
                angular_velocity=rng.normal(0, 0.1, 3),
                stamp_s=now_s - 0.001,
            )
        tick_inputs = Inputs(
            now_s=now_s,
            odometry=measured,
            command=rng.uniform(-1, 1, 4),
            command_stamp_s=measured.stamp_s,
        )
        decision = decide(LIMITS, state, tick_inputs)
        assert decision.state.mode is Mode.ARMED, decision.reasons
        state = decision.state
    assert state.since_s == NOW_S


def test_touching_down_does_not_trip() -> None:
    """Feet that hit the floor give spikes of some 20 rad/s for a tick."""
    decision = decide(LIMITS, armed(), inputs(angular_velocity=[15, -15, 3]))
    assert decision.state.mode is Mode.ARMED


@pytest.mark.parametrize("value", [1.0, 1.0001, 1.7, -3.0, 9.9])
def test_overshoot_is_clamped(value: float) -> None:
    decision = decide(LIMITS, armed(), inputs(command=np.array([0.5, value, 0.0, -0.5])))
    assert decision.state.mode is Mode.ARMED
    np.testing.assert_allclose(decision.command, [0.5, np.clip(value, -1, 1), 0.0, -0.5])
    assert decision.command.dtype == np.float32


def test_a_silent_policy_trips_within_the_limit() -> None:
    """The policy process is killed: odometry goes on, its command stays what it was."""
    state = armed()
    for tick in range(1, 100):
        now_s = NOW_S + 0.002 * tick
        decision = decide(LIMITS, state, inputs(now_s=now_s, stamp_s=now_s - 0.001))
        state = decision.state
        if state.mode is Mode.TRIPPED:
            break
    assert now_s - (NOW_S - 0.005) == pytest.approx(LIMITS.max_command_age_s, abs=0.0021)
    assert "behind the command" in decision.reasons[0]


@pytest.mark.parametrize("request_", [Request.NONE, Request.ARM, Request.RESET])
def test_a_trip_latches_until_a_disarm(request_: Request) -> None:
    state = tripped()
    held = decide(LIMITS, state, inputs(request_))
    assert held.state.mode is Mode.TRIPPED
    assert held.state.reasons == state.reasons
    assert set(state.reasons) <= set(held.reasons)
    assert is_safe(held)
    assert held.accepted is (request_ is Request.NONE)
    disarmed = decide(LIMITS, held.state, inputs(Request.DISARM))
    assert disarmed.state.mode is Mode.DISARMED
    assert disarmed.state.reasons == ()
    assert decide(LIMITS, disarmed.state, inputs(Request.ARM)).state.mode is Mode.ARMED


def test_arming_after_a_trip_says_to_disarm_first() -> None:
    assert "disarm first" in decide(LIMITS, tripped(), inputs(Request.ARM)).reasons[0]


@pytest.mark.parametrize("start", [SupervisorState, armed, tripped, stopped])
@pytest.mark.parametrize("fault", [None, *FAULTS])
def test_emergency_stop_works_in_any_mode_with_any_inputs(start: Any, fault: str | None) -> None:
    changes = FAULTS[fault][0] if fault else {}
    decision = decide(LIMITS, start(), inputs(Request.ESTOP, **changes))
    assert decision.state.mode is Mode.EMERGENCY_STOPPED
    assert "an emergency stop was requested" in decision.reasons[0]
    assert is_safe(decision)


@pytest.mark.parametrize("request_", [Request.NONE, Request.ARM, Request.DISARM, Request.ESTOP])
def test_emergency_stop_latches_until_a_reset(request_: Request) -> None:
    held = decide(LIMITS, stopped(), inputs(request_))
    assert held.state.mode is Mode.EMERGENCY_STOPPED
    assert is_safe(held)
    assert held.accepted is (request_ is not Request.ARM)
    released = decide(LIMITS, held.state, inputs(Request.RESET))
    assert released.state.mode is Mode.DISARMED
    assert is_safe(released)


def test_arming_after_an_emergency_stop_says_to_reset_first() -> None:
    assert "reset first" in decide(LIMITS, stopped(), inputs(Request.ARM)).reasons[0]


@pytest.mark.parametrize("start", [SupervisorState, armed])
def test_reset_means_nothing_without_an_emergency_stop(start: Any) -> None:
    state = start()
    decision = decide(LIMITS, state, inputs(Request.RESET))
    assert decision.state.mode is state.mode
    assert decision.reasons == ("there is no emergency stop to reset",)
    assert not decision.accepted


@pytest.mark.parametrize("start", [SupervisorState, armed, tripped])
@pytest.mark.parametrize("fault", [None, *FAULTS])
def test_disarm_always_works(start: Any, fault: str | None) -> None:
    changes = FAULTS[fault][0] if fault else {}
    decision = decide(LIMITS, start(), inputs(Request.DISARM, **changes))
    assert decision.state.mode is Mode.DISARMED
    assert decision.accepted
    assert is_safe(decision)


def test_arming_twice_is_accepted_and_changes_nothing() -> None:
    state = armed()
    decision = decide(LIMITS, state, inputs(Request.ARM, now_s=NOW_S + 0.001))
    assert decision.accepted
    assert decision.state == replace(state, now_s=NOW_S + 0.001)


def test_disarmed_holds_the_motors_whatever_the_policy_says() -> None:
    assert is_safe(decide(LIMITS, SupervisorState(), inputs()))


def test_safe_command_is_the_lowest_setpoint_and_cannot_be_changed() -> None:
    np.testing.assert_array_equal(safe_command("quadrotor"), [-1.0] * 4)
    np.testing.assert_array_equal(safe_command("hexarotor"), [-1.0] * 6)
    with pytest.raises(ValueError, match="read-only"):
        safe_command("quadrotor")[0] = 0.0


def test_it_owns_the_motors_of_its_own_family() -> None:
    """Six motors get six setpoints in every mode, and four are no command for them."""
    six = SupervisorState(family=HEXAROTOR)
    command = np.linspace(-0.5, 0.5, 6)
    assert decide(LIMITS, six, inputs(command=command)).command.tolist() == [-1.0] * 6
    armed = decide(LIMITS, six, inputs(Request.ARM, command=command))
    np.testing.assert_array_equal(armed.command, command.astype(np.float32))
    refused = decide(LIMITS, armed.state, inputs())
    assert refused.state.mode is Mode.TRIPPED
    assert refused.command.tolist() == [-1.0] * 6
    assert "shape (4,)" in refused.reasons[0]
    assert "back_left, left, front_left" in refused.reasons[0]


def test_decide_is_pure() -> None:
    """The same tick decides the same, and touches none of its arguments."""
    command = np.array([2.0, 0.0, 0.0, 0.0])
    state, tick = armed(), inputs(command=command)
    first, second = decide(LIMITS, state, tick), decide(LIMITS, state, tick)
    assert first.state == second.state
    np.testing.assert_array_equal(first.command, second.command)
    np.testing.assert_array_equal(command, [2.0, 0.0, 0.0, 0.0])
    assert state == armed()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"max_tilt_rad": 0.0}, "max_tilt_rad is 0.0"),
        ({"max_tilt_rad": 90.0}, "max_tilt_rad is 90.0 rad and no tilt exceeds pi"),
        ({"max_speed_m_s": NAN}, "max_speed_m_s is nan"),
        ({"max_odometry_age_s": -1.0}, "max_odometry_age_s is -1.0"),
        ({"max_command_age_s": INF}, "max_command_age_s is inf"),
        ({"max_command": 0.5}, "max_command is 0.5, below the range"),
        ({"arm_max_tilt_rad": 1.3}, "arm_max_tilt_rad is 1.3, above max_tilt_rad 1.2"),
        ({"arm_max_speed_m_s": 11.0}, "arm_max_speed_m_s"),
        ({"geofence_min_m": (0.0, 0.0, 20.0)}, "is no box"),
        ({"geofence_max_m": (1.0, 1.0)}, "is no box"),
        ({"geofence_max_m": (1.0, 1.0, INF)}, "is no box"),
        ({"geofence_min_m": (NAN, 0.0, 0.0)}, "is no box"),
    ],
)
def test_limits_that_protect_nothing_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)) as error:
        MultirotorLimits(**changes)
    assert "Fix:" in str(error.value)
    assert isinstance(error.value, AcclimateError)


def test_limits_are_used() -> None:
    strict = MultirotorLimits(geofence_max_m=(1.0, 1.0, 2.0), max_speed_m_s=1.0)
    decision = decide(strict, armed(), inputs(position=[0, 0, 2.5], linear_velocity=[1.5, 0, 0]))
    assert len(decision.reasons) == 2
