"""`acclimate fly` as a user runs it: the flight, and every way to cut it short."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ros_processes import MARKER, RELEASED_HEXAROTOR, RELEASED_POLICY, survivors, wait_until
from rosbags.rosbag2 import Reader

from acclimate_contract import HEXAROTOR
from acclimate_deploy.bag import ros_types
from acclimate_deploy.flight_log import FlightLog, read_flight_log

NODES = ("recorder", "simulated_robot", "safety_node", "policy_node", "flight_test")
ACCLIMATE = str(Path(sys.executable).parent / "acclimate")


class Flight:
    """A running `acclimate fly`."""

    def __init__(self, folder: Path, marker: str, policy: Path, *flags: str) -> None:
        self.out = folder / "run"
        self._stdout = folder / "stdout.txt"
        self._stderr = folder / "stderr.txt"
        command = [ACCLIMATE, "fly", "--out", str(self.out), "--policy", str(policy), *flags]
        with self._stdout.open("wb") as out, self._stderr.open("wb") as err:
            self.process = subprocess.Popen(
                command,
                stdout=out,
                stderr=err,
                env={**os.environ, MARKER: marker},
                cwd=folder,
                start_new_session=True,
            )

    @property
    def stdout(self) -> str:
        return self._stdout.read_text()

    @property
    def stderr(self) -> str:
        return self._stderr.read_text()

    def saw(self, text: str, timeout_s: float = 60.0) -> None:
        def seen() -> bool:
            assert self.process.poll() is None or text in self.stdout, self.stdout + self.stderr
            return text in self.stdout

        wait_until(seen, timeout_s, f"{text!r} on the terminal")

    def log_of(self, node: str) -> Path:
        return self.out / "logs" / f"{node}.log"

    def end(self, timeout_s: float = 60.0) -> int:
        return self.process.wait(timeout=timeout_s)

    def recorded(self) -> FlightLog:
        return read_flight_log(self.out / "bag")

    def plans(self) -> list[Any]:
        """Recorded messages of `reference_trajectory`."""
        with Reader(self.out / "bag") as reader:
            wanted = [c for c in reader.connections if c.topic == "/reference_trajectory"]
            assert len(wanted) == 1
            return [
                ros_types().deserialize_cdr(raw, connection.msgtype)
                for connection, _, raw in reader.messages(wanted)
            ]


@pytest.fixture
def flight(tmp_path: Path, marker: str, hover_policy: Path) -> Iterator[Flight]:
    """A flight of the x500 with a hand-written policy, killed at the end if it still runs."""
    flight = Flight(tmp_path, marker, hover_policy, "--robot", "x500", "--duration", "10")
    yield flight
    if flight.process.poll() is None:
        flight.process.kill()
        flight.process.wait()


def events(log: FlightLog) -> list[str]:
    return [event.text for event in log.events]


def assert_flown(flight: Flight) -> None:
    assert flight.end() == 0, flight.stdout + flight.stderr
    log = flight.recorded()
    assert not log.missing
    happened = [e for e in events(log) if not e.startswith("payload")]
    expected = "ready armed take-off hover figure eight return land touchdown disarmed"
    assert " ".join(happened) == expected
    assert sum(e.startswith("payload attached") for e in events(log)) == 1
    assert (flight.out / "report.html").stat().st_size > 10_000
    record = json.loads((flight.out / "run.json").read_text())
    assert record["outcome"] == "completed"
    assert record["policy"]["sha256"] == log.policy["sha256"]
    assert "report.html" in flight.stdout
    assert not list(flight.out.glob("*.partial"))


def test_demo_in_short_form(tmp_path: Path, marker: str, hover_policy: Path) -> None:
    """A robot the released policy has never met; before a release, the hand-written one."""
    released = RELEASED_POLICY.exists()
    robot = ("--robot", "random", "--seed", "7") if released else ("--robot", "x500")
    policy = RELEASED_POLICY if released else hover_policy
    flight = Flight(tmp_path, marker, policy, *robot, "--duration", "10")
    assert_flown(flight)
    assert not survivors(marker)


def test_a_hexarotor_flies_with_the_released_policy_of_its_family(
    tmp_path: Path, marker: str
) -> None:
    robot = ("--robot", "typhoon_h480", "--duration", "10")
    flight = Flight(tmp_path, marker, RELEASED_HEXAROTOR, *robot)
    assert_flown(flight)
    assert flight.recorded().actuators.channels == HEXAROTOR.action.channels
    assert not survivors(marker)


def test_policy_that_looks_ahead_gets_the_plan(
    tmp_path: Path, marker: str, looking_policy: Path
) -> None:
    """And the plan is kept: where it said the robot would be is where the reference then was."""
    flight = Flight(tmp_path, marker, looking_policy, "--robot", "x500", "--duration", "10")
    assert_flown(flight)
    plans = flight.plans()
    assert len(plans) > 300
    starts_s = np.array([p.header.stamp.sec + p.header.stamp.nanosec * 1e-9 for p in plans])
    points = np.array(
        [
            [[q.x, q.y, q.z] for q in (point.transforms[0].translation for point in plan.points)]
            for plan in plans
        ]
    )  # (plans, points, 3)
    ahead_s = [p.time_from_start.sec + p.time_from_start.nanosec * 1e-9 for p in plans[0].points]
    assert ahead_s[0] == 0.0
    assert ahead_s[-1] >= 0.6 + 0.1, "as far as a policy looks, and until the next message"
    for column, after_s in enumerate(ahead_s):
        known = starts_s + after_s <= starts_s[-1]
        for axis in range(3):
            then = np.interp(starts_s[known] + after_s, starts_s, points[:, 0, axis])
            # straight lines between messages, and stamps a little later than the time they mean
            np.testing.assert_allclose(points[known, column, axis], then, atol=0.02)
    rmse = re.search(r"Figure-eight RMSE +([0-9.]+) cm", flight.stdout)
    assert rmse is not None
    assert float(rmse[1]) < 25.0, "without looking ahead, the same gains are 40 cm off"


def test_interrupt_in_flight_lands_first(flight: Flight, marker: str) -> None:
    flight.saw("hover")
    os.killpg(flight.process.pid, signal.SIGINT)  # to the whole group, as a terminal does
    assert flight.end() == 130
    assert not survivors(marker)
    log = flight.recorded()
    assert events(log)[-3:] == ["interrupted: landing", "touchdown", "disarmed"]
    assert [change.mode for change in log.safety] == ["disarmed", "armed", "disarmed"]
    assert flight.plans() == [], "nothing is sent ahead to a policy that does not look"


def test_second_interrupt_does_not_wait_for_the_landing(flight: Flight, marker: str) -> None:
    flight.saw("hover")
    flight.process.send_signal(signal.SIGINT)
    flight.saw("stopping")
    flight.process.send_signal(signal.SIGINT)
    start_s = time.monotonic()
    assert flight.end() == 130
    assert time.monotonic() - start_s < 6.0
    assert not survivors(marker)
    log = flight.recorded()
    assert "touchdown" not in events(log)
    assert (log.actuators.setpoint[-1] == -1.0).all()


@pytest.mark.parametrize(
    ("moment", "number"),
    [
        (0.3, signal.SIGINT),
        (0.6, signal.SIGINT),
        ("recorder", signal.SIGINT),
        ("flight_test", signal.SIGINT),
        ("flight_test", signal.SIGTERM),
    ],
)
def test_signal_during_start_up(
    flight: Flight, marker: str, moment: str | float, number: int
) -> None:
    """No process is left, and a bag that carries the final name is whole."""
    if isinstance(moment, float):
        time.sleep(moment)
    else:
        wait_until(flight.log_of(moment).exists, 60.0, f"{moment} to be started")
    flight.process.send_signal(number)
    code = flight.end()
    assert code in (128 + number, -number), flight.stdout + flight.stderr
    assert "Traceback" not in flight.stderr or code == -number, "while Python itself starts"
    assert not survivors(marker)
    if (flight.out / "bag").exists():
        with Reader(flight.out / "bag") as reader:
            assert len(reader.connections) > 5
    assert not list(flight.out.glob("*.partial"))


def test_killed_runner_leaves_no_orphan(flight: Flight, marker: str) -> None:
    flight.saw("take-off")
    assert len(survivors(marker)) == len(NODES) + 1
    flight.process.kill()
    flight.process.wait()
    assert not survivors(marker, within_s=5.0)
    assert "take-off" in events(flight.recorded()), "all end in order, so the bag is whole"


def test_killed_policy_ends_the_flight(flight: Flight, marker: str) -> None:
    flight.saw("hover")
    assert flight.process.pid != node_pid(marker, "policy_node")
    os.kill(node_pid(marker, "policy_node"), signal.SIGKILL)
    assert flight.end() == 1
    assert not survivors(marker)
    assert "policy_node" in flight.stderr
    assert "SIGKILL" in flight.stderr
    log = flight.recorded()
    assert (log.actuators.setpoint[-1] == -1.0).all()
    assert "tripped" in flight.stdout


def node_pid(marker: str, node: str) -> int:
    for pid in survivors(marker):
        arguments = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
        if any(argument.endswith(f".{node}") for argument in arguments):
            return pid
    raise AssertionError(f"{node} does not run")


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        (["--policy", "nowhere.onnx"], r"nowhere\.onnx.*does not exist.*Fix:"),
        (["--robot", "crazyfly"], r"crazyfly.*crazyflie"),
        (["--robot", "typhoon_h480"], r"'quadrotor' and this robot is a 'hexarotor'.*Fix: give it"),
        (["--duration", "2"], r"at least 8 s"),
        (["--duration", "nan"], r"not possible"),
        (["--out", "."], r"exists already"),
        (["--rate-hz", "1"], r"--rate-hz 1 is out of range"),
        (["--payload-fraction", "-1"], r"--payload-fraction"),
        (["--domain-id", "900"], r"--domain-id"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_refusals(
    tmp_path: Path, marker: str, hover_policy: Path, flags: list[str], complaint: str
) -> None:
    """One line on stderr, exit code 2, nothing written, nothing started."""
    command = [ACCLIMATE, "fly", "--policy", str(hover_policy), *flags]
    done = subprocess.run(
        command,
        cwd=tmp_path,
        env={**os.environ, MARKER: marker},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert re.search(complaint, done.stderr)
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())
