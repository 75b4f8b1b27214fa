"""Meta-training through the simulator: the gradient is right, finite, and useful."""

from dataclasses import replace

import pytest
import torch

from acclimate_sim.quadrotor import DISTRIBUTIONS, published
from acclimate_training.algorithms.gradients import Taming, fly, make_step
from acclimate_training.policies import QuadrotorPolicy
from acclimate_training.problems.episodes import SITUATIONS, Situations, draw_episodes
from acclimate_training.problems.quadrotor_tracking import Episodes, TrackingCost, stop_lost

WEIGHTS = TrackingCost()
UNTAMED = Taming(state_damping=1.0, max_robot_gradient=float("inf"))


def episodes(
    num_envs: int = 8, num_steps: int = 20, seed: int = 0, world: str = "calm"
) -> Episodes:
    generator = torch.Generator().manual_seed(seed)
    space = DISTRIBUTIONS["diverse" if world == "harsh" else "widened"]()
    return draw_episodes(space, SITUATIONS[world], num_envs, num_steps, generator)


def in_float64(batch: Episodes) -> Episodes:
    def double(group):
        return replace(group, **{n: v.double() for n, v in vars(group).items()})

    return replace(
        batch,
        robots=batch.robots.to(torch.float64),
        imperfections=batch.imperfections.to(torch.float64),
        start=double(batch.start),
        reference=double(batch.reference),
        disturbances=batch.disturbances.to(torch.float64),
    )


@pytest.mark.parametrize("world", ["calm", "harsh"])
def test_gradient_agrees_with_finite_differences(policy: QuadrotorPolicy, world: str) -> None:
    policy, batch = policy.double(), in_float64(episodes(world=world))
    step = make_step(policy, WEIGHTS, UNTAMED)
    weight = policy.cell.recurrent.weight
    fly(policy, step, batch, WEIGHTS).cost.backward()
    assert weight.grad is not None
    for index in [(0, 0), (20, 3), (40, 15)]:
        h = 1e-6
        costs = []
        for sign in (1, -1):
            with torch.no_grad():
                weight[index] += sign * h
                costs.append(fly(policy, step, batch, WEIGHTS).cost.item())
                weight[index] -= sign * h
        expected = (costs[0] - costs[1]) / (2 * h)
        # Central differences in float64 at h = 1e-6 are good to about 1e-8 of a cost near 1.
        assert weight.grad[index].item() == pytest.approx(expected, rel=1e-4, abs=1e-7)


def test_taming_changes_the_gradient_and_not_the_flight(policy: QuadrotorPolicy) -> None:
    batch = episodes()
    costs, gradients = [], []
    for taming in (UNTAMED, Taming(state_damping=0.9), Taming(max_robot_gradient=0.1)):
        policy.zero_grad()
        rollout = fly(policy, make_step(policy, WEIGHTS, taming), batch, WEIGHTS)
        rollout.cost.backward()
        costs.append(rollout.cost.item())
        assert policy.head.weight.grad is not None
        gradients.append(policy.head.weight.grad.clone())
    assert costs == pytest.approx([costs[0]] * 3, rel=1e-6)
    assert (gradients[0] - gradients[1]).abs().max() > 1e-3
    assert gradients[2].norm() < 0.5 * gradients[0].norm()


def test_lost_robots_neither_count_nor_poison_the_gradient(policy: QuadrotorPolicy) -> None:
    batch = episodes(num_envs=4, num_steps=10)
    far = batch.start.position.clone()
    far[0] = 1e4
    spinning = batch.start.angular_velocity.clone()
    spinning[1] = 500.0
    batch = replace(batch, start=replace(batch.start, position=far, angular_velocity=spinning))
    rollout = fly(policy, make_step(policy, WEIGHTS, Taming()), batch, WEIGHTS)
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


def test_same_seed_draws_the_same_episodes_and_another_seed_does_not() -> None:
    one, same, other = episodes(seed=3), episodes(seed=3), episodes(seed=4)
    torch.testing.assert_close(one.reference.position, same.reference.position, rtol=0, atol=0)
    torch.testing.assert_close(one.robots.mass_kg, same.robots.mass_kg, rtol=0, atol=0)
    assert (one.robots.mass_kg != other.robots.mass_kg).all()


def test_thirty_iterations_make_a_policy_better(policy: QuadrotorPolicy) -> None:
    """A tiny run of the real recipe: the cost on held-out robots falls by a quarter."""
    step = make_step(policy, WEIGHTS, Taming())
    optimizer = torch.optim.Adam(policy.parameters(), lr=4e-3)
    held_out = draw_episodes(published(), Situations(), 128, 50, torch.Generator().manual_seed(99))
    with torch.no_grad():
        before = fly(policy, step, held_out, WEIGHTS).cost.item()
    for i in range(30):
        batch = draw_episodes(published(), Situations(), 64, 50, torch.Generator().manual_seed(i))
        optimizer.zero_grad()
        fly(policy, step, batch, WEIGHTS).cost.backward()
        torch.nn.utils.clip_grad_norm_(policy.parameters(), 1.0)
        optimizer.step()
    with torch.no_grad():
        after = fly(policy, step, held_out, WEIGHTS).cost.item()
    assert after < 0.75 * before, (before, after)
