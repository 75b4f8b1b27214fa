"""Meta-training by gradients through the simulator.

Every iteration draws fresh robots, flies all of them with the policy, and backpropagates the mean
cost of the whole flight, memory included, into the policy's weights. Three things make the long
gradient useful: the physics is converged (one Runge-Kutta step per period), the horizon grows
with training, and the state's gradient is damped at every step while the memory's is not.
"""

from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor

from acclimate_sim.fused.row_step import Step
from acclimate_sim.multirotor import (
    Disturbances,
    Imperfections,
    MultirotorParameters,
    MultirotorState,
    advance,
    delayed,
    measure,
    signals,
)
from acclimate_sim.references import Reference
from acclimate_training.algorithms.unroll import Unroll
from acclimate_training.policies import MultirotorPolicy
from acclimate_training.problems.multirotor_tracking import (
    PERIOD_S,
    Episodes,
    TrackingCost,
    step_cost,
    stop_lost,
)
from acclimate_training.problems.privileged import privileged


@dataclass(frozen=True, kw_only=True)
class Carry:
    """What flows from one control step to the next.

    Attributes:
        state: Of the robots.
        reading: What the sensors said last.
        memory: (num_envs, memory_width) of the policy.
        actions: (num_envs, taps, num_motors), the newest first.
        flying: (num_envs,), 1 until a robot is lost.
    """

    state: MultirotorState
    reading: MultirotorState
    memory: Tensor
    actions: Tensor
    flying: Tensor


@dataclass(frozen=True, kw_only=True)
class Moment:
    """What a control step is given from outside; for many steps, time is the first axis.

    Attributes:
        position: (num_envs, 3) of the reference.
        velocity: (num_envs, 3) of the reference.
        preview: (num_envs, 4, 3), or none.
        disturbances: Of this step.
        elapsed_s: (num_envs,), length of the step before.
        settled: (num_envs,), 0 while robots may still be arriving, 1 afterwards.
    """

    position: Tensor
    velocity: Tensor
    preview: Tensor | None
    disturbances: Disturbances
    elapsed_s: Tensor
    settled: Tensor


@dataclass(frozen=True, kw_only=True)
class Rollout:
    """Outcome of one batch of flights.

    Attributes:
        cost: Scalar, mean over robots of the cost summed over time.
        robot_cost: (num_envs,), summed over time.
        final_distance_m: (num_envs,), mean over the last 100 steps.
        lost: (num_envs,), 1 where control was lost.
    """

    cost: Tensor
    robot_cost: Tensor
    final_distance_m: Tensor
    lost: Tensor


@dataclass(frozen=True, kw_only=True)
class Taming:
    """What keeps the gradient of a long flight useful; the flight itself is unchanged.

    Attributes:
        state_damping: Factor on the state's gradient per control step back in time.
        max_robot_gradient: Longest gradient of one robot's summed cost with respect to its state,
            memory and last action at any step; longer ones are scaled down.
    """

    state_damping: float = 0.995
    max_robot_gradient: float = 1000.0


def make_step(policy: MultirotorPolicy, weights: TrackingCost, taming: Taming) -> Step:
    """Build one differentiable control step: sensors, policy, physics; gives cost and distance.

    Robots must not know of each other, nor how many they are: some ways to unroll the step look at
    one robot at a time.
    """

    def control_step(
        robots: MultirotorParameters,
        imperfections: Imperfections,
        share: Tensor,
        carry: Carry,
        moment: Moment,
    ) -> tuple[Carry, Tensor, Tensor]:
        now = moment.disturbances
        reference = Reference(position=moment.position, linear_velocity=moment.velocity)
        carry = _tame(carry, taming.state_damping, taming.max_robot_gradient * share)
        last = carry.actions[:, 0]
        reading = measure(imperfections, now, carry.state, carry.reading)
        seen = signals(reading, reference, last, moment.elapsed_s, moment.preview)
        if policy.cfg.privileged:
            seen["privileged"] = privileged(robots, imperfections, now, carry.state, carry.actions)
        action, memory = policy(seen, carry.memory)
        actions = torch.cat((action.unsqueeze(1), carry.actions[:, :-1]), dim=1)
        setpoint = delayed(imperfections, now, actions)
        state = advance(robots, imperfections, now, carry.state, setpoint)
        cost, distance = step_cost(weights, state, reference, action, last, moment.settled)
        state, flying = stop_lost(state, distance)
        still = carry.flying * flying
        carry = Carry(state=state, reading=reading, memory=memory, actions=actions, flying=still)
        return carry, cost * still, distance

    return control_step


def fly(
    policy: MultirotorPolicy, unroll: Unroll, episodes: Episodes, weights: TrackingCost
) -> Rollout:
    """Fly all episodes to their end; `unroll` repeats the step of `make_step`."""
    carry, (costs, distances) = unroll(
        constants(episodes), take_off(policy, episodes), moments(episodes, weights)
    )
    robot_cost = costs.sum(0)
    return Rollout(
        cost=robot_cost.mean(),
        robot_cost=robot_cost.detach(),
        final_distance_m=distances[-100:].detach().mean(0),
        lost=1.0 - carry.flying.detach(),
    )


def constants(episodes: Episodes) -> tuple[MultirotorParameters, Imperfections, Tensor]:
    """What does not change during a flight: robots, imperfections, shares (num_envs,) in a mean."""
    robots = episodes.robots
    share = torch.full_like(robots.mass_kg, 1.0 / len(robots))
    return robots, episodes.imperfections, share


def take_off(policy: MultirotorPolicy, episodes: Episodes) -> Carry:
    """The carry before the first step: what the motors do was commanded since long ago."""
    start = episodes.start
    action = 2.0 * start.motor_speed - 1.0
    return Carry(
        state=start,
        reading=start,
        memory=policy.initial_memory(len(start)),
        actions=action.unsqueeze(1).repeat(1, episodes.delay_taps, 1),
        flying=torch.ones_like(start.position[:, 0]),
    )


def moments(episodes: Episodes, weights: TrackingCost) -> Moment:
    """What all control steps are given; time leads."""
    lengths_s = episodes.disturbances.time_step_s
    position = episodes.reference.position
    times = torch.arange(len(lengths_s), device=position.device)
    arrived = (times >= round(weights.settle_s / PERIOD_S)).to(position.dtype)
    return Moment(
        position=position,
        velocity=episodes.reference.linear_velocity,
        preview=episodes.preview,
        disturbances=episodes.disturbances,
        elapsed_s=torch.cat((lengths_s[:1], lengths_s[:-1])),
        settled=arrived.unsqueeze(-1).expand(position.shape[:2]),
    )


class _TameGradient(torch.autograd.Function):
    """Identity whose gradient is scaled by a factor and, robot by robot, limited in length.

    A few robots near the edge of control have gradients that grow without bound from step to
    step; limiting them one by one keeps them from drowning all others.
    """

    @staticmethod
    def forward(
        ctx: Any, factor: float, limit: Tensor, physical: Tensor, mental: Tensor
    ) -> tuple[Tensor, Tensor]:
        ctx.factor, ctx.limit = factor, limit
        return physical.clone(), mental.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[None, None, Tensor, Tensor]:
        physical, mental = ctx.factor * gradients[0], gradients[1]
        squared = physical.square().sum(-1) + mental.square().sum(-1)
        scale = (ctx.limit * torch.rsqrt(squared + 1e-30)).clamp_max(1.0).unsqueeze(-1)
        return None, None, scale * physical, scale * mental


def _tame(carry: Carry, factor: float, limit: Tensor) -> Carry:
    """Tame all that flows back from a step into the one before it.

    The factor acts on the robot's state alone: what the policy remembers, and what it did last,
    must stay worth learning about for the whole flight.
    """
    names = [f.name for f in fields(carry.state)]
    values = [getattr(carry.state, name) for name in names]
    physical, mental = _TameGradient.apply(
        factor,
        limit,
        torch.cat(values, -1),
        torch.cat((carry.memory, carry.actions.flatten(1)), -1),
    )
    parts = physical.split([value.shape[-1] for value in values], -1)
    width = carry.memory.shape[-1]
    memory, actions = mental[:, :width], mental[:, width:].reshape(carry.actions.shape)
    state = replace(carry.state, **dict(zip(names, parts, strict=True)))
    return replace(carry, state=state, memory=memory, actions=actions)
