"""Meta-training by gradients through the simulator.

Every iteration draws fresh robots, flies all of them with the policy, and backpropagates the mean
cost of the whole flight, memory included, into the policy's weights. Three things make the long
gradient useful: the physics is converged (one Runge-Kutta step per period), the horizon grows
with training, and the state's gradient is damped at every step while the memory's is not.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any

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
        cost: Scalar, mean over robots of the cost summed over time.
        final_distance_m: (num_envs,), mean over the last 100 steps.
        lost: (num_envs,), 1 where control was lost.
    """

    cost: Tensor
    final_distance_m: Tensor
    lost: Tensor


Step = Callable[
    [QuadrotorParameters, Carry, Tensor, Tensor, Tensor, Tensor], tuple[Carry, Tensor, Tensor]
]


@dataclass(frozen=True, kw_only=True)
class Taming:
    """What keeps the gradient of a long flight useful; the flight itself is unchanged.

    Attributes:
        state_damping: Factor on the state's gradient per control step back in time.
        max_robot_gradient: Longest gradient of one robot's summed cost with respect to its state,
            memory and last action at any step; longer ones are scaled down.
    """

    state_damping: float = 0.985
    max_robot_gradient: float = 1000.0


def make_step(policy: QuadrotorPolicy, weights: TrackingCost, taming: Taming) -> Step:
    """Build one differentiable control step: policy, physics and cost."""

    def control_step(
        robots: QuadrotorParameters,
        carry: Carry,
        force_n: Tensor,
        position: Tensor,
        velocity: Tensor,
        settled: Tensor,
    ) -> tuple[Carry, Tensor, Tensor]:
        reference = Reference(position=position, linear_velocity=velocity)
        carry = _tame(carry, taming.state_damping, taming.max_robot_gradient / len(robots))
        state = carry.state
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
        cost=torch.stack(costs).sum(),
        final_distance_m=torch.stack(distances[-100:]).mean(0),
        lost=1.0 - carry.flying,
    )


class _TameGradient(torch.autograd.Function):
    """Identity whose gradient is scaled by a factor and, robot by robot, limited in length.

    A few robots near the edge of control have gradients that grow without bound from step to
    step; limiting them one by one keeps them from drowning all others.
    """

    @staticmethod
    def forward(
        ctx: Any, factor: float, limit: float, physical: Tensor, mental: Tensor
    ) -> tuple[Tensor, Tensor]:
        ctx.factor, ctx.limit = factor, limit
        return physical.clone(), mental.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[None, None, Tensor, Tensor]:
        physical, mental = ctx.factor * gradients[0], gradients[1]
        squared = physical.square().sum(-1) + mental.square().sum(-1)
        scale = (ctx.limit * torch.rsqrt(squared + 1e-30)).clamp_max(1.0).unsqueeze(-1)
        return None, None, scale * physical, scale * mental


def _tame(carry: Carry, factor: float, limit: float) -> Carry:
    """Tame all that flows back from a step into the one before it.

    The factor acts on the robot's state alone: what the policy remembers, and what it did last,
    must stay worth learning about for the whole flight.
    """
    names = [f.name for f in fields(carry.state)]
    values = [getattr(carry.state, name) for name in names]
    physical, mental = _TameGradient.apply(
        factor, limit, torch.cat(values, -1), torch.cat((carry.memory, carry.action), -1)
    )
    parts = physical.split([value.shape[-1] for value in values], -1)
    memory, action = mental.split([carry.memory.shape[-1], carry.action.shape[-1]], -1)
    state = replace(carry.state, **dict(zip(names, parts, strict=True)))
    return replace(carry, state=state, memory=memory, action=action)
