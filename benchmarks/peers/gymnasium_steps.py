"""Gymnasium's vector environments, as reinforcement-learning libraries use them."""

from collections.abc import Callable
from typing import Any

import gymnasium


def make(num_envs: int, name: str, engine: str = "") -> tuple[Callable[[int], None], int]:
    """One process steps all environments; actions are drawn once."""
    options: dict[str, Any] = {"engine": engine} if engine else {"vectorization_mode": "sync"}
    envs = gymnasium.make_vec(name, num_envs=num_envs, **options)
    envs.reset(seed=0)
    actions = envs.action_space.sample()

    def fly(count: int) -> None:
        for _ in range(count):
            envs.step(actions)

    return fly, num_envs
