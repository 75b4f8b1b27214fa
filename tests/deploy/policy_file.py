"""Builds small policy files: a hand-written recurrence whose answers numpy can check."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from acclimate_contract import (
    MANIFEST_KEY,
    QUADROTOR,
    GoldenSequence,
    Manifest,
    MemorySpec,
    RateSpec,
)

SIGNALS = (
    "position_error",
    "orientation",
    "linear_velocity_error",
    "angular_velocity",
    "previous_action",
)
MEMORY_WIDTH = 4
NUM_CHANNELS = 4
INITIAL_MEMORY = np.array([0.1, -0.2, 0.3, 0.0], dtype=np.float32)


class Recurrence:
    """memory' = tanh(x A + memory B), action = tanh(memory' C); x is all signals side by side."""

    def __init__(self, names: Sequence[str] = SIGNALS, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.signals = tuple(QUADROTOR.signal(name) for name in names)
        width = sum(int(np.prod(signal.shape)) for signal in self.signals)
        self.A = rng.normal(0, 0.4, (width, MEMORY_WIDTH)).astype(np.float32)
        self.B = rng.normal(0, 0.6, (MEMORY_WIDTH, MEMORY_WIDTH)).astype(np.float32)
        self.C = rng.normal(0, 0.6, (MEMORY_WIDTH, NUM_CHANNELS)).astype(np.float32)

    def step(
        self, signals: dict[str, np.ndarray], memory: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Answer and next memory, each (batch, 4), for signals (batch, *shape)."""
        rows = [signals[s.name].reshape(len(memory), -1) for s in self.signals]
        x = np.concatenate(rows, axis=-1)
        memory = np.tanh(x @ self.A + memory @ self.B)
        return np.tanh(memory @ self.C), memory

    def model(self, batch: str | int = "batch") -> onnx.ModelProto:
        rows = {s.name: s.name if len(s.shape) == 1 else f"{s.name}_row" for s in self.signals}
        nodes = [
            *(helper.make_node("Flatten", [n], [row]) for n, row in rows.items() if n != row),
            helper.make_node("Concat", list(rows.values()), ["x"], axis=1),
            helper.make_node("MatMul", ["x", "A"], ["xa"]),
            helper.make_node("MatMul", ["memory", "B"], ["mb"]),
            helper.make_node("Add", ["xa", "mb"], ["sum"]),
            helper.make_node("Tanh", ["sum"], ["next_memory"]),
            helper.make_node("MatMul", ["next_memory", "C"], ["nc"]),
            helper.make_node("Tanh", ["nc"], ["action"]),
        ]
        shapes = {s.name: s.shape for s in self.signals} | {"memory": (MEMORY_WIDTH,)}
        graph = helper.make_graph(
            nodes,
            "recurrence",
            [tensor(name, batch, *shape) for name, shape in shapes.items()],
            [tensor("action", batch, NUM_CHANNELS), tensor("next_memory", batch, MEMORY_WIDTH)],
            [numpy_helper.from_array(getattr(self, name), name) for name in "ABC"],
        )
        opset = helper.make_opsetid("", 17)
        return helper.make_model(graph, opset_imports=[opset], ir_version=9)

    def golden(self, steps: int = 12, reset_at: int = 7, seed: int = 1) -> GoldenSequence:
        inputs = random_signals([s.name for s in self.signals], steps, seed)
        actions, memory = [], INITIAL_MEMORY[None]
        for step in range(steps):
            if step == reset_at:
                memory = INITIAL_MEMORY[None]
            now = {name: values[step : step + 1] for name, values in inputs.items()}
            action, memory = self.step(now, memory)
            actions.append(action[0])
        return GoldenSequence(
            inputs=inputs, actions=np.array(actions), resets=np.arange(steps) == reset_at
        )

    def manifest(self, **changes: Any) -> Manifest:
        fields: dict[str, Any] = {
            "name": "tiny",
            "family": QUADROTOR,
            "signals": self.signals,
            "action": QUADROTOR.action,
            "memory": (
                MemorySpec(input="memory", output="next_memory", initial=INITIAL_MEMORY.copy()),
            ),
            "rate": RateSpec(nominal_hz=100.0, min_hz=50.0, max_hz=1000.0),
            "num_parameters": self.A.size + self.B.size + self.C.size,
            "golden": self.golden(),
            "distribution": {
                "name": "test robots",
                "parameters": [
                    {
                        "name": "rise_time",
                        "unit": "s",
                        "description": "Motor time constant.",
                        "distribution": {"kind": "uniform", "low": 0.03, "high": 0.1},
                    }
                ],
            },
            "provenance": {"revision": "0123abc", "command": "acclimate train", "seed": 0},
            "evaluation": {"robots": 1000, "lost": 0.004, "settled": {"within_0.2_m": 0.93}},
        }
        return Manifest(**{**fields, **changes})


def random_signals(names: Sequence[str], steps: int, seed: int) -> dict[str, np.ndarray]:
    """Plausible signals, name -> (steps, *shape) float32; the quaternions are unit."""
    rng = np.random.default_rng(seed)
    values = {n: rng.normal(0, 0.5, (steps, *QUADROTOR.signal(n).shape)) for n in names}
    if "orientation" in values:
        values["orientation"] += [3.0, 0.0, 0.0, 0.0]
        values["orientation"] /= np.linalg.norm(values["orientation"], axis=-1, keepdims=True)
    if "time_step" in values:
        values["time_step"] = np.full((steps, 1), 0.01)
    return {name: value.astype(np.float32) for name, value in values.items()}


def tensor(
    name: str, batch: str | int, *shape: int, kind: int = TensorProto.FLOAT
) -> onnx.ValueInfoProto:
    """Describe a graph tensor (batch, *shape)."""
    return helper.make_tensor_value_info(name, kind, [batch, *shape])


def write(path: Path, model: onnx.ModelProto, manifest: Manifest | str | None) -> Path:
    """Save a model with a manifest, with broken manifest text, or with none."""
    if manifest is not None:
        text = manifest if isinstance(manifest, str) else manifest.to_json()
        helper.set_model_props(model, {MANIFEST_KEY: text})
    onnx.save(model, str(path))
    return path


def build(path: Path, names: Sequence[str] = SIGNALS, **changes: Any) -> Path:
    """Write a valid policy file, but for the given changes of its manifest."""
    recurrence = Recurrence(names)
    return write(path, recurrence.model(), recurrence.manifest(**changes))
