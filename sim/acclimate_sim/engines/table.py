"""Engines by name."""

from collections.abc import Callable

from acclimate_contract import ConfigError
from acclimate_sim.multirotor.dynamics import Engine, step


def _analytic() -> Engine:
    return step


def _fused() -> Engine:
    from acclimate_sim.engines.fused import FusedSteps

    return FusedSteps()


def _mujoco() -> Engine:
    from acclimate_sim.engines.mujoco_batch import MujocoBatch

    return MujocoBatch()


def _mujoco_warp() -> Engine:
    from acclimate_sim.engines.mujoco_warp_batch import MujocoWarp

    return MujocoWarp()


def _isaacgym() -> Engine:
    from acclimate_sim.engines.isaacgym import load

    return load()


ENGINES: dict[str, Callable[[], Engine]] = {
    "analytic": _analytic,
    "fused": _fused,
    "mujoco": _mujoco,
    "mujoco_warp": _mujoco_warp,
    "isaacgym": _isaacgym,
}
"""Builders, which import what they need only when they are called."""


def make_engine(name: str) -> Engine:
    """Build an engine.

    Raises:
        ConfigError: The engine is unknown, or what it needs is not installed.
    """
    if name not in ENGINES:
        raise ConfigError(f"unknown engine {name!r}. Fix: use one of {', '.join(ENGINES)}.")
    return ENGINES[name]()
