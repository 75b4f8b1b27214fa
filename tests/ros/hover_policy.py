"""Builds a policy file by hand: a cascade of PD controllers and an integrator for the x500.

Tests of processes need a policy that flies, not one that was trained. Gains come from the x500's
published numbers (`acclimate_sim.robots.x500`); the integral of the position error is the memory.
The one that looks ahead also leans into the acceleration its reference is about to have.
"""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

from acclimate_contract import (
    MANIFEST_KEY,
    PREVIEW_TIMES_S,
    QUADROTOR,
    REFERENCE_PREVIEW,
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
MASS_KG, ARM_M, GRAVITY = 2.0, 0.17678, 9.81
INERTIA = np.array([0.021705, 0.021304, 0.039396])
TORQUE_COEFFICIENT_M, THRUST_N = 0.10847, 15.92612
HOVER_SPEED = np.sqrt(MASS_KG * GRAVITY / 4 / THRUST_N)
NEWTON_PER_SETPOINT = THRUST_N * HOVER_SPEED  # slope of THRUST_N w^2 at hover, w = (u + 1) / 2
# front_right, back_right, back_left, front_left: how each motor's thrust turns the body
ROLL, PITCH, YAW = (-1, -1, 1, 1), (-1, 1, 1, -1), (-1, 1, -1, 1)
WIDTH = 20  # of everything but the preview


def gains(looks_ahead: bool) -> tuple[np.ndarray, np.ndarray]:
    """Matrix and offset.

    The matrix takes [position, quaternion, velocity, rate, previous action, integral], and the
    rows of the preview after them.
    """
    width = WIDTH + 3 * len(PREVIEW_TIMES_S) if looks_ahead else WIDTH
    rows = {name: np.zeros(width) for name in ("up", "roll", "pitch", "yaw")}  # accelerations
    rows["up"][[2, 9, 19]] = -12.0, -6.0, -6.0
    for axis, (name, sign) in enumerate((("pitch", 1.0), ("roll", -1.0))):
        wanted = np.zeros(width)  # tilt that accelerates towards the reference
        wanted[[axis, 7 + axis, 17 + axis]] = np.array([-2.0, -2.2, -0.5]) * sign / GRAVITY
        if looks_ahead:  # second difference of now, 0.2 s and 0.4 s ahead
            at = [WIDTH + 3 * PREVIEW_TIMES_S.index(time_s) + axis for time_s in (0.2, 0.4)]
            wanted[at] = np.array([-2.0, 1.0]) / 0.2**2 * sign / GRAVITY
        quaternion, rate = (5, 11) if name == "pitch" else (4, 10)
        rows[name] += 40.0 * wanted
        rows[name][quaternion] -= 2.0 * 40.0
        rows[name][rate] -= 10.0
    rows["yaw"][[6, 12]] = -2.0 * 4.0, -4.0
    newton = np.outer(np.ones(4), rows["up"]) * MASS_KG / 4
    newton += np.outer(ROLL, rows["roll"]) * INERTIA[0] / (4 * ARM_M)
    newton += np.outer(PITCH, rows["pitch"]) * INERTIA[1] / (4 * ARM_M)
    newton += np.outer(YAW, rows["yaw"]) * INERTIA[2] / (4 * TORQUE_COEFFICIENT_M)
    offset = np.full(4, 2.0 * HOVER_SPEED - 1.0)
    return (newton.T / NEWTON_PER_SETPOINT).astype(np.float32), offset.astype(np.float32)


def hover_model(looks_ahead: bool) -> onnx.ModelProto:
    matrix, offset = gains(looks_ahead)
    weights = {
        "matrix": matrix,
        "offset": offset,
        "period": np.float32(0.01),
        "far": np.float32(0.6),
        "near": np.float32(-0.6),
        "fast": np.float32(2.0),
        "back": np.float32(-2.0),
        "one": np.float32(1.0),
        "minus_one": np.float32(-1.0),
    }
    nodes = [
        helper.make_node("Clip", ["position_error", "near", "far"], ["position"]),
        helper.make_node("Clip", ["linear_velocity_error", "back", "fast"], ["velocity"]),
        helper.make_node("Mul", ["position", "period"], ["step"]),
        helper.make_node("Add", ["integral", "step"], ["sum"]),
        helper.make_node("Clip", ["sum", "minus_one", "one"], ["next_integral"]),
        helper.make_node(
            "Concat",
            [
                "position",
                "orientation",
                "velocity",
                "angular_velocity",
                "previous_action",
                "next_integral",
                *(["ahead"] if looks_ahead else []),
            ],
            ["x"],
            axis=1,
        ),
        helper.make_node("Gemm", ["x", "matrix", "offset"], ["raw"]),
        helper.make_node("Clip", ["raw", "minus_one", "one"], ["action"]),
    ]
    if looks_ahead:
        nodes.insert(0, helper.make_node("Flatten", [REFERENCE_PREVIEW], ["ahead"]))
    shapes = {name: QUADROTOR.signal(name).shape for name in signal_names(looks_ahead)}
    graph = helper.make_graph(
        nodes,
        "hover",
        [_tensor(name, *shape) for name, shape in {**shapes, "integral": (3,)}.items()],
        [_tensor("action", 4), _tensor("next_integral", 3)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in weights.items()],
    )
    opset = helper.make_opsetid("", 17)
    return helper.make_model(graph, opset_imports=[opset], ir_version=9)


def signal_names(looks_ahead: bool) -> tuple[str, ...]:
    return (*SIGNALS, REFERENCE_PREVIEW) if looks_ahead else SIGNALS


def write_hover_policy(path: Path, *, looks_ahead: bool = False) -> Path:
    """Write a valid policy file that flies the x500."""
    model = hover_model(looks_ahead)
    manifest = Manifest(
        name="hand-written hover",
        family=QUADROTOR,
        signals=tuple(QUADROTOR.signal(name) for name in signal_names(looks_ahead)),
        action=QUADROTOR.action,
        memory=(
            MemorySpec(
                input="integral", output="next_integral", initial=np.zeros(3, dtype=np.float32)
            ),
        ),
        rate=RateSpec(nominal_hz=100.0, min_hz=50.0, max_hz=1000.0),
        num_parameters=sum(matrix.size for matrix in gains(looks_ahead)),
        golden=_golden(model, signal_names(looks_ahead)),
        provenance={"command": "tests/ros/hover_policy.py"},
    )
    helper.set_model_props(model, {MANIFEST_KEY: manifest.to_json()})
    onnx.save(model, str(path))
    return path


def _golden(model: onnx.ModelProto, names: tuple[str, ...], steps: int = 10) -> GoldenSequence:
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(0)
    inputs = {
        name: rng.normal(0, 0.1, (steps, *QUADROTOR.signal(name).shape)).astype(np.float32)
        for name in names
    }
    resets = np.arange(steps) == steps // 2
    actions, integral = [], np.zeros((1, 3), dtype=np.float32)
    for step in range(steps):
        if resets[step]:
            integral = np.zeros((1, 3), dtype=np.float32)
        feed = {name: values[step : step + 1] for name, values in inputs.items()}
        action, integral = map(
            np.asarray, session.run(["action", "next_integral"], {**feed, "integral": integral})
        )
        actions.append(action[0])
    return GoldenSequence(inputs=inputs, actions=np.array(actions), resets=resets)


def _tensor(name: str, *shape: int) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", *shape])
