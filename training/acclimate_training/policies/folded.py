"""The quadrotor policy in its shortest form, for export.

The nine entries of a rotation matrix are linear in the ten products of the quaternion's entries.
The first layer is linear too, so its weights fold into weights on the products, and the graph
computes a product of two small matrix products where it would spell out every entry: half the
time of a step on a robot goes into the number of nodes, not into arithmetic.
"""

from collections.abc import Mapping
from itertools import combinations_with_replacement

import torch
from torch import Tensor, nn

from acclimate_sim.rotations import rotation_matrix
from acclimate_training.policies.quadrotor import (
    BODY_RATE_SCALE_S,
    MAX_POSITION_ERROR_M,
    MAX_VELOCITY_ERROR_M_S,
    QuadrotorPolicy,
)

PAIRS = tuple(combinations_with_replacement(range(4), 2))


class FoldedPolicy(nn.Module):
    """Computes what a `QuadrotorPolicy` computes, with the same signature."""

    first: Tensor
    second: Tensor

    def __init__(self, policy: QuadrotorPolicy) -> None:
        super().__init__()
        self.cell, self.head = policy.cell, policy.head
        constant, per_product = rotation_coefficients()
        weight, bias = policy.encoder.weight.detach().double(), policy.encoder.bias.detach()
        position, rotation, velocity, rate, action = weight.split((3, 9, 3, 3, 4), dim=1)
        folded = (
            position,
            rotation @ per_product.T,
            velocity,
            BODY_RATE_SCALE_S * rate,
            action,
        )
        self.weight = nn.Parameter(torch.cat(folded, dim=1).float())
        self.bias = nn.Parameter((bias.double() + rotation @ constant).float())
        for name, side in (("first", 0), ("second", 1)):
            chosen = torch.tensor([pair[side] for pair in PAIRS])
            self.register_buffer(name, nn.functional.one_hot(chosen, 4).T.float())

    def forward(self, signals: Mapping[str, Tensor], memory: Tensor) -> tuple[Tensor, Tensor]:
        """One control step; see `QuadrotorPolicy.forward`."""
        position, velocity = signals["position_error"], signals["linear_velocity_error"]
        quat = signals["orientation"]
        x = torch.cat(
            (
                position.clamp(-MAX_POSITION_ERROR_M, MAX_POSITION_ERROR_M),
                (quat @ self.first) * (quat @ self.second),
                velocity.clamp(-MAX_VELOCITY_ERROR_M_S, MAX_VELOCITY_ERROR_M_S),
                signals["angular_velocity"],
                signals["previous_action"],
            ),
            dim=-1,
        )
        hidden = torch.relu(nn.functional.linear(x, self.weight, self.bias))
        memory = self.cell(hidden, memory)
        return torch.tanh(self.head(memory)), memory


def rotation_coefficients() -> tuple[Tensor, Tensor]:
    """Write the rotation matrix as constant + products @ coefficients, in float64.

    Read off `rotation_matrix` itself, which is quadratic: its value at zero, at each unit vector
    and at each sum of two determine it.

    Returns:
        Constant (9,) and coefficients (10, 9), one row per pair in `PAIRS`.
    """

    def at(*entries: int) -> Tensor:
        quat = torch.zeros(4, dtype=torch.float64)
        for entry in entries:
            quat[entry] = 1.0
        return rotation_matrix(quat).flatten()

    constant = at()
    rows = [at(i) - constant if i == j else at(i, j) - at(i) - at(j) + constant for i, j in PAIRS]
    return constant, torch.stack(rows)
