"""One robot as a plain Gymnasium environment."""

from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode

from acclimate_sim.envs.observations import of_env
from acclimate_sim.envs.vector import MultirotorVectorEnv
from acclimate_sim.multirotor.task import PERIOD_S


class MultirotorEnv(gymnasium.Env):
    """One robot that shall hold the origin; every episode is a fresh one.

    The first environment of a `MultirotorVectorEnv`, alone: the same seed gives the same flights.
    Truncation is left to Gymnasium's `TimeLimit`, which `gymnasium.make` puts around it.

    Args:
        render_mode: "rgb_array", or none.
        settings: See `MultirotorEnvCfg`.

    Raises:
        ConfigError: A setting is unknown or impossible.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": round(1.0 / PERIOD_S)}  # noqa: RUF012 (gymnasium's own form)

    def __init__(self, *, render_mode: str | None = None, **settings: Any) -> None:
        self._robots = MultirotorVectorEnv(
            1,
            render_mode=render_mode,
            max_episode_steps=None,
            autoreset_mode=AutoresetMode.DISABLED,
            **settings,
        )
        self.render_mode = render_mode
        self.observation_space = self._robots.single_observation_space
        self.action_space = self._robots.single_action_space
        self.context_names = self._robots.context_names

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Begin with a fresh robot; see `MultirotorVectorEnv.reset`."""
        seed = None if seed is None else int(seed)  # numpy's integers are no seeds to gymnasium
        super().reset(seed=seed)
        observations, infos = self._robots.reset(seed=seed, options=options)
        return of_env(observations, 0), _info(infos)

    def step(self, action: np.ndarray) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Fly one control period of 10 ms; see `MultirotorVectorEnv.step`."""
        observations, reward, terminated, _, infos = self._robots.step(np.asarray(action)[None])
        return of_env(observations, 0), float(reward[0]), bool(terminated[0]), False, _info(infos)

    def render(self) -> np.ndarray | None:
        """Picture (480, 640, 3) uint8, or none without a render mode."""
        pictures = self._robots.render()
        return None if pictures is None else pictures[0]

    def close(self) -> None:
        """Give back what the pictures were drawn with."""
        self._robots.close()


def _info(infos: dict[str, Any]) -> dict[str, Any]:
    return {name: int(infos[name][0]) for name in ("robot_seed", "robot")}
