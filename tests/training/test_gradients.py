"""Meta-training through the simulator: the gradient is right, finite, and useful."""

from dataclasses import fields, is_dataclass, replace
from typing import Any

import pytest
import torch

from acclimate_sim.multirotor import Disturbances, MultirotorState, advance, published, widened
from acclimate_sim.multirotor.distribution import diverse
from acclimate_sim.trees import steps
from acclimate_training.algorithms.gradients import (
    Taming,
    fly,
    make_step,
    moments,
    take_off,
)
from acclimate_training.algorithms.unroll import looped
from acclimate_training.policies import GRU, MultirotorPolicy
from acclimate_training.policy_config import PolicyCfg
from acclimate_training.problems.episodes import SITUATIONS, Situations, draw_episodes
from acclimate_training.problems.multirotor_tracking import (
    PERIOD_S,
    Episodes,
    TrackingCost,
    stop_lost,
)
from acclimate_training.problems.privileged import num_privileged

WEIGHTS = TrackingCost()
UNTAMED = Taming(state_damping=1.0, max_robot_gradient=float("inf"))
CALM = SITUATIONS["calm"]


def episodes(num_envs: int = 8, num_steps: int = 20, seed: int = 0) -> Episodes:
    generator = torch.Generator().manual_seed(seed)
    return draw_episodes(widened(), CALM, num_envs, num_steps, generator)


def harsh_episodes(num_envs: int, num_steps: int, seed: int = 0) -> Episodes:
    """Imperfect robots, each of which meets everything."""
    generator = torch.Generator().manual_seed(seed)
    everything = Situations(**{field.name: 1.0 for field in fields(Situations)})
    return draw_episodes(diverse(), everything, num_envs, num_steps, generator, preview=True)


def in_float64(group: Any) -> Any:
    """The same with every tensor in it in double precision."""
    if isinstance(group, torch.Tensor):
        return group.double()
    if not is_dataclass(group) or isinstance(group, type):
        return group
    return replace(group, **{name: in_float64(value) for name, value in vars(group).items()})


def assert_gradient_is_that_of_finite_differences(
    policy: MultirotorPolicy, batch: Episodes
) -> None:
    policy, batch = policy.double(), in_float64(batch)
    unroll = looped(make_step(policy, WEIGHTS, UNTAMED))
    cell = policy.cell
    assert isinstance(cell, GRU)
    weights = (cell.recurrent.weight, policy.encoder.weight, policy.head.bias)
    fly(policy, unroll, batch, WEIGHTS).cost.backward()
    for weight in weights:
        assert weight.grad is not None
        gradient = weight.grad.flatten()
        for index in gradient.abs().topk(2).indices.tolist():
            h = 1e-6
            costs = []
            for sign in (1, -1):
                with torch.no_grad():
                    weight.view(-1)[index] += sign * h
                    costs.append(fly(policy, unroll, batch, WEIGHTS).cost.item())
                    weight.view(-1)[index] -= sign * h
            expected = (costs[0] - costs[1]) / (2 * h)
            # Central differences in float64 at h = 1e-6 are good to about 1e-8 of a cost near 1.
            assert gradient[index].item() == pytest.approx(expected, rel=1e-4, abs=1e-7)


def test_gradient_agrees_with_finite_differences(policy: MultirotorPolicy) -> None:
    assert_gradient_is_that_of_finite_differences(policy, episodes())


def test_gradient_through_the_whole_world_agrees_with_finite_differences() -> None:
    """Delays, air, ground, battery, noise, dropouts, changes, odd rates, and what oracles see."""
    torch.manual_seed(0)
    cfg = PolicyCfg(time_aware=True, preview=True, privileged=num_privileged(4))
    batch = harsh_episodes(num_envs=8, num_steps=20)
    assert batch.delay_taps > 1
    assert_gradient_is_that_of_finite_differences(MultirotorPolicy(cfg), batch)


def test_taming_changes_the_gradient_and_not_the_flight(policy: MultirotorPolicy) -> None:
    batch = episodes()
    costs, gradients = [], []
    for taming in (UNTAMED, Taming(state_damping=0.9), Taming(max_robot_gradient=0.1)):
        policy.zero_grad()
        rollout = fly(policy, looped(make_step(policy, WEIGHTS, taming)), batch, WEIGHTS)
        rollout.cost.backward()
        costs.append(rollout.cost.item())
        assert policy.head.weight.grad is not None
        gradients.append(policy.head.weight.grad.clone())
    assert costs == pytest.approx([costs[0]] * 3, rel=1e-6)
    assert (gradients[0] - gradients[1]).abs().max() > 1e-3
    assert gradients[2].norm() < 0.5 * gradients[0].norm()


def test_lost_robots_neither_count_nor_poison_the_gradient(policy: MultirotorPolicy) -> None:
    batch = episodes(num_envs=4, num_steps=10)
    far = batch.start.position.clone()
    far[0] = 1e4
    spinning = batch.start.angular_velocity.clone()
    spinning[1] = 500.0
    batch = replace(batch, start=replace(batch.start, position=far, angular_velocity=spinning))
    rollout = fly(policy, looped(make_step(policy, WEIGHTS, Taming())), batch, WEIGHTS)
    rollout.cost.backward()
    assert rollout.lost.tolist() == [1.0, 1.0, 0.0, 0.0]
    assert all(p.grad is not None and p.grad.isfinite().all() for p in policy.parameters())
    assert rollout.cost < 1000.0


def test_stopped_robots_are_at_rest() -> None:
    batch = episodes(num_envs=3)
    distance = torch.tensor([0.1, 100.0, float("nan")])
    state, flying = stop_lost(batch.start, distance)
    assert flying.tolist() == [True, False, False]
    assert state.position[1:].abs().max() == 0.0
    torch.testing.assert_close(state.position[0], batch.start.position[0])


def test_a_flight_starts_as_if_it_had_been_flying(policy: MultirotorPolicy) -> None:
    """The actions on their way to the motors are those that hold the motors where they are."""
    batch = harsh_episodes(num_envs=4, num_steps=3)
    carry = take_off(policy, batch)
    assert carry.actions.shape == (4, batch.delay_taps, 4)
    torch.testing.assert_close(
        0.5 * (carry.actions + 1.0), batch.start.motor_speed[:, None].expand_as(carry.actions)
    )
    for carried in (carry.state, carry.reading):
        assert torch.equal(carried.position, batch.start.position)
        assert torch.equal(carried.motor_speed, batch.start.motor_speed)
    assert (carry.memory == 0.0).all()
    assert (carry.flying == 1.0).all()


def test_each_moment_knows_how_long_the_step_before_it_was() -> None:
    batch = harsh_episodes(num_envs=4, num_steps=120)
    given = list(steps(moments(batch, WEIGHTS)))
    lengths_s = batch.disturbances.time_step_s
    assert batch.preview is not None
    assert torch.equal(given[0].elapsed_s, lengths_s[0])
    for t in (1, 40, 79):
        assert torch.equal(given[t].elapsed_s, lengths_s[t - 1])
        assert torch.equal(given[t].position, batch.reference.position[t])
        assert torch.equal(given[t].velocity, batch.reference.linear_velocity[t])
        preview = given[t].preview
        assert preview is not None
        assert torch.equal(preview, batch.preview[t])
        assert torch.equal(given[t].disturbances.wind_m_s, batch.disturbances.wind_m_s[t])
    arrived = round(WEIGHTS.settle_s / PERIOD_S)
    assert [moment.settled.unique().item() for moment in given] == [0.0] * arrived + [1.0] * (
        120 - arrived
    )


class Spy(MultirotorPolicy):
    """Answers with what it is told to, and keeps what it was shown."""

    def __init__(self, answers: torch.Tensor) -> None:
        super().__init__(PolicyCfg(time_aware=True))
        self.answers, self.seen = answers, []

    def forward(self, signals, memory):
        self.seen.append(signals)
        return self.answers[len(self.seen) - 1], memory


def test_a_flight_is_the_world_stepped_with_what_the_policy_said_two_steps_ago() -> None:
    """A delay of two periods, replayed by hand; the policy sees its newest answer at once."""
    calm = draw_episodes(published(), CALM, 3, 8, torch.Generator().manual_seed(1))
    late = torch.full_like(calm.imperfections.control_delay_s, 2 * PERIOD_S)
    batch = replace(
        calm, imperfections=replace(calm.imperfections, control_delay_s=late), delay_taps=4
    )
    answers = 2.0 * torch.rand(8, 3, 4, generator=torch.Generator().manual_seed(2)) - 1.0
    spy = Spy(answers)
    fly(spy, looped(make_step(spy, WEIGHTS, UNTAMED)), batch, WEIGHTS)
    before = 2.0 * batch.start.motor_speed - 1.0
    arriving = [before, before, *answers]
    state: MultirotorState = batch.start
    for t in range(8):
        now: Disturbances = batch.disturbances.at(t)
        seen = spy.seen[t]
        error = state.position - batch.reference.position[t]
        torch.testing.assert_close(seen["position_error"], error, atol=1e-6, rtol=0)
        torch.testing.assert_close(seen["previous_action"], before if t == 0 else answers[t - 1])
        state = advance(batch.robots, batch.imperfections, now, state, arriving[t])


def test_without_imperfections_only_one_past_action_is_carried() -> None:
    assert episodes().delay_taps == 1


def test_twenty_iterations_make_a_policy_better(policy: MultirotorPolicy) -> None:
    """A tiny run of the real recipe: the cost on held-out robots falls by a tenth and more."""
    unroll = looped(make_step(policy, WEIGHTS, Taming()))
    optimizer = torch.optim.Adam(policy.parameters(), lr=6e-3)
    held_out = draw_episodes(published(), CALM, 128, 40, torch.Generator().manual_seed(99))
    with torch.no_grad():
        before = fly(policy, unroll, held_out, WEIGHTS).cost.item()
    for i in range(20):
        batch = draw_episodes(published(), CALM, 32, 40, torch.Generator().manual_seed(i))
        optimizer.zero_grad()
        fly(policy, unroll, batch, WEIGHTS).cost.backward()
        torch.nn.utils.clip_grad_norm_(policy.parameters(), 1.0)
        optimizer.step()
    with torch.no_grad():
        after = fly(policy, unroll, held_out, WEIGHTS).cost.item()
    assert after < 0.9 * before, (before, after)  # measured 0.76 to 0.86
