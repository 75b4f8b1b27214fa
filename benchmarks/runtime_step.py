"""One control step on the robot: our runtime, bare onnxruntime, and RAPTOR's own package."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from foundation_policy import Raptor

from acclimate_contract import ACTION_OUTPUT
from acclimate_deploy.policy import load_policy
from acclimate_deploy.runtime import PolicyRuntime
from benchmarks.record import Figures, quantiles_us

POLICY = Path(__file__).parents[1] / "models" / "quadrotor-tiny" / "policy.onnx"
WARM_UP, ROUNDS, STEPS_PER_ROUND = 500, 20, 500


def measure() -> Figures:
    """Microseconds per step at batch 1, memory included; the contestants take turns."""
    contestants = {
        "onnxruntime_io_binding": _bare_onnxruntime(),
        "policy_runtime": _runtime(),
        "foundation_policy": _raptor(),
    }
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for step in contestants.values():
        _time(step, WARM_UP)
    for _ in range(ROUNDS):
        for name, step in contestants.items():
            times[name] += _time(step, STEPS_PER_ROUND)
    figures: Figures = {name: quantiles_us(values) for name, values in times.items()}
    median = {name: figures[name]["p50"] for name in contestants}
    runtime = median["policy_runtime"]
    figures["runtime_over_bare_us"] = round(runtime - median["onnxruntime_io_binding"], 1)
    figures["raptor_over_runtime"] = round(median["foundation_policy"] / runtime, 2)
    return figures


def _time(step: Callable[[], object], count: int) -> list[float]:
    durations = []
    for _ in range(count):
        started = time.perf_counter()
        step()
        durations.append(time.perf_counter() - started)
    return durations


def _runtime() -> Callable[[], object]:
    policy = load_policy(POLICY)
    runtime = PolicyRuntime(policy)
    golden = policy.manifest.golden
    signals = {name: values[0] for name, values in golden.inputs.items()}
    period_s = policy.manifest.rate.period_s
    return lambda: runtime.step(signals, period_s)


def _bare_onnxruntime() -> Callable[[], object]:
    """The session alone, inputs already in place, the memory bound to itself."""
    policy = load_policy(POLICY)
    binding = policy.session.io_binding()
    keep = []
    manifest = policy.manifest
    inputs = {name: values[:1].copy() for name, values in manifest.golden.inputs.items()}
    inputs |= {m.input: m.initial[None].copy() for m in manifest.memory}
    outputs = {m.output: m.initial[None].copy() for m in manifest.memory}
    outputs[ACTION_OUTPUT] = np.zeros((1, len(manifest.action.channels)), dtype=np.float32)
    for name, value in inputs.items():
        binding.bind_input(name, "cpu", 0, np.float32, value.shape, value.ctypes.data)
    for name, value in outputs.items():
        binding.bind_output(name, "cpu", 0, np.float32, value.shape, value.ctypes.data)
    keep += [*inputs.values(), *outputs.values()]

    def step() -> object:
        policy.session.run_with_iobinding(binding)
        return keep

    return step


def _raptor() -> Callable[[], object]:
    policy: Any = Raptor()  # typed as any of its layers
    policy.reset()
    observation = np.zeros((1, 22), dtype=np.float32)
    observation[0, [3, 7, 11]] = 1.0
    return lambda: policy.evaluate_step(observation)
