"""The signals a multirotor produces for a policy, as the contract names them."""

import torch
from torch import Tensor

from acclimate_sim.multirotor.state import MultirotorState
from acclimate_sim.references import Reference


def signals(
    state: MultirotorState,
    reference: Reference,
    previous_action: Tensor,
    dt_s: float | Tensor,
    preview: Tensor | None = None,
) -> dict[str, Tensor]:
    """Fill the multirotor vocabulary; every value is (num_envs, *signal shape) in SI units.

    Args:
        state: What the sensors say.
        reference: Where the robots should be now.
        previous_action: (num_envs, num_motors), setpoints of the last period.
        dt_s: Length of that period, one for all or (num_envs,).
        preview: (num_envs, 4, 3), see the contract; none means an unknown future.
    """
    like = state.position
    elapsed = torch.as_tensor(dt_s, device=like.device, dtype=like.dtype)
    unknown = like.new_zeros(len(state), 4, 3)
    return {
        "position_error": state.position - reference.position,
        "orientation": state.orientation,
        "linear_velocity_error": state.linear_velocity - reference.linear_velocity,
        "angular_velocity": state.angular_velocity,
        "previous_action": previous_action,
        "time_step": elapsed.expand(len(state)).unsqueeze(-1),
        "reference_preview": unknown if preview is None else preview,
    }
