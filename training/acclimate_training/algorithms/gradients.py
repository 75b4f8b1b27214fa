"""Meta-training by gradients through the simulator.

Every iteration draws fresh robots, flies all of them with the policy, and backpropagates the mean
cost of the whole flight, memory included, into the policy's weights. Three things make the long
gradient useful: the physics is converged (one Runge-Kutta step per period), the horizon grows
with training, and the state's gradient is damped at every step while the memory's is not.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from acclimate_sim.quadrotor import QuadrotorParameters, QuadrotorState, signals, step
from acclimate_sim.references import Reference
from acclimate_training.policies import QuadrotorPolicy
from acclimate_training.problems.quadrotor_tracking import (
    PERIOD_S,
    Episodes,
    TrackingCost,
    step_cost,
    stop_lost,
)


@dataclass(frozen=True, kw_only=True)
class Carry:
    """What flows from one control step to the next.

    Attributes:
        state: Of the robots.
        memory: (num_envs, memory_width) of the policy.
        action: (num_envs, 4), applied last.
        flying: (num_envs,), 1 until a robot is lost.
    """

    state: QuadrotorState
    memory: Tensor
    action: Tensor
    flying: Tensor


@dataclass(frozen=True, kw_only=True)
class Rollout:
    """Outcome of one batch of flights.

    Attributes:
        cost: Scalar, mean over robots and time.
        final_distance_m: (num_envs,), mean over the last 100 steps.
        lost: (num_envs,), 1 where control was lost.
    """

    cost: Tensor
    final_distance_m: Tensor
    lost: Tensor


Step = Callable[
    [QuadrotorParameters, Carry, Tensor, Tensor, Tensor, Tensor], tuple[Carry, Tensor, Tensor]
]


def make_step(policy: QuadrotorPolicy, weights: TrackingCost, state_damping: float) -> Step:
    """Build one differentiable control step: policy, physics and cost.

    `state_damping` scales the state's gradient at every step back in time; below one it keeps
    long horizons from exploding (the forward value is unchanged).
    """

    def control_step(
        robots: QuadrotorParameters,
        carry: Carry,
        force_n: Tensor,
        position: Tensor,
        velocity: Tensor,
        settled: Tensor,
    ) -> tuple[Carry, Tensor, Tensor]:
        reference = Reference(position=position, linear_velocity=velocity)
        state = _damp_gradient(carry.state, state_damping)
        action, memory = policy(signals(state, reference, carry.action, PERIOD_S), carry.memory)
        state = step(robots, state, action, PERIOD_S, external_force_n=force_n)
        cost, distance = step_cost(weights, state, reference, action, carry.action, settled)
        state, flying = stop_lost(state, distance)
        still = carry.flying * flying
        carry = Carry(state=state, memory=memory, action=action, flying=still)
        return carry, (cost * still).mean(), distance

    return control_step


def fly(
    policy: QuadrotorPolicy, control_step: Step, episodes: Episodes, weights: TrackingCost
) -> Rollout:
    """Fly all episodes to their end and keep the graph for the gradient."""
    start = episodes.start
    num_steps, num_envs, _ = episodes.reference.position.shape
    carry = Carry(
        state=start,
        memory=policy.initial_memory(num_envs),
        action=2.0 * start.motor_speed - 1.0,
        flying=torch.ones_like(start.position[:, 0]),
    )
    times = torch.arange(num_steps, device=start.position.device)
    settled = (times >= round(weights.settle_s / PERIOD_S)).to(start.position.dtype).unbind(0)
    costs, distances = [], []
    for t, (position, velocity) in enumerate(
        zip(
            episodes.reference.position.unbind(0),
            episodes.reference.linear_velocity.unbind(0),
            strict=True,
        )
    ):
        carry, cost, distance = control_step(
            episodes.robots, carry, episodes.force_n, position, velocity, settled[t]
        )
        costs.append(cost)
        distances.append(distance.detach())
    return Rollout(
        cost=torch.stack(costs).mean(),
        final_distance_m=torch.stack(distances[-100:]).mean(0),
        lost=1.0 - carry.flying,
    )


def _damp_gradient(state: QuadrotorState, factor: float) -> QuadrotorState:
    def damped(value: Tensor) -> Tensor:
        return factor * value + (1.0 - factor) * value.detach()

    return replace(state, **{f.name: damped(getattr(state, f.name)) for f in fields(state)})
