"""What a flight needs, checked before anything starts: a refusal costs nothing in the air."""

import os
import shutil
from pathlib import Path

from acclimate_bringup.commands import FlyCfg
from acclimate_contract import ConfigError, RobotFamily, multirotor_family
from acclimate_deploy.policy import Policy, load_policy
from acclimate_field_tests.flight_plan import check_duration

RESERVE_BYTES = 50e6
BYTES_PER_MESSAGE_SET = 6e3
"""Recorded per odometry message, all topics together (measured: 2.2 kB at 200 Hz), with reserve."""


def check_flight(cfg: FlyCfg) -> tuple[Path, Policy]:
    """Refuse what cannot be flown.

    Returns:
        Path of the policy, and the policy itself, loaded and proven.

    Raises:
        AcclimateError: The first thing that is wrong.
    """
    check_duration(cfg.duration)
    _check_range("rate_hz", cfg.rate_hz, 50.0, 1000.0)
    _check_range("payload_fraction", cfg.payload_fraction, 0.0, 2.0)
    _check_range("seed", cfg.seed, 0, 2**31 - 1)
    if cfg.domain_id is not None:
        _check_range("domain_id", cfg.domain_id, 0, 232)
    if cfg.realtime_priority is not None:
        _check_realtime(cfg.realtime_priority)
    _check_out(cfg)
    _check_ros()
    family = _family_of(cfg).name
    path = cfg.policy or Path("models", family, "policy.onnx")
    return path.absolute(), load_policy(path, family=family)


def _check_range(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        flag = name.replace("_", "-")
        raise ConfigError(
            f"--{flag} {value:g} is out of range: it must lie between {low:g} and {high:g}. "
            "Fix: choose a value in between."
        )


def _check_realtime(priority: int) -> None:
    """Try it on this process, and take it back."""
    _check_range("realtime_priority", priority, 1, 99)
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(priority))
    except PermissionError as error:
        raise ConfigError(
            f"this user may not use real-time priority {priority}. Fix: raise the `rtprio` limit "
            "in /etc/security/limits.conf, or fly without --realtime-priority."
        ) from error
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


def _check_out(cfg: FlyCfg) -> None:
    out = (cfg.out or Path("runs", "fly", "run")).absolute()
    if cfg.out is not None and os.path.lexists(out):
        raise ConfigError(
            f"'{out}' exists already, and a flight never overwrites another. "
            "Fix: choose another --out, or leave it away."
        )
    parent = next(path for path in out.parents if path.exists())
    if not parent.is_dir() or not os.access(parent, os.W_OK | os.X_OK):
        raise ConfigError(f"nothing can be written to '{parent}'. Fix: choose another --out.")
    needed = RESERVE_BYTES + BYTES_PER_MESSAGE_SET * cfg.rate_hz * cfg.duration
    free = shutil.disk_usage(parent).free
    if free < needed:
        raise ConfigError(
            f"the disk of '{parent}' has {free / 1e6:.0f} MB left and the bag may need "
            f"{needed / 1e6:.0f} MB. Fix: free some space, or choose another --out."
        )


def _check_ros() -> None:
    try:
        import rclpy  # noqa: F401
    except ImportError as error:
        raise ConfigError(
            f"ROS 2 for Python does not load ({error}). Fix: pip install 'acclimate[ros]', or "
            "source the setup file of your ROS 2 installation."
        ) from error


def _family_of(cfg: FlyCfg) -> RobotFamily:
    from acclimate_sim.robots import load_robot

    return multirotor_family(load_robot(cfg.robot, seed=cfg.seed).num_motors)
