"""Processes of a test: started with a mark in their environment, found again by it."""

import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

from acclimate_bringup.processes import Fleet, ProcessSpec, RunningProcess

REPOSITORY = Path(__file__).parents[2]
RELEASED_POLICY = REPOSITORY / "models" / "quadrotor" / "policy.onnx"
RELEASED_HEXAROTOR = RELEASED_POLICY.parents[1] / "hexarotor" / "policy.onnx"
MARKER = "ACCLIMATE_TEST"


class Nodes:
    """Starts this project's nodes in processes of their own."""

    def __init__(self, fleet: Fleet, folder: Path) -> None:
        self._fleet = fleet
        self.folder = folder
        self._count = 0

    def start(self, module: str, *arguments: str, **parameters: Any) -> RunningProcess:
        """Start `module` with ROS arguments and parameters (dots written as double underscores)."""
        self._count += 1
        name = f"{module.rpartition('.')[2]}_{self._count}"
        file = self.folder / f"{name}.yaml"
        values = {key.replace("__", "."): value for key, value in parameters.items()}
        file.write_text(yaml.safe_dump({"/**": {"ros__parameters": values}}) if values else "")
        command = [sys.executable, "-m", module, "--ros-args", *arguments]
        if values:
            command += ["--params-file", str(file)]
        return self._fleet.start(ProcessSpec(name=name, command=command))


def survivors(marker: str, within_s: float = 0.0) -> list[int]:
    """Processes with the marker in their environment, after giving them time to end."""
    end_s = time.monotonic() + within_s
    while (found := _marked(marker)) and time.monotonic() < end_s:
        time.sleep(0.05)
    return found


def _marked(marker: str) -> list[int]:
    needle = f"{MARKER}={marker}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with suppress(OSError):
                if needle in (entry / "environ").read_bytes():
                    found.append(int(entry.name))
    return found


def wait_until(condition: Callable[[], Any], timeout_s: float, what: str) -> Any:
    """Poll until the condition is true; returns its value."""
    end_s = time.monotonic() + timeout_s
    while not (value := condition()):
        assert time.monotonic() < end_s, f"waited {timeout_s} s for {what}"
        time.sleep(0.05)
    return value
