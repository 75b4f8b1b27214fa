"""The vector environment, held against Gymnasium's own and against the evaluation's flights."""

from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import data_equivalence
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from gymnasium.vector.utils import batch_space
from gymnasium.wrappers import TimeLimit
from gymnasium.wrappers.vector import (
    DictInfoToList,
    FlattenObservation,
    NumpyToTorch,
    RecordEpisodeStatistics,
)

from acclimate_contract import QUADROTOR
from acclimate_sim import envs
from acclimate_sim.envs.episodes import BLOCK, EpisodeSource, robots_of
from acclimate_sim.envs.single import MultirotorEnv
from acclimate_sim.envs.vector import MultirotorVectorEnv
from acclimate_sim.multirotor import DISTRIBUTIONS, InitialStates
from acclimate_sim.references import hover
from acclimate_training.evaluation.flights import Conditions, fly

SHORT = 6
AUTORESETTING = ["NextStep", "SameStep"]


def make(num_envs: int = 3, **settings: Any) -> gymnasium.vector.VectorEnv:
    return gymnasium.make_vec(envs.QUADROTOR, num_envs=num_envs, **settings)


def action_sequence(steps: int, num_envs: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.uniform(-1.0, 1.0, (steps, num_envs, 4)).astype(np.float32)


def assert_close(a: Any, b: Any, atol: float = 1e-5) -> None:
    for name in QUADROTOR.signals:
        np.testing.assert_allclose(a[name.name], b[name.name], atol=atol, err_msg=name.name)


# Spaces


@pytest.mark.parametrize("observation", ["signals", "flat"])
@pytest.mark.parametrize("context", ["hidden", "exposed"])
def test_spaces_are_batches_of_the_single_ones(observation: str, context: str) -> None:
    env = make(observation=observation, context=context)
    assert env.observation_space == batch_space(env.single_observation_space, 3)
    assert env.action_space == batch_space(env.single_action_space, 3)
    seen, _ = env.reset(seed=0)
    assert seen in env.observation_space
    for action in action_sequence(3, 3):
        seen, reward, terminated, truncated, _ = env.step(action)
        assert seen in env.observation_space
        assert reward.shape == terminated.shape == truncated.shape == (3,)
        assert reward.dtype == np.float32
        assert terminated.dtype == truncated.dtype == np.bool_


def test_the_observation_is_the_contracts_vocabulary() -> None:
    space = make().single_observation_space
    assert isinstance(space, gymnasium.spaces.Dict)
    assert {name: box.shape for name, box in space.items()} == {
        signal.name: signal.shape for signal in QUADROTOR.signals
    }


def test_a_flat_observation_is_the_signals_in_the_contracts_order() -> None:
    apart, flat = make(), make(observation="flat")
    seen, together = apart.reset(seed=1)[0], flat.reset(seed=1)[0]
    expected = [seen[signal.name].reshape(3, -1) for signal in QUADROTOR.signals]
    np.testing.assert_array_equal(together, np.concatenate(expected, axis=1))


def test_an_exposed_context_is_what_the_space_drew() -> None:
    env = make(context="exposed", space="diverse")
    seen, _ = env.reset(seed=5)
    draws = DISTRIBUTIONS["diverse"]().sample(BLOCK, torch.Generator().manual_seed(5))
    assert env.unwrapped.context_names == tuple(draws)  # pyright: ignore[reportAttributeAccessIssue]
    expected = torch.stack(list(draws.values()), dim=-1)[:3].float()
    np.testing.assert_array_equal(seen["context"], expected.numpy())
    assert "context" not in make().reset(seed=5)[0]


# Autoreset, against Gymnasium's own vector environment around the single environment


@pytest.mark.parametrize("mode", AUTORESETTING)
@pytest.mark.parametrize("space", ["published", "diverse"])
def test_autoreset_is_that_of_gymnasiums_own_vector_environment(mode: str, space: str) -> None:
    """Episodes end by truncation and, with motors off, by leaving the limits."""
    limit = 24
    reference = SyncVectorEnv(
        [lambda: TimeLimit(MultirotorEnv(space=space), limit)], autoreset_mode=mode
    )
    env = make(1, space=space, max_episode_steps=limit, autoreset_mode=mode)
    assert env.metadata["autoreset_mode"] is AutoresetMode(mode)
    expected, expected_infos = reference.reset(seed=[3])
    seen, infos = env.reset(seed=3)
    assert data_equivalence(seen, expected)
    assert data_equivalence(infos, expected_infos)
    terminations = truncations = 0
    for t in range(80):
        level = -1.0 if t > limit else 0.2
        action = np.full((1, 4), level, np.float32)
        got, wanted = env.step(action), reference.step(action)
        assert_close(got[0], wanted[0])
        for mine, theirs in zip(got[1:4], wanted[1:4], strict=True):
            np.testing.assert_allclose(mine, theirs, atol=1e-5)
        assert data_equivalence(got[4], wanted[4]), (got[4], wanted[4])
        terminations, truncations = terminations + got[2].sum(), truncations + got[3].sum()
    assert terminations > 0
    assert truncations > 0


def test_both_autoreset_modes_fly_the_same_episodes() -> None:
    """Same step shows the next first observation at once; next step one step later, for nothing."""
    n, count = 4, 3
    sequences: dict[str, list[Any]] = {}
    for mode in AUTORESETTING:
        env = make(n, max_episode_steps=SHORT, autoreset_mode=mode, space="diverse")
        first, _ = env.reset(seed=3)
        told = [first]
        for _ in range(count):
            for action in action_sequence(SHORT, n):
                seen, _, terminated, truncated, infos = env.step(action)
                assert not terminated.any()
                told.append(seen)
            assert truncated.all()
            if mode == "SameStep":
                last = {k: np.stack([o[k] for o in infos["final_obs"]]) for k in seen}
                assert infos["_final_obs"].all()
                told.insert(-1, last)
            else:
                seen, reward, terminated, truncated, infos = env.step(np.ones((n, 4), np.float32))
                assert not np.any([reward, terminated, truncated])
                assert "final_obs" not in infos
                told.append(seen)
        sequences[mode] = told
    assert len(sequences["NextStep"]) == len(sequences["SameStep"]) == count * (SHORT + 1) + 1
    for a, b in zip(sequences["NextStep"], sequences["SameStep"], strict=True):
        assert data_equivalence(a, b)


def test_without_autoreset_the_ended_must_be_reset_and_only_they_are() -> None:
    env = make(3, max_episode_steps=2, autoreset_mode="Disabled")
    env.reset(seed=0)
    zeros = np.zeros((3, 4), np.float32)
    env.reset(options={"reset_mask": np.array([False, True, False])})
    env.step(zeros)
    _, before = env.reset(options={"reset_mask": np.array([False, True, False])})
    seen, _, _, truncated, _ = env.step(zeros)
    assert truncated.tolist() == [True, False, True]
    with pytest.raises(
        ValueError, match=r"environments \[0, 2\] have ended .* Fix: reset.*reset_mask"
    ):
        env.step(zeros)
    again, after = env.reset(options={"reset_mask": truncated})
    assert (before["robot_seed"] != after["robot_seed"]).tolist() == [True, False, True]
    for name in again:
        np.testing.assert_array_equal(again[name][1], seen[name][1])
    env.step(zeros)


# Seeds and robots


def test_a_seed_gives_the_same_flights_and_another_gives_others() -> None:
    def flights(seed: int) -> list[np.ndarray]:
        env = make(5, max_episode_steps=SHORT, space="diverse", observation="flat")
        told = [env.reset(seed=seed)[0]]
        return told + [env.step(action)[0] for action in action_sequence(20, 5)]

    first, second, other = flights(11), flights(11), flights(12)
    np.testing.assert_array_equal(first, second)
    assert all((a != b).any(axis=1).all() for a, b in zip(first, other, strict=True))


def test_an_environment_does_not_depend_on_how_many_fly_beside_it() -> None:
    """Sensor noise and later episodes included; sums of other batch sizes round otherwise."""
    few, many = 4, BLOCK + 40
    actions = action_sequence(3 * SHORT, many)
    told = []
    for n in (few, many):
        env = make(n, max_episode_steps=SHORT, space="diverse")
        seen, infos = env.reset(seed=8)
        rows = [{k: v[:few] for k, v in seen.items()}]
        for action in actions:
            seen, _, _, _, infos = env.step(action[:n])
            rows.append({k: v[:few] for k, v in seen.items()})
        told.append((rows, infos["robot_seed"][:few]))
    for a, b in zip(told[0][0], told[1][0], strict=True):
        assert_close(a, b, atol=1e-4)
    np.testing.assert_array_equal(told[0][1], told[1][1])


def test_every_episode_is_a_fresh_robot_and_a_reset_goes_on_with_the_next() -> None:
    env = make(3, max_episode_steps=2, context="exposed")
    robots = []
    for reset in range(3):
        seen, _ = env.reset(seed=4) if reset == 0 else env.reset()
        for action in action_sequence(7, 3):
            robots += list(seen["context"])
            seen, *_ = env.step(action)
    assert len(np.unique(robots, axis=0)) == 3 * 3 * 3  # resets, episodes of each, environments


def test_without_a_seed_two_environments_fly_other_robots() -> None:
    assert make().reset()[1]["robot_seed"][0] != make().reset()[1]["robot_seed"][0]


def test_the_first_environments_begin_with_the_robots_of_the_seed() -> None:
    seeds, numbers = robots_of(7, np.array([0, 17, 255, 256, 0]), np.array([0, 0, 0, 0, 1]))
    assert numbers.tolist() == [0, 17, 255, 0, 0]
    assert seeds[:3].tolist() == [7, 7, 7]
    assert len({7, *seeds[3:].tolist()}) == 3


def test_any_robot_of_a_flight_flies_again_without_the_others() -> None:
    """From its seed and number: the same start, the same force, the same sensor noise."""
    n, chosen = 300, np.arange(285, 295)
    env = make(n, max_episode_steps=SHORT, space="diverse", context="exposed")
    env.reset(seed=1)
    actions = action_sequence(2 * SHORT + 2, n)
    told = [env.step(action) for action in actions]
    begin = SHORT  # of the second episodes
    infos = told[begin][4]
    (seed,) = set(infos["robot_seed"][chosen].tolist())
    again = make(len(chosen), space="diverse", context="exposed")
    seen, infos = again.reset(seed=seed, options={"robot": infos["robot"][chosen]})
    assert infos["robot"].tolist() == (chosen - BLOCK).tolist()
    names = again.unwrapped.context_names  # pyright: ignore[reportAttributeAccessIssue]
    assert (seen["context"][:, names.index("noise_level")] > 0.0).sum() > 2
    for t in range(begin, begin + SHORT):
        assert_close(seen, {k: v[chosen] for k, v in told[t][0].items()}, atol=1e-4)
        seen, reward, *_ = again.step(actions[t + 1][chosen])
        np.testing.assert_allclose(reward, told[t + 1][1][chosen], atol=1e-3)


def test_the_names_in_the_infos_are_good_for_the_single_environment() -> None:
    _, infos = make(3).reset(seed=5)
    alone = gymnasium.make(envs.QUADROTOR)
    seen, info = alone.reset(seed=infos["robot_seed"][2], options={"robot": infos["robot"][2]})
    assert info == {"robot_seed": 5, "robot": 2}
    assert_close(seen, {k: v[2] for k, v in make(3).reset(seed=5)[0].items()})


def test_a_robot_with_a_longer_delay_may_join_a_flight() -> None:
    """More actions are remembered from then on; for those in flight nothing changes."""
    told = []
    for taps in (4, 7):
        env = MultirotorVectorEnv(3, space="diverse", autoreset_mode="Disabled")
        env.reset(seed=0)
        actions = action_sequence(8, 3)
        for action in actions[:4]:
            env.step(action)
        env._source.delay_taps = taps
        env.reset(options={"reset_mask": np.array([False, True, False])})
        told.append([env.step(action)[0] for action in actions[4:]])
    for a, b in zip(*told, strict=True):
        assert_close(a, b, atol=1e-6)


def test_robots_can_be_asked_for_one_by_one() -> None:
    env = make(3, context="exposed")
    everyone, infos = env.reset(seed=9, options={"robot": 17})
    assert infos["robot"].tolist() == [17, 17, 17]
    assert np.ptp(everyone["context"], axis=0).max() == 0.0
    each, _ = env.reset(seed=9, options={"robot": [4, 17, 4]})
    np.testing.assert_array_equal(each["context"][1], everyone["context"][0])
    np.testing.assert_array_equal(each["context"][0], each["context"][2])
    assert (each["context"][0] != each["context"][1]).any()


# Task


@pytest.mark.parametrize("space", ["published", "diverse"])
def test_flights_rewards_and_limits_are_those_of_the_evaluation(space: str) -> None:
    """The same robots, forces and actions through the evaluation's own loop."""
    n, steps = 64, 60
    source = EpisodeSource(
        DISTRIBUTIONS[space](), InitialStates(), force=True, num_envs=n, device=torch.device("cpu")
    )
    episode = source.take(np.full(n, 6), np.arange(n))
    actions = action_sequence(steps, n)

    class Recording:
        memory = np.zeros((n, 1), np.float32)

        def reset(self) -> None:
            self.actions = iter(actions)

        def step(self, signals: Any) -> np.ndarray:
            return next(self.actions)

    expected = fly(
        Recording(),
        episode.robots,
        episode.start,
        episode.force_n,
        hover(n, like=episode.force_n),
        num_steps=steps,
        max_distance_m=20.0 * episode.robots.arm_length_m,
        conditions=Conditions(imperfections=episode.imperfections),
    )
    env = make(n, space=space)
    env.reset(seed=6)
    flying = np.ones(n, np.bool_)
    for t, action in enumerate(actions):
        _, reward, terminated, *_ = env.step(action)
        ended = flying & expected.terminated[t]
        np.testing.assert_array_equal(terminated[flying], expected.terminated[t][flying])
        assert (reward[ended] == -100.0).all()
        flying = flying & ~ended
        np.testing.assert_allclose(reward[flying], expected.reward[t][flying], atol=2e-4)
    assert 0 < flying.sum() < n


def test_without_force_nothing_pushes() -> None:
    """At its target, level, motors at their hover speed, a robot stays."""
    still = InitialStates(at_rest_fraction=1.0, motor_speed=0.0)
    moved = []
    for force in (True, False):
        env = make(32, force=force, start=still)
        env.reset(seed=0)
        seen, *_ = env.step(-np.ones((32, 4), np.float32))
        moved.append(np.abs(seen["position_error"][:, :2]).max())
    assert moved[1] < 1e-6 < moved[0]


# Wrappers


@pytest.mark.parametrize("mode", AUTORESETTING)
def test_episode_statistics_count_returns_and_lengths(mode: str) -> None:
    env = RecordEpisodeStatistics(make(3, max_episode_steps=SHORT, autoreset_mode=mode))
    env.reset(seed=0)
    total = np.zeros(3)
    for t, action in enumerate(action_sequence(SHORT, 3)):
        _, reward, _, _, infos = env.step(action)
        total += reward
        assert ("episode" in infos) == (t == SHORT - 1)
    assert infos["episode"]["l"].tolist() == [SHORT] * 3
    np.testing.assert_allclose(infos["episode"]["r"], total, rtol=1e-5)


def test_gymnasiums_wrappers_work_on_it() -> None:
    env = NumpyToTorch(make(3, max_episode_steps=2))
    seen, _ = env.reset(seed=0)
    for _ in range(4):
        seen, reward, *_ = env.step(torch.zeros(3, 4))
    assert isinstance(seen["orientation"], torch.Tensor)
    assert isinstance(reward, torch.Tensor)

    listed = DictInfoToList(make(3, max_episode_steps=2, autoreset_mode="SameStep"))
    _, infos = listed.reset(seed=0)  # pyright: ignore[reportAssignmentType]
    assert [info["robot"] for info in infos] == [0, 1, 2]

    flat = FlattenObservation(make(3, max_episode_steps=1))
    seen, _ = flat.reset(seed=0)
    expected = [value.reshape(3, -1) for value in make(3).reset(seed=0)[0].values()]
    np.testing.assert_array_equal(np.sort(seen), np.sort(np.concatenate(expected, axis=1)))


# Tensors


@pytest.mark.parametrize("mode", AUTORESETTING)
def test_tensors_go_through_without_copies_and_say_the_same(mode: str) -> None:
    settings = {"max_episode_steps": SHORT, "autoreset_mode": mode, "space": "diverse"}
    plain, fast = make(3, **settings), make(3, tensors=True, **settings)
    plain.reset(seed=0)
    fast.reset(seed=0)
    for action in action_sequence(2 * SHORT, 3):
        expected, got = plain.step(action), fast.step(torch.from_numpy(action))
        for name, value in got[0].items():
            assert isinstance(value, torch.Tensor)
            np.testing.assert_array_equal(value.numpy(), expected[0][name])
        for tensor, array in zip(got[1:4], expected[1:4], strict=True):
            np.testing.assert_array_equal(tensor.numpy(), array)
        assert ("final_obs" in got[4]) == ("final_obs" in expected[4])
        inner = fast.unwrapped._flight.reading.angular_velocity  # pyright: ignore[reportAttributeAccessIssue]
        assert got[0]["angular_velocity"].data_ptr() == inner.data_ptr()


def test_arrays_belong_to_whoever_got_them() -> None:
    """Writing to them changes neither the flight nor what was given before."""
    told = []
    for spoil in (False, True):
        env = make(3, max_episode_steps=SHORT, autoreset_mode="SameStep")
        given, _ = env.reset(seed=0)
        kept = []
        for action in action_sequence(2 * SHORT, 3):
            if spoil:
                for value in given.values():
                    value.fill(np.nan)
            given, *_ = env.step(action)
            kept.append({name: value.copy() for name, value in given.items()})
        told.append(kept)
    assert data_equivalence(*told, exact=True)


def test_cfg_of_an_engine_is_the_engine_that_flies() -> None:
    calls = []

    def hold(parameters: Any, state: Any, action: Any, dt_s: Any, **forces: Any) -> Any:
        calls.append(len(parameters))
        return state

    env = MultirotorVectorEnv(3, engine=hold)
    first, _ = env.reset(seed=0)
    seen, *_ = env.step(np.zeros((3, 4), np.float32))
    assert calls == [3]
    np.testing.assert_array_equal(seen["position_error"], first["position_error"])
