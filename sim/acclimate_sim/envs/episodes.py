"""Which robot flies next, where it starts and what pushes it: a function of a seed and a number.

Robots are drawn in blocks of a fixed size, one block per seed. So what environment i meets does
not depend on how many others fly beside it, and robot 17 of seed 3 can be flown again alone.
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from acclimate_sim.multirotor import (
    Imperfections,
    InitialStates,
    MultirotorParameters,
    MultirotorState,
    external_force,
    reset,
)
from acclimate_sim.multirotor.sampling import build, build_imperfections
from acclimate_sim.multirotor.task import PERIOD_S
from acclimate_sim.randomization import ParameterSpace
from acclimate_sim.seeds import derived_seed
from acclimate_sim.trees import first, pack, unpack

BLOCK = 256
"""Robots of one seed. Larger blocks are cheaper per robot and dearer for one alone."""
BLOCKS_PER_ENV_BLOCK = 8
"""Blocks remembered for each block of environments, which do not end their episodes together."""
STARTS, FORCES = 1, 2


@dataclass(frozen=True, kw_only=True)
class Episode:
    """One robot each and its conditions; first axis env.

    Attributes:
        context: (num_envs, num_parameters), the draws that made the robot, in the space's order.
        robots: The robots.
        imperfections: Of the robots.
        start: First states, relative to a reference at the origin.
        force_n: (num_envs, 3), constant external force, world frame.
    """

    context: Tensor
    robots: MultirotorParameters
    imperfections: Imperfections
    start: MultirotorState
    force_n: Tensor

    def __len__(self) -> int:
        return len(self.force_n)


class EpisodeSource:
    """Draws episodes of a space, and remembers the blocks that others will ask for soon.

    Args:
        space: The robots.
        start: Ranges of the first states.
        force: Push each robot with a constant random force.
        num_envs: How many will ask; decides how much is remembered.
        device: Where the episodes are wanted. Draws happen on the CPU, the same for every device.
    """

    def __init__(
        self,
        space: ParameterSpace,
        start: InitialStates,
        *,
        force: bool,
        num_envs: int,
        device: torch.device,
    ) -> None:
        self.space, self._start, self._force, self._device = space, start, force, device
        kept = BLOCKS_PER_ENV_BLOCK * math.ceil(num_envs / BLOCK)
        self._table = lru_cache(maxsize=kept)(self._packed_block)
        self.context_names = tuple(space.sample(1, torch.Generator()))
        self._like = first(self._block(0))
        self.num_motors = self._like.robots.num_motors
        self.delay_taps = 1  # actions to remember, for the longest control delay drawn so far
        self.noisy = False  # whether any sensor drawn so far is

    def take(self, seeds: np.ndarray, numbers: np.ndarray) -> Episode:
        """The episodes with these numbers (n,), each of its own seed (n,), in float32."""
        found, group = np.unique(seeds, return_inverse=True)
        places = [np.flatnonzero(group == k) for k in range(len(found))]
        taken = torch.cat(
            [
                self._table(seed)[torch.from_numpy(numbers[place])]
                for seed, place in zip(found.tolist(), places, strict=True)
            ]
        )
        # The groups stand behind each other; everybody wants to be back where they asked.
        back = torch.from_numpy(np.argsort(np.concatenate(places)))
        return unpack(taken[back].to(self._device).T, self._like)

    def _packed_block(self, seed: int) -> Tensor:
        """All episodes of a seed (BLOCK, width), float32."""
        episodes = self._block(seed)
        delay_s = float(episodes.imperfections.control_delay_s.max())
        self.delay_taps = max(self.delay_taps, 1 + math.ceil(delay_s / PERIOD_S - 1e-6))
        self.noisy = self.noisy or bool(episodes.imperfections.sensor_noise.any())
        return pack(episodes).T.float().contiguous()

    def _block(self, seed: int) -> Episode:
        draws = self.space.sample(BLOCK, torch.Generator().manual_seed(seed))
        robots = build(draws)
        start = torch.Generator().manual_seed(derived_seed(seed, STARTS))
        force = external_force(robots, torch.Generator().manual_seed(derived_seed(seed, FORCES)))
        return Episode(
            context=torch.stack(list(draws.values()), dim=-1),
            robots=robots,
            imperfections=build_imperfections(draws, robots),
            start=reset(robots, self._start, start),
            force_n=force if self._force else torch.zeros_like(force),
        )


def robots_of(seed: int, envs: np.ndarray, episodes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which robots environments (n,) fly in their episodes (n,) of these numbers.

    The first 256 environments begin with the robots of the seed itself: environment 17 with robot
    17 of it. All other blocks have seeds as good as unrelated to it and to each other.

    Returns:
        Seeds and numbers (n,), int64.
    """
    block, number = np.divmod(envs, BLOCK)
    pairs = zip(episodes.tolist(), block.tolist(), strict=True)
    seeds = [seed if e == b == 0 else derived_seed(seed, e, b) for e, b in pairs]
    return np.array(seeds, np.int64), number
