"""What a training run needs from a meta-training algorithm, and what algorithms share."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from acclimate_sim.multirotor import DISTRIBUTIONS
from acclimate_training.config import TrainCfg
from acclimate_training.parallel import Team
from acclimate_training.problems.episodes import SITUATIONS, draw_episodes
from acclimate_training.problems.multirotor_tracking import Episodes

SHARED = 0
"""First key of random numbers that are the same in all processes of a team."""

Iterate = Callable[[int], dict[str, float]]
"""Performs one iteration, given its number, and returns its figures, first what it minimises."""

Draw = Callable[[int, int], Episodes]
"""Draws the episodes of an iteration, given its number and the horizon in steps."""


class Part(Protocol):
    """Something that training changes."""

    def state_dict(self) -> dict[str, Any]:
        """Its state, as torch gives it."""
        ...

    def load_state_dict(self, state_dict: dict[str, Any]) -> object:
        """Take up a state."""
        ...


@dataclass(frozen=True, kw_only=True)
class Algorithm:
    """A meta-training algorithm, ready to iterate.

    Attributes:
        parts: All that changes from iteration to iteration, by its name in a checkpoint; "policy"
            is what a run exports.
        iterate: See `Iterate`.
    """

    parts: Mapping[str, Part]
    iterate: Iterate


AlgorithmMaker = Callable[[TrainCfg, torch.device, Team], Algorithm]


def stream(seed: int, *key: int) -> torch.Generator:
    """Random numbers that belong to a seed and a key.

    The words are hashed, because torch seeds its generator with the lowest 32 bits alone.
    """
    hashed = np.random.SeedSequence((seed, *key)).generate_state(1)[0]
    return torch.Generator().manual_seed(int(hashed))


def fresh_episodes(cfg: TrainCfg, device: torch.device, team: Team) -> Draw:
    """Draw robots nobody has flown before, this process's share of them."""
    space, situations = DISTRIBUTIONS[cfg.space](), SITUATIONS[cfg.situations]
    num_envs = cfg.num_envs // team.size

    def draw(iteration: int, horizon: int) -> Episodes:
        generator = stream(cfg.seed, 1 + team.rank, iteration)
        return draw_episodes(
            space, situations, num_envs, horizon, generator, preview=cfg.policy.preview
        ).to(device)

    return draw


def descend(
    optimizer: torch.optim.Optimizer,
    cost: Tensor,
    *,
    learning_rate: float,
    max_gradient_norm: float,
    team: Team,
) -> float:
    """Take one step down the mean cost of the team.

    Returns:
        Length of the gradient before it was limited; where it is not finite, no step was taken.
    """
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    for group in optimizer.param_groups:
        group["lr"] = learning_rate
    optimizer.zero_grad(set_to_none=True)
    cost.backward()
    team.average_gradients(parameters)
    norm = float(torch.nn.utils.clip_grad_norm_(parameters, max_gradient_norm))
    if math.isfinite(norm):
        optimizer.step()
    return norm
