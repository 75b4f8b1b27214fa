"""What `reset` is asked for."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from acclimate_contract import ConfigError
from acclimate_sim.envs.episodes import BLOCK
from acclimate_sim.seeds import check_seed

OPTIONS = ("robot", "reset_mask")


@dataclass(frozen=True, kw_only=True)
class ResetRequest:
    """A checked request.

    Attributes:
        envs: (n,), which environments to reset.
        robots: (n,), numbers of the robots they shall fly; none lets them have the next ones.
    """

    envs: np.ndarray
    robots: np.ndarray | None


def read_request(
    num_envs: int, seed: int | None, options: Mapping[str, Any] | None
) -> ResetRequest:
    """Check a seed and options; raises ConfigError for what cannot be done."""
    if seed is not None:
        check_seed(seed)
    asked = dict(options or {})
    unknown = sorted(asked.keys() - set(OPTIONS))
    if unknown:
        raise ConfigError(f"reset has no options {unknown}. Fix: use {' or '.join(OPTIONS)}.")
    mask = np.asarray(asked.get("reset_mask", np.ones(num_envs, np.bool_)))
    if mask.shape != (num_envs,) or mask.dtype != np.bool_ or not mask.any():
        raise ConfigError(
            f"reset_mask {mask} must be {num_envs} bools, at least one of them true. "
            "Fix: pass terminated | truncated."
        )
    envs = np.flatnonzero(mask)
    if "robot" not in asked:
        return ResetRequest(envs=envs, robots=None)
    robots = np.asarray(asked["robot"])
    known = np.issubdtype(robots.dtype, np.integer) and robots.shape in ((), (num_envs,))
    if not known or robots.min() < 0 or robots.max() >= BLOCK:
        raise ConfigError(
            f"robot {asked['robot']} must be one number or {num_envs}, from 0 to {BLOCK - 1}: a "
            "seed has no others. Fix: take both from the infos of a flight."
        )
    return ResetRequest(envs=envs, robots=np.broadcast_to(robots, (num_envs,))[envs])
