"""How many robot-steps a second an engine makes, and in how much memory."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from acclimate_contract import ConfigError
from acclimate_sim.engines.table import make_engine
from acclimate_sim.memory import check_room, free_bytes, is_out_of_memory, peak_bytes, too_many
from acclimate_sim.multirotor import (
    Engine,
    InitialStates,
    MultirotorState,
    published,
    reset,
    sample,
    signals,
)
from acclimate_sim.multirotor.task import PERIOD_S
from acclimate_sim.references import hover
from acclimate_sim.trees import leaves_of, mapped

FEWEST_ROUNDS, MOST_ROUNDS = 5, 20
"""Of a measurement: many short ones find a moment in which nobody else wants the cores."""
NEEDED_BYTES = {"mujoco": 120_000}
"""Of a robot, its draw included, rounded up; a model of its own is most of it."""
FEW_BYTES = 2_500
"""Of a robot in any other engine."""
MANY = 4096
"""Robots from which on the process's memory tells of them and not of itself."""


@dataclass(frozen=True, kw_only=True)
class Speed:
    """Of one engine at one batch size; a robot-step is one robot, one period, with its signals.

    Attributes:
        engine: Name.
        num_envs: Robots stepped together.
        threads: Of torch, and of MuJoCo.
        start_s: From nothing to the end of the first step, compilation included.
        per_second: Robot-steps per second of the clock.
        per_core_second: Robot-steps per second of processor time: what a busy machine leaves
            alone; none on a GPU.
        bytes_per_robot: Parameters, state and what steps add to that at their peak; none for few
            robots, or where the system does not tell.
    """

    engine: str
    num_envs: int
    threads: int
    start_s: float
    per_second: float
    per_core_second: float | None
    bytes_per_robot: int | None


Step = Callable[[MultirotorState], tuple[MultirotorState, dict[str, Tensor]]]
"""Of all robots: the next state and the signals."""


def measure(
    engine: str, num_envs: int, *, threads: int = 1, seconds: float = 1.0, device: str = "cpu"
) -> Speed:
    """Step random robots of the published distribution, their motors at hover; best round.

    Args:
        engine: Name of one.
        num_envs: How many.
        threads: How many torch and MuJoCo may use.
        seconds: To measure for, the first steps aside.
        device: "cpu", or "cuda" for the engine 'analytic', compiled and as a CUDA graph.

    Raises:
        ConfigError: The engine is unknown or not for this device, there is no such device, or the
            robots do not fit into its memory.
    """
    where = _checked_device(engine, device)
    needed = NEEDED_BYTES.get(engine, FEW_BYTES)
    check_room("robots", num_envs, needed, where)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with torch.no_grad():  # in inference mode nobody could tell that robots stay the same
            return _measure(engine, num_envs, threads, seconds, where)
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise too_many("robots", num_envs, needed, free_bytes(where)) from error
    finally:
        torch.set_num_threads(before)


def best_round(
    fly: Callable[[int], object], seconds: float, wait: Callable[[], object] = lambda: None
) -> tuple[float, float]:
    """Least seconds that a step takes, of the clock and of the processor, of all rounds.

    Args:
        fly: Makes so many steps.
        seconds: To measure for.
        wait: Returns when all that was begun is done.
    """

    def clocked(count: int) -> tuple[float, float]:
        wait()
        wall, core = time.perf_counter(), time.process_time()
        fly(count)
        wait()
        return (time.perf_counter() - wall) / count, (time.process_time() - core) / count

    step_s, _ = clocked(1)
    rounds = max(FEWEST_ROUNDS, min(MOST_ROUNDS, round(seconds / step_s)))
    count = max(1, round(seconds / rounds / step_s))
    walls, cores = zip(*(clocked(count) for _ in range(rounds)), strict=True)
    return min(walls), min(cores)


def _checked_device(engine: str, device: str) -> torch.device:
    if device == "cuda" and engine != "analytic":
        raise ConfigError(
            f"the engine {engine!r} is measured on a CPU only. "
            "Fix: --device cpu, or --engines analytic."
        )
    if device == "cuda" and not torch.cuda.is_available():
        raise ConfigError(
            "--device cuda was asked for and torch sees no CUDA device. "
            "Fix: use --device cpu, or install a CUDA build of torch and its driver."
        )
    return torch.device(device)


def _measure(name: str, num_envs: int, threads: int, seconds: float, device: torch.device) -> Speed:
    started = time.perf_counter()
    engine = _engine(name, threads)
    step, state, _ = _flight(engine, 1, device)
    step(state)  # compiles
    compiled_s = time.perf_counter() - started

    step, state, held_bytes = _flight(engine, num_envs, device)
    started = time.perf_counter()
    ended: list[float] = []

    def first_steps() -> None:
        after, _ = step(state)
        ended.append(time.perf_counter())
        _fly(step, after, 2)  # an engine may keep what comes a second time

    grown = _grown(first_steps, num_envs, device)
    fly, wait = _graphed(step, state) if device.type == "cuda" else _eager(step, state)
    wall_s, core_s = best_round(fly, seconds, wait)
    return Speed(
        engine=name,
        num_envs=num_envs,
        threads=threads,
        start_s=compiled_s + ended[0] - started,
        per_second=num_envs / wall_s,
        per_core_second=num_envs / core_s if device.type == "cpu" else None,
        bytes_per_robot=None if grown is None else round((held_bytes + grown) / num_envs),
    )


def _engine(name: str, threads: int) -> Engine:
    if name == "mujoco":  # has threads of its own
        from acclimate_sim.engines.mujoco_batch import MujocoBatch

        return MujocoBatch(threads=threads)
    return make_engine(name)


def _flight(
    engine: Engine, num_envs: int, device: torch.device
) -> tuple[Step, MultirotorState, int]:
    """A step with signals, where it starts, and the bytes that robots, state and actions hold."""
    generator = torch.Generator().manual_seed(0)
    drawn = sample(published(), num_envs, generator)
    state = reset(drawn.to(torch.float32), InitialStates(), generator)
    robots = drawn.to(torch.float32).to(device)
    state = mapped(lambda leaf: leaf.to(device), state)
    action = (2.0 * robots.hover_speed - 1.0).unsqueeze(-1).repeat(1, robots.num_motors)
    here = hover(num_envs, like=robots.mass_kg)(0.0)
    unknown = action.new_zeros(num_envs, 4, 3)  # the future of a reference that hovers

    def step(state: MultirotorState) -> tuple[MultirotorState, dict[str, Tensor]]:
        state = engine(robots, state, action, PERIOD_S)
        return state, signals(state, here, action, PERIOD_S, unknown)

    held = leaves_of((robots, state, action))
    return step, state, sum(leaf.numel() * leaf.element_size() for leaf in held)


def _fly(step: Step, state: MultirotorState, count: int) -> None:
    for _ in range(count):
        state, _ = step(state)


def _eager(step: Step, state: MultirotorState) -> tuple[Callable[[int], None], Callable[[], None]]:
    """What makes so many steps, and what waits for their end."""
    return lambda count: _fly(step, state, count), lambda: None


def _graphed(
    step: Step, state: MultirotorState
) -> tuple[Callable[[int], None], Callable[[], None]]:
    """The same of a compiled step in a CUDA graph, which goes on from its own last state."""
    compiled = torch.compile(step)
    aside = torch.cuda.Stream()
    aside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(aside):  # compile and warm up before anything is captured
        for _ in range(3):
            compiled(state)
    torch.cuda.current_stream().wait_stream(aside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        after, _ = compiled(state)
        mapped(lambda old, new: old.copy_(new), state, after)

    def fly(count: int) -> None:
        for _ in range(count):
            graph.replay()

    return fly, torch.cuda.synchronize


def _grown(work: Callable[[], None], num_envs: int, device: torch.device) -> int | None:
    """Bytes by which memory grows meanwhile; none where they cannot be told."""
    if num_envs < MANY:
        work()
        return None
    try:
        return peak_bytes(work, device)
    except OSError:
        work()
        return None
