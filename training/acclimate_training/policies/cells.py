"""Memory cells, written in plain operators so that every export target computes them alike."""

from collections.abc import Callable

import torch
from torch import Tensor, nn


class Cell(nn.Module):
    """What a policy needs from a memory cell.

    Attributes:
        memory_width: Numbers it remembers.
        output_width: Numbers it gives to the head.
    """

    memory_width: int
    output_width: int

    def forward(
        self, x: Tensor, memory: Tensor, periods: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Advance by one step.

        Args:
            x: (num_envs, width), what the policy sees now.
            memory: (num_envs, memory_width).
            periods: (num_envs, 1), time since the last step in nominal periods; none means one.

        Returns:
            Output (num_envs, output_width) and the next memory.
        """
        raise NotImplementedError


class GRU(Cell):
    """Gated recurrent unit (Cho et al. 2014), gates in the order reset, update, new.

    The reset gate acts on the recurrent product (`linear_before_reset` in ONNX), so that one
    matrix product serves all three gates. The update gate says how much is kept per nominal
    period: over another time step it is kept to the power of the periods that passed.
    """

    def __init__(self, width: int, memory_width: int) -> None:
        super().__init__()
        self.memory_width = self.output_width = memory_width
        self.input = nn.Linear(width, 3 * memory_width)
        self.recurrent = nn.Linear(memory_width, 3 * memory_width)

    def forward(
        self, x: Tensor, memory: Tensor, periods: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """See `Cell`."""
        n = self.memory_width
        input_gates, input_new = self.input(x).split((2 * n, n), dim=-1)
        memory_gates, memory_new = self.recurrent(memory).split((2 * n, n), dim=-1)
        gates = input_gates + memory_gates
        if periods is None:
            reset, update = torch.sigmoid(gates).split((n, n), dim=-1)
        else:
            reset, update = gates.split((n, n), dim=-1)
            reset = torch.sigmoid(reset)
            update = torch.exp(-periods * nn.functional.softplus(-update))
        new = torch.tanh(input_new + reset * memory_new)
        memory = new + update * (memory - new)
        return memory, memory


class Memoryless(Cell):
    """Dense + ReLU: remembers nothing. The control that shows what memory is worth."""

    memory_width = 0

    def __init__(self, width: int, memory_width: int) -> None:
        super().__init__()
        self.output_width = memory_width
        self.dense = nn.Linear(width, memory_width)

    def forward(
        self, x: Tensor, memory: Tensor, periods: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """See `Cell`."""
        return torch.relu(self.dense(x)), memory


class FrameStack(Cell):
    """Dense + ReLU over the last `FRAMES` encoded steps, the oldest forgotten at once."""

    FRAMES = 16

    def __init__(self, width: int, memory_width: int) -> None:
        super().__init__()
        self.memory_width = (self.FRAMES - 1) * width
        self.output_width = memory_width
        self.dense = nn.Linear(self.FRAMES * width, memory_width)

    def forward(
        self, x: Tensor, memory: Tensor, periods: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """See `Cell`."""
        frames = torch.cat((x, memory), dim=-1)
        return torch.relu(self.dense(frames)), frames[:, : self.memory_width]


CELLS: dict[str, Callable[[int, int], Cell]] = {
    "gru": GRU,
    "none": Memoryless,
    "stack": FrameStack,
}
"""Cell name -> constructor from input width and memory width."""
