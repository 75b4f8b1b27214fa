"""The quadrotor policy: signals in SI units to motor setpoints, everything between inside."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from acclimate_sim.rotations import rotation_matrix
from acclimate_training.policies.cells import CELLS

SIGNALS = (
    "position_error",
    "orientation",
    "linear_velocity_error",
    "angular_velocity",
    "previous_action",
)
NUM_FEATURES = 22
MAX_POSITION_ERROR_M = 2.0
MAX_VELOCITY_ERROR_M_S = 4.0
BODY_RATE_SCALE_S = 0.1


class QuadrotorPolicy(nn.Module):
    """Dense + ReLU, memory cell, dense + tanh.

    Large errors are clipped and body rates scaled inside the policy: unclipped, a far reference
    drives it out of what it was trained on.
    """

    def __init__(self, *, cell: str = "gru", width: int = 16, memory_width: int = 16) -> None:
        super().__init__()
        self.encoder = nn.Linear(NUM_FEATURES, width)
        self.cell = CELLS[cell](width, memory_width)
        self.head = nn.Linear(memory_width, 4)
        self.memory_width = memory_width

    @property
    def num_parameters(self) -> int:
        """Trained numbers."""
        return sum(p.numel() for p in self.parameters())

    def initial_memory(self, num_envs: int) -> Tensor:
        """Memory (num_envs, memory_width) at the start of a flight: zeros."""
        return self.head.weight.new_zeros(num_envs, self.memory_width)

    def forward(self, signals: Mapping[str, Tensor], memory: Tensor) -> tuple[Tensor, Tensor]:
        """One control step.

        Args:
            signals: The contract's quadrotor signals, each (num_envs, k), SI units.
            memory: (num_envs, memory_width).

        Returns:
            Setpoints (num_envs, 4) in [-1, 1] and the next memory.
        """
        memory = self.cell(torch.relu(self.encoder(features(signals))), memory)
        return torch.tanh(self.head(memory)), memory


def features(signals: Mapping[str, Tensor]) -> Tensor:
    """What the network sees (num_envs, 22): errors, rotation matrix, rates, last setpoints."""
    position, velocity = signals["position_error"], signals["linear_velocity_error"]
    return torch.cat(
        (
            position.clamp(-MAX_POSITION_ERROR_M, MAX_POSITION_ERROR_M),
            rotation_matrix(signals["orientation"]).flatten(1),
            velocity.clamp(-MAX_VELOCITY_ERROR_M_S, MAX_VELOCITY_ERROR_M_S),
            BODY_RATE_SCALE_S * signals["angular_velocity"],
            signals["previous_action"],
        ),
        dim=-1,
    )
