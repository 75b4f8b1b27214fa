import numpy as np

from acclimate_deploy.commanded_reference import CommandedReference
from acclimate_deploy.multirotor_signals import MultirotorState, Reference
from acclimate_deploy.reference_trajectory import ReferenceTrajectory
from acclimate_deploy.rotations import from_heading

TIMEOUT_S = 0.5
STAMP_S = 1000.0  # the odometry's clock; the monotonic one starts at 0 in every test


def a_state(stamp_s: float = STAMP_S, x: float = 9.0) -> MultirotorState:
    return MultirotorState(
        position=np.array([x, 0.0, 1.0]),
        orientation=from_heading(0.3),
        linear_velocity=np.ones(3),
        angular_velocity=np.zeros(3),
        stamp_s=stamp_s,
    )


def single(x: float) -> Reference:
    return Reference(position=np.array([x, 0.0, 0.0]), linear_velocity=np.zeros(3))


def along_x(start_s: float = STAMP_S, duration_s: float = 2.0) -> ReferenceTrajectory:
    """One metre per second along x, from the origin."""
    ends = np.array([[0.0, 0.0, 0.0], [duration_s, 0.0, 0.0]])
    return ReferenceTrajectory(start_s=start_s, time_s=np.array([0.0, duration_s]), position=ends)


def x_of(commanded: CommandedReference, now_s: float) -> float:
    return float(commanded.current(a_state(STAMP_S + now_s), now_s).position[0])


def test_a_single_reference_counts_until_its_timeout_and_has_no_future() -> None:
    commanded = CommandedReference(TIMEOUT_S)
    commanded.command(single(1.0), 0.0)
    reference = commanded.current(a_state(), 0.5)
    assert reference.position[0] == 1.0
    np.testing.assert_array_equal(reference.preview, np.zeros((4, 3)))
    assert x_of(commanded, 0.51) == 9.0


def test_without_a_command_the_robot_holds_the_pose_where_that_began() -> None:
    commanded = CommandedReference(TIMEOUT_S)
    held = commanded.current(a_state(x=2.0), 0.0)
    later = commanded.current(a_state(x=3.0), 0.1)
    for reference in (held, later):
        np.testing.assert_array_equal(reference.position, [2.0, 0.0, 1.0])
        np.testing.assert_array_equal(reference.linear_velocity, np.zeros(3))
        np.testing.assert_allclose(reference.heading_rad, 0.3)
    commanded.command(single(1.0), 1.0)
    assert x_of(commanded, 1.0) == 1.0
    assert commanded.current(a_state(x=4.0), 2.0).position[0] == 4.0, "held anew"


def test_a_pose_that_is_not_finite_is_not_held() -> None:
    commanded = CommandedReference(TIMEOUT_S)
    assert commanded.current(a_state(x=np.nan), 0.0).position[0] == 0.0
    assert commanded.current(a_state(x=2.0), 0.1).position[0] == 2.0


def test_a_trajectory_is_read_at_the_stamp_and_held_after_its_end() -> None:
    commanded = CommandedReference(TIMEOUT_S)
    commanded.command_trajectory(along_x(), 0.0)
    reference = commanded.current(a_state(STAMP_S + 1.0), 1.0)
    np.testing.assert_allclose(reference.position, [1.0, 0.0, 0.0])
    np.testing.assert_allclose(reference.linear_velocity, [1.0, 0.0, 0.0])
    np.testing.assert_allclose(reference.preview[:, 0], [0.1, 0.2, 0.4, 0.6])
    assert x_of(commanded, 100.0) == 2.0


def test_the_last_word_counts() -> None:
    commanded = CommandedReference(TIMEOUT_S)
    commanded.command(single(7.0), 0.0)
    commanded.command_trajectory(along_x(), 0.1)
    assert x_of(commanded, 0.2) < 1.0, "the trajectory replaces the single reference"
    commanded.command(single(7.0), 1.0)
    assert x_of(commanded, 1.0) == 7.0, "a single reference replaces the trajectory"
    assert x_of(commanded, 1.6) == 9.0, "which does not come back"


def test_after_a_trajectory_the_pose_is_held_anew() -> None:
    commanded = CommandedReference(TIMEOUT_S)
    assert commanded.current(a_state(x=3.0), 0.0).position[0] == 3.0
    commanded.command_trajectory(along_x(), 0.1)
    assert x_of(commanded, 1.0) == 1.0
    commanded.command(single(7.0), 1.0)
    assert commanded.current(a_state(x=4.0), 2.0).position[0] == 4.0


def test_sent_side_by_side_the_trajectory_counts() -> None:
    """Whatever the order within a tick, and although some trajectories are lost."""
    commanded = CommandedReference(TIMEOUT_S)
    for tick in range(200):
        now_s = 0.02 * tick
        if tick % 20 == 0:
            commanded.command_trajectory(along_x(STAMP_S + now_s), now_s)
        commanded.command(single(7.0), now_s)
        assert x_of(commanded, now_s) < 1.0


def test_forgetting_drops_the_held_pose_and_a_trajectory_of_the_past() -> None:
    commanded = CommandedReference(TIMEOUT_S)
    assert x_of(commanded, 0.0) == 9.0
    commanded.forget(STAMP_S)
    assert commanded.current(a_state(x=3.0), 0.1).position[0] == 3.0
    commanded.command_trajectory(along_x(), 0.2)
    commanded.forget(STAMP_S + 1.0)
    assert x_of(commanded, 1.0) == 1.0, "it still runs"
    commanded.forget(STAMP_S + 3.0)
    assert x_of(commanded, 3.0) == 9.0, "the next flight does not begin with a dash to its end"
    commanded.command_trajectory(along_x(), 4.0)
    commanded.forget(STAMP_S - 3600.0)
    assert x_of(commanded, 4.0) == 9.0, "nor after the clock was set back"
