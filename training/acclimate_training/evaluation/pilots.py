"""Who flies: a policy file through onnxruntime, or a published peer."""

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from acclimate_deploy.policy import Policy, load_policy
from acclimate_deploy.runtime import BatchRunner
from acclimate_sim.rotations import rotation_matrix
from acclimate_training.errors import EvaluationError


class Pilot(Protocol):
    """A policy that flies a batch of robots."""

    def reset(self) -> None:
        """Forget every robot."""
        ...

    def step(self, signals: Mapping[str, np.ndarray]) -> np.ndarray:
        """Setpoints (num_envs, num_motors) from signals, each (num_envs, k) float32."""
        ...

    @property
    def memory(self) -> np.ndarray:
        """Copy of what it remembers, (num_envs, width) float32; can be set."""
        ...

    @memory.setter
    def memory(self, memory: np.ndarray) -> None: ...


PilotMaker = Callable[[int], Pilot]
"""Builds a pilot for a number of robots."""


def onnx_pilot(path: Path) -> PilotMaker:
    """Fly a policy file, verified on loading."""
    policy = load_policy(path)
    return lambda num_envs: OnnxPilot(policy, num_envs)


class OnnxPilot:
    """A policy file run by onnxruntime, its memory tensors side by side in one array."""

    def __init__(self, policy: Policy, num_envs: int) -> None:
        self._runner = BatchRunner(policy, num_envs)
        self._num_envs = num_envs
        self._shapes = {spec.input: spec.shape for spec in policy.manifest.memory}

    def reset(self) -> None:
        """Forget every robot."""
        self._runner.reset()

    def step(self, signals: Mapping[str, np.ndarray]) -> np.ndarray:
        """Setpoints (num_envs, num_motors)."""
        return self._runner.step(signals)

    @property
    def memory(self) -> np.ndarray:
        """Copy of what it remembers, (num_envs, width) float32; can be set."""
        parts = [value.reshape(self._num_envs, -1) for value in self._runner.memory.values()]
        return np.hstack([np.empty((self._num_envs, 0), np.float32), *parts])

    @memory.setter
    def memory(self, memory: np.ndarray) -> None:
        ends = np.cumsum([math.prod(shape) for shape in self._shapes.values()])
        parts = np.split(memory, ends[:-1], axis=1)  # one empty part where nothing is remembered
        self._runner.memory = {
            name: part.reshape(len(memory), *shape)
            for (name, shape), part in zip(self._shapes.items(), parts, strict=False)
        }


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
        self._policy: Any = Raptor()
        self._gru = next(layer for layer in self._policy.layers if hasattr(layer, "state"))
        self._num_envs = num_envs
        self.reset()  # its package leaves a memory behind from checking itself

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

    @property
    def memory(self) -> np.ndarray:
        """Copy of what it remembers, (num_envs, 16) float32; can be set."""
        if self._gru.state is None:  # its package starts from the learned state at the first step
            return np.tile(self._gru.initial_hidden_state, (self._num_envs, 1))
        return self._gru.state.copy()

    @memory.setter
    def memory(self, memory: np.ndarray) -> None:
        self._gru.state = np.array(memory, dtype=np.float32)


PEERS: dict[str, PilotMaker] = {"raptor": RaptorPilot}
"""Published policies to fly beside ours, by name."""
