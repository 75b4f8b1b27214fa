"""How many robot-steps a second an engine makes."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from acclimate_sim.engines.table import make_engine
from acclimate_sim.multirotor import (
    InitialStates,
    MultirotorState,
    published,
    reset,
    sample,
    signals,
)
from acclimate_sim.multirotor.task import PERIOD_S
from acclimate_sim.references import hover

ROUNDS = 5


@dataclass(frozen=True, kw_only=True)
class Speed:
    """Of one engine at one batch size; a robot-step is one robot, one period, with its signals.

    Attributes:
        engine: Name.
        num_envs: Robots stepped together.
        threads: Of torch.
        start_s: From nothing to the end of the first step, compilation included.
        per_second: Robot-steps per second of the clock.
        per_core_second: Robot-steps per second of processor time: what a busy machine leaves alone.
    """

    engine: str
    num_envs: int
    threads: int
    start_s: float
    per_second: float
    per_core_second: float


def measure(engine: str, num_envs: int, *, threads: int = 1, seconds: float = 1.0) -> Speed:
    """Step random robots of the published distribution, their motors at hover; best of five rounds.

    Args:
        engine: Name of one.
        num_envs: How many.
        threads: How many torch may use.
        seconds: To measure for, the first step aside.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with torch.inference_mode():
            return _measure(engine, num_envs, threads, seconds)
    finally:
        torch.set_num_threads(before)


def _measure(name: str, num_envs: int, threads: int, seconds: float) -> Speed:
    generator = torch.Generator().manual_seed(0)
    robots = sample(published(), num_envs, generator).to(torch.float32)
    state = reset(robots, InitialStates(), generator)
    action = (2.0 * robots.hover_speed - 1.0).unsqueeze(-1).repeat(1, 4)
    here = hover(num_envs, like=robots.mass_kg)(0.0)
    engine = make_engine(name)

    def advanced(state: MultirotorState) -> MultirotorState:
        state = engine(robots, state, action, PERIOD_S)
        signals(state, here, action, PERIOD_S)
        return state

    start_s, _ = _clocked(lambda: advanced(state))
    step_s, _ = _clocked(lambda: advanced(state))
    count = max(1, round(seconds / ROUNDS / step_s))

    def fly() -> None:
        end = state
        for _ in range(count):
            end = advanced(end)

    walls, cores = zip(*(_clocked(fly) for _ in range(ROUNDS)), strict=True)
    return Speed(
        engine=name,
        num_envs=num_envs,
        threads=threads,
        start_s=start_s,
        per_second=num_envs * count / min(walls),
        per_core_second=num_envs * count / min(cores),
    )


def _clocked(function: Callable[[], object]) -> tuple[float, float]:
    """Seconds of the clock and of the processor that a call takes."""
    wall, core = time.perf_counter(), time.process_time()
    function()
    return time.perf_counter() - wall, time.process_time() - core
