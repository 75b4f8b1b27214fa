"""Verbs of this package; imports stay light until one runs."""

import os
from dataclasses import dataclass
from typing import Annotated, Literal

import tyro

EXTRA = "sim"
REQUIRES = ("torch", "mujoco")


@dataclass(frozen=True, kw_only=True)
class RobotsCfg:
    """What to list besides the known platforms.

    Attributes:
        seed: Also show random robots, starting with the one `--robot random --seed SEED` flies.
        count: How many random robots, with consecutive seeds.
    """

    seed: int | None = None
    count: int = 5


def robots(cfg: Annotated[RobotsCfg, tyro.conf.arg(name="")]) -> int:
    """List the robots the simulator knows, and random ones."""
    from rich.console import Console
    from rich.table import Table

    from acclimate_contract import ConfigError
    from acclimate_sim.robots import RANDOM, ROBOTS, load_robot

    if cfg.count < 1:
        raise ConfigError(f"--count {cfg.count} shows nothing. Fix: use 1 or more.")
    table = Table(title="Multirotors")
    table.add_column("robot", no_wrap=True)
    for heading in (
        "motors",
        "mass kg",
        "arm m",
        "thrust to weight",
        "torque to inertia 1/s²",
        "hover speed",
    ):
        table.add_column(heading, justify="right")

    rows = [(name, load_robot(name)) for name in ROBOTS]
    if cfg.seed is not None:
        seeds = range(cfg.seed, cfg.seed + cfg.count)
        rows += [(f"{RANDOM}, seed {seed}", load_robot(RANDOM, seed)) for seed in seeds]
    for name, robot in rows:
        table.add_row(
            name,
            f"{robot.num_motors}",
            f"{float(robot.mass_kg):.3f}",
            f"{float(robot.arm_length_m):.3f}",
            f"{float(robot.thrust_to_weight):.2f}",
            f"{float(robot.torque_to_inertia):.0f}",
            f"{float(robot.hover_speed):.2f}",
        )
    Console().print(table)
    return 0


@dataclass(frozen=True, kw_only=True)
class BenchCfg:
    """What to measure.

    Attributes:
        what: The simulator's engines; what else is measured runs with `make bench`.
        engines: Names of engines.
        num_envs: Batch sizes.
        threads: Of torch and of MuJoCo.
        seconds: For each engine, size and number of threads, its start aside.
        device: The engine 'analytic' is also measured on a GPU, compiled and as a CUDA graph.
    """

    what: tyro.conf.Positional[Literal["sim"]]
    engines: tuple[str, ...] = ("analytic", "fused", "mujoco")
    num_envs: tuple[int, ...] = (1, 16, 256, 4096, 65536)
    threads: tuple[int, ...] = (1,)
    seconds: float = 1.0
    device: Literal["cpu", "cuda"] = "cpu"


def bench(cfg: Annotated[BenchCfg, tyro.conf.arg(name="")]) -> int:
    """Measure how fast engines step robots on this machine, and in how much memory."""
    # Read when torch is loaded: its threads would spin while the engine's want their cores.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    from itertools import product

    from rich.console import Console
    from rich.table import Table

    from acclimate_contract import ConfigError
    from acclimate_sim.speed import measure

    sizes, threads = cfg.num_envs, cfg.threads
    if not (sizes and threads and min(*sizes, *threads) > 0 and cfg.seconds > 0.0):
        raise ConfigError("nothing to measure. Fix: make sizes, threads and seconds positive.")
    table = Table(title=f"One robot-step: 10 ms with signals, on {cfg.device}")
    table.add_column("engine", no_wrap=True)
    for heading in (
        "robots",
        "threads",
        "start s",
        "steps / s",
        "per core-second",
        "bytes / robot",
    ):
        table.add_column(heading, justify="right")
    for engine, num_envs, count in product(cfg.engines, sizes, threads):
        speed = measure(engine, num_envs, threads=count, seconds=cfg.seconds, device=cfg.device)
        table.add_row(
            engine,
            f"{num_envs:,}",
            str(count),
            f"{speed.start_s:.2f}",
            f"{speed.per_second:,.0f}",
            "-" if speed.per_core_second is None else f"{speed.per_core_second:,.0f}",
            "-" if speed.bytes_per_robot is None else f"{speed.bytes_per_robot:,}",
        )
    Console().print(table)
    return 0
