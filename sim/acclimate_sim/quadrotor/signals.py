"""The signals a quadrotor produces for a policy, as the contract names them."""

from torch import Tensor

from acclimate_sim.quadrotor.state import QuadrotorState
from acclimate_sim.references import Reference


def signals(
    state: QuadrotorState, reference: Reference, previous_action: Tensor, dt_s: float
) -> dict[str, Tensor]:
    """Fill the quadrotor vocabulary; every value is (num_envs, *signal shape) in SI units."""
    return {
        "position_error": state.position - reference.position,
        "orientation": state.orientation,
        "linear_velocity_error": state.linear_velocity - reference.linear_velocity,
        "angular_velocity": state.angular_velocity,
        "previous_action": previous_action,
        "time_step": state.position.new_full((len(state), 1), dt_s),
    }
