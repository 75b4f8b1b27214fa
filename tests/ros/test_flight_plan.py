"""The plan of a flight: continuous, within its limits, complete at every duration."""

from itertools import pairwise

import numpy as np
import pytest

from acclimate_contract import ConfigError
from acclimate_deploy.multirotor_signals import MultirotorState, Reference
from acclimate_field_tests.flight_plan import (
    FIGURE_EIGHT,
    HOVER,
    LAND,
    RETURN,
    TAKE_OFF,
    Descent,
    FlightPlan,
)
from acclimate_field_tests.touchdown import TouchdownDetector

DURATIONS = [8.0, 10.0, 20.0, 47.0, 600.0]
STEP_S = 0.002


def make_plan(duration_s: float, **changes: object) -> FlightPlan:
    fields = {"origin": np.array([1.0, -2.0, 0.3]), "heading_rad": 0.7}
    return FlightPlan(duration_s=duration_s, **{**fields, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize("duration_s", DURATIONS)
def test_phases_fill_the_flight_without_gaps(duration_s: float) -> None:
    phases = make_plan(duration_s).phases
    assert [p.name for p in phases] == [TAKE_OFF, HOVER, FIGURE_EIGHT, RETURN, LAND]
    assert phases[0].start_s == pytest.approx(0.0)
    assert phases[-1].end_s == pytest.approx(duration_s)
    for before, after in pairwise(phases):
        assert before.end_s == pytest.approx(after.start_s)
        assert before.end_s > before.start_s


@pytest.mark.parametrize("duration_s", DURATIONS)
def test_velocity_is_the_derivative_of_position(duration_s: float) -> None:
    """Central differences; this also holds continuity at the borders between phases."""
    plan = make_plan(duration_s)
    for time_s in np.linspace(0.05, duration_s - 0.05, 997):
        before = plan.reference(time_s - STEP_S / 2).position
        after = plan.reference(time_s + STEP_S / 2).position
        velocity = plan.reference(time_s).linear_velocity
        np.testing.assert_allclose((after - before) / STEP_S, velocity, atol=0.02)


@pytest.mark.parametrize("duration_s", DURATIONS)
def test_limits_hold(duration_s: float) -> None:
    plan = make_plan(duration_s, height_m=1.5, amplitude_m=2.0, max_speed_m_s=1.2)
    references = [plan.reference(t) for t in np.linspace(0.0, duration_s, 2001)]
    offsets = np.array([r.position for r in references]) - plan.origin
    speeds = np.linalg.norm([r.linear_velocity for r in references], axis=1)
    assert speeds.max() < 1.2 * 1.001 or duration_s < 12.0  # short climbs are steeper
    assert np.abs(offsets[:, :2]).max() <= 2.0
    assert offsets[:, 2].max() == pytest.approx(1.5)
    assert {r.heading_rad for r in references} == {0.7}


def test_flight_starts_where_the_robot_stands_and_ends_below_it() -> None:
    plan = make_plan(20.0)
    np.testing.assert_allclose(plan.reference(0.0).position, plan.origin)
    np.testing.assert_allclose(plan.reference(0.0).linear_velocity, 0.0, atol=1e-9)
    end = plan.reference(20.0).position
    np.testing.assert_allclose(end[:2], plan.origin[:2], atol=1e-9)
    assert end[2] < plan.origin[2]
    assert plan.reference(25.0).position[2] < end[2], "it sinks on until something stops it"


def test_figure_eight_lies_along_the_heading() -> None:
    plan = make_plan(20.0, origin=np.zeros(3), heading_rad=np.pi / 2)
    eight = plan.phases[2]
    points = np.array(
        [plan.reference(t).position for t in np.linspace(eight.start_s, eight.end_s, 500)]
    )
    assert np.ptp(points[:, 1]) == pytest.approx(2.0, rel=0.01), "long axis: the robot's x"
    assert np.ptp(points[:, 0]) == pytest.approx(1.0, rel=0.01)


def test_payload_comes_in_the_figure_eight() -> None:
    plan = make_plan(12.0)
    assert plan.phase(plan.payload_s).name == FIGURE_EIGHT


@pytest.mark.parametrize("duration_s", [0.0, -1.0, 7.9, 601.0, np.nan, np.inf])
def test_impossible_durations_are_refused(duration_s: float) -> None:
    with pytest.raises(ConfigError, match="Fix:"):
        make_plan(duration_s)


def test_descent_goes_straight_down_through_the_floor() -> None:
    start = Reference(position=np.array([1.0, 2.0, 3.0]), linear_velocity=np.zeros(3))
    descent = Descent(start=start, floor_m=0.5)
    np.testing.assert_allclose(descent.reference(0.0).position, start.position)
    end = descent.reference(descent.duration_s)
    np.testing.assert_allclose(end.position[:2], [1.0, 2.0])
    assert end.position[2] < 0.5
    heights = [descent.reference(t).position[2] for t in np.linspace(0.0, 20.0, 100)]
    assert (np.diff(heights) < 0.0).all()


def test_touchdown_needs_to_be_low_and_still_for_a_while() -> None:
    detector = TouchdownDetector(floor_m=0.2)

    def state(time_s: float, height_m: float, speed_m_s: float) -> MultirotorState:
        return MultirotorState(
            position=np.array([0.0, 0.0, height_m]),
            orientation=np.array([1.0, 0.0, 0.0, 0.0]),
            linear_velocity=np.array([0.0, 0.0, -speed_m_s]),
            angular_velocity=np.zeros(3),
            stamp_s=time_s,
        )

    assert not detector.update(state(0.0, 0.21, 0.5)), "passing through"
    assert not detector.update(state(0.1, 0.21, 0.0)), "not long enough"
    assert not detector.update(state(0.5, 0.60, 0.0)), "hovering"
    assert not detector.update(state(0.6, 0.21, 0.0))
    assert detector.update(state(1.0, 0.21, 0.0))
