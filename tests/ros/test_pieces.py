"""Pieces of the nodes that need no process: pacing, timing, names, conversions, domains."""

import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from geometry_msgs.msg import Transform, Twist
from trajectory_msgs.msg import MultiDOFJointTrajectory

from acclimate_bringup.domains import claimed_domain
from acclimate_bringup.processes import Fleet, ProcessError, ProcessSpec, StopRequest
from acclimate_contract import ConfigError, ContractError
from acclimate_control.messages import (
    MAX_POINTS,
    MotorNames,
    reference_from,
    state_from,
    to_odometry,
    to_reference,
    to_stamp,
    to_trajectory,
    trajectory_from,
)
from acclimate_control.pacing import Pacer, StampClock
from acclimate_control.timing import TimingWindow
from acclimate_deploy.multirotor_signals import MultirotorState, Reference
from acclimate_deploy.rotations import from_heading, multiply

PERIOD_S = 0.005
PYTHON = sys.executable


def test_pacer_keeps_absolute_deadlines() -> None:
    """Late wake-ups are made good: after a second there is a second."""
    pacer = Pacer(PERIOD_S, catch_up_s=0.02)
    pacer.start(100.0)
    rng = np.random.default_rng(0)
    wakes = 100.0 + np.arange(1, 201) * PERIOD_S + rng.uniform(0.0, 0.004, 200)
    assert sum(pacer.due(wake) for wake in wakes) == 200
    assert pacer.missed_ticks == 0
    assert pacer.stamp_s == pytest.approx(1.0)


def test_pacer_does_not_burst_after_a_stall() -> None:
    pacer = Pacer(PERIOD_S, catch_up_s=0.02)
    pacer.start(0.0)
    assert pacer.due(0.5) == 4
    assert pacer.missed_ticks == 96
    assert pacer.stamp_s == pytest.approx(0.5), "the stamp stays with real time"
    assert pacer.due(0.5) == 0
    assert pacer.due(0.505) == 1


def test_stamps_follow_a_drifting_clock_and_a_set_one() -> None:
    clock = StampClock(10.0, 1_000_000_000)
    drift = 300e-6  # of the stamps' clock
    for tick in range(1, 2001):
        elapsed_s = tick * PERIOD_S
        clock.follow(10.0 + elapsed_s, 1_000_000_000 + round(elapsed_s * (1.0 + drift) * 1e9))
    assert clock.stamp_ns(10.0) == pytest.approx(1_000_000_000 + 10.0 * (1 + drift) * 1e9, abs=5e4)
    clock.follow(20.0, 99_000_000_000)
    assert clock.stamp_ns(10.0) == 99_000_000_000


def test_timing_counts_missed_ticks() -> None:
    window = TimingWindow(0.01)
    for period_s in (0.01, 0.011, 0.031, 0.01):
        window.add(period_s, 0.002)
    assert window.missed_ticks == 2
    rows = dict(window.summary())
    assert rows["loops"] == "4"
    assert float(rows["period max ms"]) == pytest.approx(31.0)


def test_odometry_carries_its_twist_in_the_body_frame() -> None:
    """Heading 90 degrees, flying along world x: to the robot that is to its right."""
    state = MultirotorState(
        position=np.array([1.0, 2.0, 3.0]),
        orientation=from_heading(np.pi / 2),
        linear_velocity=np.array([2.0, 0.0, 0.0]),
        angular_velocity=np.array([0.1, 0.2, 0.3]),
        stamp_s=12.5,
    )
    message = to_odometry(state, to_stamp(12_500_000_000))
    linear = message.twist.twist.linear
    np.testing.assert_allclose([linear.x, linear.y, linear.z], [0.0, -2.0, 0.0], atol=1e-12)
    assert (message.header.frame_id, message.child_frame_id) == ("map", "base_link")
    back = state_from(message)
    for name in ("position", "orientation", "linear_velocity", "angular_velocity"):
        np.testing.assert_allclose(getattr(back, name), getattr(state, name), atol=1e-12)
    assert back.stamp_s == 12.5


def test_odometry_survives_any_attitude() -> None:
    tilt = np.array([np.cos(0.3), np.sin(0.3), 0.0, 0.0])
    state = MultirotorState(
        position=np.zeros(3),
        orientation=multiply(from_heading(1.1), tilt),
        linear_velocity=np.array([0.3, -0.7, 1.9]),
        angular_velocity=np.zeros(3),
        stamp_s=0.0,
    )
    back = state_from(to_odometry(state, to_stamp(0)))
    np.testing.assert_allclose(back.linear_velocity, state.linear_velocity, atol=1e-12)


def test_reference_round_trip() -> None:
    reference = Reference(
        position=np.array([1.0, 2.0, 3.0]),
        linear_velocity=np.array([0.1, 0.2, 0.3]),
        heading_rad=-2.5,
    )
    back = reference_from(to_reference(reference, to_stamp(0)))
    np.testing.assert_allclose(back.position, reference.position)
    np.testing.assert_allclose(back.linear_velocity, reference.linear_velocity)
    assert back.heading_rad == pytest.approx(-2.5)


def test_empty_reference_is_refused() -> None:
    with pytest.raises(ContractError, match="exactly one point"):
        reference_from(MultiDOFJointTrajectory())


@pytest.mark.parametrize("broken", ["position", "linear_velocity", "heading_rad"])
def test_reference_that_is_not_finite_is_refused(broken: str) -> None:
    """It would stay in a policy's memory long after the reference is right again."""
    plain = Reference(position=np.zeros(3), linear_velocity=np.zeros(3))
    value = np.nan if broken == "heading_rad" else np.array([0.0, np.inf, 0.0])
    with pytest.raises(ContractError, match="not finite"):
        reference_from(to_reference(replace(plain, **{broken: value}), to_stamp(0)))


def a_trajectory(count: int = 5, stamp_s: int = 100) -> MultiDOFJointTrajectory:
    """Along x at 2 m/s, a point every 0.25 s, turning."""
    times_s = [0.25 * i for i in range(count)]
    references = [
        Reference(
            position=np.array([2.0 * time_s, 5.0, 1.0]),
            linear_velocity=np.array([2.0, 0.0, 0.0]),
            heading_rad=time_s,
        )
        for time_s in times_s
    ]
    return to_trajectory(references, times_s, to_stamp(stamp_s * 10**9))


def test_trajectory_round_trip() -> None:
    trajectory = trajectory_from(a_trajectory(), now_s=100.0)
    reference = trajectory.reference(100.3)
    np.testing.assert_allclose(reference.position, [0.6, 5.0, 1.0])
    np.testing.assert_allclose(reference.linear_velocity, [2.0, 0.0, 0.0], atol=1e-12)
    np.testing.assert_allclose(reference.preview[:, 0], [0.2, 0.4, 0.8, 1.2])
    assert reference.heading_rad == pytest.approx(0.3)
    assert trajectory.end_s == pytest.approx(101.0)


def test_trajectory_without_a_stamp_begins_on_arrival() -> None:
    trajectory = trajectory_from(a_trajectory(stamp_s=0), now_s=1234.5)
    np.testing.assert_allclose(trajectory.reference(1234.75).position, [0.5, 5.0, 1.0])


def test_trajectory_without_velocities_is_flown_in_straight_lines() -> None:
    message = a_trajectory()
    for point in message.points:
        point.velocities = []
    reference = trajectory_from(message, now_s=100.0).reference(100.3)
    np.testing.assert_allclose(reference.position, [0.6, 5.0, 1.0])
    np.testing.assert_allclose(reference.linear_velocity, [2.0, 0.0, 0.0])


def damaged(damage: str) -> MultiDOFJointTrajectory:
    message = a_trajectory(count=MAX_POINTS + 1 if damage == "too long" else 5)
    last = message.points[-1]
    if damage == "empty":
        message.points = []
    elif damage == "one point":
        message.points = [last]
    elif damage == "no transform":
        last.transforms = []
    elif damage == "two robots":
        last.transforms, last.velocities = [Transform()] * 2, [Twist()] * 2
    elif damage == "a velocity missing":
        last.velocities = []
    elif damage == "times equal":
        last.time_from_start.sec, last.time_from_start.nanosec = 0, 0
    elif damage == "not a number":
        last.transforms[0].translation.z = float("nan")
    elif damage == "no attitude":
        last.transforms[0].rotation.z = float("nan")
    return message


@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        ("empty", "has 0 points"),
        ("one point", "has 1 points"),
        ("too long", f"has {MAX_POINTS + 1} points.*piece by piece"),
        ("no transform", r"\(0, 1\), \(1, 1\)"),
        ("two robots", r"\(1, 1\), \(2, 2\)"),
        ("a velocity missing", r"\(1, 0\), \(1, 1\)"),
        ("times equal", "times grow"),
        ("not a number", "not finite"),
        ("no attitude", "not finite"),
    ],
)
def test_malformed_trajectory_is_refused(damage: str, complaint: str) -> None:
    with pytest.raises(ContractError, match=complaint) as error:
        trajectory_from(damaged(damage), now_s=100.0)
    assert "Fix:" in str(error.value)


@pytest.mark.parametrize(
    ("now_s", "complaint"), [(101.5, r"ended 0\.5 s ago.*Fix:"), (50.0, r"begins in 50 s.*Fix:")]
)
def test_trajectory_of_another_time_is_refused(now_s: float, complaint: str) -> None:
    with pytest.raises(ContractError, match=complaint):
        trajectory_from(a_trajectory(), now_s)


def test_motor_names_map_any_order() -> None:
    names = MotorNames(("a", "b", "c"), ["c", "a", "b"])
    message = names.write(np.array([1.0, 2.0, 3.0]), to_stamp(0))
    assert (list(message.name), list(message.effort)) == (["c", "a", "b"], [3.0, 1.0, 2.0])
    np.testing.assert_array_equal(names.read(message), [1.0, 2.0, 3.0])
    message.effort = [1.0]
    with pytest.raises(ContractError, match="one effort per name"):
        names.read(message)


def test_two_runs_never_share_a_domain() -> None:
    with claimed_domain() as one, claimed_domain() as two:
        assert one != two
        with pytest.raises(ConfigError, match="taken"), claimed_domain(one):
            pass
    with claimed_domain(one):
        pass


@pytest.fixture
def fleet_env(marker: str) -> dict[str, str]:
    return {**os.environ, "ACCLIMATE_TEST": marker}


def test_fleet_names_the_process_that_died(tmp_path: Path, fleet_env: dict[str, str]) -> None:
    with Fleet(tmp_path, fleet_env) as fleet:
        fleet.start(ProcessSpec(name="sleeper", command=[PYTHON, "-c", "input() or 1"]))
        fleet.start(ProcessSpec(name="lasting", command=["sleep", "60"]))
        fleet["sleeper"].wait(lambda: 10.0)
        with pytest.raises(ProcessError, match=r"sleeper ended with exit code 1[\s\S]*EOFError"):
            fleet.check()
        fleet.check(except_for="sleeper")
    assert fleet["lasting"].exit_code is not None


def test_fleet_stops_in_reverse_and_insists(tmp_path: Path, fleet_env: dict[str, str]) -> None:
    """One that ignores SIGINT and SIGTERM gets SIGKILL, and so do its children."""
    stubborn = (
        "import signal, subprocess, time\n"
        "for n in (signal.SIGINT, signal.SIGTERM): signal.signal(n, signal.SIG_IGN)\n"
        "subprocess.Popen(['sleep', '60'])\n"
        "print('ready', flush=True)\n"
        "time.sleep(60)\n"
    )
    stop = StopRequest()
    with Fleet(tmp_path, fleet_env, stop) as fleet:
        fleet.start(ProcessSpec(name="first", command=["sleep", "60"]))
        command = [PYTHON, "-c", stubborn]
        process = fleet.start(ProcessSpec(name="stubborn", command=command, grace_s=0.3))
        while "ready" not in process.tail():
            time.sleep(0.02)
        stop.count = 2  # somebody pressed ctrl-C twice
        start_s = time.monotonic()
    assert time.monotonic() - start_s < 3.0
    assert process.exit_code == -9


def test_interrupt_during_imports_is_taken_note_of(
    tmp_path: Path, fleet_env: dict[str, str]
) -> None:
    """Without care it surfaces as the ImportError of whichever compiled module is loading."""
    script = tmp_path / "interrupted.py"
    script.write_text(
        "import os, signal, sys, types\n"
        "class Interrupting(types.ModuleType):\n"
        "    def __getattr__(self, name):\n"
        "        os.kill(os.getpid(), signal.SIGINT)\n"
        "        return lambda cfg, stop: 128 + stop.number\n"
        "sys.modules['acclimate_bringup.flight'] = Interrupting('acclimate_bringup.flight')\n"
        "from acclimate_bringup.commands import FlyCfg, fly\n"
        "sys.exit(fly(FlyCfg()))\n"
    )
    done = subprocess.run(
        [PYTHON, str(script)], env=fleet_env, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (130, "")


def test_program_that_does_not_exist_is_named(tmp_path: Path, fleet_env: dict[str, str]) -> None:
    with Fleet(tmp_path, fleet_env) as fleet, pytest.raises(ProcessError, match="ghost"):
        fleet.start(ProcessSpec(name="ghost", command=["/no/such/program"]))


def test_killed_parent_takes_its_children_along(tmp_path: Path, fleet_env: dict[str, str]) -> None:
    """The marker fixture fails this test if the child survives."""
    parent = (
        "import os, pathlib, time\n"
        "from acclimate_bringup.processes import Fleet, ProcessSpec\n"
        f"fleet = Fleet(pathlib.Path({str(tmp_path)!r}), os.environ)\n"
        "fleet.start(ProcessSpec(name='child', command=['sleep', '60']))\n"
        "print('ready', flush=True)\n"
        "time.sleep(60)\n"
    )
    process = subprocess.Popen(
        [PYTHON, "-c", parent], env=fleet_env, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.kill()
    process.wait()
    process.stdout.close()
