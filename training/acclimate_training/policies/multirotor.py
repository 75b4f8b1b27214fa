"""The multirotor policy: a memory cell between two small heads, and integrators beside it.

As a module it takes the contract's signals in SI units and does everything else itself, so that
nothing outside the exported graph can differ between training and robot.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from acclimate_sim.rotations import rotation_matrix
from acclimate_training.policies.cells import CELLS, Cell
from acclimate_training.policy_config import PolicyCfg
from acclimate_training.problems.multirotor_tracking import PERIOD_S

MAX_POSITION_ERROR_M = 2.0
MAX_VELOCITY_ERROR_M_S = 4.0
BODY_RATE_SCALE_S = 0.1
INTEGRAL_GAIN = 12.0
"""Per second; a steady error of 1 cm fills an eighth of the range in a second."""
INTEGRATED_ERROR_M = 0.05
"""Distance at which the integral grows fastest."""
PREVIEW_SCALE = 2.0


class MultirotorPolicy(nn.Module):
    """Dense + ReLU, memory cell, dense + tanh.

    The memory holds the cell's numbers and, behind them, the integral of the position error (3),
    which lets the policy hold a point against any steady force exactly and for any length of
    flight; a small cell alone drifts by centimetres. Large errors are clipped and body rates scaled
    inside the policy: unclipped, a far reference drives it out of what it was trained on.
    """

    def __init__(self, cfg: PolicyCfg) -> None:
        super().__init__()
        self.cfg = cfg
        self.encoder = nn.Linear(num_features(cfg), cfg.width)
        self.cell = CELLS[cfg.cell](cfg.width, cfg.memory_width)
        self.head = nn.Linear(self.cell.output_width, cfg.num_motors)
        self.memory_width = self.cell.memory_width + (3 if cfg.integrate else 0)

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
            signals: The contract's multirotor signals, each (num_envs, *shape), SI units; and
                "privileged" (num_envs, k) if the policy reads it.
            memory: (num_envs, memory_width).

        Returns:
            Setpoints (num_envs, num_motors) in [-1, 1] and the next memory.
        """
        periods = signals["time_step"] / PERIOD_S if self.cfg.time_aware else None
        cell_memory, integral = split_memory(self.cell, memory)
        if self.cfg.integrate:
            integral = integrate(integral, signals["position_error"], periods)
        x = torch.relu(self.encoder(features(self.cfg, signals, integral, periods)))
        output, cell_memory = self.cell(x, cell_memory, periods)
        return torch.tanh(self.head(output)), torch.cat((cell_memory, integral), dim=-1)


def integrate(integral: Tensor, position_error: Tensor, periods: Tensor | None) -> Tensor:
    """Advance the clipped integral (num_envs, 3) of the position error.

    Large errors hardly count: on the way to a distant reference a plain integral would wind up and
    the policy would learn to trust it little.
    """
    far = (position_error * position_error).sum(-1, keepdim=True) / INTEGRATED_ERROR_M**2
    change = INTEGRAL_GAIN * PERIOD_S * position_error / (1.0 + far)
    return (integral + (change if periods is None else periods * change)).clamp(-1.0, 1.0)


def num_features(cfg: PolicyCfg) -> int:
    """Numbers the encoder sees."""
    return (
        15
        + 3 * cfg.integrate
        + cfg.num_motors * cfg.previous_action
        + cfg.time_aware
        + 12 * cfg.preview
        + cfg.privileged
    )


def features(
    cfg: PolicyCfg, signals: Mapping[str, Tensor], integral: Tensor, periods: Tensor | None
) -> Tensor:
    """What the network sees: errors, two body axes in the world, rates, and what is optional."""
    position, velocity = signals["position_error"], signals["linear_velocity_error"]
    return torch.cat(
        (
            position.clamp(-MAX_POSITION_ERROR_M, MAX_POSITION_ERROR_M),
            body_axes(signals["orientation"]),
            velocity.clamp(-MAX_VELOCITY_ERROR_M_S, MAX_VELOCITY_ERROR_M_S),
            BODY_RATE_SCALE_S * signals["angular_velocity"],
            integral,
            *optional_features(cfg, signals, periods),
        ),
        dim=-1,
    )


def body_axes(quat: Tensor) -> Tensor:
    """The body's x and z axes in the world (..., 6): heading and tilt without redundancy."""
    rotation = rotation_matrix(quat)
    return torch.cat((rotation[..., 0], rotation[..., 2]), dim=-1)


def optional_features(
    cfg: PolicyCfg, signals: Mapping[str, Tensor], periods: Tensor | None
) -> list[Tensor]:
    """What only some policies read, each (num_envs, k)."""
    parts = []
    if cfg.previous_action:
        parts.append(signals["previous_action"])
    if periods is not None:
        parts.append(periods - 1.0)
    if cfg.preview:
        parts.append(PREVIEW_SCALE * signals["reference_preview"].flatten(1))
    if cfg.privileged:
        parts.append(signals["privileged"])
    return parts


def split_memory(cell: Cell, memory: Tensor) -> tuple[Tensor, Tensor]:
    """The cell's part of the memory and the integral, which may have no columns."""
    own, integral = memory.split((cell.memory_width, memory.shape[1] - cell.memory_width), dim=1)
    return own, integral
