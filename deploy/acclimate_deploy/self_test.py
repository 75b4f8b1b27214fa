"""Prove on this machine that a policy computes what it computed when it was made, and how fast."""

import time
from dataclasses import dataclass

import numpy as np

from acclimate_contract import GOLDEN_TOLERANCE, TIME_STEP
from acclimate_deploy.policy import Policy, golden_difference
from acclimate_deploy.runtime import BatchRunner, PolicyRuntime

_BATCH = 3


@dataclass(frozen=True, kw_only=True)
class Check:
    """One claim about a policy: `measured` must not exceed `limit`."""

    claim: str
    measured: float
    limit: float

    @property
    def passed(self) -> bool:
        """Whether the claim holds; NaN fails."""
        return self.measured <= self.limit


@dataclass(frozen=True, kw_only=True)
class SelfTest:
    """All claims, and the time of one step in microseconds."""

    checks: tuple[Check, ...]
    step_p50_us: float
    step_p99_us: float
    step_max_us: float

    @property
    def passed(self) -> bool:
        """Whether every claim holds."""
        return all(check.passed for check in self.checks)


def run_self_test(policy: Policy, timing_steps: int = 2000) -> SelfTest:
    """Check a policy against its golden sequence in every way this package can run it.

    Args:
        policy: From `open_policy` or `load_policy`.
        timing_steps: Steps of the control loop to time.

    Returns:
        The findings. A wrong policy is a finding, not an exception.
    """
    checks = [
        Check(
            claim="reproduces its golden sequence",
            measured=golden_difference(policy),
            limit=GOLDEN_TOLERANCE,
        ),
        Check(
            claim=f"does so for {_BATCH} robots at once",
            measured=_difference(_replay_batch(policy), policy.manifest.golden.actions[:, None]),
            limit=GOLDEN_TOLERANCE,
        ),
        *_check_control_loop(policy),
    ]
    p50, p99, worst = _time_steps(policy, timing_steps)
    return SelfTest(checks=tuple(checks), step_p50_us=p50, step_p99_us=p99, step_max_us=worst)


def _check_control_loop(policy: Policy) -> list[Check]:
    golden, limit = policy.manifest.golden, policy.manifest.action.high
    runtime = PolicyRuntime(policy)
    initial = {m.input: m.initial for m in policy.manifest.memory}
    first = _replay(runtime, policy)
    runtime.reset()
    reset_error = max(
        (_difference(value, initial[name]) for name, value in runtime.memory.items()), default=0.0
    )
    second = _replay(runtime, policy)
    checks = [
        Check(
            claim="a reset restores the initial memory",
            measured=reset_error,
            limit=0.0,
        ),
        Check(
            claim="answers the same again after a reset",
            measured=_difference(first, second),
            limit=0.0,
        ),
        Check(
            claim="a call between two periods leaves the memory alone",
            measured=_memory_drift_between_periods(runtime, policy),
            limit=0.0,
        ),
        Check(
            claim="keeps its commands within the range",
            measured=float(np.abs(first).max()),
            limit=limit + 1e-6,  # a float32 tanh may round up
        ),
    ]
    if TIME_STEP not in golden.inputs:  # the loop measures that signal itself
        loop = Check(
            claim="reproduces it in the control loop",
            measured=_difference(first, golden.actions),
            limit=GOLDEN_TOLERANCE,
        )
        checks.insert(0, loop)
    return checks


def _replay(runtime: PolicyRuntime, policy: Policy) -> np.ndarray:
    """Answers of the control loop to the golden inputs, (steps, num_channels)."""
    golden, period_s = policy.manifest.golden, policy.manifest.rate.period_s
    actions = np.zeros_like(golden.actions)
    for step in range(golden.num_steps):
        if golden.resets[step]:
            runtime.reset()
        actions[step] = runtime.step(_signals(policy, step), period_s)
    return actions


def _replay_batch(policy: Policy) -> np.ndarray:
    """Answers to the golden inputs given to every robot, (steps, batch, num_channels)."""
    golden, runner = policy.manifest.golden, BatchRunner(policy, _BATCH)
    actions = []
    for step in range(golden.num_steps):
        if golden.resets[step]:
            runner.reset(np.ones(_BATCH, dtype=bool))
        signals = {n: np.repeat(v[step][None], _BATCH, 0) for n, v in golden.inputs.items()}
        actions.append(runner.step(signals))
    return np.array(actions)


def _memory_drift_between_periods(runtime: PolicyRuntime, policy: Policy) -> float:
    period_s = policy.manifest.rate.period_s
    before = runtime.memory
    runtime.step(_signals(policy, 0), 0.25 * period_s)
    return max((_difference(value, before[n]) for n, value in runtime.memory.items()), default=0.0)


def _signals(policy: Policy, step: int) -> dict[str, np.ndarray]:
    return {name: values[step] for name, values in policy.manifest.golden.inputs.items()}


def _difference(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.abs(a - b).max())


def _time_steps(policy: Policy, steps: int) -> tuple[float, float, float]:
    runtime, period_s = PolicyRuntime(policy), policy.manifest.rate.period_s
    signals = _signals(policy, 0)
    times_ns = np.zeros(steps)
    for i in range(steps):
        start = time.perf_counter_ns()
        runtime.step(signals, period_s)
        times_ns[i] = time.perf_counter_ns() - start
    p50, p99 = np.percentile(times_ns, [50, 99]) / 1e3
    return float(p50), float(p99), float(times_ns.max() / 1e3)
