"""One simulated flight from beginning to end: start the nodes, watch them, stop them, report."""

import os
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console

from acclimate_bringup.checks import check_flight
from acclimate_bringup.commands import FlyCfg
from acclimate_bringup.domains import claimed_domain
from acclimate_bringup.processes import Fleet, ProcessSpec, StopRequest
from acclimate_bringup.progress import FlightProgress
from acclimate_bringup.run_record import describe_run
from acclimate_contract import AcclimateError, ConfigError
from acclimate_deploy.files import write_json

FLIGHT_TEST = "flight_test"
# Started in this order and stopped in the reverse: the recorder sees all of it.
NODES = {
    "recorder": "acclimate_control.recorder",
    "simulated_robot": "acclimate_control.simulated_robot",
    "safety_node": "acclimate_control.safety_node",
    "policy_node": "acclimate_control.policy_node",
    FLIGHT_TEST: "acclimate_field_tests.flight_test",
}
IN_THE_LOOP = ("simulated_robot", "safety_node", "policy_node")
LANDING_GRACE_S = 15.0
"""A flight test that is interrupted lands first."""
OVERHEAD_S = 90.0
"""Longest time for starting, arming and touching down; a flight that takes longer hangs."""
WATCH_PERIOD_S = 0.1


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How the processes ended; `problem` is empty after a flight without one."""

    exit_code: int
    problem: str = ""


def fly_once(cfg: FlyCfg, stop: StopRequest) -> int:
    """Do what `acclimate fly` does; returns its exit code.

    Args:
        cfg: What to fly.
        stop: Ends the flight in order.

    Raises:
        AcclimateError: The flight was refused before it began.
    """
    console = Console(highlight=False)
    path, policy = check_flight(cfg)
    cfg = replace(cfg, policy=path)
    with claimed_domain(cfg.domain_id) as domain:
        if stop.number is not None:
            _say_on_stderr("interrupted")
            return 128 + stop.number
        out = _make_run_folder(cfg)
        record = {
            **describe_run(asdict(cfg), cfg.seed),
            "domain_id": domain,
            "policy": {"name": policy.manifest.name, "sha256": policy.sha256},
        }
        write_json(out / "run.json", {**record, "outcome": "running"})
        outcome = _run(cfg, policy.manifest.family.name, out, domain, stop, console)
        write_json(out / "run.json", {**record, "outcome": outcome.problem or "completed"})
    return _conclude(out, outcome, console)


def _run(
    cfg: FlyCfg, family: str, out: Path, domain: int, stop: StopRequest, console: Console
) -> Outcome:
    parameters = out / "parameters.yaml"
    parameters.write_text(yaml.safe_dump(flight_parameters(cfg, family, out), sort_keys=False))
    logs = out / "logs"
    logs.mkdir()
    progress = FlightProgress(console, cfg.duration, logs / f"{FLIGHT_TEST}.log")
    try:
        with progress, Fleet(logs, ros_environment(domain, logs), stop) as fleet:
            for spec in flight_processes(cfg, parameters):
                if not stop:
                    fleet.start(spec)
            return _watch(cfg, fleet, progress, stop)
    except AcclimateError as error:
        return Outcome(exit_code=1, problem=str(error))


def _watch(cfg: FlyCfg, fleet: Fleet, progress: FlightProgress, stop: StopRequest) -> Outcome:
    """Wait until the flight test ends, another process ends, or somebody says stop."""
    start_s = time.monotonic()
    while not stop:
        progress.update()
        fleet.check(except_for=FLIGHT_TEST)
        code = fleet[FLIGHT_TEST].exit_code
        if code is not None:
            progress.update()
            problem = "" if code == 0 else progress.failure or f"see {fleet[FLIGHT_TEST].log}"
            return Outcome(exit_code=min(abs(code), 1), problem=problem)
        if time.monotonic() - start_s > cfg.duration + OVERHEAD_S:
            return Outcome(
                exit_code=1, problem=f"the flight did not end within {cfg.duration + OVERHEAD_S} s"
            )
        time.sleep(WATCH_PERIOD_S)
    assert stop.number is not None
    progress.say("stopping: ctrl-C again to hurry")
    return Outcome(exit_code=128 + stop.number, problem="interrupted")


def _conclude(out: Path, outcome: Outcome, console: Console) -> int:
    """Report what was recorded; returns the exit code."""
    if outcome.problem:
        _say_on_stderr(outcome.problem)
    bag = out / "bag"
    if not bag.exists():
        console.print(f"Nothing was recorded; logs are in {out / 'logs'}")
        return outcome.exit_code or 1
    if outcome.exit_code > 1:
        console.print(f"Interrupted; what was recorded is in {bag}")
        return outcome.exit_code
    from acclimate_deploy.report import write_report

    summary = write_report(bag, out / "report.html")
    summary.print_table()
    return outcome.exit_code or (0 if summary.completed else 1)


def _say_on_stderr(problem: str) -> None:
    sys.stdout.flush()
    sys.stderr.write(f"acclimate fly: {problem}\n")


def flight_parameters(cfg: FlyCfg, family: str, out: Path) -> dict[str, Any]:
    """ROS parameters of all nodes: the simulated robot's file with this flight's settings."""
    base = yaml.safe_load(files("acclimate_bringup").joinpath("config/simulated.yaml").read_text())
    changes: Mapping[str, Mapping[str, Any]] = {
        "recorder": {"bag": str((out / "bag").absolute())},
        "simulated_robot": {
            "robot": cfg.robot,
            "seed": cfg.seed,
            "rate_hz": cfg.rate_hz,
            "payload_fraction": cfg.payload_fraction,
        },
        "safety_node": {"family": family},
        "policy_node": {
            "family": family,
            "policy": str(cfg.policy),
            "rate_hz": cfg.rate_hz,
        },
        FLIGHT_TEST: {"duration_s": cfg.duration, "payload": cfg.payload_fraction > 0.0},
    }
    for node, values in changes.items():
        section = base.setdefault(f"/**/{node}", {}).setdefault("ros__parameters", {})
        section.update(values)
    return base


def flight_processes(cfg: FlyCfg, parameters: Path) -> Iterator[ProcessSpec]:
    """One process per node, in the order to start them."""
    for name, module in NODES.items():
        command = [sys.executable, "-m", module, "--ros-args", "--params-file", str(parameters)]
        yield ProcessSpec(
            name=name,
            command=command,
            grace_s=LANDING_GRACE_S if name == FLIGHT_TEST else 5.0,
            realtime_priority=cfg.realtime_priority if name in IN_THE_LOOP else None,
        )


def ros_environment(domain: int, logs: Path) -> dict[str, str]:
    """Environment of the nodes: this computer only, this domain only."""
    return {
        **os.environ,
        "ROS_DOMAIN_ID": str(domain),
        "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
        "ROS_LOG_DIR": str(logs / "ros"),
        "RCUTILS_COLORIZED_OUTPUT": "0",
        "RCUTILS_CONSOLE_OUTPUT_FORMAT": "[{severity}] [{time}] [{name}]: {message}",
        "OMP_NUM_THREADS": "1",
        "PYTHONUNBUFFERED": "1",
    }


def _make_run_folder(cfg: FlyCfg) -> Path:
    """Create the folder of this run; two runs in one second get two folders."""
    if cfg.out is not None:
        names = iter([cfg.out])
    else:
        stem = datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
        names = (
            Path("runs", "fly", stem + suffix) for suffix in ("", *map("-{}".format, range(2, 100)))
        )
    for path in names:
        try:
            path.mkdir(parents=True)
        except FileExistsError:
            continue
        return path
    raise ConfigError(f"'{cfg.out or 'runs/fly'}' exists already. Fix: choose another --out.")
