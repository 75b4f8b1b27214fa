from pathlib import Path

import numpy as np
import pytest
from policy_file import SIGNALS, Recurrence, build, write

from acclimate_contract import GoldenSequence
from acclimate_deploy import self_test as self_test_module
from acclimate_deploy.policy import load_policy, open_policy
from acclimate_deploy.runtime import PolicyRuntime
from acclimate_deploy.self_test import Check, SelfTest, run_self_test


def failed(result: SelfTest) -> list[str]:
    return [check.claim for check in result.checks if not check.passed]


@pytest.mark.parametrize(
    "names",
    [
        SIGNALS,
        (*SIGNALS, "time_step"),
        ("position_error",),
        (*SIGNALS, "reference_preview"),
        ("reference_preview", "time_step"),
    ],
)
def test_a_good_policy_passes(tmp_path: Path, names: tuple[str, ...]) -> None:
    result = run_self_test(load_policy(build(tmp_path / "policy.onnx", names)), timing_steps=50)
    assert result.passed
    assert failed(result) == []
    assert 0.0 < result.step_p50_us <= result.step_p99_us <= result.step_max_us


def test_a_policy_without_memory_passes(tmp_path: Path) -> None:
    recurrence = Recurrence(("position_error",))
    recurrence.B[:] = 0.0
    model = recurrence.model()
    nodes, graph = model.graph.node, model.graph
    graph.input.pop()
    graph.output.pop()
    nodes[3].input[1] = "xa"  # sum = xa + xa, where memory B used to be
    del nodes[2]
    recurrence.A *= 2.0
    path = write(tmp_path / "policy.onnx", model, recurrence.manifest(memory=()))
    policy = load_policy(path)
    assert run_self_test(policy, timing_steps=10).passed
    assert PolicyRuntime(policy).memory == {}


def test_a_changed_policy_fails(tmp_path: Path) -> None:
    golden = Recurrence().golden()
    shifted = GoldenSequence(
        inputs=golden.inputs, actions=golden.actions + np.float32(1e-4), resets=golden.resets
    )
    path = build(tmp_path / "policy.onnx", golden=shifted)
    result = run_self_test(open_policy(path), timing_steps=10)
    assert not result.passed
    assert failed(result) == [
        "reproduces its golden sequence",
        "does so for 3 robots at once",
        "reproduces it in the control loop",
    ]


def test_commands_beyond_the_range_fail(tmp_path: Path) -> None:
    recurrence = Recurrence()
    model = recurrence.model()
    model.graph.node[-1].op_type = "Sinh"
    recurrence.C *= 4.0
    model.graph.initializer[2].raw_data = recurrence.C.tobytes()
    path = write(tmp_path / "policy.onnx", model, recurrence.manifest())
    result = run_self_test(open_policy(path), timing_steps=10)
    assert "keeps its commands within the range" in failed(result)


class ForgetfulReset(PolicyRuntime):
    def reset(self) -> None:
        if not hasattr(self, "_current"):
            super().reset()


class AlwaysAdvances(PolicyRuntime):
    def _advances(self, dt_s: float) -> bool:
        super()._advances(dt_s)
        return True


@pytest.mark.parametrize(
    ("broken", "claim"),
    [
        (ForgetfulReset, "a reset restores the initial memory"),
        (ForgetfulReset, "answers the same again after a reset"),
        (AlwaysAdvances, "a call between two periods leaves the memory alone"),
    ],
)
def test_a_broken_runtime_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: type[PolicyRuntime], claim: str
) -> None:
    policy = load_policy(build(tmp_path / "policy.onnx"))
    monkeypatch.setattr(self_test_module, "PolicyRuntime", broken)
    assert claim in failed(run_self_test(policy, timing_steps=10))


def test_a_difference_that_is_no_number_fails() -> None:
    assert not Check(claim="", measured=float("nan"), limit=1.0).passed
