"""What no sequence of inputs may ever make the supervisor do."""

from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from supervisor_ticks import COMMAND, INF, LIMITS, NAN, NOW_S, armed, inputs, is_safe, odometry

from acclimate_deploy.safety import Decision, Inputs, Mode, Request, SupervisorState, decide

ANY = st.floats(width=64) | st.floats(-2.0, 2.0)
NEAR = st.sampled_from([0.0, -0.004, -0.04, 0.004, -0.2, 0.2, NAN, INF])
GOOD_COMMAND = st.just(COMMAND)
ANY_COMMAND = st.none() | st.lists(ANY, min_size=0, max_size=6).map(np.array)


@st.composite
def any_inputs(draw: st.DrawFn, now_s: float = NOW_S) -> Inputs:
    """Healthy in some parts and arbitrary in others, so that every mode is reached."""
    changes: dict[str, Any] = {}
    for name, size in (
        ("position", 3),
        ("orientation", 4),
        ("linear_velocity", 3),
        ("angular_velocity", 3),
    ):
        if draw(st.integers(0, 15)) == 0:
            changes[name] = draw(st.lists(ANY, min_size=size, max_size=size))
    measured = None if draw(st.integers(0, 20)) == 0 else odometry(**changes)
    if measured is not None and draw(st.integers(0, 10)) == 0:
        measured = replace(measured, stamp_s=now_s + draw(NEAR))
    elif measured is not None:
        measured = replace(measured, stamp_s=now_s)
    return Inputs(
        now_s=now_s,
        odometry=measured,
        command=draw(GOOD_COMMAND | GOOD_COMMAND | ANY_COMMAND),
        command_stamp_s=now_s + (draw(NEAR) if draw(st.integers(0, 10)) == 0 else 0.0),
        request=draw(st.sampled_from([Request.NONE, Request.NONE, *Request])),
    )


STATES = st.builds(
    SupervisorState,
    mode=st.sampled_from(Mode),
    reasons=st.just(("because",)),
    since_s=ANY,
    now_s=st.sampled_from([-INF, NOW_S - 0.002, NOW_S, NOW_S + 1]),
    odometry_stamp_s=st.sampled_from([-INF, NOW_S - 0.1]),
    command_stamp_s=st.sampled_from([-INF, NOW_S - 0.1]),
)


def assert_may_be_applied(decision: Decision) -> None:
    assert decision.command.shape == (4,)
    assert decision.command.dtype == np.float32
    assert np.isfinite(decision.command).all()
    assert np.abs(decision.command).max() <= 1.0
    if decision.state.mode is not Mode.ARMED:
        assert is_safe(decision)
    if decision.state.mode in (Mode.TRIPPED, Mode.EMERGENCY_STOPPED) or not decision.accepted:
        assert decision.reasons, "whoever is refused is told why"


@settings(max_examples=500, deadline=None)
@given(STATES, any_inputs())
def test_any_tick_gives_a_command_that_may_be_applied(state: SupervisorState, tick: Inputs) -> None:
    assert_may_be_applied(decide(LIMITS, state, tick))


@settings(max_examples=300, deadline=None)
@given(st.lists(ANY, min_size=4, max_size=4), st.sampled_from(["command", "orientation"]))
def test_any_number_at_all_is_clamped_or_trips(values: list[float], where: str) -> None:
    decision = decide(LIMITS, armed(), inputs(**{where: np.array(values)}))
    assert_may_be_applied(decision)
    if not np.isfinite(values).all():
        assert decision.state.mode is Mode.TRIPPED


class AnyFlight(RuleBasedStateMachine):
    """Any sequence of ticks: what latches stays latched, and only an arm request arms."""

    def __init__(self) -> None:
        super().__init__()
        self.state = SupervisorState()
        self.now_s = NOW_S
        self.decision: Decision | None = None

    def apply(self, tick: Inputs) -> None:
        before, self.decision = self.state, decide(LIMITS, self.state, tick)
        self.state = after = self.decision.state
        if tick.request is Request.ESTOP:
            assert after.mode is Mode.EMERGENCY_STOPPED
        elif before.mode is Mode.EMERGENCY_STOPPED:
            released = tick.request is Request.RESET
            assert after.mode is (Mode.DISARMED if released else Mode.EMERGENCY_STOPPED)
        elif tick.request is Request.DISARM:
            assert after.mode is Mode.DISARMED
        elif before.mode is Mode.TRIPPED:
            assert after.mode is Mode.TRIPPED
            assert after.reasons == before.reasons
        elif before.mode is Mode.DISARMED:
            assert after.mode is Mode.DISARMED or tick.request is Request.ARM
        if before.mode is after.mode:
            assert after.since_s == before.since_s

    @rule(data=st.data(), dt_s=st.sampled_from([0.0, 0.002, 0.004, 0.2]))
    def anything(self, data: st.DataObject, dt_s: float) -> None:
        self.now_s += dt_s
        self.apply(data.draw(any_inputs(self.now_s)))

    @rule(request=st.sampled_from([Request.ARM, Request.DISARM, Request.RESET]))
    def healthy(self, request: Request) -> None:
        """Without these, arbitrary inputs would hardly ever arm."""
        self.now_s += 0.002
        stamps = {"stamp_s": self.now_s, "command_stamp_s": self.now_s}
        self.apply(inputs(request, now_s=self.now_s, **stamps))

    @invariant()
    def may_be_applied(self) -> None:
        if self.decision is not None:
            assert_may_be_applied(self.decision)


TestAnyFlight = AnyFlight.TestCase
TestAnyFlight.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)
