"""The single environment, and how Gymnasium comes to know both."""

import subprocess
import sys
import warnings
from pathlib import Path

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.wrappers import TimeLimit

from acclimate_sim import envs

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("observation", ["signals", "flat"])
@pytest.mark.parametrize(
    ("name", "space"),
    [
        (envs.QUADROTOR, "published"),
        (envs.QUADROTOR, "diverse"),
        (envs.HEXAROTOR, "hexarotor"),
    ],
)
def test_gymnasiums_checker_has_nothing_to_say(observation: str, name: str, space: str) -> None:
    env = gymnasium.make(name, observation=observation, space=space, context="exposed")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        check_env(env.unwrapped, skip_render_check=True)
    # Nothing stops a robot before its termination is seen: its signals have no bounds.
    said = [str(w.message) for w in caught if "infinity" not in str(w.message)]
    assert said == []


def test_a_hexarotor_has_six_setpoints_and_shows_the_last_ones() -> None:
    env = gymnasium.make(envs.HEXAROTOR)
    env.reset(seed=0)
    action = np.linspace(-0.5, 0.5, 6, dtype=np.float32)
    seen, *_ = env.step(action)
    assert env.action_space.shape == (6,)
    np.testing.assert_array_equal(seen["previous_action"], action)


def test_it_is_the_first_environment_of_the_vector() -> None:
    single = gymnasium.make(envs.QUADROTOR, max_episode_steps=5)
    vector = gymnasium.make_vec(envs.QUADROTOR, num_envs=2, max_episode_steps=5)
    seen, _ = single.reset(seed=7)
    batch, _ = vector.reset(seed=7)
    rng = np.random.default_rng(0)
    truncated = False
    for _ in range(12):
        action = rng.uniform(-1.0, 1.0, (2, 4)).astype(np.float32)
        for name, value in seen.items():
            np.testing.assert_allclose(value, batch[name][0], atol=1e-6)
        over = truncated
        seen, truncated = (single.reset()[0], False) if over else single.step(action[0])[0::3][:2]
        batch, *_ = vector.step(action)


def test_it_lasts_five_seconds_unless_told_otherwise() -> None:
    def limit(env: gymnasium.Env) -> int:
        assert isinstance(env, TimeLimit)
        return env._max_episode_steps

    assert limit(gymnasium.make(envs.QUADROTOR)) == 500
    assert limit(gymnasium.make(envs.QUADROTOR, max_episode_steps=20)) == 20


@pytest.mark.parametrize("again", ["", "acclimate_sim.envs.register_environments()"])
def test_gymnasium_knows_both_once_the_package_is_imported(again: str) -> None:
    """Without a word of warning, and without torch until an environment is made."""
    lines = (
        "import gymnasium, sys",
        f"sys.path.insert(0, {str(ROOT / 'sim')!r})",
        "import acclimate_sim.envs",
        again,
        f"spec = gymnasium.spec({envs.QUADROTOR!r})",
        "assert 'torch' not in sys.modules",
        "print(spec.id, spec.entry_point, spec.vector_entry_point)",
    )
    command = [sys.executable, "-c", "\n".join(lines)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.stderr == ""
    module = "acclimate_sim.envs"
    assert done.stdout.split() == [
        envs.QUADROTOR,
        f"{module}.single:MultirotorEnv",
        f"{module}.vector:MultirotorVectorEnv",
    ]


def test_the_package_can_be_named_with_the_environment() -> None:
    assert gymnasium.make(f"acclimate_sim.envs:{envs.QUADROTOR}").spec is not None
