"""500 Hz from sensor to command over real DDS, through driver, policy and safety processes."""

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from acclimate_bringup.domains import claimed_domain
from acclimate_bringup.flight import ros_environment
from acclimate_bringup.processes import Fleet, ProcessSpec
from benchmarks.record import Figures, quantiles_us

POLICY = Path(__file__).parents[1] / "models" / "quadrotor" / "policy.onnx"
RATE_HZ, DURATION_S = 500.0, 20.0
REALTIME_PRIORITY = 20


def measure() -> Figures:
    """Period error and sensor-to-command latency, with and without `chrt -f`."""
    figures: Figures = {"rate_hz": RATE_HZ, "duration_s": DURATION_S}
    for name, priority in (("normal", None), ("chrt_f", REALTIME_PRIORITY)):
        figures[name] = _measure(priority)
    return figures


def _measure(priority: int | None) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder, claimed_domain(None) as domain:
        logs, result = Path(folder), Path(folder) / "result.json"
        with Fleet(logs, ros_environment(domain, logs)) as fleet:
            for name, command in _commands(result):
                fleet.start(ProcessSpec(name=name, command=command, realtime_priority=priority))
            driver = fleet["driver"]
            if not driver.wait(lambda: DURATION_S + 60.0) or driver.exit_code != 0:
                raise RuntimeError(f"the driver failed: {driver.tail()}")
            return _summary(json.loads(result.read_text()))


def _commands(result: Path) -> list[tuple[str, list[str]]]:
    def node(module: str, **parameters: object) -> list[str]:
        settings = [f"{name}:={value}" for name, value in parameters.items()]
        flags = [flag for setting in settings for flag in ("-p", setting)]
        return [sys.executable, "-m", module, "--ros-args", *flags]

    driver = ["-m", "benchmarks.loop_driver", str(RATE_HZ), str(DURATION_S), str(result)]
    return [
        ("safety_node", node("acclimate_control.safety_node", rate_hz=RATE_HZ)),
        ("policy_node", node("acclimate_control.policy_node", policy=POLICY, rate_hz=RATE_HZ)),
        ("driver", [sys.executable, *driver]),
    ]


def _summary(raw: dict[str, Any]) -> dict[str, Any]:
    period_s = 1.0 / RATE_HZ
    answered = len(raw["latency_s"])
    return {
        "latency_us": quantiles_us(raw["latency_s"]),
        "command_period_error_us": quantiles_us(
            np.abs(np.asarray(raw["command_interval_s"]) - period_s)
        ),
        "sensor_period_error_us": quantiles_us(
            np.abs(np.asarray(raw["sensor_interval_s"]) - period_s)
        ),
        "ticks": raw["sent"],
        "missed_ticks": raw["sent"] - answered,
    }
