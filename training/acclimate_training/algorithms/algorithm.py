"""What a training run needs from a meta-training algorithm, and what algorithms share."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from acclimate_sim.multirotor import DISTRIBUTIONS
from acclimate_training.algorithms.batches import BLOCK, draw_share
from acclimate_training.config import TrainCfg
from acclimate_training.parallel import Team
from acclimate_training.problems.episodes import SITUATIONS, draw_episodes
from acclimate_training.problems.multirotor_tracking import Episodes

WHOLE_RUN = 0
"""First key of random numbers that belong to no block of robots; those of block b have 1 + b."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What one iteration gave in this process.

    Attributes:
        figures: Of this process's robots, first what the iteration minimises.
        robot_cost: (num_envs,), of each of them; not finite where a flight broke.
    """

    figures: dict[str, float]
    robot_cost: Tensor


Iterate = Callable[[int], Outcome]
"""Performs one iteration, given its number."""

Draw = Callable[[int, int], Episodes]
"""Draws this process's episodes of an iteration, given its number and the horizon in steps."""

Origin = Callable[[int, int], tuple[int, int]]
"""Seed and number by which the parameter space draws a robot again (see its `numbered`), given the
iteration and the robot's place among those of all processes, in the order of their ranks."""


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
        origin: See `Origin`.
    """

    parts: Mapping[str, Part]
    iterate: Iterate
    origin: Origin


AlgorithmMaker = Callable[[TrainCfg, torch.device, Team], Algorithm]


def stream_seed(seed: int, *key: int) -> int:
    """Seed of the random numbers that belong to a run's seed and a key.

    The words are hashed, because torch seeds its generator with the lowest 32 bits alone.
    """
    return int(np.random.SeedSequence((seed, *key)).generate_state(1)[0])


def stream(seed: int, *key: int) -> torch.Generator:
    """Random numbers that belong to a run's seed and a key."""
    return torch.Generator().manual_seed(stream_seed(seed, *key))


def fresh_episodes(cfg: TrainCfg, device: torch.device, team: Team) -> Draw:
    """Draw robots nobody has flown before, this process's share of them."""
    space, situations = DISTRIBUTIONS[cfg.space](), SITUATIONS[cfg.situations]

    def draw(iteration: int, horizon: int) -> Episodes:
        def draw_block(block: int, envs: range) -> Episodes:
            generator = stream(cfg.seed, 1 + block, iteration)
            return draw_episodes(
                space, situations, len(envs), horizon, generator, preview=cfg.policy.preview
            )

        return draw_share(draw_block, cfg.num_envs, team).to(device)

    return draw


def fresh_origin(cfg: TrainCfg) -> Origin:
    """Where the robots of `fresh_episodes` come from."""
    return lambda iteration, env: (stream_seed(cfg.seed, 1 + env // BLOCK, iteration), env % BLOCK)


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
