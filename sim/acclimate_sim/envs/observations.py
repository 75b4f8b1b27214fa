"""What agents see: the contract's signals as Gymnasium spaces, as a dictionary or as one vector."""

import math
from collections.abc import Callable

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from acclimate_contract import RobotFamily
from acclimate_sim.envs.flight import Flight, seen
from acclimate_sim.envs.settings import MultirotorEnvCfg

CONTEXT = "context"

Observation = dict[str, Tensor] | Tensor
Observe = Callable[[Flight], Observation]


def action_space(family: RobotFamily) -> spaces.Box:
    """Motor setpoints of one robot, in the contract's order."""
    action = family.action
    return spaces.Box(action.low, action.high, (len(action.channels),), np.float32)


def observation_space(
    cfg: MultirotorEnvCfg, family: RobotFamily, context_width: int
) -> spaces.Space:
    """Of one robot; unbounded, since nothing stops a robot before its termination is seen."""
    shapes = {signal.name: signal.shape for signal in family.signals}
    if cfg.context == "exposed":
        shapes[CONTEXT] = (context_width,)
    if cfg.observation == "flat":
        return _unbounded((sum(math.prod(shape) for shape in shapes.values()),))
    return spaces.Dict({name: _unbounded(shape) for name, shape in shapes.items()})


def make_observe(cfg: MultirotorEnvCfg, family: RobotFamily) -> Observe:
    """Build what turns a flight into a batch of observations."""
    names = [signal.name for signal in family.signals]

    def observe(flight: Flight) -> Observation:
        signals = seen(flight)
        values = {name: signals[name] for name in names}
        if cfg.context == "exposed":
            values[CONTEXT] = flight.episode.context
        if cfg.observation == "signals":
            return values
        return torch.cat([value.flatten(1) for value in values.values()], dim=-1)

    return observe


def as_arrays(observation: Observation) -> dict[str, np.ndarray] | np.ndarray:
    """Arrays that nobody else holds, for whoever keeps and changes what it is given."""
    if isinstance(observation, Tensor):
        return observation.cpu().numpy()  # made for this purpose
    return {name: np.array(value.cpu().numpy(), order="C") for name, value in observation.items()}


def of_env(
    observation: dict[str, np.ndarray] | np.ndarray, env: int
) -> dict[str, np.ndarray] | np.ndarray:
    """The observation of one environment."""
    if isinstance(observation, dict):
        return {name: value[env].copy() for name, value in observation.items()}
    return observation[env].copy()


def _unbounded(shape: tuple[int, ...]) -> spaces.Box:
    return spaces.Box(-np.inf, np.inf, shape, np.float32)
