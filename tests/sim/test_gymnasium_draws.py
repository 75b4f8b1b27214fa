"""What episodes are made of: rows of batches, draws by key, robots by seed and number."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from acclimate_sim.envs.episodes import BLOCK, Episode, EpisodeSource
from acclimate_sim.envs.noise import mix, unit_normals
from acclimate_sim.multirotor import DISTRIBUTIONS, InitialStates, sample_imperfect
from acclimate_sim.multirotor.task import reward
from acclimate_sim.seeds import derived_seed
from acclimate_sim.trees import pack, unpack, with_envs

FEW = settings(max_examples=30, deadline=None)  # busy machines stall for longer than a deadline
WORD = st.integers(-(2**63), 2**63 - 1)


def packed(tree: object) -> Tensor:
    """All numbers of each robot, (num_envs, width)."""
    return pack(tree).T


def source(space: str = "diverse", *, force: bool = True, num_envs: int = 1) -> EpisodeSource:
    return EpisodeSource(
        DISTRIBUTIONS[space](),
        InitialStates(),
        force=force,
        num_envs=num_envs,
        device=torch.device("cpu"),
    )


def take(from_: EpisodeSource, seeds: list[int], numbers: list[int]) -> Episode:
    return from_.take(np.array(seeds), np.array(numbers))


# Batches


def test_packing_keeps_every_number() -> None:
    episode = take(source(), [1] * 5, [0, 3, 5, 7, 9])
    one = take(source(), [1], [0])
    again = unpack(pack(episode), one)
    np.testing.assert_array_equal(packed(again), packed(episode))
    torch.testing.assert_close(again.robots.motor_axis, episode.robots.motor_axis, rtol=0, atol=0)
    torch.testing.assert_close(again.start.position, episode.start.position, rtol=0, atol=0)


def test_rows_are_replaced_and_the_others_left() -> None:
    before, new = take(source(), [1] * 4, [0, 1, 2, 3]), take(source(), [1, 1], [8, 9])
    after = with_envs(before, torch.tensor([3, 1]), new)
    wanted = take(source(), [1] * 4, [0, 9, 2, 8])
    np.testing.assert_array_equal(packed(after), packed(wanted))
    np.testing.assert_array_equal(packed(before), packed(take(source(), [1] * 4, [0, 1, 2, 3])))


# Noise


def test_mixing_is_the_published_one() -> None:
    """First outputs of SplitMix64 for the seeds 0 and 1234567, as its ports publish them."""
    got = mix(torch.tensor([0, 1234567])).tolist()
    assert [value % 2**64 for value in got] == [0xE220A8397B1DCDAF, 6457827717110365317]


@FEW
@given(keys=st.lists(WORD, min_size=1, max_size=20), counter=st.integers(0, 2**40))
def test_a_draw_depends_on_its_own_key_and_counter_only(keys: list[int], counter: int) -> None:
    together = unit_normals(torch.tensor(keys), torch.full((len(keys),), counter), 12)
    assert together.shape == (len(keys), 12)
    assert torch.isfinite(together).all()
    for key, row in zip(keys, together, strict=True):
        alone = unit_normals(torch.tensor([key]), torch.tensor([counter]), 12)
        torch.testing.assert_close(alone[0], row, rtol=1e-5, atol=1e-5)  # vectors round otherwise


@pytest.mark.parametrize("along", ["keys", "counters"])
def test_draws_are_normal_and_independent(along: str) -> None:
    """40,000 rows of 12, with neighbouring keys or counters: five standard errors of each."""
    n = 40_000
    count, fixed = torch.arange(n), torch.full((n,), 77)
    pair = (count, fixed) if along == "keys" else (fixed, count)
    draws = unit_normals(*pair, 12).double()
    assert draws.mean(0).abs().max() < 5 / n**0.5
    assert (draws.square().mean(0) - 1).abs().max() < 5 * (2 / n) ** 0.5
    assert (draws.pow(4).mean(0) - 3).abs().max() < 5 * (96 / n) ** 0.5
    between_lanes = draws.T @ draws / n - torch.eye(12).double()
    between_rows = draws[1:].T @ draws[:-1] / n
    squares = draws.square() - 1
    between_squares = squares.T @ squares / n - 2 * torch.eye(12).double()
    assert between_lanes.fill_diagonal_(0).abs().max() < 5 / n**0.5
    assert between_rows.abs().max() < 5 / n**0.5
    assert between_squares.fill_diagonal_(0).abs().max() < 5 * 2 / n**0.5


# Robots


def test_a_robot_is_that_of_its_seed_and_number() -> None:
    generator = torch.Generator().manual_seed(4)
    robots, imperfections = sample_imperfect(DISTRIBUTIONS["diverse"](), BLOCK, generator)
    episode = take(source(), [4, 4, 4], [17, 0, 255])
    for k, number in enumerate((17, 0, 255)):
        np.testing.assert_array_equal(
            packed(episode.robots)[k], packed(robots)[number].float().numpy()
        )
        np.testing.assert_array_equal(
            packed(episode.imperfections)[k], packed(imperfections)[number].float().numpy()
        )


@FEW
@given(
    names=st.lists(st.tuples(st.integers(0, 3), st.integers(0, BLOCK - 1)), min_size=1, max_size=20)
)
def test_episodes_come_in_the_order_they_were_asked_for(names: list[tuple[int, int]]) -> None:
    """Whatever was drawn before, and with a memory too small for all of it."""
    asked = source("published")
    together = packed(take(asked, [s for s, _ in names], [n for _, n in names]))
    alone = [packed(take(asked, [seed], [number])) for seed, number in names]
    np.testing.assert_array_equal(together, torch.cat(alone))


def test_starts_and_forces_are_those_of_the_published_rollouts() -> None:
    episode = take(source("published"), [2] * BLOCK, list(range(BLOCK)))
    assert episode.start.position.abs().max() <= 0.5
    assert episode.start.position.abs().max() > 0.45
    at_rest = (episode.start.position == 0.0).all(dim=1)
    assert 0.02 < at_rest.float().mean() < 0.2
    pushes = episode.force_n / episode.robots.force_std_n.unsqueeze(-1)
    assert abs(float(pushes.std()) - 1.0) < 5 * (0.5 / (3 * BLOCK)) ** 0.5
    calm = take(source("published", force=False), [2] * BLOCK, list(range(BLOCK)))
    assert not calm.force_n.any()


def test_memory_reaches_back_as_far_as_the_latest_robot() -> None:
    late, early = source("diverse"), source("published")
    for some in (late, early):
        take(some, [0], [0])
    assert (early.delay_taps, late.delay_taps) == (1, 4)  # up to 30 ms in steps of 10 ms
    assert (early.noisy, late.noisy) == (False, True)


def test_derived_seeds_are_valid_and_differ() -> None:
    seeds = {derived_seed(s, e, b) for s in range(20) for e in range(20) for b in range(20)}
    assert len(seeds) == 8000
    assert min(seeds) >= 0
    assert max(seeds) < 2**32


# The published reward


def test_the_reward_is_the_published_one() -> None:
    """0.3 m away, turned by a right angle, half a setpoint changed: term by term."""
    turned = torch.tensor([[0.5**0.5, 0.0, 0.0, -(0.5**0.5)], [1.0, 0.0, 0.0, 0.0]])
    got = reward(torch.tensor([0.3, 0.0]), turned, torch.tensor([0.5, 0.0]))
    heading = np.arccos(1 - 0.5**0.5)
    np.testing.assert_allclose(got, [1.5 - 0.3 - 0.2 * heading - 0.5, 1.5], atol=1e-6)
