"""Results with the conditions they were measured under."""

import json
import os
import platform
from pathlib import Path
from typing import Any

import numpy as np

from acclimate_deploy.provenance import provenance

RESULTS = Path(__file__).parent / "results"

Figures = dict[str, Any]


def quantiles_us(seconds: list[float] | np.ndarray) -> dict[str, float]:
    """Median, tail and worst of durations, in microseconds."""
    us = 1e6 * np.asarray(seconds)
    named = {"p50": 50, "p90": 90, "p99": 99, "p99.9": 99.9, "max": 100}
    return {name: round(float(np.percentile(us, q)), 1) for name, q in named.items()}


def write_result(name: str, figures: Figures) -> Path:
    """Print the figures and write them beside the machine's description."""
    for key, value in figures.items():
        print(f"   {key}: {value}")
    origin = provenance(0)
    result = {
        "case": name,
        "figures": figures,
        "machine": {
            "processor": _processor(),
            "cores": os.cpu_count(),
            "kernel": platform.release(),
            "load_average": os.getloadavg()[0],
        },
        "revision": origin["revision"],
        "versions": origin["versions"],
    }
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps(result, indent=2) + "\n")
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.machine()
