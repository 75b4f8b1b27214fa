import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from acclimate_contract import PREVIEW_TIMES_S, ContractError
from acclimate_deploy.reference_trajectory import MAX_LEAD_S, ReferenceTrajectory

START_S = 1000.0
ROUNDING = 1e-9  # float64 at times up to 1000 s, on curves of up to 500 m/s
COUNTS = st.integers(2, 12)


def a_trajectory(seed: int, count: int, *, cubic: bool = True) -> tuple[ReferenceTrajectory, dict]:
    """A random trajectory and the points it was made from."""
    rng = np.random.default_rng(seed)
    points = {
        "time_s": rng.uniform(-0.5, 0.5) + np.cumsum(rng.uniform(0.02, 1.0, count)),
        "position": rng.normal(0.0, 3.0, (count, 3)),
        "linear_velocity": rng.normal(0.0, 2.0, (count, 3)) if cubic else None,
        "heading_rad": rng.uniform(-np.pi, np.pi, count),
    }
    return ReferenceTrajectory(start_s=START_S, **points), points


def positions(trajectory: ReferenceTrajectory, times_s: np.ndarray) -> np.ndarray:
    return np.array([trajectory.reference(START_S + t).position for t in times_s])


@given(st.integers(0, 1000), COUNTS, st.booleans())
def test_passes_through_every_point(seed: int, count: int, cubic: bool) -> None:
    trajectory, points = a_trajectory(seed, count, cubic=cubic)
    rows = zip(points["time_s"], points["position"], points["heading_rad"], strict=True)
    for time_s, position, heading_rad in rows:
        reference = trajectory.reference(START_S + time_s)
        np.testing.assert_allclose(reference.position, position, atol=ROUNDING)
        turn = np.exp(1j * (reference.heading_rad - heading_rad))
        assert abs(turn - 1.0) < ROUNDING


@given(st.integers(0, 1000), COUNTS)
def test_meets_every_velocity_on_its_way(seed: int, count: int) -> None:
    trajectory, points = a_trajectory(seed, count)
    for time_s, velocity in zip(points["time_s"][:-1], points["linear_velocity"], strict=False):
        just_after_s = START_S + time_s + 1e-12  # not just before, at rest
        reference = trajectory.reference(just_after_s)
        np.testing.assert_allclose(reference.linear_velocity, velocity, atol=1e-6)


@given(st.integers(0, 1000), COUNTS, st.booleans(), st.floats(0.001, 0.999))
def test_velocity_is_the_derivative_of_position(
    seed: int, count: int, cubic: bool, share: float
) -> None:
    """Central differences inside each segment, where the curve is smooth."""
    trajectory, points = a_trajectory(seed, count, cubic=cubic)
    begin, end = points["time_s"][:-1], points["time_s"][1:]
    step_s = 1e-4 * (end - begin)
    for time_s, half_s in zip(begin + share * (end - begin), step_s, strict=True):
        before, after = positions(trajectory, np.array([time_s - half_s, time_s + half_s]))
        velocity = trajectory.reference(START_S + time_s).linear_velocity
        # positions are rounded to 1e-11 m, and a step is at least 4e-6 s wide
        np.testing.assert_allclose((after - before) / (2 * half_s), velocity, atol=1e-4)


@given(st.integers(0, 1000), COUNTS, st.floats(-1.0, 20.0))
def test_preview_is_the_future_minus_the_present(seed: int, count: int, time_s: float) -> None:
    trajectory, _ = a_trajectory(seed, count)
    now = trajectory.reference(START_S + time_s)
    ahead = positions(trajectory, time_s + np.array(PREVIEW_TIMES_S))
    np.testing.assert_allclose(now.preview, ahead - now.position, atol=ROUNDING)


@given(
    npst.arrays(np.float64, (4, 3), elements=st.floats(-5.0, 5.0)),
    st.floats(0.0, 3.0),
)
def test_reproduces_any_cubic(factors: np.ndarray, time_s: float) -> None:
    """Closed form: the curve through points of a cubic, with its velocities, is that cubic."""
    powers = np.arange(4)
    due_s = np.array([0.0, 0.4, 1.5, 3.0])
    curve = due_s[:, None] ** powers @ factors
    slopes = powers[1:] * due_s[:, None] ** powers[:-1] @ factors[1:]
    trajectory = ReferenceTrajectory(
        start_s=0.0, time_s=due_s, position=curve, linear_velocity=slopes
    )
    expected = time_s**powers @ factors
    np.testing.assert_allclose(trajectory.reference(time_s).position, expected, atol=1e-9)


def test_without_velocities_it_flies_straight_at_constant_speed() -> None:
    trajectory = ReferenceTrajectory(
        start_s=0.0, time_s=np.array([0.0, 2.0]), position=np.array([[0.0, 0, 1], [4.0, 0, 1]])
    )
    reference = trajectory.reference(0.5)
    np.testing.assert_allclose(reference.position, [1.0, 0.0, 1.0])
    np.testing.assert_allclose(reference.linear_velocity, [2.0, 0.0, 0.0])
    np.testing.assert_allclose(reference.preview[:, 0], 2.0 * np.array(PREVIEW_TIMES_S))
    np.testing.assert_array_equal(reference.preview[:, 1:], 0.0)
    assert reference.heading_rad == 0.0


@given(st.integers(0, 1000), COUNTS, st.floats(1e-9, 1e6))
def test_rests_before_its_first_point_and_after_its_last(
    seed: int, count: int, away_s: float
) -> None:
    trajectory, points = a_trajectory(seed, count)
    assert trajectory.end_s == pytest.approx(START_S + points["time_s"][-1])
    late = trajectory.reference(trajectory.end_s + away_s)
    np.testing.assert_allclose(late.position, points["position"][-1], atol=ROUNDING)
    np.testing.assert_array_equal(late.linear_velocity, 0.0)
    np.testing.assert_array_equal(late.preview, 0.0)
    early = trajectory.reference(START_S + points["time_s"][0] - PREVIEW_TIMES_S[-1] - away_s)
    np.testing.assert_allclose(early.position, points["position"][0])
    np.testing.assert_array_equal(early.linear_velocity, 0.0)
    np.testing.assert_array_equal(early.preview, 0.0)


def test_preview_stops_where_the_trajectory_does() -> None:
    trajectory = ReferenceTrajectory(
        start_s=0.0, time_s=np.array([0.0, 1.0]), position=np.array([[0.0, 0, 0], [1.0, 0, 0]])
    )
    np.testing.assert_allclose(trajectory.reference(0.7).preview[:, 0], [0.1, 0.2, 0.3, 0.3])
    np.testing.assert_allclose(trajectory.reference(-0.3).preview[:, 0], [0.0, 0.0, 0.1, 0.3])


def test_heading_turns_the_short_way() -> None:
    trajectory = ReferenceTrajectory(
        start_s=0.0,
        time_s=np.array([0.0, 1.0]),
        position=np.zeros((2, 3)),
        heading_rad=np.array([3.0, -3.0]),
    )
    middle = trajectory.reference(0.5).heading_rad
    assert np.cos(middle) == pytest.approx(-1.0)


def test_stamps_since_the_epoch_are_fine_enough() -> None:
    """Float64 counts them in quarters of a microsecond."""
    _, points = a_trajectory(0, 8)
    now, epoch = (ReferenceTrajectory(start_s=start_s, **points) for start_s in (0.0, 1.79e9))
    for time_s in np.linspace(0.0, 5.0, 50):
        expected = now.reference(time_s).position
        np.testing.assert_allclose(epoch.reference(1.79e9 + time_s).position, expected, atol=1e-5)


def test_says_whether_it_belongs_to_the_present() -> None:
    trajectory = ReferenceTrajectory(
        start_s=START_S, time_s=np.array([1.0, 3.0]), position=np.zeros((2, 3))
    )
    assert trajectory.untimely(START_S + 1.0 - MAX_LEAD_S) == ""
    assert trajectory.untimely(START_S + 3.0) == ""
    assert trajectory.untimely(START_S + 3.5) == "ended 0.5 s ago"
    assert trajectory.untimely(START_S - 20.0) == "begins in 21 s, later than the 10 s allowed"


TWO = {"time_s": np.array([0.0, 1.0]), "position": np.zeros((2, 3))}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"time_s": np.zeros(0), "position": np.zeros((0, 3))}, "has 0 points"),
        ({"time_s": np.zeros(1), "position": np.zeros((1, 3))}, "has 1 points"),
        ({"time_s": np.array([0.0, 0.0])}, "times grow"),
        ({"time_s": np.array([1.0, 0.0])}, "times grow"),
        ({"time_s": np.array([0.0, np.nan])}, "times grow"),
        ({"time_s": np.array([0.0, np.inf])}, "not finite"),
        ({"position": np.array([[0.0] * 3, [np.nan] * 3])}, "not finite"),
        ({"position": np.array([[0.0] * 3, [1e308] * 3])}, "too large"),
        ({"linear_velocity": np.full((2, 3), np.inf)}, "not finite"),
        ({"heading_rad": np.array([0.0, np.nan])}, "not finite"),
        ({"heading_rad": np.array([0.0, np.inf])}, "not finite"),
        ({"start_s": np.nan}, "not finite"),
        ({"position": np.zeros((3, 3))}, r"position \(3, 3\).*needs \(2, 3\)"),
        ({"linear_velocity": np.zeros((2, 2))}, r"velocity \(2, 2\)"),
        ({"heading_rad": np.zeros(1)}, r"heading \(1,\)"),
    ],
)
def test_refuses_what_cannot_be_flown(change: dict, message: str) -> None:
    with pytest.raises(ContractError, match=f"{message}.*Fix:"):
        ReferenceTrajectory(**{"start_s": 0.0, **TWO, **change})
