"""The robots of one iteration: drawn in blocks, flown in shares.

A batch is the same however many processes fly it. It is drawn in blocks of `BLOCK` robots, each
with random numbers of its own, and a process draws the blocks in which its share lies.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from acclimate_sim.trees import mapped
from acclimate_training.parallel import Team
from acclimate_training.problems.multirotor_tracking import Episodes

BLOCK = 256
"""Robots drawn together; fewer cost more each, more are drawn in vain by those who fly few."""

DrawBlock = Callable[[int, range], Episodes]
"""Draws a block, given its number and the numbers of its robots in the batch."""


def share_of(num_envs: int, team: Team) -> range:
    """Numbers of the robots that this process flies, out of a batch."""
    each = num_envs // team.size
    return range(team.rank * each, (team.rank + 1) * each)


def draw_share(draw_block: DrawBlock, num_envs: int, team: Team) -> Episodes:
    """Draw the episodes that this process flies."""
    share = share_of(num_envs, team)
    parts = []
    for first in range(share.start // BLOCK * BLOCK, share.stop, BLOCK):
        block = range(first, min(first + BLOCK, num_envs))
        mine = range(max(first, share.start), min(block.stop, share.stop))
        episodes = draw_block(first // BLOCK, block)
        parts.append(episodes if mine == block else _part(episodes, mine.start - first, len(mine)))
    return parts[0] if len(parts) == 1 else _concatenated(parts)


def reordered(episodes: Episodes, order: Tensor) -> Episodes:
    """The episodes of the same robots in another order, (num_envs,)."""
    return _mapped(lambda axis, leaf: leaf.index_select(axis, order), episodes)


def _part(episodes: Episodes, first: int, num_envs: int) -> Episodes:
    return _mapped(lambda axis, leaf: leaf.narrow(axis, first, num_envs), episodes)


def _concatenated(parts: list[Episodes]) -> Episodes:
    whole = _mapped(lambda axis, *leaves: torch.cat(leaves, axis), *parts)
    return replace(whole, delay_taps=max(part.delay_taps for part in parts))


def _mapped(function: Callable[..., Tensor], *batches: Episodes) -> Episodes:
    """Apply a function of the axis along which robots lie, and of tensors at the same place."""

    def along(axis: int, *names: str) -> dict[str, Any]:
        return {
            name: mapped(partial(function, axis), *(getattr(batch, name) for batch in batches))
            for name in names
        }

    return replace(
        batches[0],
        **along(0, "robots", "imperfections", "start"),
        **along(1, "reference", "preview", "disturbances"),
    )
