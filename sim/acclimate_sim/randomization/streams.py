"""Ranks: the uniform random numbers behind every draw."""

import torch
from torch import Tensor

from acclimate_sim.seeds import MAX_SEED

LEAST_RANK, LARGEST_RANK = 2.0**-54, 1.0 - 2.0**-53
"""Half a step of the random numbers from 0, and a whole one from 1, where tails are infinite."""


def spawn(generator: torch.Generator) -> torch.Generator:
    """Make a generator on the CPU, seeded by the next number of another one."""
    seed = int(torch.randint(MAX_SEED + 1, (), generator=generator, device=generator.device))
    return torch.Generator().manual_seed(seed)


def draw_ranks(n: int, generator: torch.Generator) -> Tensor:
    """Draw (n,) ranks in (0, 1), float64, CPU, from a stream of their own.

    Takes one number from `generator`, however large `n` is. Rank i depends on that number and on i
    only: `torch.rand` fills a batch in order, which `torch.randn` does not, and every device would
    draw others, so that the CPU draws for all.
    """
    return torch.rand(n, generator=spawn(generator), dtype=torch.float64).clamp_min_(LEAST_RANK)
