"""Many robots as one Gymnasium vector environment."""

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from torch import Tensor

from acclimate_contract import ConfigError, multirotor_family
from acclimate_sim.envs.episodes import EpisodeSource, robots_of
from acclimate_sim.envs.finite import check_finite
from acclimate_sim.envs.flight import Flight, control_step, take_off, with_taps
from acclimate_sim.envs.observations import (
    Observation,
    action_space,
    as_arrays,
    make_observe,
    observation_space,
    of_env,
)
from acclimate_sim.envs.registration import EPISODE_STEPS
from acclimate_sim.envs.requests import read_request
from acclimate_sim.envs.settings import MultirotorEnvCfg
from acclimate_sim.multirotor.task import PERIOD_S
from acclimate_sim.seeds import MAX_SEED
from acclimate_sim.trees import with_envs

if TYPE_CHECKING:  # it needs MuJoCo, which flying does not
    from acclimate_sim.envs.rendering import Renderer


class MultirotorVectorEnv(VectorEnv):
    """Robots that shall hold the origin, all moved at once; every episode is a fresh robot.

    Rewards and limits are the published ones (`acclimate_sim.multirotor.task`). `infos` say which
    robot flies: `reset(seed=infos["robot_seed"][i], options={"robot": infos["robot"][i]})` flies
    that of environment i again, in its conditions.

    Args:
        num_envs: How many.
        render_mode: "rgb_array", or none.
        max_episode_steps: Control steps of 10 ms until truncation, or none.
        autoreset_mode: When a finished environment begins anew: "NextStep", "SameStep" (the last
            observations are then `infos["final_obs"]`) or "Disabled".
        tensors: Take and give torch tensors, without copies, on the device of the environment:
            what is given must not be written to. Else numpy arrays, the caller's own.
        settings: See `MultirotorEnvCfg`.

    Raises:
        ConfigError: A setting is unknown or impossible.
    """

    def __init__(
        self,
        num_envs: int = 1,
        *,
        render_mode: str | None = None,
        max_episode_steps: int | None = EPISODE_STEPS,
        autoreset_mode: str | AutoresetMode = AutoresetMode.NEXT_STEP,
        tensors: bool = False,
        **settings: Any,
    ) -> None:
        if num_envs < 1:
            raise ConfigError(f"{num_envs=} fly nothing. Fix: use 1 or more.")
        if render_mode not in (None, "rgb_array"):
            raise ConfigError(f"no {render_mode=}. Fix: use 'rgb_array', or leave it out.")
        self.cfg = MultirotorEnvCfg.from_keywords(settings)
        self.num_envs, self.render_mode = num_envs, render_mode
        self.max_episode_steps = max_episode_steps
        self.autoreset_mode = _autoreset_mode(autoreset_mode)
        self.metadata = {
            "render_modes": ["rgb_array"],
            "render_fps": round(1.0 / PERIOD_S),
            "autoreset_mode": self.autoreset_mode,
        }
        self._engine, self._device = self.cfg.build_engine(), torch.device(self.cfg.device)
        self._source = EpisodeSource(
            self.cfg.build_space(),
            self.cfg.start,
            force=self.cfg.force,
            num_envs=num_envs,
            device=self._device,
        )
        self.context_names = self._source.context_names
        family = multirotor_family(self._source.num_motors)
        self.single_action_space = action_space(family)
        width = len(self.context_names)
        self.single_observation_space = observation_space(self.cfg, family, width)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self._observe, self._tensors = make_observe(self.cfg, family), tensors
        self._renderer: Renderer | None = None
        self._flight: Flight | None = None
        self._seed = 0
        self._episodes = np.full(num_envs, -1)
        self._none = np.zeros(num_envs, np.bool_)
        self._done = self._none

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Begin with fresh robots.

        Args:
            seed: Of all that follows, from 0 to 2^32 - 1. Environment i begins with robot i of it
                (up to 255; see `robots_of`). Without one come the next robots of the last seed.
            options: "robot": which of the seed's robots to fly, a number or one for each
                environment. "reset_mask": which environments (num_envs,) to reset, bool.

        Raises:
            ConfigError: The seed, an option or a robot is out of range.
        """
        request = read_request(self.num_envs, seed, options)
        seed = None if seed is None else int(seed)  # numpy's integers are no seeds to gymnasium
        super().reset(seed=seed)
        if self._flight is None and len(request.envs) < self.num_envs:
            raise ConfigError("the first reset cannot leave out any. Fix: reset() all first.")
        if seed is not None or self._flight is None:
            self._seed = int(self.np_random.integers(MAX_SEED + 1)) if seed is None else seed
            self._episodes[request.envs] = -1
        self._done = self._done.copy()
        self._done[request.envs] = False
        with torch.no_grad():
            self._begin(request.envs, request.robots)
        return self._given(self._observe(self._flying)), self._infos()

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        """Fly one control period of 10 ms; `actions` (num_envs, num_motors), in [-1, 1].

        Raises:
            SimulationError: A robot's state stopped being finite.
            ConfigError: An action is not finite, or an environment needs a reset first.
        """
        mode = self.autoreset_mode
        if mode is AutoresetMode.DISABLED and self._done.any():
            raise ConfigError(
                f"environments {np.flatnonzero(self._done).tolist()} have ended and autoreset is "
                "disabled. Fix: reset() them, in a vector with options={'reset_mask': terminated | "
                "truncated}."
            )
        with torch.no_grad():
            ended, reward, terminated, truncated = self._fly(self._action(actions))
            infos = {}
            if mode is AutoresetMode.SAME_STEP and ended.any():
                infos = self._final(ended)
                self._begin(np.flatnonzero(ended))
            self._done = ended
            observation = self._given(self._observe(self._flying))
        infos |= self._infos()
        if self._tensors:
            return observation, reward, terminated, truncated, infos
        reward, terminated, truncated = (x.cpu().numpy() for x in (reward, terminated, truncated))
        return observation, reward, terminated, truncated, infos

    def _fly(self, action: Tensor) -> tuple[np.ndarray, Tensor, Tensor, Tensor]:
        """Step all robots but those whose turn it is to begin anew, in the mode for that.

        Returns:
            Which have ended now (num_envs,), rewards, terminations and truncations (num_envs,).
        """
        begin = self._done if self.autoreset_mode is AutoresetMode.NEXT_STEP else self._none
        stepped = torch.from_numpy(~begin).to(self._device)
        flight, reward, terminated = control_step(
            self._flying, action, self._engine, noisy=self._source.noisy
        )
        check_finite(flight, action, stepped, self._source)
        self._flight = flight
        limit = self.max_episode_steps
        truncated = torch.zeros_like(terminated) if limit is None else flight.tick >= limit
        terminated = terminated & stepped
        truncated = truncated & stepped  # both, as Gymnasium's TimeLimit has it
        if begin.any():
            reward = reward.masked_fill(~stepped, 0.0)
            self._begin(np.flatnonzero(begin))
        return (terminated | truncated).cpu().numpy().copy(), reward, terminated, truncated

    def render(self) -> tuple[np.ndarray, ...] | None:
        """One picture (height, width, 3) uint8 per environment.

        Raises:
            SimulationError: Nothing on this machine can draw without a display.
        """
        if self.render_mode is None:
            return None
        if self._renderer is None:
            from acclimate_sim.envs.rendering import Renderer

            self._renderer = Renderer()
        flight = self._flying
        pictures = [
            self._renderer.draw(flight.episode.robots[i : i + 1], flight.state[i : i + 1])
            for i in range(self.num_envs)
        ]
        return tuple(pictures)

    def close_extras(self) -> None:
        """Give back what the pictures were drawn with."""
        if self._renderer is not None:
            self._renderer.close()
            self._renderer = None

    @property
    def _flying(self) -> Flight:
        if self._flight is None:
            raise ConfigError("nothing flies before the first reset. Fix: call reset() first.")
        return self._flight

    def _begin(self, envs: np.ndarray, numbers: np.ndarray | None = None) -> None:
        """Give environments (n,) their next robots, or those with the numbers (n,) of the seed."""
        self._episodes[envs] += 1
        if numbers is None:
            seeds, numbers = robots_of(self._seed, envs, self._episodes[envs])
        else:
            seeds = np.full(len(envs), self._seed)
        episode = self._source.take(seeds, numbers)
        taps, noisy = self._source.delay_taps, self._source.noisy
        seed, number = (torch.from_numpy(n.copy()).to(self._device) for n in (seeds, numbers))
        begun = take_off(seed, number, episode, taps, noisy=noisy)
        if len(envs) < self.num_envs:
            index = torch.from_numpy(envs).to(self._device)
            begun = with_envs(with_taps(self._flying, taps), index, begun)
        self._flight = begun

    def _action(self, actions: Any) -> Tensor:
        action = torch.as_tensor(actions, dtype=torch.float32, device=self._device)
        if action.shape != self.action_space.shape:
            raise ConfigError(
                f"actions have shape {tuple(action.shape)}, and {self.action_space.shape} is "
                "needed: a setpoint per motor. Fix: see action_space."
            )
        return action

    def _given(self, observation: Observation) -> Any:
        return observation if self._tensors else as_arrays(observation)

    def _infos(self) -> dict[str, Any]:
        """Which robot each environment flies; masks as Gymnasium wants them."""
        infos: dict[str, Any] = {"robot_seed": self._flying.seed, "robot": self._flying.number}
        if self._tensors:
            return infos
        infos = {name: value.cpu().numpy().copy() for name, value in infos.items()}
        return infos | {f"_{name}": ~self._none for name in infos}

    def _final(self, ended: np.ndarray) -> dict[str, Any]:
        """What those that have ended saw last, and which robots they were.

        Among tensors, the observations are whole batches; else, as in Gymnasium's own vector
        environments, an object array with one observation for each that has ended.
        """
        last = self._given(self._observe(self._flying))
        mask: Any = torch.from_numpy(ended).to(self._device) if self._tensors else ended.copy()
        if not self._tensors:
            batch, last = last, np.full(self.num_envs, None, dtype=object)
            for env in np.flatnonzero(ended).tolist():
                last[env] = of_env(batch, env)
        final = {"final_obs": last, "final_info": self._infos()}
        return final | {f"_{name}": mask for name in final}


def _autoreset_mode(mode: str | AutoresetMode) -> AutoresetMode:
    known = {known.value: known for known in AutoresetMode}
    name = mode.value if isinstance(mode, AutoresetMode) else mode
    if name not in known:
        raise ConfigError(f"no autoreset mode {name!r}. Fix: use one of {', '.join(known)}.")
    return known[name]
