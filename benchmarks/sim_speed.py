"""Robot-steps per second of every engine, by batch size, on one core."""

import os

from acclimate_sim.speed import measure as measure_speed
from benchmarks.record import Figures

CASES = {
    "analytic": (1, 256, 4096, 65536),
    "fused": (1, 256, 4096, 65536, 2**20),
    "mujoco": (1, 256),
}
"""MuJoCo's time per robot does not depend on how many there are."""


def measure() -> Figures:
    """Robot-steps of 10 ms per second of processor time, signals included."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    try:
        return {
            engine: {n: round(measure_speed(engine, n).per_core_second) for n in sizes}
            for engine, sizes in CASES.items()
        }
    finally:
        os.sched_setaffinity(0, cores)
