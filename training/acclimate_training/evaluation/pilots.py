"""Who flies: a policy file through onnxruntime, or a published peer."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from acclimate_contract import QUADROTOR
from acclimate_deploy.policy import load_policy
from acclimate_deploy.runtime import BatchRunner
from acclimate_sim.rotations import rotation_matrix
from acclimate_training.errors import EvaluationError


class Pilot(Protocol):
    """A policy that flies a batch of robots."""

    def reset(self) -> None:
        """Forget every robot."""
        ...

    def step(self, signals: Mapping[str, np.ndarray]) -> np.ndarray:
        """Setpoints (num_envs, 4) from the contract's signals, each (num_envs, k) float32."""
        ...


PilotMaker = Callable[[int], Pilot]
"""Builds a pilot for a number of robots."""


def onnx_pilot(path: Path) -> PilotMaker:
    """Fly a policy file, verified on loading."""
    policy = load_policy(path, family=QUADROTOR.name)
    return lambda num_envs: BatchRunner(policy, num_envs)


class RaptorPilot:
    """The released RAPTOR policy (Eschmann et al. 2025), run by its authors' own package."""

    def __init__(self, num_envs: int) -> None:
        try:
            from foundation_policy import Raptor
        except ImportError as error:
            raise EvaluationError(
                "peer raptor needs the package foundation-policy, which is not installed. "
                "Fix: pip install 'acclimate[peers]'."
            ) from error
        del num_envs  # its package takes the batch size from the first observation
        self._policy: Any = Raptor()

    def reset(self) -> None:
        """Forget every robot."""
        self._policy.reset()

    def step(self, signals: Mapping[str, np.ndarray]) -> np.ndarray:
        """Assemble its 22 observations in its order and evaluate."""
        rotation = rotation_matrix(torch.from_numpy(signals["orientation"])).flatten(1).numpy()
        observation = np.concatenate(
            (
                signals["position_error"],
                rotation,
                signals["linear_velocity_error"],
                signals["angular_velocity"],
                signals["previous_action"],
            ),
            axis=1,
        )
        return self._policy.evaluate_step(observation)


PEERS: dict[str, PilotMaker] = {"raptor": RaptorPilot}
"""Published policies to fly beside ours, by name."""
