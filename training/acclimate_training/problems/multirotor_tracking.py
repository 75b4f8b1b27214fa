"""Hold a point or follow a smooth reference with any multirotor, whatever happens on the way."""

from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from acclimate_sim.multirotor import (
    Disturbances,
    Imperfections,
    MultirotorParameters,
    MultirotorState,
    resting,
)
from acclimate_sim.multirotor.task import PERIOD_S as PERIOD_S  # where training looks for it
from acclimate_sim.references import Reference


@dataclass(frozen=True, kw_only=True)
class Episodes:
    """One batch of meta-training episodes: a fresh robot each, and what happens to it.

    Attributes:
        robots: (num_envs,) robots.
        imperfections: Of the robots.
        start: Their first states, relative to the first reference point.
        reference: Positions and velocities, (time, num_envs, 3).
        preview: (time, num_envs, 4, 3), see the contract; none for policies that do not read it.
        disturbances: One entry per control step.
        delay_taps: Past actions to remember, so that the longest control delay reaches them.
    """

    robots: MultirotorParameters
    imperfections: Imperfections
    start: MultirotorState
    reference: Reference
    preview: Tensor | None
    disturbances: Disturbances
    delay_taps: int

    def to(self, device: torch.device) -> "Episodes":
        """Move the batch; drawn on the CPU, it is the same on every device."""

        def moved(group: MultirotorState | Reference) -> dict[str, Tensor]:
            return {f.name: getattr(group, f.name).to(device) for f in fields(group)}

        return replace(
            self,
            robots=self.robots.to(device),
            imperfections=self.imperfections.to(device),
            start=replace(self.start, **moved(self.start)),
            reference=replace(self.reference, **moved(self.reference)),
            preview=None if self.preview is None else self.preview.to(device),
            disturbances=self.disturbances.to(device),
        )


@dataclass(frozen=True, kw_only=True)
class TrackingCost:
    """Weights of the cost per control step; distances in m, rates in SI units.

    Attributes:
        soft_m: Distance below which its cost turns from its length to its square.
        beyond: Extra slope of the distance beyond 0.5 m.
        away: Cost of not being there, whatever the distance; who arrives early pays less of it.
        away_m: Distance at which half of that is paid.
        speed: Weight of the speed error.
        soft_m_s: Speed error below which its cost turns from its length to its square.
        overspeed: Weight of the squared speed error beyond `speed_limit_m_s`.
        speed_limit_m_s: Speed error above which robots would be stopped.
        body_rate: Weight of the body rate.
        heading: Weight of the squared heading deviation (of the body's y axis).
        tilt: Weight of 1 - cos(tilt).
        change: Weight of the squared change of the setpoints.
        settled_change: Weight of the length of the change once `settle_s` have passed, where the
            reference stands still.
        settle_s: Time a robot has to arrive.
        still_m_s: Speed of the reference that halves it: who follows must move the motors.
    """

    soft_m: float = 0.01
    beyond: float = 2.0
    away: float = 1.2
    away_m: float = 0.1
    speed: float = 0.1
    soft_m_s: float = 0.02
    overspeed: float = 2.0
    speed_limit_m_s: float = 1.5
    body_rate: float = 0.01
    heading: float = 0.3
    tilt: float = 0.05
    change: float = 0.05
    settled_change: float = 1.0
    settle_s: float = 1.0
    still_m_s: float = 0.5


LOST_DISTANCE_M = 8.0
LOST_BODY_RATE_RAD_S = 80.0
SMOOTH = 1e-4


def step_cost(
    weights: TrackingCost,
    state: MultirotorState,
    reference: Reference,
    action: Tensor,
    previous_action: Tensor,
    settled: Tensor,
) -> tuple[Tensor, Tensor]:
    """Cost of one control step.

    Args:
        weights: See `TrackingCost`.
        state: After the step.
        reference: Where the robots should be after the step.
        action: (num_envs, num_motors), applied during the step.
        previous_action: (num_envs, num_motors), applied before.
        settled: (num_envs,), 0 while robots may still be arriving, 1 afterwards.

    Returns:
        Cost (num_envs,) and distance to the reference (num_envs,) in m.
    """
    w, x, y, z = state.orientation.unbind(-1)
    position_error = state.position - reference.position
    velocity_error = state.linear_velocity - reference.linear_velocity
    distance, speed = _norm(position_error), _norm(velocity_error)
    far = distance.square()
    change = action - previous_action
    still = 1.0 / (1.0 + reference.linear_velocity.square().sum(-1) / weights.still_m_s**2)
    cost = (
        _norm(position_error, weights.soft_m)
        + weights.beyond * torch.relu(distance - 0.5)
        + weights.away * far / (far + weights.away_m**2)
        + weights.speed * _norm(velocity_error, weights.soft_m_s)
        + weights.overspeed * torch.relu(speed - weights.speed_limit_m_s).square()
        + weights.body_rate * _norm(state.angular_velocity)
        + weights.heading * (2 * (x * y + w * z)).square()
        + weights.heading * torch.relu(-(1 - 2 * (y * y + z * z)))
        + weights.tilt * 2 * (x * x + y * y)
        + weights.change * change.square().sum(-1)
        + weights.settled_change * settled * still * _norm(change)
    )
    return cost, distance


def stop_lost(state: MultirotorState, distance: Tensor) -> tuple[MultirotorState, Tensor]:
    """Put robots that are far gone to rest, so that nothing they do is learned from.

    Returns:
        The state, and which robots (num_envs,) are still flying.
    """
    flying = (distance < LOST_DISTANCE_M) & (
        state.angular_velocity.abs().amax(-1) < LOST_BODY_RATE_RAD_S
    )
    num_motors = state.motor_speed.shape[1]
    rest = resting(len(state), like=state.position, num_motors=num_motors)
    kept = {
        f.name: torch.where(flying.unsqueeze(-1), getattr(state, f.name), getattr(rest, f.name))
        for f in fields(state)
    }
    return replace(state, **kept), flying


def _norm(vectors: Tensor, soft: float = SMOOTH) -> Tensor:
    """Length (num_envs,) less `soft`; about half the square over `soft` for shorter vectors."""
    return torch.sqrt(vectors.square().sum(-1) + soft**2) - soft
