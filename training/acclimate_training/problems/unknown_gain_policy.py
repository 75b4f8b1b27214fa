"""A policy with a learned memory for the plant with unknown gain, and its meta-training.

Nothing tells it what a belief is. It sees what every controller sees, and the gradient of the cost
of whole episodes, through plant and memory, teaches it the rest.
"""

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from acclimate_training.policies.cells import GRU
from acclimate_training.problems.unknown_gain import (
    Controller,
    Seen,
    UnknownGain,
    draw,
    episode_cost,
)


class MemoryPolicy(nn.Module):
    """Dense + ReLU, GRU, dense: a feedback on the state and a probe beside it."""

    def __init__(self, plant: UnknownGain, width: int = 32) -> None:
        super().__init__()
        self.plant = plant
        self.encoder = nn.Linear(4, width)
        self.cell = GRU(width, width)
        self.head = nn.Linear(self.cell.output_width, 2)
        with torch.no_grad():  # a quiet start: the wrong sign of a large feedback runs away
            self.head.weight.mul_(0.1)
            self.head.bias.zero_()

    def controller(self) -> Controller:
        """The policy at work: its memory is empty at step 0."""
        memory = torch.zeros(0)

        def act(seen: Seen) -> Tensor:
            nonlocal memory
            if seen.step == 0:
                memory = seen.state.new_zeros(len(seen.state), self.cell.memory_width)
            action, memory = self(seen, memory)
            return action

        return act

    def forward(self, seen: Seen, memory: Tensor) -> tuple[Tensor, Tensor]:
        """Actions (num_envs,) and the next memory."""
        time = torch.full_like(seen.state, seen.step / self.plant.num_steps)
        x = torch.stack((time, seen.state, seen.previous_action, seen.change), dim=-1)
        output, memory = self.cell(torch.relu(self.encoder(torch.asinh(x))), memory)
        feedback, probe = self.head(output).unbind(-1)
        return probe - feedback * seen.state, memory


def meta_train(
    policy: MemoryPolicy,
    generator: torch.Generator,
    *,
    iterations: int,
    num_envs: int = 512,
    learning_rate: float = 2e-2,
    max_gradient: float = 1.0,
) -> Iterator[float]:
    """Lower the mean cost of fresh episodes by Adam, one iteration per item taken.

    Args:
        policy: Changed in place.
        generator: Of the episodes.
        iterations: Batches of fresh plants.
        num_envs: Plants per batch.
        learning_rate: At first; falls to zero along a half cosine.
        max_gradient: Longest gradient; longer ones, from a few plants out of control, are scaled.

    Yields:
        Mean cost of the batch.
    """
    optimizer = torch.optim.Adam(policy.parameters(), lr=learning_rate)
    for iteration in range(iterations):
        rate = 0.5 * learning_rate * (1.0 + math.cos(math.pi * iteration / iterations))
        for group in optimizer.param_groups:
            group["lr"] = rate
        episodes = draw(policy.plant, num_envs, generator)
        cost = episode_cost(policy.plant, episodes, policy.controller()).mean()
        optimizer.zero_grad()
        cost.backward()
        nn.utils.clip_grad_norm_(policy.parameters(), max_gradient)
        optimizer.step()
        yield cost.item()
