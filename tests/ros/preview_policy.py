"""Builds a policy file that shows what it reads, so that a test can see a node's signals.

Its commands are the x components of `reference_preview`, one row per motor, clipped to the range;
its memory is the position error and the velocity error.
"""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from acclimate_contract import (
    MANIFEST_KEY,
    QUADROTOR,
    REFERENCE_PREVIEW,
    GoldenSequence,
    Manifest,
    MemorySpec,
    RateSpec,
)

ERRORS = ("position_error", "linear_velocity_error")
SIGNALS = (*ERRORS, REFERENCE_PREVIEW)
MEMORY_WIDTH = 6


def write_preview_policy(path: Path) -> Path:
    """Write a valid policy file; it must not fly."""
    model = _model()
    manifest = Manifest(
        name="hand-written mirror",
        family=QUADROTOR,
        signals=tuple(QUADROTOR.signal(name) for name in SIGNALS),
        action=QUADROTOR.action,
        memory=(
            MemorySpec(
                input="errors",
                output="next_errors",
                initial=np.zeros(MEMORY_WIDTH, dtype=np.float32),
            ),
        ),
        rate=RateSpec(nominal_hz=100.0, min_hz=50.0, max_hz=1000.0),
        num_parameters=0,
        golden=_golden(),
        provenance={"command": "tests/ros/preview_policy.py"},
    )
    helper.set_model_props(model, {MANIFEST_KEY: manifest.to_json()})
    onnx.save(model, str(path))
    return path


def _model() -> onnx.ModelProto:
    constants = {
        "x": np.int64(0),
        "low": np.float32(-1.0),
        "high": np.float32(1.0),
        "nothing": np.float32(0.0),
    }
    nodes = [
        helper.make_node("Gather", [REFERENCE_PREVIEW, "x"], ["ahead"], axis=2),
        helper.make_node("Clip", ["ahead", "low", "high"], ["action"]),
        helper.make_node("Concat", list(ERRORS), ["now"], axis=1),
        helper.make_node("Mul", ["errors", "nothing"], ["before"]),
        helper.make_node("Add", ["now", "before"], ["next_errors"]),
    ]
    shapes = {name: QUADROTOR.signal(name).shape for name in SIGNALS} | {"errors": (MEMORY_WIDTH,)}
    graph = helper.make_graph(
        nodes,
        "mirror",
        [_tensor(name, *shape) for name, shape in shapes.items()],
        [_tensor("action", 4), _tensor("next_errors", MEMORY_WIDTH)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    opset = helper.make_opsetid("", 17)
    return helper.make_model(graph, opset_imports=[opset], ir_version=9)


def _golden(steps: int = 6) -> GoldenSequence:
    rng = np.random.default_rng(0)
    shapes = {name: (steps, *QUADROTOR.signal(name).shape) for name in SIGNALS}
    inputs = {name: rng.normal(0, 0.5, shape).astype(np.float32) for name, shape in shapes.items()}
    actions = np.clip(inputs[REFERENCE_PREVIEW][:, :, 0], -1.0, 1.0)
    return GoldenSequence(inputs=inputs, actions=actions, resets=np.arange(steps) == steps // 2)


def _tensor(name: str, *shape: int) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", *shape])
