"""Memory cells, written in plain operators so that every export target computes them alike."""

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor, nn


class Cell(Protocol):
    """What a policy needs from a memory cell; one that is also an `nn.Module`."""

    memory_width: int

    def __call__(self, x: Tensor, memory: Tensor) -> Tensor:
        """Next memory (num_envs, memory_width) from input (num_envs, width) and memory."""
        ...


class GRU(nn.Module):
    """Gated recurrent unit (Cho et al. 2014), gates in the order reset, update, new.

    The reset gate acts on the recurrent product (`linear_before_reset` in ONNX), so that one
    matrix product serves all three gates.
    """

    def __init__(self, width: int, memory_width: int) -> None:
        super().__init__()
        self.memory_width = memory_width
        self.input = nn.Linear(width, 3 * memory_width)
        self.recurrent = nn.Linear(memory_width, 3 * memory_width)

    def forward(self, x: Tensor, memory: Tensor) -> Tensor:
        """Advance the memory (num_envs, memory_width) by one step."""
        n = self.memory_width
        input_gates, input_new = self.input(x).split((2 * n, n), dim=-1)
        memory_gates, memory_new = self.recurrent(memory).split((2 * n, n), dim=-1)
        reset, update = torch.sigmoid(input_gates + memory_gates).split((n, n), dim=-1)
        new = torch.tanh(input_new + reset * memory_new)
        return new + update * (memory - new)


CELLS: dict[str, Callable[[int, int], nn.Module]] = {"gru": GRU}
"""Cell name -> constructor from input width and memory width."""
