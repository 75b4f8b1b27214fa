"""Known platforms by name, and fresh robots by seed."""

import difflib
from collections.abc import Callable

import torch

from acclimate_contract import ConfigError
from acclimate_sim.multirotor import MultirotorParameters, published, sample
from acclimate_sim.multirotor.distribution import hexarotor
from acclimate_sim.randomization import ParameterSpace
from acclimate_sim.robots.arpl import arpl
from acclimate_sim.robots.crazyflie import crazyflie
from acclimate_sim.robots.flightmare import flightmare
from acclimate_sim.robots.fs import fs
from acclimate_sim.robots.mrs import mrs
from acclimate_sim.robots.soft import soft
from acclimate_sim.robots.soft_rigid import soft_rigid
from acclimate_sim.robots.typhoon_h480 import typhoon_h480
from acclimate_sim.robots.x500 import x500
from acclimate_sim.robots.x500_sim import x500_sim
from acclimate_sim.seeds import check_seed

RANDOM = "random"
DRAWN: dict[str, Callable[[], ParameterSpace]] = {
    RANDOM: published,
    "random_hexarotor": hexarotor,
}
"""Names that stand for a draw, and what is drawn from."""

ROBOTS: dict[str, Callable[[], MultirotorParameters]] = {
    "crazyflie": crazyflie,
    "x500": x500,
    "x500_sim": x500_sim,
    "mrs": mrs,
    "fs": fs,
    "arpl": arpl,
    "flightmare": flightmare,
    "soft": soft,
    "soft_rigid": soft_rigid,
    "typhoon_h480": typhoon_h480,
}


def load_robot(name: str, seed: int = 0) -> MultirotorParameters:
    """Build one robot, as a batch of one in float64.

    Args:
        name: A key of `ROBOTS`, or of `DRAWN` for a fresh robot: "random" is a quadrotor of the
            published distribution.
        seed: Which draw, from 0 to 2^32 - 1; known platforms ignore it.

    Raises:
        ConfigError: No robot has this name, or the seed is out of range.
    """
    check_seed(seed)
    if name in DRAWN:
        return sample(DRAWN[name](), 1, torch.Generator().manual_seed(seed))
    if name not in ROBOTS:
        known = [*ROBOTS, *DRAWN]
        close = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {close[0]!r}? Otherwise use" if close else "use"
        raise ConfigError(f"no robot is called {name!r}. Fix: {hint} one of {', '.join(known)}.")
    return ROBOTS[name]()


__all__ = ["DRAWN", "RANDOM", "ROBOTS", "load_robot"]
