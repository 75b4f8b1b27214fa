"""The golden sequence: inputs and outputs a policy file carries to prove that it computes alike."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

GOLDEN_TOLERANCE = 1e-5


@dataclass(frozen=True, kw_only=True, eq=False)
class GoldenSequence:
    """A recorded run of the policy with at least one reset of its memory in the middle.

    Attributes:
        inputs: Signal name -> (steps, *signal shape), SI units, float32.
        actions: (steps, num_channels), what the policy answered, float32.
        resets: (steps,), true where the memory is set to its initial value before the step.
    """

    inputs: Mapping[str, np.ndarray]
    actions: np.ndarray
    resets: np.ndarray

    @property
    def num_steps(self) -> int:
        """Number of control steps recorded."""
        return len(self.actions)

    def to_json(self) -> dict[str, Any]:
        """Plain lists; float32 values survive the round trip exactly."""
        return {
            "inputs": {name: values.tolist() for name, values in self.inputs.items()},
            "actions": self.actions.tolist(),
            "resets": np.flatnonzero(self.resets).tolist(),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "GoldenSequence":
        """Inverse of `to_json`; raises KeyError, TypeError or ValueError on malformed data."""
        actions = np.asarray(data["actions"], dtype=np.float32)
        resets = np.zeros(len(actions), dtype=bool)
        for step in data["resets"]:
            if not 0 <= step < len(actions):  # a negative index would count from the end
                raise ValueError(f"golden reset at step {step} of {len(actions)}")
            resets[step] = True
        inputs = {n: np.asarray(v, dtype=np.float32) for n, v in data["inputs"].items()}
        return cls(inputs=inputs, actions=actions, resets=resets)
