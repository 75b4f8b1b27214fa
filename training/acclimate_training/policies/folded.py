"""The multirotor policy in its shortest form, for export.

The entries of a rotation matrix are linear in the ten products of the quaternion's entries.
The first layer is linear too, so its weights fold into weights on the products, and the graph
computes a product of two small matrix products where it would spell out every entry. The
integral's growth is one matrix product and one division. Half the time of a step on a robot
goes into the number of nodes, not into arithmetic.
"""

from collections.abc import Mapping
from itertools import combinations_with_replacement

import torch
from torch import Tensor, nn

from acclimate_training.policies.multirotor import (
    BODY_RATE_SCALE_S,
    INTEGRAL_GAIN,
    INTEGRATED_ERROR_M,
    MAX_POSITION_ERROR_M,
    MAX_VELOCITY_ERROR_M_S,
    MultirotorPolicy,
    body_axes,
    optional_features,
    split_memory,
)
from acclimate_training.problems.multirotor_tracking import PERIOD_S

PAIRS = tuple(combinations_with_replacement(range(4), 2))


class FoldedPolicy(nn.Module):
    """Computes what a `MultirotorPolicy` computes, with the same signature."""

    first: Tensor
    second: Tensor
    slow_far: Tensor
    slow: Tensor

    def __init__(self, policy: MultirotorPolicy) -> None:
        super().__init__()
        self.cfg, self.cell, self.head = policy.cfg, policy.cell, policy.head
        constant, per_product = rotation_coefficients()
        weight, bias = policy.encoder.weight.detach().double(), policy.encoder.bias.detach()
        rest = weight.shape[1] - 15
        position, axes, velocity, rate, others = weight.split((3, 6, 3, 3, rest), dim=1)
        folded = (
            position,
            axes @ per_product.T,
            velocity,
            BODY_RATE_SCALE_S * rate,
            others,
        )
        self.weight = nn.Parameter(torch.cat(folded, dim=1).float())
        self.bias = nn.Parameter((bias.double() + axes @ constant).float())
        for name, side in (("first", 0), ("second", 1)):
            chosen = torch.tensor([pair[side] for pair in PAIRS])
            self.register_buffer(name, nn.functional.one_hot(chosen, 4).T.float())
        slow = torch.full((3,), 1.0 / (INTEGRAL_GAIN * PERIOD_S))
        self.register_buffer("slow", slow)
        self.register_buffer("slow_far", (slow / INTEGRATED_ERROR_M**2).repeat(3, 1))

    def forward(self, signals: Mapping[str, Tensor], memory: Tensor) -> tuple[Tensor, Tensor]:
        """One control step; see `MultirotorPolicy.forward`."""
        position, velocity = signals["position_error"], signals["linear_velocity_error"]
        quat = signals["orientation"]
        periods = signals["time_step"] / PERIOD_S if self.cfg.time_aware else None
        cell_memory, integral = split_memory(self.cell, memory)
        if self.cfg.integrate:
            integral = self._integrate(integral, position, periods)
        x = torch.cat(
            (
                position.clamp(-MAX_POSITION_ERROR_M, MAX_POSITION_ERROR_M),
                (quat @ self.first) * (quat @ self.second),
                velocity.clamp(-MAX_VELOCITY_ERROR_M_S, MAX_VELOCITY_ERROR_M_S),
                signals["angular_velocity"],
                integral,
                *optional_features(self.cfg, signals, periods),
            ),
            dim=-1,
        )
        hidden = torch.relu(nn.functional.linear(x, self.weight, self.bias))
        output, cell_memory = self.cell(hidden, cell_memory, periods)
        return torch.tanh(self.head(output)), torch.cat((cell_memory, integral), dim=-1)

    def _integrate(self, integral: Tensor, error: Tensor, periods: Tensor | None) -> Tensor:
        """What `integrate` computes; the matrix sums the squares and hands each axis the sum."""
        change = error / nn.functional.linear(error * error, self.slow_far, self.slow)
        return (integral + (change if periods is None else periods * change)).clamp(-1.0, 1.0)


def rotation_coefficients() -> tuple[Tensor, Tensor]:
    """Write the body's x and z axes as constant + products @ coefficients, in float64.

    Read off `rotation_matrix` itself, which is quadratic: its value at zero, at each unit vector
    and at each sum of two determine it.

    Returns:
        Constant (6,) and coefficients (10, 6), one row per pair in `PAIRS`.
    """

    def at(*entries: int) -> Tensor:
        quat = torch.zeros(4, dtype=torch.float64)
        for entry in entries:
            quat[entry] = 1.0
        return body_axes(quat)

    constant = at()
    rows = [at(i) - constant if i == j else at(i, j) - at(i) - at(j) + constant for i, j in PAIRS]
    return constant, torch.stack(rows)
