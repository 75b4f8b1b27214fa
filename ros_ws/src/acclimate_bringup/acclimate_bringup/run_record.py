"""The record of a run, beside its results: configuration, revision, versions, outcome."""

import json
import platform
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = ("acclimate", "numpy", "onnxruntime", "rosbags", "ros-rclpy", "mujoco", "torch")


def describe_run(config: Mapping[str, Any]) -> dict[str, Any]:
    """Everything needed to repeat a run: when, with which settings, revision and versions."""
    return {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": sys.argv,
        "config": {name: _plain(value) for name, value in config.items()},
        "revision": _revision(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "versions": {name: found for name in PACKAGES if (found := _version(name))},
    }


def write_record(path: Path, record: Mapping[str, Any]) -> None:
    """Write JSON so that a reader finds the old file or the new one, never a half."""
    draft = path.with_suffix(".tmp")
    draft.write_text(json.dumps(record, indent=2) + "\n")
    draft.replace(path)


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, bool | int | float) else str(value)


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _revision() -> str:
    """Git revision of the source tree this runs from, "-dirty" if changed; "" without one."""
    git = [
        "git",
        "-C",
        str(Path(__file__).parent),
        "describe",
        "--always",
        "--dirty",
        "--abbrev=12",
    ]
    try:
        done = subprocess.run(git, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip()
